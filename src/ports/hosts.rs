//! The port to one service on its hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::core::event::{Runs, Started, Unproven};
use crate::core::ids::{
    BootId, Digest, Epoch, HostName, LedgerId, RevisionName, RevisionRef, RolloutId,
};
use crate::core::recall::Memory;
use crate::core::revision::{Adopted, Architecture, Manifest, Revision};

/// What went wrong on a host, and what is known of the host now.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    /// What this means for the host.
    pub kind: HostErrorKind,
    /// Lower-case fragment without the host's name; the causes are already in it.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
}

/// What an error means for the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostErrorKind {
    /// SSH cannot reach it; nothing was done.
    Unreachable,
    /// It cannot take part (host key, login, sudo, systemd, space, architecture ...); nothing was changed.
    Refused,
    /// The step ran and failed.
    Failed,
    /// The connection died and did not come back: the step may have been done or not.
    Lost,
}

impl HostErrorKind {
    /// Whether the host itself said so.
    pub fn is_an_answer(self) -> bool {
        matches!(self, Self::Refused | Self::Failed)
    }
}

impl HostError {
    /// Message and hint in one line, for an event.
    pub fn in_words(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; hint: {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

/// What was read from a host, without changing it.
#[derive(Debug, Clone, PartialEq)]
pub struct HostFacts {
    /// What it runs of the service. What was there before rollctl came already has its adopted name and digest.
    pub runs: Runs,
    /// Set when it was switched to `runs` and that was never confirmed: its dead-man's switch is armed.
    pub unproven: Option<Unproven>,
    /// Side by side: the port of what it runs.
    pub port: Option<u16>,
    /// Side by side: another instance of the service on the host.
    pub beside: Option<Beside>,
    /// Set when `runs` was not installed by rollctl and is not yet kept as a revision.
    pub unadopted: Option<Adopted>,
    /// Every unit of the service, in its order.
    pub units: Vec<UnitState>,
    /// The host's boot.
    pub boot: BootId,
    /// `uname -m`.
    pub architecture: Architecture,
    /// Complete revisions of the service on the host, by folder name.
    pub revisions: BTreeMap<RevisionName, Digest>,
    /// The ledger that manages the service here, if any.
    pub owner: Option<Owner>,
    /// The highest epoch seen.
    pub epoch: Option<Epoch>,
}

/// Another instance on a host, beside the one that the host runs after a reboot.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// What it runs.
    pub revision: RevisionRef,
    /// Its port.
    pub port: u16,
    /// Its unit.
    pub unit: UnitState,
    /// Whether nobody ever confirmed it: its dead-man's switch is armed.
    pub unproven: bool,
}

/// Who manages a service on a host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Owner {
    /// The ledger.
    pub ledger: LedgerId,
    /// The machine whose controller wrote it.
    pub machine: String,
}

/// What a host remembers of a service, and who manages it there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    /// The ledger that manages the service here, if any.
    pub owner: Option<Owner>,
    /// Revisions and changes.
    pub memory: Memory,
}

/// A unit as systemd shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    /// Its name and how it runs now: invocation and `NRestarts`.
    pub started: crate::core::event::StartedUnit,
    /// `LoadState`: `loaded`, `not-found`, `masked` ...
    pub load: String,
    /// `ActiveState`: `active`, `activating`, `inactive`, `failed` ...
    pub active: String,
    /// `SubState`: `running`, `dead`, `auto-restart` ...
    pub sub: String,
    /// `Result`: `success`, `exit-code`, `start-limit-hit` ...
    pub result: String,
    /// `MainPID`, 0 when none.
    pub main_pid: u32,
}

impl UnitState {
    /// Whether it is up.
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }
}

/// Who drives, as the hosts are told: a host refuses another ledger and an older epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// The rollout.
    pub rollout: RolloutId,
    /// The lease's epoch.
    pub epoch: Epoch,
    /// The ledger and this machine.
    pub owner: Owner,
    /// `user@machine`, for the host's journal.
    pub by: String,
    /// Whether hosts that another ledger owns are taken from it.
    pub takes_hosts: bool,
}

/// A switch from one thing to another on one host: activate, and revert with the two exchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// What the host is expected to run; it refuses when it runs something else.
    pub from: Runs,
    /// What it is to run. `Nothing` stops the units and removes what rollctl installed.
    pub to: Runs,
    /// Hash of the event that decided it, for the host's journal.
    pub event_hash: String,
    /// Whether the host is to put it back by itself unless it is confirmed in time.
    pub guarded: bool,
    /// Side by side: how; nothing for a service whose units are replaced.
    pub side: Option<Side>,
}

/// How one of two instances is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// The port of the new one.
    pub port: u16,
    /// Whether `from` goes on running; otherwise it is stopped first.
    pub keeps: bool,
}

/// The end of one of two instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// What is stopped and removed.
    pub revision: RevisionRef,
    /// What stays: it is what the host runs from then on, and is started if it does not run. Nothing: nobody stays.
    pub stays: Option<RevisionRef>,
    /// Hash of the event that decided it, for the host's journal.
    pub event_hash: String,
}

