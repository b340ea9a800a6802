//! What one host remembers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::revision::Shipped;

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    address: IpAddr,
    state: Mutex<State>,
}

/// What its disk and its systemd would hold.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) owner: String,
    pub(super) machine: String,
    pub(super) service: String,
    pub(super) epoch: Option<u64>,
    pub(super) kept: BTreeMap<String, Arc<Shipped>>,
    /// What `current` points to; empty: there is none.
    pub(super) current: String,
    pub(super) before: String,
    /// The last step.
    pub(super) step: Option<Step>,
    /// Invocations of the units that run.
    pub(super) running: BTreeMap<String, String>,
    /// So many invocations there were; also the clock of the host.
    pub(super) starts: u32,
    pub(super) drop_in: String,
    /// What an unconfirmed switch came from: revision and digest, `-` for nothing.
    pub(super) saved: Option<Saved>,
    pub(super) is_armed: bool,
}

/// As `write_step` records it.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Rollout, hash of its event, digest: the same for a step that is asked for again.
    pub(super) key: [String; 3],
    pub(super) is_back: bool,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) from_name: String,
    pub(super) from_digest: String,
    /// Lines `unit NAME RESTARTS INVOCATION`.
    pub(super) units: String,
}

#[derive(Debug)]
pub(super) struct Saved {
    pub(super) from: String,
    pub(super) from_name: String,
    pub(super) from_digest: String,
    pub(super) to_digest: String,
}

impl Host {
    pub(super) fn new(address: IpAddr) -> Self {
        Self {
            address,
            state: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same as long as it runs.
    pub(super) fn boot(&self) -> String {
        format!("00000000-0000-4000-8000-{}", self.number())
    }

    fn number(&self) -> String {
        match self.address {
            IpAddr::V4(address) => format!("{:012x}", address.to_bits()),
            IpAddr::V6(_) => "0".repeat(12),
        }
    }

    /// Whose health is asked, unless nothing runs.
    pub(super) fn revision_name(&self) -> Option<String> {
        let state = self.state();
        let name = state.current.strip_prefix("revisions/")?;
        (!state.running.is_empty()).then(|| name.to_owned())
    }

    /// A new invocation of each unit.
    pub(super) fn restart<'a>(&self, state: &mut State, units: impl Iterator<Item = &'a str>) {
        state.starts += 1;
        let invocation = format!("{:020x}{}", state.starts, self.number());
        state.running = units
            .map(|unit| (unit.to_owned(), invocation.clone()))
            .collect();
    }
}

impl State {
    /// The revision that `current` leads to.
    pub(super) fn running_revision(&self) -> Option<&Arc<Shipped>> {
        self.kept.get(self.current.strip_prefix("revisions/")?)
    }

    /// The units as a step notes them.
    pub(super) fn unit_lines(&self) -> String {
        let mut lines = String::new();
        for (unit, invocation) in &self.running {
            let _ = writeln!(lines, "unit {unit} 0 {invocation}");
        }
        lines
    }

    /// As `systemctl show` would tell a unit.
    pub(super) fn shown(&self, unit: &str, into: &mut String) {
        let revision = self.running_revision();
        let file = revision.and_then(|revision| revision.units.get(unit));
        let invocation = self.running.get(unit);
        let (active, sub, pid) = match invocation {
            Some(_) => ("active", "running", 4242),
            None => ("inactive", "dead", 0),
        };
        let load = match file {
            Some(_) => "loaded",
            None => "not-found",
        };
        let invocation = invocation.map_or("", String::as_str);
        let _ = write!(
            into,
            "Id={unit}\nLoadState={load}\nActiveState={active}\nSubState={sub}\nResult=success\nMainPID={pid}\n\
             InvocationID={invocation}\nNRestarts=0\nType=simple\nUser=\nDynamicUser=no\nNeedDaemonReload=no\n\
             TimeoutStopUSec=1min 30s\n"
        );
        if let Some(file) = file {
            let argv = file.exec_start();
            let path = argv.split(' ').next().unwrap_or_default();
            let _ = write!(
                into,
                "ExecStart={{ path={path} ; argv[]={argv} ; ignore_errors=no ; pid=0 }}\n\
                 FragmentPath=/etc/systemd/system/{unit}\nUnitFileState=enabled\n"
            );
        }
        into.push('\n');
    }
}
