//! Simulates rollouts of random fleets, with faults, on all cores: `cargo run --release --example simulate -- --seeds 100000`.
#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use rollctl_sim::{Tally, simulate, story};

/// Simulates rollouts: an independent checker follows every event, and each has to end.
#[derive(Parser)]
struct Args {
    /// How many worlds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Print everything that happens in this one world
    #[arg(long)]
    story: Option<u64>,
    /// Do not stop at the first promise that is broken
    #[arg(long)]
    keep_going: bool,
    /// How many threads [default: one a core]
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seed) = args.story {
        println!("{}", story(seed));
        return ExitCode::SUCCESS;
    }
    let threads = args
        .threads
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let next = AtomicU64::new(args.from);
    let end = args.from + args.seeds;
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Tally::default());
    let begun = now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let tally = work(&next, end, &failed, args.keep_going);
                if let Ok(mut total) = total.lock() {
                    *total += tally;
                }
            });
        }
    });
    let took = begun.elapsed().as_secs_f64();
    if let Ok(total) = total.lock() {
        report(&total, took, threads);
    }
    match failed.load(Ordering::SeqCst) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn work(next: &AtomicU64, end: u64, failed: &AtomicBool, keep_going: bool) -> Tally {
    let mut tally = Tally::default();
    while keep_going || !failed.load(Ordering::Relaxed) {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            break;
        }
        match simulate(seed) {
            Ok(one) => tally += one,
            Err(why) => {
                failed.store(true, Ordering::SeqCst);
                println!("seed {seed}: {why}");
                println!("  all of it: cargo run --release --example simulate -- --story {seed}");
            }
        }
    }
    tally
}

fn report(total: &Tally, took: f64, threads: usize) {
    #[expect(clippy::cast_precision_loss, reason = "shares and rates for people")]
    let (worlds, rollouts) = (total.worlds as f64, total.rollouts as f64);
    let mut out = std::io::stdout();
    // Whoever reads may have gone away.
    let _gone = writeln!(
        out,
        "{worlds} worlds with {rollouts} rollouts in {took:.1} s: {:.0} rollouts a second on each of {threads} threads",
        rollouts / took / f64::from(u32::try_from(threads).unwrap_or(1))
    );
    for (what, number) in total.rows() {
        #[expect(clippy::cast_precision_loss, reason = "shares for people")]
        let share = 100.0 * number as f64 / worlds.max(1.0);
        let _gone = writeln!(out, "  {share:5.1} % {what}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a rate needs a clock")]
fn now() -> Instant {
    Instant::now()
}
