//! Side by side in lockstep: what a Deployment shows with the same budgets, row by row.
//!
//! All that was started in a tick becomes available before the next, and stops are done at once: a Deployment does not
//! count what terminates.

use super::budget::{
    Budget,
    Quantity::{Count, Percent},
};
use super::decision::{Action, Verdict};
use super::event::{ActionKind, Outcome};
use super::rollout::Stage;
use super::scene::{Scene, spec_of};
use super::spec::Spec;

/// CURRENT/UP-TO-DATE/AVAILABLE.
type Line = [u32; 3];

fn lines(trace: &[Line]) -> String {
    let line = |[current, new, available]: &Line| format!("{current}/{new}/{available}");
    trace.iter().map(line).collect::<Vec<_>>().join(" ")
}

/// What a Deployment shows: `reconcileNewReplicaSet` and `reconcileOldReplicaSets` of `rolling.go` in turn until neither
/// does anything; then all pods are available.
fn deployment(budget: &Budget) -> Vec<Line> {
    let replicas = budget.desired;
    let (mut old, mut new, mut new_available) = (replicas, 0, 0);
    let mut trace = Vec::new();
    while trace.last() != Some(&[replicas; 3]) {
        loop {
            // NewRSNewReplicas.
            let room = budget.max_total().saturating_sub(old + new);
            let up = room.min(replicas - new);
            // No old pod is unhealthy here, so that there is nothing to clean up first.
            let unavailable = new + up - new_available;
            let may_go = (old + new + up).saturating_sub(budget.min_available() + unavailable);
            let available = old + new_available;
            let down = match may_go {
                0 => 0,
                _ => available.saturating_sub(budget.min_available()).min(old),
            };
            (new, old) = (new + up, old - down);
            if (up, down) == (0, 0) {
                break;
            }
        }
        trace.push([old + new, new, old + new_available]);
        new_available = new;
    }
    trace
}

/// What a rollout of ours shows, side by side.
fn rollout(budget: Budget) -> Vec<Line> {
    let spec = Spec {
        budget,
        side_by_side: true,
        ..spec_of(budget.desired, 0, 1)
    };
    let mut scene = Scene::staged(spec, &"o".repeat(budget.desired as usize));
    let mut trace = Vec::new();
    loop {
        let verdict = start_all(&mut scene);
        let counts = scene.counts();
        trace.push([counts.running, counts.up_to_date, counts.available]);
        if verdict == Some(Verdict::End(Outcome::Completed)) {
            return trace;
        }
        assert_eq!(verdict, None, "after {}", lines(&trace));
        assert!(trace.len() < 50, "{}", lines(&trace));
        all_become_available(&mut scene);
    }
}

/// Begins all that may begin. What stops is stopped at once, and what is shipped or removed costs no time.
fn start_all(scene: &mut Scene) -> Option<Verdict> {
    loop {
        let decision = scene.decide();
        if decision.actions.is_empty() {
            return decision.verdict;
        }
        let started: Vec<_> = (decision.actions.into_iter())
            .map(|action| match action {
                Action::Run { host, kind } => (host.as_str()[1..].parse().unwrap(), kind),
                Action::Mark { .. } => panic!("{action:?}"),
            })
            .collect();
        for (host, action) in &started {
            scene.begin(*host, *action);
        }
        for (host, action) in started {
            if !matches!(action, ActionKind::Start | ActionKind::Activate) {
                scene.finish(host, action);
            }
        }
    }
}

fn all_become_available(scene: &mut Scene) {
    let open: Vec<_> = (0..)
        .zip(&scene.state.instances)
        .filter_map(|(host, instance)| Some((host, instance.open?)))
        .collect();
    for (host, action) in &open {
        scene.finish(*host, *action);
        scene.ready(*host);
    }
    scene.wait(10);
    for (host, _) in open {
        assert!(matches!(scene.stage_of(host), Stage::Settling { .. }));
        scene.done(host, ActionKind::Confirm);
    }
}

