//! The traits that the driver needs, with plain data in and out. Adapters hold no policy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::core::decide::Decision;
use crate::core::event::{Event, RecordedEvent, Runs, Started};
use crate::core::ids::{
    BootId, Digest, Epoch, HostName, LedgerId, RevisionName, RolloutId, ServiceName,
};
use crate::core::revision::{Adopted, Architecture, Manifest, Revision};
use crate::core::rollout::RolloutState;
use crate::core::spec::RolloutKind;
use crate::core::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The moment now.
    fn now(&self) -> Timestamp;
}

// ---------------------------------------------------------------- hosts

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

/// Who manages a service on a host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Owner {
    /// The ledger.
    pub ledger: LedgerId,
    /// The machine whose controller wrote it.
    pub machine: String,
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
}

/// What staging left on a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Staged {
    /// Bytes that travelled; 0 when the host had the revision.
    pub bytes_sent: u64,
    /// What the host ran before rollctl came, now kept there as a revision. `number` is 0: the ledger gives it.
    pub adopted: Option<Manifest>,
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

    /// Writes owner and epoch; refused by a host that another ledger owns or that has seen a later epoch.
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

    /// Removes revisions of the service that are not in `keep`; never the current or the previous one.
    async fn prune(
        &self,
        host: &HostName,
        controller: &Controller,
        keep: &[RevisionName],
    ) -> Result<Vec<RevisionName>, HostError>;

    /// The units' state and the host's boot, as one cheap exchange.
    async fn units(&self, host: &HostName) -> Result<(BootId, Vec<UnitState>), HostError>;

    /// Runs a health command on the host; its exit status and the end of its output.
    async fn run_check(
        &self,
        host: &HostName,
        command: &str,
        timeout: Duration,
    ) -> Result<(i32, String), HostError>;

    /// The last `lines` of the units' journal of the present invocation.
    async fn journal(&self, host: &HostName, lines: usize) -> Result<JournalExcerpt, HostError>;

    /// A stream to a port as seen from the host.
    async fn dial(
        &self,
        host: &HostName,
        address: &str,
        port: u16,
    ) -> Result<Box<dyn Stream>, HostError>;

    /// Closes the host's connection, if any.
    async fn close(&self, host: &HostName);
}

/// A two-way byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

// ---------------------------------------------------------------- health

/// What one probe said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// Whether it passed; nothing when nobody could say (the way to the host is down, not the service).
    pub passed: Option<bool>,
    /// One line for people: `GET http://192.0.2.13:8080/healthz answered 503 "db: connection refused" in 3 ms`.
    /// It may hold a snippet of the body and is therefore shown, never stored.
    pub shown: String,
    /// The same without the body: `GET http://... answered 503`; may be stored.
    pub stored: String,
    /// How long it took.
    pub latency: Duration,
}

/// Asks an instance whether it is healthy.
#[async_trait]
pub trait Prober: Send + Sync {
    /// One probe, bounded by the check's timeout. `expect` is the revision that should answer; nothing: `expect_*`
    /// with `{revision}` is not asked (adopted or unknown).
    async fn probe(&self, host: &HostName, expect: Option<&RevisionName>) -> ProbeAnswer;
}

// ---------------------------------------------------------------- ledger

