//! Two thousand worlds in every test run; `examples/simulate.rs` runs as many as somebody has time for.

use rollctl_sim::{Tally, simulate};

const WORLDS: u64 = 2_000;

#[test]
fn every_promise_holds_and_every_rollout_ends() {
    let mut total = Tally::default();
    for seed in 0..WORLDS {
        match simulate(seed) {
            Ok(tally) => total += tally,
            Err(why) => panic!(
                "seed {seed}: {why}; all of it: cargo run --release --example simulate -- --story {seed}"
            ),
        }
    }
    println!("{} worlds, {} rollouts", total.worlds, total.rollouts);
    for (what, number) in total.rows() {
        println!("  {:5.1} % {what}", 100.0 * number as f64 / WORLDS as f64);
        assert!(number * 20 >= WORLDS, "only {number} worlds met: {what}");
    }
}

/// Worlds that once broke a promise, with what they showed.
#[test]
fn what_once_failed_holds() {
    for (seed, what) in [
        (
            1_073_890,
            "what runs the target and cannot be reached any more proves nothing at a step",
        ),
        (
            2_160_743,
            "a restart whose dead-man's switch was seen armed has reached its host",
        ),
        (
            2_243_571,
            "what was sick before is back once it is started, also after its switch was found unproven",
        ),
        (
            9_000_453,
            "the hook before a start beside takes nothing down (R1)",
        ),
        (9, "the hook before a start beside takes nothing down (R2)"),
        (
            9_000_567,
            "the hook before a start beside takes nothing down (R4)",
        ),
        (
            9_034_726,
            "what owes its hook is in flight, also when the rollout goes back (R4)",
        ),
        (
            9_014_335,
            "no room is kept for an absent host whose hook has failed (R3)",
        ),
        (
            126_849,
            "where nobody can look, the other instance may be the one that serves",
        ),
        (
            9_018_182,
            "where nobody can look, the other instance may be the one that serves",
        ),
        (
            9_042_531,
            "what is put back where it still runs, unknown to us, is one and not two",
        ),
        (9_005_013, "on the way back too, one name cannot run twice"),
    ] {
        simulate(seed).unwrap_or_else(|why| panic!("seed {seed}, {what}: {why}"));
    }
}
