//! Chaos on real hosts: rollouts over ten hosts, a fault in each, and what must always hold (contract, section 7) asked from outside.
//!
//! `ROLLCTL_CHAOS_ROUNDS` and `ROLLCTL_CHAOS_SEED` set how many rounds there are and which; `ROLLCTL_CHAOS_ONLY=Reboot` plays of them
//! those whose fault has that in its name. By hand, a long run:
//! `ROLLCTL_CHAOS_ROUNDS=100 ROLLCTL_CHAOS_SEED=7 cargo test --test fleet_chaos -- --nocapture`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and time passes on real hosts"
)]

mod support;

#[path = "fleet_chaos/asserts.rs"]
mod asserts;
#[path = "fleet_chaos/deck.rs"]
mod deck;
#[path = "fleet_chaos/inject.rs"]
mod inject;
#[path = "fleet_chaos/kill.rs"]
mod kill;
#[path = "fleet_chaos/round.rs"]
mod round;
#[path = "fleet_chaos/running.rs"]
mod running;
#[path = "fleet_chaos/table.rs"]
mod table;
#[path = "fleet_chaos/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::SeedableRng;
use rand::rngs::StdRng;

/// As many as a run of all tests has time for.
const ROUNDS: usize = 7;
const SEED: u64 = 4;
/// With more wrong rounds than this, the others tell nothing new.
const MOST_WRONG: usize = 8;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_happens_every_host_runs_the_target_after_resume() {
    if rollctl_fleet::skip() {
        return;
    }
    let seed = setting("ROLLCTL_CHAOS_SEED").unwrap_or(SEED);
    let rounds = setting("ROLLCTL_CHAOS_ROUNDS");
    println!("ROLLCTL_CHAOS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut cards = match rounds {
        Some(rounds) => deck::deck(usize::try_from(rounds).unwrap(), &mut random),
        None => deck::short_deck(ROUNDS, &mut random),
    };
    if let Ok(only) = std::env::var("ROLLCTL_CHAOS_ONLY") {
        cards.retain(|fault| format!("{fault:?}").contains(&only));
    }
    let mut world = world::World::new();
    let first = world.make(&mut random);
    let ended = world.run(world.release(&first, &[]));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    world.completed.push(first);
    let mut played: Vec<round::Round> = Vec::new();
    for (number, fault) in (1..).zip(cards) {
        // Each round has a seed of its own, so that one is played alike whatever those before it took.
        let mut random = StdRng::seed_from_u64(seed.wrapping_mul(10_007) + number);
        let number = usize::try_from(number).unwrap();
        let play = || round::play(&mut world, &mut random, number, fault);
        // A host that does not do what the driver wants is a round that went wrong, and no end of all rounds.
        let round = catch_unwind(AssertUnwindSafe(play))
            .unwrap_or_else(|_| round::Round::broken_off(number, fault));
        print!("{}", table::line(&round));
        let is_wrong = !round.wrong.is_empty();
        played.push(round);
        let wrong = played
            .iter()
            .filter(|round| !round.wrong.is_empty())
            .count();
        if is_wrong && (wrong > MOST_WRONG || !mend(&mut world, &mut random)) {
            break;
        }
    }
    println!("{}", table::table(&played));
    world.fleet.shut_down().unwrap();
    let wrong: Vec<_> = played
        .iter()
        .filter(|round| !round.wrong.is_empty())
        .map(table::line)
        .collect();
    assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.concat());
}

/// After a round that went wrong: another release, so that the next round begins on sound ground.
fn mend(world: &mut world::World, random: &mut StdRng) -> bool {
    world::heal(world);
    let version = world.make(random);
    let ended = world.run(world.release(&version, &["--take-over"]));
    println!("           mended: {:?}", ended.code);
    world.completed.push(version);
    ended.code == Some(0)
}
