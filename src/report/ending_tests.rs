use super::*;
use crate::core::event::{ActionKind, ActionOutcome};
use crate::core::ids::RolloutId;
use crate::report::sample::{Sample, diagnosis, host};

fn ending(sample: &Sample, diagnoses: &Diagnoses) -> Ending {
    diagnoses
        .ending(sample.events.last().unwrap(), &sample.state)
        .unwrap()
}

#[test]
fn all_went_well() {
    let mut sample = Sample::new(2, 1);
    sample
        .sees_old(100, "web-01")
        .sees_old(100, "web-02")
        .updates(200, "web-01")
        .updates(14_000, "web-02")
        .completes(48_000);
    let ending = ending(&sample, &Diagnoses::default());
    assert!(ending.completed);
    assert_eq!(
        ending.text(false),
        "rollout 12 of `web` completed: 2 of 2 on `v1.4.2` in 48s\n"
    );
}

#[test]
fn done_but_one_host_was_left_alone() {
    let mut sample = Sample::new(2, 1);
    sample
        .sees_old(100, "web-01")
        .unreachable(100, "web-02")
        .updates(200, "web-01")
        .completes(14_000);
    insta::assert_snapshot!(ending(&sample, &Diagnoses::default()).text(false), @r"
    rollout 12 of `web` completed: 1 of 2 on `v1.4.2` in 14s
      web-02: unreachable, left alone: connection refused (192.0.2.17:22)

    hint: the same command brings the hosts that are missing up to date
    ");
}

#[test]
fn paused_over_a_failure_with_its_last_probe_and_journal() {
    let mut sample = Sample::new(4, 3);
    let mut diagnoses = Diagnoses::default();
    diagnoses.hear(&diagnosis("web-03"));
    sample
        .sees_old(100, "web-01")
        .sees_old(100, "web-02")
        .sees_old(100, "web-03")
        .unreachable(100, "web-04")
        .updates(200, "web-01")
        .fails(200, "web-03")
        .push(
            73_000,
            Event::PauseRequested {
                cause: PauseCause::Failures { failed: 1 },
            },
        )
        .push(73_000, Event::RolloutPaused);
    let ending = ending(&sample, &diagnoses);
    assert!(!ending.completed);
    insta::assert_snapshot!(ending.text(false));
}

#[test]
fn broken_needs_somebody() {
    let mut sample = Sample::new(1, 1);
    let mut diagnoses = Diagnoses::default();
    diagnoses.hear(&Progress::Diagnosis {
        host: host("web-01"),
        last_probe: None,
        journal: JournalExcerpt::NotReadable,
    });
    sample.sees_old(100, "web-01").switches(200, "web-01").push(
        61_000,
        Event::InstanceMarked {
            host: host("web-01"),
            mark: crate::core::event::Mark::Failed {
                reason: "not ready within 1m".to_owned(),
            },
        },
    );
    sample
        .begins(61_000, "web-01", ActionKind::Revert)
        .push(
            62_000,
            Event::ActionEnded {
                host: host("web-01"),
                action: ActionKind::Revert,
                outcome: ActionOutcome::Failed {
                    reason: "unit `web.service` is masked".to_owned(),
                },
            },
        )
        .push(
            62_000,
            Event::RolloutEnded {
                outcome: Outcome::Failed,
            },
        );
    insta::assert_snapshot!(ending(&sample, &diagnoses).text(false));
}

#[test]
fn hundreds_of_hosts_do_not_bury_the_message() {
    let mut sample = Sample::new(90, 1);
    for number in 1..=90 {
        sample.unreachable(100, &format!("web-{number:02}"));
    }
    sample.push(
        200,
        Event::RolloutEnded {
            outcome: Outcome::StoodStill,
        },
    );
    let text = ending(&sample, &Diagnoses::default()).text(false);
    assert!(text.lines().count() < 30, "{text}");
    assert!(
        text.contains("... and 70 more; `rollctl describe 12` tells all"),
        "{text}"
    );
}

#[test]
fn a_larger_budget_is_advised_only_where_it_would_help() {
    for (sentence, others_answer, advised) in [
        ("no host can take part", false, false),
        ("a host could, within a larger budget", true, true),
    ] {
        let mut sample = Sample::new(2, 1);
        sample.unreachable(100, "web-01");
        match others_answer {
            true => sample.sees_old(100, "web-02"),
            false => sample.unreachable(100, "web-02"),
        };
        let outcome = Outcome::StoodStill;
        sample.push(200, Event::RolloutEnded { outcome });
        let text = ending(&sample, &Diagnoses::default()).text(false);
        assert_eq!(
            text.contains("--max-unavailable"),
            advised,
            "{sentence}: {text}"
        );
        assert_eq!(
            text.contains("none of the hosts that are left can take part"),
            !advised,
            "{sentence}: {text}"
        );
    }
}

#[test]
fn nothing_is_said_before_the_end() {
    let mut sample = Sample::new(1, 1);
    sample.sees_old(100, "web-01");
    sample.play(|recorded, state| {
        assert_eq!(Diagnoses::default().ending(recorded, state), None);
    });
    sample.push(200, Event::RolloutSuperseded { by: RolloutId(13) });
    assert!(
        ending(&sample, &Diagnoses::default())
            .text(false)
            .contains("gave way to rollout 13")
    );
}
