//! The port to what is remembered.

use async_trait::async_trait;

use crate::core::event::{Event, RecordedEvent};
use crate::core::hold::{Hold, Remark};
use crate::core::ids::{Digest, Epoch, HostName, LedgerId, RevisionName, RolloutId, ServiceName};
use crate::core::revision::{Adopted, Revision, Signer};
use crate::core::spec::RolloutKind;
use crate::core::time::Timestamp;

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
    /// The server cannot be reached, does not answer, or another client keeps it busy. Whether what was asked last was done
    /// is not known; the same may be asked again.
    #[error("ledger {location} cannot be asked now: {problem}")]
    Away {
        /// Its URL, without password.
        location: String,
        /// What is known.
        problem: String,
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
            Self::Away { .. } => Some(
                "look whether the server runs and can be reached from here, then run the command again".to_owned(),
            ),
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
    /// Who signed its artifacts: of a revision that is there already, in place of who did before.
    pub signers: Vec<Signer>,
    /// Whether it is to be kept, however many come after it. One that is kept stays so.
    pub kept: bool,
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

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// Events, of any service.
    Events,
    /// Requests, and answers to them.
    Requests,
}

/// What another command asks of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// Finish what is in flight, then hold.
    Pause,
    /// Go on past the step that the rollout stands at.
    Approve,
    /// Finish what is in flight, then end.
    Abort,
}

impl RequestKind {
    /// As the ledger stores it and people type it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Approve => "approve",
            Self::Abort => "abort",
        }
    }
}

/// A request as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: i64,
    /// Of which service.
    pub service: ServiceName,
    /// What is asked.
    pub kind: RequestKind,
    /// `user@machine`.
    pub by: String,
    /// When it was asked.
    pub at: Timestamp,
    /// What the controller answered; nothing while it has not read it.
    pub answer: Option<Answer>,
}

/// What the controller made of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It became an event.
    Taken,
    /// It means nothing now; why.
    Refused {
        /// In words, for who asked.
        reason: String,
    },
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

/// Who works on a service now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveHolder {
    /// Who.
    pub holder: Holder,
    /// Since when.
    pub since: Timestamp,
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

    /// Begins a rollout with its first event, which must be `RolloutStarted`, under the lease. What was asked of an
    /// earlier one and never answered is refused.
    async fn begin_rollout(
        &self,
        lease: &Lease,
        at: Timestamp,
        first: &Event,
    ) -> Result<RecordedEvent, LedgerError>;

    /// Appends events in order, all or none, and updates the rollout's row; durable when it returns. Refused when the
    /// lease is lost, and for a rollout that is over. `RolloutResumed` also refuses what was asked before and never
    /// answered.
    async fn append_all(
        &self,
        lease: &Lease,
        rollout: RolloutId,
        events: &[(Timestamp, Event)],
    ) -> Result<Vec<RecordedEvent>, LedgerError>;

    /// [`Ledger::append_all`] of one.
    async fn append(
        &self,
        lease: &Lease,
        rollout: RolloutId,
        at: Timestamp,
        event: &Event,
    ) -> Result<RecordedEvent, LedgerError> {
        let events = [(at, event.clone())];
        let mut recorded = self.append_all(lease, rollout, &events).await?;
        recorded.pop().ok_or_else(|| LedgerError::Unusable {
            location: self.id().to_string(),
            problem: "it does not say what it recorded".to_owned(),
            hint: String::new(),
        })
    }

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

    /// Who holds the service's lease now and, as far as can be known, is alive; nothing: nobody works on it.
    async fn holder(&self, service: &ServiceName) -> Result<Option<LiveHolder>, LedgerError>;

    /// Raises the lease's epoch above `seen`, which a host has seen under this very ledger though the ledger has not:
    /// it was restored from a backup. The new lease; the old one is void. A rollout that runs under it goes on running.
    async fn raise_epoch(&self, lease: &Lease, seen: Epoch) -> Result<Lease, LedgerError>;

    /// Asks the controller of a service for something; the request's number.
    async fn request(
        &self,
        service: &ServiceName,
        kind: RequestKind,
        by: &str,
        at: Timestamp,
    ) -> Result<i64, LedgerError>;

    /// Requests of the lease's service that nobody answered yet, oldest first. Refused when the lease is lost.
    async fn open_requests(&self, lease: &Lease) -> Result<Vec<Request>, LedgerError>;

    /// Answers a request, under the lease; whether it was still open. If not, it was withdrawn or answered before, and
    /// keeps the answer that it has: so whoever answers first and acts on `true` alone acts only on what is still wanted.
    async fn answer(
        &self,
        lease: &Lease,
        request: i64,
        at: Timestamp,
        answer: &Answer,
    ) -> Result<bool, LedgerError>;

    /// One request, to see whether it was answered. A withdrawn one counts as refused.
    async fn find_request(&self, request: i64) -> Result<Option<Request>, LedgerError>;

    /// Waits until there may be news since the last time that this returned, or for so long: by the time alone, where nobody
    /// tells.
    async fn wait_for(&self, _news: News, at_most: std::time::Duration) {
        tokio::time::sleep(at_most).await;
    }

    /// Withdraws a request that nobody answered (its asker gave up waiting); whether it was still open.
    async fn withdraw(&self, request: i64) -> Result<bool, LedgerError>;

    /// Holds a service: unattended runs leave it alone. Whether it was not held before; else the hold that stands stays.
    async fn hold(&self, service: &ServiceName, said: &Remark) -> Result<bool, LedgerError>;

    /// Lifts the hold that stands; whether there was one.
    async fn unhold(&self, service: &ServiceName, said: &Remark) -> Result<bool, LedgerError>;

    /// The holds of a service, newest first; only the first may still stand.
    async fn holds(&self, service: &ServiceName) -> Result<Vec<Hold>, LedgerError>;
}
