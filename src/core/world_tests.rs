//! Random worlds around the real `decide` and `apply`: any order of events, virtual time, an independent checker.

use std::time::Duration;

use proptest::prelude::*;

use super::event::{ActionKind, ActionOutcome, Event};
use super::health::Health;
use super::rollout::{Instance, RolloutPhase, RolloutState};
use super::rules::{CONTRACT, Rules};
use super::time::Timestamp;
use super::world_for_tests::run;

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Whatever fails and in whatever order things finish: R1-R3 hold, the rollout ends, nothing is left in hand, and
    /// folding the events again gives the same state.
    #[test]
    fn the_rules_hold_in_any_world(seed: u64) {
        let world = run(seed, CONTRACT).map_err(TestCaseError::fail)?;
        let mut again = RolloutState::start(world.state.started_at, &world.events[0]).unwrap();
        for event in &world.events[1..] {
            again.apply(Timestamp::from_millis(world.now), event).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
        prop_assert_eq!(again.phase, world.state.phase);
    }
}

#[test]
fn a_target_that_was_not_switched_after_all_still_counts_at_a_step() {
    run(213_444_506_027_131_464, CONTRACT).unwrap();
}

#[test]
fn random_worlds_meet_what_they_are_meant_to_meet() {
    let (mut reverted, mut paused, mut stood, mut completed, mut declined, mut full) =
        (0, 0, 0, 0, 0, 0);
    let worlds = 400;
    for seed in 0..worlds {
        let world = run(seed, CONTRACT).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        let has = |pick: &dyn Fn(&Event) -> bool| u32::from(world.events.iter().any(pick));
        reverted += has(&|e| {
            matches!(
                e,
                Event::ActionStarted {
                    action: ActionKind::Revert,
                    ..
                }
            )
        });
        declined += has(&|e| {
            matches!(
                e,
                Event::ActionEnded {
                    outcome: ActionOutcome::Declined { .. },
                    ..
                }
            )
        });
        paused += u32::from(world.state.phase == RolloutPhase::Paused);
        stood +=
            u32::from(world.state.phase == RolloutPhase::Ended(super::event::Outcome::StoodStill));
        completed +=
            u32::from(world.state.phase == RolloutPhase::Ended(super::event::Outcome::Completed));
        full += u32::from(
            world
                .state
                .instances
                .iter()
                .filter(|i| i.was_touched())
                .count()
                > 2,
        );
    }
    for (what, number) in [
        ("reverted", reverted),
        ("paused", paused),
        ("stood still", stood),
        ("completed", completed),
        ("busy", full),
    ] {
        assert!(
            number * 20 >= u32::try_from(worlds).unwrap(),
            "only {number} of {worlds} worlds {what}"
        );
    }
    assert!(declined > 0, "no switch was ever declined");
}

/// Each planted mistake must be noticed in some of these worlds.
#[test]
fn planted_mistakes_are_caught() {
    let lenient: [(&str, &str, Rules); 11] = [
        (
            "R1 off by one",
            "R1",
            Rules {
                flight_has_room: |c, b| {
                    c.in_flight <= b.max_unavailable + c.running.saturating_sub(c.desired)
                },
                ..CONTRACT
            },
        ),
        (
            "R2 off by one",
            "R2",
            Rules {
                enough_remain: |remaining, b| remaining + 1 >= b.min_available(),
                ..CONTRACT
            },
        ),
        (
            "R3 off by one",
            "R3",
            Rules {
                fleet_has_room: |c, b| c.running <= b.max_total(),
                ..CONTRACT
            },
        ),
        (
            "R4 off by one",
            "R4",
            Rules {
                domain_has_room: |in_work, at_once| in_work <= at_once + 1,
                ..CONTRACT
            },
        ),
        (
            "R4 inside a value off by one",
            "R4",
            Rules {
                enough_remain_inside: |remaining, value| {
                    (CONTRACT.enough_remain_inside)(remaining + 1, value)
                },
                ..CONTRACT
            },
        ),
        (
            "a step off by one",
            "step",
            Rules {
                gate_has_room: |new, to| new <= to,
                ..CONTRACT
            },
        ),
        (
            "in flight ignored",
            "R1",
            Rules {
                flight_has_room: |_, b| b.max_unavailable > 0,
                ..CONTRACT
            },
        ),
        (
            "decided but not yet seen ignored",
            "R",
            Rules {
                charge: |_, _, _| {},
                ..CONTRACT
            },
        ),
        (
            "decided but not yet seen still available",
            "R2",
            Rules {
                charge: |c, expects, _| (CONTRACT.charge)(c, expects, false),
                ..CONTRACT
            },
        ),
        (
            "ready taken for available",
            "R2",
            Rules {
                is_available: |i, now, _| i.is_available(now, Duration::ZERO),
                ..CONTRACT
            },
        ),
        (
            "unknown taken for broken",
            "R2",
            Rules {
                is_broken: |i: &Instance| i.is_broken() || i.health == Some(Health::Unknown),
                ..CONTRACT
            },
        ),
    ];
    for (mistake, rule, rules) in lenient {
        let caught =
            (0..3_000).find_map(|seed| run(seed, rules).err().filter(|why| why.starts_with(rule)));
        assert!(caught.is_some(), "nobody noticed: {mistake}");
    }
    let strict: [(&str, Rules); 6] = [
        (
            "R4 too strict",
            Rules {
                domain_has_room: |in_work, at_once| in_work < at_once,
                ..CONTRACT
            },
        ),
        (
            "R4 inside a value too strict",
            Rules {
                enough_remain_inside: |remaining, value| {
                    remaining > 0 && (CONTRACT.enough_remain_inside)(remaining - 1, value)
                },
                ..CONTRACT
            },
        ),
        (
            "a step too strict",
            Rules {
                gate_has_room: |new, to| new + 1 < to,
                ..CONTRACT
            },
        ),
        (
            "R1 too strict",
            Rules {
                flight_has_room: |c, b| c.in_flight + 1 < b.max_unavailable,
                ..CONTRACT
            },
        ),
        (
            "R2 too strict",
            Rules {
                enough_remain: |remaining, b| remaining > b.min_available(),
                ..CONTRACT
            },
        ),
        (
            "R3 too strict",
            Rules {
                fleet_has_room: |c, b| c.running + 1 < b.max_total(),
                ..CONTRACT
            },
        ),
    ];
    for (mistake, rules) in strict {
        let differs = (0..400).any(|seed| {
            let phase = |rules| run(seed, rules).map(|world| world.state.phase).ok();
            phase(rules) != phase(CONTRACT)
        });
        assert!(differs, "nobody noticed: {mistake}");
    }
}
