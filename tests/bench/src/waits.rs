//! A release whose time is spent waiting: how near it comes to what no rolling release can do without, and how long an
//! instance is down in it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use rollctl_fleet::Fleet;

use crate::artifact::build;
use crate::stage;
use crate::tool::Ready;

/// How long each instance takes until it is ready.
const READY_AFTER: &str = "1s";
/// How long it has to stay so.
const MIN_READY: Duration = Duration::from_secs(2);

/// What was measured, in seconds, a run after the other.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    pub(crate) rollctl: Vec<f64>,
    /// Batch by batch: restart, ready, min_ready.
    pub(crate) floor: Vec<f64>,
    /// How long one instance did not answer.
    pub(crate) down: Vec<f64>,
    /// The same for `systemctl restart`.
    pub(crate) restart_down: Vec<f64>,
}

impl Waits {
    pub(crate) fn name() -> String {
        format!(
            "1 MB, ready after {READY_AFTER}, min_ready {} s",
            MIN_READY.as_secs()
        )
    }
}

/// Measures it, `runs` times.
pub(crate) fn run(
    fleet: &Fleet,
    ready: &Ready,
    batch: usize,
    runs: usize,
    folder: &Path,
) -> anyhow::Result<Waits> {
    stage::slow_down(fleet.hosts(), ready.tool, READY_AFTER)?;
    let inventory = ready.file("rollctl.toml");
    let text = fs::read_to_string(&inventory)?;
    let waiting = format!("min_ready = \"{}s\"", MIN_READY.as_secs());
    fs::write(&inventory, text.replace("min_ready = \"0s\"", &waiting))?;
    let one = fleet.host(fleet.hosts().len() / 2);
    let (address, port) = (one.address(), ready.tool.port());
    let mut waits = Waits::default();
    for run in 0..=runs {
        let version = format!("w-{run}");
        let artifact = folder.join("build");
        fs::write(&artifact, build(&version, 1_000_000, 7, 1.0))?;
        let begun = Instant::now();
        let down = longest_silence(address, port, || ready.release(&version, &artifact))?;
        let took = begun.elapsed().as_secs_f64();
        stage::all_answer(fleet, ready.tool, &version)?;
        // Nobody's first release counts: the units are slower than they were.
        if run == 0 {
            continue;
        }
        waits.rollctl.push(took);
        waits.down.push(down.as_secs_f64());
        let mut floor = Duration::ZERO;
        for batch in fleet.hosts().chunks(batch) {
            floor += stage::restart(batch, ready.tool)? + MIN_READY;
        }
        waits.floor.push(floor.as_secs_f64());
        let down = longest_silence(address, port, || {
            stage::restart(std::slice::from_ref(one), ready.tool).map(|_| ())
        })?;
        waits.restart_down.push(down.as_secs_f64());
    }
    Ok(waits)
}

/// For how long an instance did not answer at most while something was done.
fn longest_silence(
    address: Ipv4Addr,
    port: u16,
    act: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            loop {
                let ends = is_over.load(Ordering::Relaxed);
                if stage::is_ready(address, port) {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                    // Not before it answers again.
                    if ends {
                        return longest;
                    }
                } else if last.elapsed() > Duration::from_secs(60) {
                    return last.elapsed();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let done = act();
        is_over.store(true, Ordering::Relaxed);
        let Ok(longest) = watch.join() else {
            bail!("a thread died");
        };
        done.map(|()| longest)
    })
}
