//! What is concluded about single instances, and what is not.

use super::decision::{Action, Decision};
use super::event::{ActionKind, Event, Mark, RollbackCause};
use super::health::Health;
use super::ids::HostName;
use super::scene::{Scene, name, spec_of};

/// The instances about which something is concluded.
fn marked(decision: &Decision) -> Vec<(&HostName, &'static str)> {
    let word = |mark: &Mark| match mark {
        Mark::Failed { .. } => "failed",
        Mark::Reverted => "reverted",
        Mark::Broken { .. } => "broken",
    };
    let marks = decision.actions.iter().filter_map(|action| match action {
        Action::Mark { host, mark } => Some((host, word(mark))),
        Action::Run { .. } => None,
    });
    marks.collect()
}

/// Two hosts, of which the first was switched and is ready for less than `min_ready`.
fn settling() -> Scene {
    let mut scene = Scene::staged(spec_of(2, 0, 1), "oo");
    scene.done(0, ActionKind::Activate);
    scene.ready(0);
    scene
}

#[test]
fn nothing_is_concluded_while_an_instance_is_read_back() {
    let mut scene = settling();
    scene.wait(10);
    scene.begin(0, ActionKind::Confirm);
    scene.health(0, Health::Restarted);
    assert_eq!(marked(&scene.decide()), []);
}

#[test]
fn an_instance_that_dies_while_it_is_tidied_up_failed() {
    let mut scene = Scene::staged(spec_of(2, 0, 1), "oo");
    scene.update(0);
    scene.begin(0, ActionKind::Prune);
    scene.health(0, Health::Restarted);
    assert_eq!(marked(&scene.decide()), [(&name(0), "failed")]);
}

#[test]
fn on_the_way_back_a_new_one_that_dies_only_goes_back() {
    let mut scene = settling();
    let cause = RollbackCause::Failures { failed: 1 };
    scene.happen(Event::RollbackStarted { cause });
    scene.health(0, Health::Restarted);
    assert_eq!(marked(&scene.decide()), []);
    assert_eq!(scene.runs(ActionKind::Revert), [0]);
}

#[test]
fn what_was_put_back_is_back_only_after_min_ready() {
    let mut scene = settling();
    scene.fail(0);
    scene.done(0, ActionKind::Revert);
    scene.ready(0);
    scene.wait(9);
    assert_eq!(marked(&scene.decide()), []);
    scene.wait(1);
    assert_eq!(marked(&scene.decide()), [(&name(0), "reverted")]);
}
