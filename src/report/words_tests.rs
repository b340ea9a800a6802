use std::fmt::Write as _;

use super::*;
use crate::report::sample::{Sample, at, host, started};

fn told(sample: &Sample) -> String {
    let mut story = Story::default();
    let mut text = String::new();
    for recorded in &sample.events {
        story.hear(&recorded.event);
        writeln!(text, "{}", sentence(recorded, &story)).unwrap();
    }
    text
}

#[test]
fn a_rollout_that_goes_well() {
    let mut sample = Sample::new(2, 1);
    sample
        .sees_old(100, "web-01")
        .sees(100, "web-02", Runs::Nothing)
        .updates(200, "web-01")
        .updates(200, "web-02")
        .begins(14_000, "web-01", ActionKind::Prune)
        .ends(14_100, "web-01", ActionKind::Prune)
        .completes(14_200);
    insta::assert_snapshot!(told(&sample));
}

#[test]
fn a_rollout_that_pauses() {
    let mut sample = Sample::new(3, 1);
    sample
        .sees_old(100, "web-01")
        .sees_old(100, "web-02")
        .unreachable(100, "web-03")
        .fails(200, "web-01")
        .push(
            73_000,
            Event::PauseRequested {
                cause: PauseCause::Failures { failed: 1 },
            },
        )
        .push(73_000, Event::RolloutPaused)
        .push(90_000, Event::RolloutSuperseded { by: RolloutId(13) });
    insta::assert_snapshot!(told(&sample));
}

#[test]
fn state_and_story_know_the_same() {
    let mut sample = Sample::new(1, 1);
    sample.sees_old(100, "web-01").updates(200, "web-01");
    let mut story = Story::default();
    sample.play(|recorded, state| {
        story.hear(&recorded.event);
        assert_eq!(sentence(recorded, state), sentence(recorded, &story));
    });
}

#[test]
fn what_can_go_wrong_with_an_action() {
    let about = Story::default();
    let reason = || "disk \x1b[31mfull".to_owned();
    for (outcome, expected) in [
        (
            ActionOutcome::Declined { reason: reason() },
            "web-01: activate not begun, looking again: disk \\x1b[31mfull",
        ),
        (
            ActionOutcome::Refused { reason: reason() },
            "web-01: cannot take part, nothing changed: disk \\x1b[31mfull",
        ),
        (
            ActionOutcome::Failed { reason: reason() },
            "web-01: activate failed: disk \\x1b[31mfull",
        ),
        (
            ActionOutcome::Lost { reason: reason() },
            "web-01: connection lost during activate, nobody knows whether it was done: disk \\x1b[31mfull",
        ),
    ] {
        let recorded = RecordedEvent {
            rollout: RolloutId(1),
            seq: 2,
            at: at(0),
            event: Event::ActionEnded {
                host: host("web-01"),
                action: ActionKind::Activate,
                outcome,
            },
            hash: String::new(),
        };
        assert_eq!(sentence(&recorded, &about), expected);
    }
}

#[test]
fn what_a_rollout_waits_for() {
    let budget = Budget {
        desired: 12,
        max_surge: 0,
        max_unavailable: 3,
    };
    let hosts = |count: u32| -> Vec<HostName> {
        (1..=count).map(|n| host(&format!("web-{n:02}"))).collect()
    };
    for (reason, expected) in [
        (
            WaitReason::FirstLook { hosts: hosts(12) },
            "looking at web-01, web-02, web-03 and 9 more first",
        ),
        (
            WaitReason::Working {
                host: host("web-03"),
                action: ActionKind::Activate,
            },
            "switching web-03",
        ),
        (
            WaitReason::Settling {
                host: host("web-04"),
                until: Some(at(6_200)),
                deadline: at(50_000),
            },
            "web-04 must stay ready for 7s more",
        ),
        (
            WaitReason::MinReady {
                host: host("web-04"),
                until: at(7_000),
            },
            "web-04 must stay ready for 7s more",
        ),
        (
            WaitReason::Settling {
                host: host("web-04"),
                until: None,
                deadline: at(42_000),
            },
            "web-04 is not ready yet; it fails in 42s",
        ),
        (
            WaitReason::NoHeadroom {
                available: 9,
                min_available: 9,
                unavailable: vec![host("web-03")],
            },
            "9 of 12 available, at least 9 must be: waiting for web-03",
        ),
        (
            WaitReason::NoHeadroom {
                available: 9,
                min_available: 9,
                unavailable: hosts(3),
            },
            "9 of 12 available, at least 9 must be: waiting for web-01, web-02 and web-03",
        ),
        (
            WaitReason::InFlight {
                in_flight: 3,
                limit: 3,
            },
            "3 in work, at most 3 may be (max_unavailable)",
        ),
        (
            WaitReason::NoRoom {
                running: 12,
                max_total: 12,
            },
            "12 run, at most 12 may (max_surge)",
        ),
        (
            WaitReason::Stale { hosts: hosts(2) },
            "looking at web-01 and web-02 again before anything is taken down",
        ),
        (
            WaitReason::Pausing,
            "finishing what is in flight, then pausing",
        ),
    ] {
        assert_eq!(wait_in_words(&reason, &budget, at(0)), expected);
    }
}

#[test]
fn a_reboot_is_nobodys_fault() {
    let mut sample = Sample::new(1, 1);
    sample.sees_old(100, "web-01").switches(200, "web-01").push(
        3_000,
        Event::HostRebooted {
            host: host("web-01"),
            started: started(),
        },
    );
    let last = sample.events.last().unwrap();
    assert_eq!(
        sentence(last, &sample.state),
        "web-01: rebooted by itself; its instance has to prove itself anew"
    );
}
