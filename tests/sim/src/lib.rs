//! Simulated fleets around the real `decide` and `apply`: virtual time, no network, everything from one seed.
//!
//! A world has hosts with a truth of their own, controllers that die at any event, operators who pause, abort, take over
//! and go on, and faults of every kind until it becomes calm; then the rollout has to end. An independent checker follows
//! every event (`rollctl::core::invariant`), and at the end the hosts are compared with what is believed of them.
//!
//! `world.rs` is the clock and the loop. What it does at each tick: `deciding.rs` (controllers decide, orders leave),
//! `steps.rs` and `beside.rs` (orders arrive and hosts do them), `polling.rs` (health is seen), `people.rs` (operators and
//! faults). `draw.rs` makes a world of its seed, `ending.rs` compares at the end, `tally.rs` counts what was met.

mod beside;
mod controller;
mod deciding;
mod draw;
mod ending;
mod hooks;
mod host;
mod ledger;
mod order;
mod people;
mod polling;
mod steps;
mod tally;
mod traffic;
mod world;

pub use tally::Tally;

use world::World;

/// Runs the world of a seed to its end; what it has met.
///
/// # Errors
/// The broken promise, or what the rollout waits for that does not end.
pub fn simulate(seed: u64) -> Result<Tally, String> {
    let mut world = World::new(seed);
    world.run()?;
    world.settle()?;
    Ok(world.tally.of_one())
}

/// The events of a seed's world as far as it came, one a line, for whoever looks for the reason.
pub fn story(seed: u64) -> String {
    let mut world = World::new(seed);
    let ended = world.run().and_then(|()| world.settle());
    let mut text = format!("{:#?}\n", world.spec);
    for (number, rollout) in world.ledger.rollouts.iter().enumerate() {
        text.push_str(&format!("rollout {number} to {}\n", rollout.spec.target));
        for (at, event) in rollout.events.iter().skip(1) {
            text.push_str(&format!("{:>9} {event:?}\n", at.as_millis() - 1_000_000));
        }
    }
    text.push_str(&format!("{ended:?}\n"));
    text
}
