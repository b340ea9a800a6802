//! What a rollout waits for, and how it comes to rest.

use super::decide::decide;
use super::decision::{Verdict, WaitReason};
use super::event::{ActionKind, Event, Outcome, Runs, Sight};
use super::health::Health;
use super::rollout::RolloutState;
use super::scene::{START, Scene, name, spec_of, v1};
use super::time::Timestamp;

#[test]
fn how_a_rollout_comes_to_rest() {
    for (sentence, hosts, unavailable, expected) in [
        (
            "all run the target",
            "nnn",
            1,
            Some(Verdict::End(Outcome::Completed)),
        ),
        (
            "all that can be reached run the target",
            "nxn",
            1,
            Some(Verdict::End(Outcome::Completed)),
        ),
        (
            "not one host could be worked on",
            "xx",
            1,
            Some(Verdict::End(Outcome::StoodStill)),
        ),
        (
            "a host that cannot be reached uses up the budget",
            "nxo",
            1,
            Some(Verdict::End(Outcome::StoodStill)),
        ),
        ("one failed poll may pass by itself", "nfxo", 1, None),
        ("nobody knows yet how one is", "nuxo", 1, None),
    ] {
        let spec = spec_of(u32::try_from(hosts.len()).unwrap(), 0, unavailable);
        let mut scene = Scene::staged(spec, hosts);
        let decision = scene.decide();
        assert_eq!(decision.actions, [], "{sentence}");
        assert_eq!(decision.verdict, expected, "{sentence}");
    }
}

#[test]
fn waiting_without_end_is_ended_by_the_progress_deadline() {
    let mut scene = Scene::staged(spec_of(3, 0, 1), "ufo");
    assert_eq!(
        scene.decide().verdict,
        None,
        "both may become available by themselves"
    );
    scene.wait(600);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::StoodStill))
    );
}

#[test]
fn nothing_is_decided_before_every_host_was_looked_at() {
    let first = Event::RolloutStarted {
        spec: Box::new(spec_of(2, 0, 2)),
        by: "t".into(),
        cause: None,
    };
    let state = RolloutState::start(Timestamp::from_millis(START), &first).unwrap();
    let mut scene = Scene { state, now: START };
    scene.happen(Event::HostObserved {
        host: name(0),
        sight: Sight::reachable(Runs::Nothing),
        traffic: None,
        sibling: None,
    });
    let waiting = WaitReason::FirstLook {
        hosts: vec![name(1)],
    };
    assert_eq!(scene.decide().waiting_on, [waiting]);
    scene.happen(Event::HostObserved {
        host: name(1),
        sight: Sight::reachable(Runs::Revision { revision: v1() }),
        traffic: None,
        sibling: None,
    });
    assert_eq!(scene.decide().actions, [], "its health was not asked yet");
    scene.health(1, Health::Unknown);
    assert_eq!(scene.runs(ActionKind::Stage), [0, 1]);
}

#[test]
fn a_takedown_waits_for_fresh_looks_at_what_it_rests_on() {
    let mut scene = Scene::staged(spec_of(3, 0, 1), "ooo");
    let now = Timestamp::from_millis(scene.now);
    scene.state.saw(&name(0), now);
    scene.state.saw(&name(1), now);
    scene
        .state
        .saw(&name(2), Timestamp::from_millis(scene.now - 1));
    let decision = decide(&scene.state, now);
    assert_eq!(decision.actions, []);
    assert_eq!(
        decision.waiting_on,
        [WaitReason::Stale {
            hosts: vec![name(2)]
        }]
    );
    assert_eq!(decision.verdict, None, "a look will come");
}

#[test]
fn why_nothing_more_starts_can_be_said() {
    let mut scene = Scene::staged(spec_of(3, 0, 1), "ooo");
    scene.done(0, ActionKind::Activate);
    let deadline = Timestamp::from_millis(START + 60_000);
    let settling = WaitReason::Settling {
        host: name(0),
        until: None,
        deadline,
    };
    let waiting = scene.decide().waiting_on;
    assert!(waiting.contains(&settling), "{waiting:?}");
    assert!(
        waiting.contains(&WaitReason::InFlight {
            in_flight: 1,
            limit: 1
        }),
        "{waiting:?}"
    );
    scene.update_rest();
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::Completed))
    );
}

impl Scene {
    fn update_rest(&mut self) {
        self.ready(0);
        self.wait(10);
        self.done(0, ActionKind::Confirm);
        for host in [1, 2] {
            self.update(host);
        }
        for host in [0, 1, 2] {
            self.done(host, ActionKind::Prune);
        }
    }
}