#[test]
fn side_by_side_shows_what_a_deployment_shows() {
    // desired, max_surge, max_unavailable, what a Deployment shows
    for (desired, surge, unavailable, expected) in [
        (1, Count(1), Count(0), "2/1/1 1/1/1"),
        (1, Count(0), Count(1), "1/1/0 1/1/1"),
        (1, Percent(25), Percent(25), "2/1/1 1/1/1"),
        (1, Percent(100), Count(0), "2/1/1 1/1/1"),
        (2, Count(1), Count(0), "3/1/2 3/2/2 2/2/2"),
        (2, Count(0), Count(1), "2/1/1 2/2/1 2/2/2"),
        (2, Count(1), Count(1), "3/2/1 2/2/2"),
        (2, Percent(25), Percent(25), "3/1/2 3/2/2 2/2/2"),
        (2, Percent(100), Count(0), "4/2/2 2/2/2"),
        (3, Count(1), Count(0), "4/1/3 4/2/3 4/3/3 3/3/3"),
        (3, Count(0), Count(1), "3/1/2 3/2/2 3/3/2 3/3/3"),
        (3, Count(1), Count(1), "4/2/2 3/3/2 3/3/3"),
        (3, Percent(25), Percent(25), "4/1/3 4/2/3 4/3/3 3/3/3"),
        (3, Count(2), Count(1), "5/3/2 3/3/3"),
        (3, Percent(100), Count(0), "6/3/3 3/3/3"),
        (4, Count(1), Count(0), "5/1/4 5/2/4 5/3/4 5/4/4 4/4/4"),
        (4, Count(0), Count(1), "4/1/3 4/2/3 4/3/3 4/4/3 4/4/4"),
        (4, Count(1), Count(1), "5/2/3 5/4/3 4/4/4"),
        (4, Percent(25), Percent(25), "5/2/3 5/4/3 4/4/4"),
        (4, Count(2), Count(1), "6/3/3 4/4/3 4/4/4"),
        (4, Percent(100), Count(0), "8/4/4 4/4/4"),
        (
            10,
            Count(1),
            Count(0),
            "11/1/10 11/2/10 11/3/10 11/4/10 11/5/10 11/6/10 11/7/10 \
                11/8/10 11/9/10 11/10/10 10/10/10",
        ),
        (
            10,
            Count(0),
            Count(1),
            "10/1/9 10/2/9 10/3/9 10/4/9 10/5/9 10/6/9 10/7/9 10/8/9 10/9/9 \
                10/10/9 10/10/10",
        ),
        // Contract, section 3: each tick one is started beside, and one is replaced in place.
        (
            10,
            Count(1),
            Count(1),
            "11/2/9 11/4/9 11/6/9 11/8/9 11/10/9 10/10/10",
        ),
        (10, Percent(25), Percent(25), "13/5/8 13/10/8 10/10/10"),
        (
            10,
            Count(2),
            Count(1),
            "12/3/9 12/6/9 12/9/9 10/10/9 10/10/10",
        ),
        (10, Percent(100), Count(0), "20/10/10 10/10/10"),
    ] {
        let budget = Budget::resolve(desired, surge, unavailable);
        let what = format!("{desired} with surge {surge} and unavailable {unavailable}");
        assert_eq!(
            lines(&deployment(&budget)),
            expected,
            "a Deployment: {what}"
        );
        assert_eq!(lines(&rollout(budget)), expected, "{what}");
    }
}

/// A Deployment takes an old pod down as soon as `maxUnavailable` allows it, though the surge alone would do. Here an
/// instance is replaced in place only where R3 forbids to start one beside it: nobody is without it for no reason.
#[test]
fn what_may_be_started_beside_is_not_taken_down() {
    // desired, max_surge, max_unavailable, what a Deployment shows, what we show
    for (desired, surge, unavailable, deployed, expected) in [
        (1, Count(1), Count(1), "1/1/0 1/1/1", "2/1/1 1/1/1"),
        (1, Count(2), Count(1), "1/1/0 1/1/1", "2/1/1 1/1/1"),
        (2, Count(2), Count(1), "3/2/1 2/2/2", "4/2/2 2/2/2"),
    ] {
        let budget = Budget::resolve(desired, surge, unavailable);
        let what = format!("{desired} with surge {surge} and unavailable {unavailable}");
        assert_eq!(
            lines(&deployment(&budget)),
            deployed,
            "a Deployment: {what}"
        );
        assert_eq!(lines(&rollout(budget)), expected, "{what}");
    }
}
