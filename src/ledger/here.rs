//! The machine on which this process runs.

use std::fmt;
use std::sync::Arc;

use crate::core::time::Timestamp;
use crate::ports::{Clock, Holder};

/// What the ledger asks of the machine: the time, and whether a lease's holder still runs.
#[derive(Clone)]
pub struct Here {
    /// Tells the time; leases run out by it.
    pub clock: Arc<dyn Clock>,
    /// The machine's name.
    pub machine: String,
    /// The machine's boot; empty when unknown, then no process is taken for dead.
    pub boot: String,
    /// Whether a process of this machine and boot is alive.
    pub pid_is_alive: Arc<dyn Fn(u32) -> bool + Send + Sync>,
}

impl Here {
    /// This machine, asked of the kernel.
    pub fn of_this_machine(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            machine: gethostname::gethostname().to_string_lossy().into_owned(),
            boot: boot_and_pid_space(),
            pid_is_alive: Arc::new(pid_is_alive),
        }
    }

    /// This process as one that asks for a lease; `by` is `user@machine`.
    pub fn holder(&self, by: impl Into<String>) -> Holder {
        Holder {
            by: by.into(),
            machine: self.machine.clone(),
            pid: std::process::id(),
            boot: self.boot.clone(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The same machine, with a clock that stands at that moment.
    pub(crate) fn at(&self, moment: Timestamp) -> Self {
        Self {
            clock: Arc::new(Moment(moment)),
            ..self.clone()
        }
    }

    /// Whether that holder's process is known to be dead: only one of this machine and boot can be looked up.
    pub(crate) fn is_dead(&self, holder: &Holder) -> bool {
        !self.boot.is_empty()
            && holder.boot == self.boot
            && holder.machine == self.machine
            && !(self.pid_is_alive)(holder.pid)
    }
}

/// What another clock said.
struct Moment(Timestamp);

impl Clock for Moment {
    fn now(&self) -> Timestamp {
        self.0
    }
}

impl fmt::Debug for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Here")
            .field("machine", &self.machine)
            .field("boot", &self.boot)
            .finish_non_exhaustive()
    }
}

/// The kernel's boot id, with the pid namespace: a container may share name and boot with its host and see none of
/// the host's processes. Empty where there is no `/proc`.
fn boot_and_pid_space() -> String {
    let Ok(boot) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
        return String::new();
    };
    let space = std::fs::read_link("/proc/self/ns/pid")
        .map(|space| format!(" {}", space.display()))
        .unwrap_or_default();
    format!("{}{space}", boot.trim())
}

/// By signal 0 and not by `/proc`, which may be mounted with `hidepid` and then lacks other users' processes.
fn pid_is_alive(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return false;
    };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_is_reaped() {
        assert!(pid_is_alive(std::process::id()));
        assert!(pid_is_alive(1), "another user's process");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(!pid_is_alive(pid));
    }
}
