//! Every host goes back to what it ran: under the same rules, in which order, and what may stay.

use super::decision::Verdict;
use super::event::*;
use super::fleet::OnFailure;
use super::health::Health;
use super::scene::{NONE, Scene, with_policy};

/// Three of five are new, the fourth has failed and is put back; now everything goes back.
fn on_the_way_back(hosts: &str) -> Scene {
    let mut scene = Scene::staged(with_policy(5, 1, OnFailure::Rollback), hosts);
    for host in [0, 1, 2] {
        scene.update(host);
        scene.done(host, ActionKind::Prune);
    }
    scene.done(3, ActionKind::Activate);
    scene.fail(3);
    let failed = 1;
    scene.happen(Event::RollbackStarted {
        cause: RollbackCause::Failures { failed },
    });
    scene
}

#[test]
fn going_back_is_held_by_the_same_rules() {
    let mut scene = on_the_way_back("ooooo");
    assert_eq!(
        scene.runs(ActionKind::Revert),
        [3],
        "the failed one at once; the others wait for it"
    );
    scene.revert(3);
    assert_eq!(scene.runs(ActionKind::Revert), [0]);
    scene.begin(0, ActionKind::Revert);
    assert_eq!(scene.runs(ActionKind::Revert), NONE);
    scene.reverted(0);
    assert_eq!(scene.runs(ActionKind::Revert), [1]);
    assert_eq!(
        scene.runs(ActionKind::Activate),
        NONE,
        "nothing goes forward any more"
    );
    for host in [1, 2] {
        scene.revert(host);
    }
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::RolledBack))
    );
}

#[test]
fn one_that_has_not_proved_itself_goes_back_at_once() {
    let mut scene = Scene::staged(with_policy(4, 2, OnFailure::Rollback), "oooo");
    scene.done(0, ActionKind::Activate);
    scene.done(1, ActionKind::Activate);
    scene.fail(0);
    let failed = 1;
    scene.happen(Event::RollbackStarted {
        cause: RollbackCause::Failures { failed },
    });
    assert_eq!(scene.runs(ActionKind::Revert), [0, 1]);
}

#[test]
fn a_broken_new_one_goes_back_though_the_budget_is_spent() {
    let mut scene = on_the_way_back("ooooo");
    scene.begin(3, ActionKind::Revert);
    scene.health(2, Health::NotReady { failed_polls: 3 });
    assert_eq!(scene.runs(ActionKind::Revert), [2]);
}

#[test]
fn what_the_rollout_added_goes_last_and_only_if_enough_remain() {
    let mut scene = Scene::staged(with_policy(3, 1, OnFailure::Rollback), "-oo");
    scene.update(0);
    scene.update(1);
    scene.done(2, ActionKind::Activate);
    scene.fail(2);
    let failed = 1;
    scene.happen(Event::RollbackStarted {
        cause: RollbackCause::Failures { failed },
    });
    assert_eq!(scene.runs(ActionKind::Revert), [2]);
    scene.revert(2);
    assert_eq!(
        scene.runs(ActionKind::Revert),
        [1],
        "what served before goes first"
    );
    scene.revert(1);
    assert_eq!(scene.runs(ActionKind::Revert), [0], "two remain, two must");
    scene.health(1, Health::NotReady { failed_polls: 5 });
    assert_eq!(scene.runs(ActionKind::Revert), NONE);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::Failed)),
        "it stays, and somebody must look"
    );
}
