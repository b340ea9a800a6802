//! What a program took: its time, its CPU, its memory.

use std::fs;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// How often the memory of a running program is looked at. The kernel keeps the most there was, so that only what came in
/// the last such moment can be missed.
const EVERY: Duration = Duration::from_millis(20);

/// What one run of a program took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    /// CPU of the program itself.
    pub(crate) own: Duration,
    /// CPU of the programs that it ran.
    pub(crate) children: Duration,
    /// The most memory it held, in bytes.
    pub(crate) peak: u64,
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<(ExitStatus, Usage)> {
    let begun = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let mut peak = 0;
    while !has_ended(&child)? {
        peak = peak.max(peak_of(&child).unwrap_or(0));
        std::thread::sleep(EVERY);
    }
    let wall = begun.elapsed();
    // Not yet waited for: what it took can still be read.
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    let [own, children] = cpu(&stat).context("/proc/PID/stat makes no sense")?;
    let usage = Usage {
        wall,
        own,
        children,
        peak,
    };
    Ok((child.wait()?, usage))
}

fn has_ended(child: &Child) -> anyhow::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.context("a child without a number")?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(pid), options)?.is_some())
}

fn peak_of(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1024)
}

/// Of the process, and of its children that have ended.
fn cpu(stat: &str) -> Option<[Duration; 2]> {
    // The name of the program stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: Vec<u64> = fields
        .split(' ')
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse().ok())
        .collect();
    let [user, system, their_user, their_system] = ticks.as_slice() else {
        return None;
    };
    let per_second = rustix::param::clock_ticks_per_second();
    let time = |ticks: u64| Duration::from_millis(ticks * 1000 / per_second);
    Some([time(user + system), time(their_user + their_system)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_takes_is_its_own_and_its_childrens() {
        let stat = "42 (a) b) R 1 42 42 0 -1 4194304 100 0 0 0 150 50 30 70 20 0 5 0 1 2 3";
        let found = cpu(stat).unwrap();
        let ticks = rustix::param::clock_ticks_per_second();
        let expected = [200, 100].map(|count| Duration::from_millis(count * 1000 / ticks));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_program_that_held_memory_is_seen_to() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "x=$(head -c 20000000 /dev/zero | tr '\\0' a); sleep 0.2; exit 3",
        ]);
        let (status, usage) = run(&mut command).unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(usage.peak > 20_000_000, "{usage:?}");
        assert!(usage.wall >= Duration::from_millis(200), "{usage:?}");
    }
}
