//! A numbered slot of this machine: its own address range, bridge and names, so that several test processes can have fleets at once; and
//! the janitor that clears it, whatever happens to the test process.

use std::fs::{self, File, TryLockError};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::base::cache;
use crate::command::{FleetError, io, must, run};

/// Clears a slot. The only place that does: at the end of a fleet, after the death of its process, and before the slot's next use.
const CLEAN: &str = include_str!("scripts/clean.sh");
const FOLDER: &str = "/run/rollctl-fleet";
const COUNT: u8 = 200;

/// A slot that this process holds.
#[derive(Debug)]
pub(crate) struct Slot {
    number: u8,
    /// Waits for the end of its standard input, which is the end of this process at the latest; holds the lock until it has cleaned up.
    janitor: Option<Child>,
}

impl Slot {
    /// Clears all slots whose holders are dead, takes a free one, and makes its network.
    pub(crate) fn take() -> Result<Self, FleetError> {
        fs::create_dir_all(FOLDER).map_err(io(FOLDER))?;
        for number in (1..=COUNT).filter(|number| state(*number).exists()) {
            if let Some(_lock) = lock(number)? {
                clean(number)?;
            }
        }
        for number in 1..=COUNT {
            if let Some(lock) = lock(number)? {
                return Self::set_up(number, lock);
            }
        }
        Err(FleetError::NoSlot {
            count: COUNT,
            folder: FOLDER.into(),
        })
    }

    fn set_up(number: u8, lock: File) -> Result<Self, FleetError> {
        let mut slot = Self {
            number,
            janitor: None,
        };
        let (state, disk) = (slot.state(), slot.disk());
        fs::create_dir_all(&state).map_err(io(&state))?;
        fs::write(state.join("disk"), disk.as_os_str().as_encoded_bytes()).map_err(io(&state))?;
        fs::create_dir_all(&disk).map_err(io(&disk))?;
        // In a session of its own, so that a Ctrl-C or a killed process group does not reach it. Its standard output is the lock.
        let janitor = Command::new("setsid")
            .args([
                "sh",
                "-c",
                &format!("cat >/dev/null\n{CLEAN}"),
                "janitor",
                &number.to_string(),
            ])
            .arg(&state)
            .stdin(Stdio::piped())
            .stdout(lock)
            .stderr(Stdio::null())
            .current_dir("/")
            .spawn();
        slot.janitor = Some(janitor.map_err(io("setsid"))?);
        slot.make_network()?;
        Ok(slot)
    }

    fn make_network(&self) -> Result<(), FleetError> {
        let bridge = self.bridge();
        let subnet = format!("10.213.{}.0/24", self.number);
        // A packet to a host that is down, or whose bridge is gone, never leaves this machine.
        run(
            "ip",
            &["route", "replace", "blackhole", &subnet, "metric", "4000"],
        )?;
        run("ip", &["link", "add", &bridge, "type", "bridge"])?;
        run(
            "ip",
            &[
                "address",
                "add",
                &format!("{}/24", self.address(1)),
                "dev",
                &bridge,
            ],
        )?;
        run("ip", &["link", "set", &bridge, "up"])?;
        Ok(())
    }

    /// Runtime files: keys and what the janitor must know.
    pub(crate) fn state(&self) -> PathBuf {
        state(self.number)
    }

    /// The hosts' own files.
    pub(crate) fn disk(&self) -> PathBuf {
        cache()
            .join("rollctl-hosts")
            .join(format!("slot-{}", self.number))
    }

    pub(crate) fn bridge(&self) -> String {
        format!("rf-br{}", self.number)
    }

    pub(crate) fn machine(&self, index: usize) -> String {
        format!("rf{}-{index}", self.number)
    }

    pub(crate) fn cgroup(&self, index: usize) -> String {
        format!("rollctl-fleet-{}-{index}", self.number)
    }

    pub(crate) fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, last)
    }

    /// Stops and removes everything of this slot. The second call does nothing.
    pub(crate) fn clear(&mut self) -> Result<(), FleetError> {
        let Some(mut janitor) = self.janitor.take() else {
            return Ok(());
        };
        drop(janitor.stdin.take());
        let status = janitor.wait().map_err(io("janitor"))?;
        if status.success() {
            return Ok(());
        }
        Err(FleetError::Command {
            command: format!("clean.sh {}", self.number),
            status: status.to_string(),
            stderr: format!(
                "something of slot {} is left: bridge, cgroups or files",
                self.number
            ),
        })
    }
}

fn state(number: u8) -> PathBuf {
    Path::new(FOLDER).join(format!("slot-{number}"))
}

/// The lock of a slot; `None` if a process or its janitor holds it.
fn lock(number: u8) -> Result<Option<File>, FleetError> {
    let path = Path::new(FOLDER).join(format!("slot-{number}.lock"));
    let lock = File::create(&path).map_err(io(&path))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(io(&path)(source)),
    }
}

/// Clears a slot that this process has locked.
fn clean(number: u8) -> Result<(), FleetError> {
    must(
        Command::new("sh")
            .args(["-c", CLEAN, "clean", &number.to_string()])
            .arg(state(number)),
    )
    .map(drop)
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            report(&error);
        }
    }
}

#[expect(clippy::print_stderr, reason = "a destructor can tell nobody else")]
fn report(error: &FleetError) {
    eprintln!("fleet: {error}");
}
