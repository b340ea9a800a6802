//! One run of a host: its systemd-nspawn process, and PID 1 inside.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::{FleetError, io, run};

const LAUNCH: &str = include_str!("scripts/launch.sh");
/// The number of SIGRTMIN+5, which asks systemd to reboot.
const REBOOT_SIGNAL: u32 = 34 + 5;
const POLL: Duration = Duration::from_millis(20);

/// What one container is made of.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    pub(crate) host: &'a str,
    pub(crate) cgroup: &'a str,
    pub(crate) base: &'a Path,
    /// Holds `upper`, `work`, `root` and `console.log`.
    pub(crate) folder: &'a Path,
    pub(crate) machine: &'a str,
    pub(crate) bridge: &'a str,
}

/// A running systemd-nspawn.
#[derive(Debug)]
pub(crate) struct Nspawn {
    process: Child,
    /// PID 1 of the host, as this machine numbers it.
    pub(crate) leader: u32,
}

impl Nspawn {
    /// Starts the container and waits until its PID 1 exists.
    pub(crate) fn launch(container: &Container<'_>) -> Result<Self, FleetError> {
        let log = container.folder.join("console.log");
        let console = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(io(&log))?;
        let errors = console.try_clone().map_err(io(&log))?;
        let mut process = Command::new("setsid")
            .args([
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                LAUNCH,
                "launch",
            ])
            .arg(container.cgroup)
            .args([container.base, container.folder])
            .args([container.machine, container.bridge])
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(errors)
            .spawn()
            .map_err(io("setsid"))?;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            if let Some(leader) = first_process_of(process.id()) {
                return Ok(Self { process, leader });
            }
            if process.try_wait().map_err(io("systemd-nspawn"))?.is_some() {
                break;
            }
            std::thread::sleep(POLL);
        }
        // Not waited for if it hangs: what is left of it goes with the slot.
        Err(FleetError::TooSlow {
            host: container.host.to_owned(),
            wanted: "started",
            waited: started.elapsed(),
            seen: crate::command::last_lines(&fs::read_to_string(&log).unwrap_or_default()),
        })
    }

    /// True while the container exists.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// An orderly power-off; nspawn turns the signal into one.
    pub(crate) fn ask_to_power_off(&self) -> Result<(), FleetError> {
        run("kill", &["-TERM", &self.process.id().to_string()]).map(drop)
    }

    pub(crate) fn ask_to_reboot(&self) -> Result<(), FleetError> {
        run(
            "kill",
            &[&format!("-{REBOOT_SIGNAL}"), &self.leader.to_string()],
        )
        .map(drop)
    }

    /// Kills PID 1, and with it everything on the host, at once.
    pub(crate) fn kill(&self) -> Result<(), FleetError> {
        run("kill", &["-KILL", &self.leader.to_string()]).map(drop)
    }

    /// Waits until the container is gone; false if it is not after `limit`.
    pub(crate) fn wait_for_end(&mut self, limit: Duration) -> bool {
        let started = Instant::now();
        while self.is_running() {
            if started.elapsed() > limit {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }
}

impl Drop for Nspawn {
    /// Collects the process, which the end of the slot has killed.
    fn drop(&mut self) {
        self.is_running();
    }
}

/// The child of nspawn that is number 1 in a process namespace of its own.
fn first_process_of(nspawn: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    children
        .split_whitespace()
        .find(|pid| is_first_process(pid))?
        .parse()
        .ok()
}

fn is_first_process(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .unwrap_or_default();
    let numbers: Vec<_> = numbers.split_whitespace().collect();
    numbers.len() > 1 && numbers.last() == Some(&"1")
}