/// What staging left on a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Staged {
    /// Bytes that travelled through SSH; 0 when the host had the revision, or fetched all of it by itself.
    pub bytes_sent: u64,
    /// What the host ran before rollctl came, now kept there as a revision. `number` is 0: the ledger gives it.
    pub adopted: Option<Manifest>,
    /// What somebody has to know although it was staged.
    pub warning: Option<String>,
}

/// What was read back after a rollout's work on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// How the running thing was compared with the manifest.
    pub attestation: Attestation,
}

/// How it was shown that the wanted revision runs (contract, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attestation {
    /// The main process's executable has the SHA-256 of the manifest.
    RunningFile,
    /// The files on disk have, and the units were started after the switch.
    FilesAndRestart,
}

/// What was seen when a host was compared with the manifest of the revision that it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Attested {
    /// What it runs.
    pub runs: Runs,
    /// How that was shown; nothing where nothing runs, where it cannot be shown, and where there is drift.
    pub attestation: Option<Attestation>,
    /// Each difference, in words for a person; terminals are not to be trusted with them as they are.
    pub drift: Vec<String>,
}

/// The end of a unit's journal for its present invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalExcerpt {
    /// The last lines, oldest first.
    Lines(Vec<String>),
    /// The user may not read it.
    NotReadable,
}

/// Bytes that travelled to a host so far, and how many there are.
pub type UploadProgress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// One service on its hosts. One SSH connection per host, opened when first needed and kept until `close`.
#[async_trait]
pub trait Hosts: Send + Sync {
    /// Connects when necessary and reads what the host runs; changes nothing.
    async fn observe(&self, host: &HostName) -> Result<HostFacts, HostError>;

    /// Looks whether the service could be rolled out here; changes nothing. What was found, in words.
    async fn check(&self, host: &HostName) -> Result<String, HostError>;

    /// Compares what runs, and what lies on disk, with the manifest of the revision; changes nothing.
    async fn attest(&self, host: &HostName) -> Result<Attested, HostError>;

    /// Reads what it remembers of the service: manifests, journal, and who manages it; changes nothing.
    async fn remembered(&self, host: &HostName) -> Result<Remembered, HostError>;

    /// Writes owner and epoch; refused by a host that another ledger owns, unless it is taken over from that one, and by
    /// one that has seen a later epoch.
    async fn claim(&self, host: &HostName, controller: &Controller) -> Result<(), HostError>;

    /// Ships a revision and verifies it, and keeps what the host ran before rollctl came. Nothing goes down.
    /// All that a switch needs is checked here: space, architecture, units, who may read what.
    async fn stage(
        &self,
        host: &HostName,
        controller: &Controller,
        revision: &Revision,
        progress: UploadProgress<'_>,
    ) -> Result<Staged, HostError>;

    /// Switches and restarts under the host's lock. Done twice, the second does nothing but answer the same.
    async fn switch(
        &self,
        host: &HostName,
        controller: &Controller,
        switch: &Switch,
    ) -> Result<Started, HostError>;

    /// Reads back that `to` runs as it was started, and writes the host's journal.
    async fn confirm(
        &self,
        host: &HostName,
        controller: &Controller,
        switch: &Switch,
        started: &Started,
    ) -> Result<Confirmed, HostError>;

    /// Side by side: stops one instance and removes it. Done twice, the second does nothing.
    async fn stop(
        &self,
        host: &HostName,
        controller: &Controller,
        stop: &Stop,
    ) -> Result<(), HostError>;

    /// Removes revisions of the service that are not in `keep`; never the current or the previous one.
    async fn prune(
        &self,
        host: &HostName,
        controller: &Controller,
        keep: &[RevisionName],
    ) -> Result<Vec<RevisionName>, HostError>;

    /// The units' state and the host's boot, as one cheap exchange; side by side, of the instance of that revision.
    async fn units(
        &self,
        host: &HostName,
        of: Option<&RevisionName>,
    ) -> Result<(BootId, Vec<UnitState>), HostError>;

    /// Runs a health command on the host; its exit status and the end of its output.
    async fn run_check(
        &self,
        host: &HostName,
        command: &str,
        timeout: Duration,
    ) -> Result<(i32, String), HostError>;

    /// The last `lines` of the units' journal of the present invocation; side by side, of the instance of that revision.
    async fn journal(
        &self,
        host: &HostName,
        of: Option<&RevisionName>,
        lines: usize,
    ) -> Result<JournalExcerpt, HostError>;

    /// A stream to a port as seen from the host.
    async fn dial(
        &self,
        host: &HostName,
        address: &str,
        port: u16,
    ) -> Result<Box<dyn Stream>, HostError>;

    /// Nothing more is asked of the host for now: gives its connection up, where connections are not kept.
    async fn rest(&self, host: &HostName);

    /// Closes the host's connection, if any.
    async fn close(&self, host: &HostName);
}

/// Up to so many hosts, every connection is kept until all is done: a login costs a host 60-140 ms of CPU. Of more hosts, only
/// those that are in work or whose health goes through SSH: a connection costs the controller 150-200 KB, and a file.
pub const KEPT_CONNECTIONS: usize = 1000;

/// A two-way byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
