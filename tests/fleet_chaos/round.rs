//! One round: a rollout, a fault, whatever a person would do then, and what must hold.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;

use crate::asserts;
use crate::deck::{Fault, Phase};
use crate::inject::{Met, inject};
use crate::running::{Ended, Running};
use crate::world::{Version, World, let_go};

/// More attempts to get there than this, and it does not get there.
const ATTEMPTS: usize = 5;

/// What a round brought.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) number: usize,
    pub(crate) fault: Fault,
    pub(crate) phase: Option<Phase>,
    /// What was run, and how it ended.
    pub(crate) runs: Vec<String>,
    /// The exit code of the run that met the fault; of what came next where it was killed.
    pub(crate) code: i32,
    /// Whether the target was reached; else all went back.
    pub(crate) is_reached: bool,
    /// The fewest available, and the fewest of those that the fault left alone.
    pub(crate) lowest: (usize, usize),
    pub(crate) took: Duration,
    pub(crate) wrong: Vec<String>,
}

impl Round {
    /// One whose driver itself failed.
    pub(crate) fn broken_off(number: usize, fault: Fault) -> Self {
        Self {
            number,
            fault,
            phase: None,
            runs: Vec::new(),
            code: -1,
            is_reached: false,
            lowest: (0, 0),
            took: Duration::ZERO,
            wrong: vec!["the driver panicked, see above".to_owned()],
        }
    }
}

/// Where a rollout is to go.
struct Goal {
    version: Version,
    is_rollback: bool,
}

impl Goal {
    /// A version to release, or, where the fault needs no upload, sometimes one to go back to.
    fn choose(world: &mut World, random: &mut StdRng, fault: Fault) -> Self {
        let needs_upload = matches!(
            fault,
            Fault::Kill(Phase::Stage) | Fault::CorruptUpload | Fault::KillSessions
        );
        let now = world.now().name.clone();
        let earlier: Vec<_> = world.completed.iter().rev().take(4).cloned().collect();
        let back = earlier.into_iter().find(|version| version.name != now);
        match back {
            Some(version) if !needs_upload && random.random_bool(0.3) => Self {
                version,
                is_rollback: true,
            },
            _ => Self {
                version: world.make(random),
                is_rollback: false,
            },
        }
    }

    fn command(&self, world: &World) -> std::process::Command {
        if self.is_rollback {
            world.rollback(&self.version)
        } else {
            world.release(&self.version, &[])
        }
    }
}

/// Plays it.
pub(crate) fn play(world: &mut World, random: &mut StdRng, number: usize, fault: Fault) -> Round {
    let begun = Instant::now();
    let before = world.now().clone();
    let mut goal = Goal::choose(world, random, fault);
    let prober = world.watch();
    let command = goal.command(world);
    let met = inject(world, random, fault, command);
    let mut round = Round {
        number,
        fault,
        phase: met.phase,
        runs: vec![format!(
            "{} {} ({}): {}",
            if goal.is_rollback {
                "rollback"
            } else {
                "release"
            },
            goal.version.name,
            met.note,
            shown(&met.ended)
        )],
        code: met.ended.code.unwrap_or(-1),
        is_reached: false,
        lowest: (0, 0),
        took: Duration::ZERO,
        wrong: met.wrong.clone(),
    };
    if let Some(other) = met.instead.clone() {
        goal = Goal {
            version: other,
            is_rollback: false,
        };
    }
    go_on(world, &mut round, &goal, &before, &met);
    let (codes, why) = fault.may_end();
    // Killed before the rollout was on record, or in no phase of it: `resume` says that there is nothing to go on with.
    let never_began = round.code == 2
        && round.phase.is_none()
        && matches!(fault, Fault::Kill(_) | Fault::KillAnytime);
    if !codes.contains(&round.code) && !never_began {
        round
            .wrong
            .push(format!("exit {} is none of {codes:?}: {why}", round.code));
    }
    for host in world.fleet.hosts() {
        let_go(host);
    }
    let record = prober.stop();
    let away: Vec<_> = met.away.iter().map(String::as_str).collect();
    round.lowest = (record.lowest(), record.without(&away).lowest());
    round.wrong.extend(asserts::all(world, &record, &met.away));
    round.took = begun.elapsed();
    round
}

fn shown(ended: &Ended) -> String {
    let code = ended
        .code
        .map_or("killed".to_owned(), |code| format!("exit {code}"));
    format!("{code} after {:.1} s", ended.took.as_secs_f64())
}

/// Does what the exit code asks for, until the target runs everywhere, or what ran before does.
fn go_on(world: &mut World, round: &mut Round, goal: &Goal, before: &Version, met: &Met) {
    let mut code = met.ended.code;
    let mut reaches = &goal.version;
    let mut held = met.still_held.clone();
    let mut stderr = met.ended.stderr.clone();
    for attempt in 0..=ATTEMPTS {
        let (what, command) = match code {
            Some(0) => {
                round.is_reached = reaches.name == goal.version.name;
                if reaches.name != world.now().name {
                    world.completed.push(reaches.clone());
                }
                return;
            }
            // Each host runs what it ran before this rollout: with a displaced one in between, that was not one thing.
            Some(10) if met.instead.is_none() && reaches.name == goal.version.name => return,
            None | Some(5 | 130) => ("resume", world.rollctl(&["resume", "web"])),
            Some(2) if attempt > 0 => ("again", goal.command(world)),
            Some(3 | 4) if reaches.name == goal.version.name => ("again", goal.command(world)),
            Some(3 | 10 | 11) => {
                reaches = before;
                ("rollback", world.rollback(before))
            }
            _ => break,
        };
        let mut running = Running::start(command);
        if let Some(host) = held.take() {
            running.run_on(Duration::from_millis(1200));
            let_go(world.host(&host));
        }
        let ended = running.end();
        round.runs.push(format!("{what}: {}", shown(&ended)));
        if round.code == -1 {
            round.code = ended.code.unwrap_or(-1);
        }
        code = ended.code;
        stderr = ended.stderr;
    }
    round
        .wrong
        .push(format!("it never gets there: exit {code:?}\n{stderr}"));
}
