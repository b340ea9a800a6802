//! How long it takes to fold a rollout's events into what is known, as a resumed controller does: `cargo bench --bench
//! apply`. The last column is the time per event against that of the smallest fleet: 1 is linear.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

mod scene;

use std::hint::black_box;

use scene::clock::{clock, is_bench, median, rounds};
use scene::{story, told};

fn main() {
    let mut smallest = None;
    println!(
        "{:>9} {:>9} {:>14} {:>18}",
        "instances", "events", "all of them", "against linear"
    );
    let fleets: &[u32] = if is_bench() {
        &[100, 1_000, 10_000]
    } else {
        &[100]
    };
    for &hosts in fleets {
        let (first, events) = story(hosts);
        let round = |_| {
            let begun = clock();
            let _state = black_box(told(black_box(&first), black_box(&events)));
            begun.elapsed()
        };
        let median = median((0..rounds(21)).map(round).collect());
        let each = median.as_secs_f64() / f64::from(u32::try_from(events.len()).unwrap_or(1));
        let base = *smallest.get_or_insert(each);
        println!(
            "{hosts:>9} {:>9} {:>11.2} ms {:>18.2}",
            events.len(),
            median.as_secs_f64() * 1e3,
            each / base
        );
    }
}
