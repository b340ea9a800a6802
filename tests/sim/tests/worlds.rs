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
