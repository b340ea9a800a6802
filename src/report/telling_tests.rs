use std::time::Duration;

use super::*;
use crate::core::event::PauseCause;
use crate::core::ids::RolloutId;
use crate::core::spec::{Gate, Spec};
use crate::report::sample::{Sample, at};

/// What is told of a rollout's events, one after the other.
fn told(sample: &Sample) -> Vec<Message> {
    let mut told = Vec::new();
    sample.play(|recorded, state| {
        told.extend(message(recorded, state, &FleetName::new("production")));
    });
    told
}

fn moments(told: &[Message]) -> Vec<&'static str> {
    told.iter().map(|one| one.moment.as_str()).collect()
}

#[test]
fn a_release_that_goes_well_is_told_of_twice() {
    let mut sample = Sample::new(1, 1);
    sample
        .sees_old(100, "web-01")
        .updates(200, "web-01")
        .completes(14_000);
    let told = told(&sample);
    assert_eq!(moments(&told), ["start", "finish"]);
    insta::assert_snapshot!(told[0].text());
    insta::assert_snapshot!(told[1].text());
    let rolled = told[1].rollout.as_ref().unwrap();
    assert_eq!(rolled.from.as_ref().unwrap().as_str(), "v1.4.1");
    assert_eq!(rolled.to.as_str(), "v1.4.2");
}

#[test]
fn a_failure_names_the_hosts_and_the_way_out_and_nothing_that_a_service_said() {
    let mut sample = Sample::new(2, 1);
    sample
        .sees_old(100, "web-01")
        .sees_old(100, "web-02")
        .fails(200, "web-01");
    let cause = PauseCause::Failures { failed: 1 };
    sample
        .push(70_000, Event::PauseRequested { cause })
        .push(70_000, Event::RolloutPaused);
    let told = told(&sample);
    assert_eq!(moments(&told), ["start", "pause"]);
    insta::assert_snapshot!(told[1].text());
}

#[test]
fn steps_that_somebody_has_to_approve_are_told_of() {
    for (approve, expected) in [(true, vec!["start", "hold"]), (false, vec!["start"])] {
        let gate = Gate {
            to: 1,
            bake: Duration::ZERO,
            approve,
        };
        let mut state = Sample::new(2, 1).state;
        state.spec = Spec {
            steps: vec![gate],
            ..state.spec
        };
        let mut told = Vec::new();
        for event in [
            Event::RolloutStarted {
                spec: Box::new(state.spec.clone()),
                by: "ann@desk".to_owned(),
                cause: None,
            },
            Event::StepReached { step: 0 },
            Event::StepOpened { step: 0 },
        ] {
            let recorded = RecordedEvent {
                rollout: RolloutId(12),
                seq: 1,
                at: at(0),
                event,
                hash: String::new(),
            };
            told.extend(message(&recorded, &state, &FleetName::new("production")));
        }
        assert_eq!(moments(&told), expected);
        if let Some(hold) = told.get(1) {
            insta::assert_snapshot!(hold.text());
        }
    }
}
