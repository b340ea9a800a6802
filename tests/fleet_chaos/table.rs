//! What many rounds brought, as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::round::Round;

/// One row per fault: how often, with which exit codes, reached or went back, what was wrong.
pub(crate) fn table(rounds: &[Round]) -> String {
    let mut rows: BTreeMap<_, Vec<&Round>> = BTreeMap::new();
    let mut phases: BTreeMap<_, usize> = BTreeMap::new();
    for round in rounds {
        rows.entry(round.fault).or_default().push(round);
        if let Some(phase) = round.phase {
            *phases.entry(phase).or_default() += 1;
        }
    }
    let mut text = format!(
        "{:<24} {:>6} {:>7} {:>9} {:>6}  {:<24} {:>16}\n",
        "fault", "rounds", "reached", "went back", "wrong", "exit code: times", "lowest available"
    );
    for (fault, rounds) in rows {
        let mut codes: BTreeMap<i32, usize> = BTreeMap::new();
        for round in &rounds {
            *codes.entry(round.code).or_default() += 1;
        }
        let codes: Vec<_> = codes
            .iter()
            .map(|(code, n)| format!("{code}: {n}"))
            .collect();
        let count =
            |is_it: &dyn Fn(&Round) -> bool| rounds.iter().filter(|round| is_it(round)).count();
        let lowest = rounds.iter().map(|round| round.lowest.0).min();
        let _ = writeln!(
            text,
            "{:<24} {:>6} {:>7} {:>9} {:>6}  {:<24} {:>16}",
            fault.to_string(),
            rounds.len(),
            count(&|round| round.is_reached),
            count(&|round| !round.is_reached && round.wrong.is_empty()),
            count(&|round| !round.wrong.is_empty()),
            codes.join(", "),
            lowest.unwrap_or(0),
        );
    }
    let _ = writeln!(text, "kills that hit their phase: {phases:?}");
    let seconds: f64 = rounds.iter().map(|round| round.took.as_secs_f64()).sum();
    let _ = writeln!(
        text,
        "{} rounds in {seconds:.0} s, {:.1} s each",
        rounds.len(),
        seconds / rounds.len().max(1) as f64
    );
    text
}

/// One line, and what was run in it.
pub(crate) fn line(round: &Round) -> String {
    let mut text = format!(
        "round {:>3}  {:<24} {:>5.1} s  lowest {} (others {})  {}\n",
        round.number,
        round.fault.to_string(),
        round.took.as_secs_f64(),
        round.lowest.0,
        round.lowest.1,
        if round.is_reached {
            "reached"
        } else {
            "went back"
        },
    );
    for run in &round.runs {
        let _ = writeln!(text, "           {run}");
    }
    for wrong in &round.wrong {
        let _ = writeln!(text, "     WRONG {wrong}");
    }
    text
}
