//! The lab against a real host: both are asked the same by `rollctl`'s own host scripts, and every answer is compared,
//! field by field. A difference is a fault of the lab, or stands in [`EXCEPTIONS`] with its reason.
#![expect(
    clippy::disallowed_methods,
    clippy::wrong_self_convention,
    clippy::unwrap_used,
    reason = "in a test, what goes wrong is a failed test"
)]

#[path = "fleet_conformance/answers.rs"]
mod answers;
#[path = "fleet_conformance/asking.rs"]
mod asking;
#[path = "fleet_conformance/failing.rs"]
mod failing;
#[path = "fleet_conformance/found.rs"]
mod found;
#[path = "fleet_conformance/place.rs"]
mod place;
#[path = "fleet_conformance/story.rs"]
mod story;

use std::collections::BTreeSet;

use answers::{Answers, Field};
use place::Place;
use story::Story;

/// What may differ: the beginning of the step, the beginning of the field's path, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_host_answers_as_a_real_one() {
    if rollctl_fleet::skip() {
        return;
    }
    let booted = tokio::task::spawn_blocking(|| (Place::lab(), Place::real()));
    let (lab, real) = booted.await.unwrap();
    let (lab, real) = tokio::join!(Story::told_by(lab), Story::told_by(real));
    if let Ok(folder) = std::env::var("ROLLCTL_CONFORMANCE_OUT") {
        for (name, answers) in [("lab", &lab), ("real", &real)] {
            let lines: Vec<String> = answers.fields().iter().map(line).collect();
            std::fs::write(format!("{folder}/{name}.txt"), lines.join("\n")).unwrap();
        }
    }
    let (differences, used) = compare(&lab, &real);
    println!(
        "{} fields compared, {} differ, {} of {} exceptions used",
        real.fields().len(),
        differences.len(),
        used.len(),
        EXCEPTIONS.len()
    );
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    let stale: Vec<_> = (0..EXCEPTIONS.len())
        .filter(|n| !used.contains(n))
        .map(|n| EXCEPTIONS[n])
        .collect();
    assert!(stale.is_empty(), "these differ no longer: {stale:?}");
}

fn line(field: &Field) -> String {
    format!("{} | {} | {}", field.step, field.path, field.value)
}

/// What differs, in words, and which exceptions were met.
fn compare(lab: &Answers, real: &Answers) -> (Vec<String>, BTreeSet<usize>) {
    let steps: Vec<&str> = {
        let mut steps: Vec<&str> = Vec::new();
        for field in real.fields().iter().chain(lab.fields()) {
            if !steps.contains(&field.step.as_str()) {
                steps.push(&field.step);
            }
        }
        steps
    };
    let (mut differences, mut used) = (Vec::new(), BTreeSet::new());
    for step in steps {
        let of = |answers: &Answers| -> Vec<Field> {
            let fields = answers.fields().iter();
            fields.filter(|field| field.step == step).cloned().collect()
        };
        let (lab, real) = (of(lab), of(real));
        for n in 0..lab.len().max(real.len()) {
            if lab.get(n) == real.get(n) {
                continue;
            }
            let path = real.get(n).or(lab.get(n)).map_or("", |field| &field.path);
            let excepted = EXCEPTIONS
                .iter()
                .position(|(at, field, _)| step.starts_with(at) && path.starts_with(field));
            match excepted {
                Some(n) => {
                    used.insert(n);
                }
                None => differences.push(format!(
                    "real: {}\n lab: {}",
                    real.get(n).map_or("-".to_owned(), line),
                    lab.get(n).map_or("-".to_owned(), line)
                )),
            }
        }
    }
    (differences, used)
}