/// Why the ledger could not do it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another controller holds the service's lease.
    #[error("{holder} has been working on `{service}` since {since}")]
    LeaseHeld {
        /// Which service.
        service: ServiceName,
        /// `user@machine (pid 812)`.
        holder: String,
        /// Since when, RFC 3339.
        since: String,
    },
    /// The lease ran out or was taken over.
    #[error("the lease of `{service}` was lost: {reason}")]
    LeaseLost {
        /// Which service.
        service: ServiceName,
        /// What is known.
        reason: String,
    },
    /// A name cannot move to other content.
    #[error(
        "revision name `{name}` of `{service}` is already used for other content (revision {number})"
    )]
    NameTaken {
        /// Which service.
        service: ServiceName,
        /// The name.
        name: RevisionName,
        /// The revision that has it.
        number: u32,
    },
    /// The database is damaged, too new, on a network file system, not readable ...
    #[error("ledger {location}: {problem}")]
    Unusable {
        /// Its path or URL, without password.
        location: String,
        /// What is wrong.
        problem: String,
        /// What can be done.
        hint: String,
    },
    /// Reading or writing failed.
    #[error("ledger {location}: {doing} failed")]
    Database {
        /// Its path or URL, without password.
        location: String,
        /// What was tried.
        doing: &'static str,
        /// The database's words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl LedgerError {
    /// What a person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::LeaseHeld { service, .. } => Some(format!(
                "`rollctl status {service} --watch` shows what it does"
            )),
            Self::NameTaken { service, .. } => Some(format!(
                "choose another `--name`; `rollctl history {service}` lists the names in use"
            )),
            Self::Unusable { hint, .. } => Some(hint.clone()),
            Self::LeaseLost { .. } | Self::Database { .. } => None,
        }
    }
}

/// A revision that is to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRevision {
    /// Its service.
    pub service: ServiceName,
    /// The name that a person gave, or the adopted one; nothing: `r<number>`.
    pub name: Option<RevisionName>,
    /// What it is made of.
    pub digest: Digest,
    /// Now.
    pub at: Timestamp,
    /// `user@machine`.
    pub by: String,
    /// Why.
    pub cause: Option<String>,
    /// How it was found, when it was adopted.
    pub adopted: Option<Adopted>,
}

/// A rollout as listed.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutRecord {
    /// Its number.
    pub id: RolloutId,
    /// Its service.
    pub service: ServiceName,
    /// Why it ran.
    pub kind: RolloutKind,
    /// The service's revision before.
    pub from: Option<Digest>,
    /// Its target.
    pub to: Digest,
    /// `running`, `paused`, `interrupted`, `superseded`, or an ended one's outcome.
    pub outcome: String,
    /// When its first event was written.
    pub started_at: Timestamp,
    /// When it ended; nothing while it has not.
    pub ended_at: Option<Timestamp>,
    /// `user@machine`.
    pub by: String,
    /// Whether it was limited to some hosts: then it does not become the service's revision.
    pub partial: bool,
}

/// What a host was last seen running.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceRecord {
    /// Which host.
    pub host: HostName,
    /// The revision's digest; nothing: no instance.
    pub digest: Option<Digest>,
    /// A word for its state, as `status` prints it.
    pub state: String,
    /// Since when it runs that.
    pub since: Timestamp,
}

/// A lease on a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The service.
    pub service: ServiceName,
    /// Its epoch, higher than any before.
    pub epoch: Epoch,
}

/// Who asks for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// `user@machine`.
    pub by: String,
    /// The machine's name.
    pub machine: String,
    /// The controller's process.
    pub pid: u32,
    /// The machine's boot, so that a pid of another boot is not taken for this one.
    pub boot: String,
}

/// What is remembered.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Which ledger this is.
    fn id(&self) -> LedgerId;

    /// Records a revision, or finds it by digest and adds the name to it.
    async fn record_revision(&self, revision: &NewRevision) -> Result<Revision, LedgerError>;

    /// All revisions of a service, newest first.
    async fn revisions(&self, service: &ServiceName) -> Result<Vec<Revision>, LedgerError>;

    /// Begins a rollout with its first event, which must be `RolloutStarted`, under the lease.
    async fn begin_rollout(
        &self,
        lease: &Lease,
        at: Timestamp,
        first: &Event,
    ) -> Result<RecordedEvent, LedgerError>;

    /// Appends an event and updates the rollout's row; durable when it returns. Refused when the lease is lost.
    async fn append(
        &self,
        lease: &Lease,
        rollout: RolloutId,
        at: Timestamp,
        event: &Event,
    ) -> Result<RecordedEvent, LedgerError>;

    /// Rollouts of a service, newest first. One that is `running` without a live lease is `interrupted`.
    async fn rollouts(
        &self,
        service: &ServiceName,
        limit: usize,
    ) -> Result<Vec<RolloutRecord>, LedgerError>;

    /// One rollout by number.
    async fn rollout(&self, rollout: RolloutId) -> Result<Option<RolloutRecord>, LedgerError>;

    /// The events of a rollout after `after`, in order.
    async fn events(
        &self,
        rollout: RolloutId,
        after: u64,
    ) -> Result<Vec<RecordedEvent>, LedgerError>;

    /// Remembers what hosts were seen running.
    async fn record_instances(
        &self,
        service: &ServiceName,
        seen: &[InstanceRecord],
    ) -> Result<(), LedgerError>;

    /// What hosts were last seen running.
    async fn instances(&self, service: &ServiceName) -> Result<Vec<InstanceRecord>, LedgerError>;

    /// Takes the service's lease; a dead pid on the same boot and an expired lease are taken over at once,
    /// with `take_over` a live one too.
    async fn acquire(
        &self,
        service: &ServiceName,
        holder: &Holder,
        take_over: bool,
    ) -> Result<Lease, LedgerError>;

    /// Renews the lease; an error when it was lost.
    async fn renew(&self, lease: &Lease) -> Result<(), LedgerError>;

    /// Gives the lease back.
    async fn release(&self, lease: &Lease) -> Result<(), LedgerError>;
}

