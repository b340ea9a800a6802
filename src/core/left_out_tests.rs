//! Hosts that are left as they are: a switch that is declined or refused, shipping that fails, a reboot.

use super::decision::Verdict;
use super::event::{ActionKind, ActionOutcome, Event, Outcome, Started};
use super::health::Health;
use super::ids::BootId;
use super::rollout::{Reach, Stage};
use super::scene::{Scene, name, spec_of};

#[test]
fn a_declined_switch_leaves_everything_as_it_was() {
    let mut scene = Scene::staged(spec_of(2, 0, 1), "ob");
    assert_eq!(scene.runs(ActionKind::Activate), [1]);
    scene.begin(1, ActionKind::Activate);
    scene.end(
        1,
        ActionKind::Activate,
        ActionOutcome::Declined {
            reason: "it works".into(),
        },
    );
    assert_eq!(scene.stage_of(1), Stage::Staged);
    assert_eq!(
        scene.state.instance(&name(1)).unwrap().health,
        Some(Health::Unknown),
        "looked at anew"
    );
}

#[test]
fn a_host_that_refuses_its_switch_is_left_out_and_the_others_go_on() {
    let mut scene = Scene::staged(spec_of(3, 0, 1), "bo-");
    for host in [0, 2] {
        scene.begin(host, ActionKind::Activate);
        scene.end(
            host,
            ActionKind::Activate,
            ActionOutcome::Refused {
                reason: "gone".into(),
            },
        );
        let instance = scene.state.instance(&name(host)).unwrap().clone();
        assert_eq!(instance.failure(), None, "nothing was changed");
        assert_eq!(instance.runs, instance.before);
        assert!(!instance.was_touched());
        assert_eq!(
            instance.reach,
            Some(Reach::Refused {
                reason: "gone".into()
            })
        );
    }
    let counts = scene.counts();
    assert_eq!((counts.failed, counts.in_flight, counts.running), (0, 0, 2));
    scene.health(0, Health::NotReady { failed_polls: 3 });
    assert_eq!(scene.runs(ActionKind::Revert), [] as [u32; 0]);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::StoodStill)),
        "one of three is available: it must stay"
    );
}

#[test]
fn a_host_whose_shipping_fails_is_left_out_and_named() {
    let mut scene = Scene::new(spec_of(2, 0, 1), "oo");
    scene.begin(0, ActionKind::Stage);
    scene.end(
        0,
        ActionKind::Stage,
        ActionOutcome::Refused {
            reason: "disk full".into(),
        },
    );
    let instance = scene.state.instance(&name(0)).unwrap();
    assert_eq!(
        instance.reach,
        Some(Reach::Refused {
            reason: "disk full".into()
        })
    );
    assert!(!instance.was_touched());
    assert_eq!(scene.runs(ActionKind::Stage), [1], "the others go on");
}

#[test]
fn a_reboot_restarts_the_wait() {
    let mut scene = Scene::staged(spec_of(1, 0, 1), "o");
    scene.done(0, ActionKind::Activate);
    scene.wait(45);
    let started = Started {
        boot: BootId::new("c"),
        units: vec![],
    };
    scene.happen(Event::HostRebooted {
        host: name(0),
        started,
    });
    scene.wait(45);
    assert_eq!(
        scene.decide().actions,
        [],
        "90 s after its start, 45 s after the boot"
    );
}
