//! How long one decision takes in the middle of a rollout: `cargo bench --bench decide`. The last column is the time per
//! instance against that of the smallest fleet: 1 is linear.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

mod scene;

use std::hint::black_box;
use std::time::Duration;

use rollctl::core::decide::decide;
use rollctl::core::rollout::RolloutState;
use scene::clock::{clock, is_bench, median, rounds};
use scene::{NOW, names, story, told};

fn main() {
    let mut smallest = None;
    println!(
        "{:>9} {:>12} {:>18}",
        "instances", "a decision", "against linear"
    );
    let fleets: &[u32] = if is_bench() {
        &[100, 1_000, 10_000]
    } else {
        &[100]
    };
    for &hosts in fleets {
        let state = halfway(hosts);
        let round = |_| {
            let begun = clock();
            let _decided = black_box(decide(black_box(&state), NOW));
            begun.elapsed()
        };
        let median = median((0..rounds(51)).map(round).collect());
        let each = median.as_secs_f64() / f64::from(hosts);
        let base = *smallest.get_or_insert(each);
        println!(
            "{hosts:>9} {:>9.1} us {:>18.2}",
            median.as_secs_f64() * 1e6,
            each / base
        );
    }
}

/// All are watched, and nothing is old.
fn halfway(hosts: u32) -> RolloutState {
    let (first, events) = story(hosts);
    let mut state = told(&first, &events);
    for host in names(hosts) {
        state.saw(&host, NOW + Duration::from_secs(3600));
    }
    state
}