// ---------------------------------------------------------------- artifacts

/// What travels to hosts of one architecture: a tar archive in the controller's store.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// The archive (zstd-compressed tar) on the controller.
    pub path: std::path::PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The size of the files in it, in bytes.
    pub unpacked_size: u64,
    /// SHA-256 of the archive.
    pub sha256: String,
    /// What is in it, without the ledger's fields.
    pub contents: PackageContents,
}

/// What a package holds.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct PackageContents {
    /// Every file of the revision (not rollctl's own), sorted by path.
    pub files: Vec<crate::core::revision::ManifestFile>,
    /// The unit files, as they are to be installed.
    pub units: BTreeMap<crate::core::ids::UnitName, String>,
    /// The environment file's text (systemd's quoting), if the revision has one. Holds secrets: never shown.
    pub environment: Option<String>,
    /// The ELF machine of the binary, when it is an ELF file: `x86_64`, `aarch64` ...
    pub elf: Option<Architecture>,
    /// How it was found, when it was adopted.
    pub adopted: Option<Adopted>,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
#[error("artifact store {location}: {problem}")]
pub struct ArtifactError {
    /// The store's folder or the file in question.
    pub location: String,
    /// What is wrong.
    pub problem: String,
    /// What a person can do.
    pub hint: Option<String>,
}

/// The controller's store of artifacts by digest.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// The package of a revision for an architecture; nothing when the store does not have it.
    async fn package(
        &self,
        digest: &Digest,
        architecture: &Architecture,
    ) -> Result<Option<Arc<Package>>, ArtifactError>;

    /// Keeps a file that was fetched from a host as an adopted revision's package.
    async fn keep_adopted(
        &self,
        digest: &Digest,
        contents: &PackageContents,
        file: &std::path::Path,
    ) -> Result<(), ArtifactError>;
}

// ---------------------------------------------------------------- reports

/// What is shown and not stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Bytes on their way to a host.
    Upload {
        /// Which host.
        host: HostName,
        /// So far.
        sent: u64,
        /// In all.
        total: u64,
    },
    /// A poll of a host that is in work.
    Polled {
        /// Which host.
        host: HostName,
        /// What it said.
        answer: ProbeAnswer,
    },
    /// What is known of an instance that failed.
    Diagnosis {
        /// Which host.
        host: HostName,
        /// The last probe.
        last_probe: Option<ProbeAnswer>,
        /// The unit's last lines.
        journal: JournalExcerpt,
    },
}

/// Shows what happens. Must not block.
pub trait Reporter: Send + Sync {
    /// An event was recorded; `state` has it applied.
    fn event(&self, recorded: &RecordedEvent, state: &RolloutState);

    /// A decision was taken; called when `waiting_on` changed.
    fn waiting(&self, state: &RolloutState, decision: &Decision);

    /// Something that is shown and not stored.
    fn progress(&self, progress: &Progress);
}
