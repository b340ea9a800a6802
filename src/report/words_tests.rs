use std::fmt::Write as _;

use super::*;
use crate::core::action::{ActionKind, ActionOutcome};
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

#[test]
fn why_a_rollout_does_not_simply_go_on() {
    let pause = |cause| Event::PauseRequested { cause };
    let asked = || {
        pause(PauseCause::Asked {
            by: "bob@desk".to_owned(),
        })
    };
    let back = || Event::RollbackStarted {
        cause: RollbackCause::Failures { failed: 2 },
    };
    let abort = || Event::AbortRequested {
        by: "bob@desk".to_owned(),
    };
    for (events, why) in [
        (vec![], None),
        (vec![asked()], Some("asked by bob@desk")),
        (
            vec![pause(PauseCause::Failures { failed: 1 })],
            Some("1 instance failed"),
        ),
        (vec![back()], Some("2 instances failed")),
        (
            vec![back(), asked()],
            Some("asked by bob@desk; on its way back, since 2 instances failed"),
        ),
        (vec![abort()], Some("asked by bob@desk")),
    ] {
        let mut sample = Sample::new(1, 1);
        sample.sees_old(100, "web-01");
        for event in events {
            sample.push(200, event);
        }
        assert_eq!(why_in_words(&sample.state).as_deref(), why);
    }
}

#[test]
fn hooks_of_a_rollout_and_of_an_instance() {
    insta::assert_snapshot!(told(&Sample::with_hooks()));
}
