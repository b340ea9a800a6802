//! What a rollout is run with, what wakes its loop, and how it can end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::execute::Ending;
use super::look::Sights;
use super::stop::Stop;
use super::watch::Look;
use crate::core::event::{ActionKind, RecordedEvent};
use crate::core::fleet::HealthCheck;
use crate::core::hooks::{HookEnd, HookKind};
use crate::core::ids::{HostName, RevisionName, RolloutId};
use crate::core::revision::Revision;
use crate::core::rollout::{IllegalEvent, RolloutState};
use crate::core::spec::Spec;
use crate::core::time::Timestamp;
use crate::core::window::Windowed;
use crate::ports::{
    Clock, HookRunner, Hosts, Lease, Ledger, LedgerError, Owner, Prober, Reporter, Request, Traffic,
};

/// All that the driver works with.
pub struct Adapters {
    /// The hosts.
    pub hosts: Arc<dyn Hosts>,
    /// The probes.
    pub prober: Arc<dyn Prober>,
    /// What sends the service its traffic, if rollctl sees to that.
    pub traffic: Option<Arc<dyn Traffic>>,
    /// What the operator runs around rollouts and switches; nothing: there is none.
    pub hooks: Option<Arc<dyn HookRunner>>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Who shows what happens.
    pub reporter: Arc<dyn Reporter>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// One rollout to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// What it is to reach.
    pub spec: Spec,
    /// The target as the ledger has it.
    pub target: Revision,
    /// How instances are asked for their health.
    pub health: HealthCheck,
    /// Folders of revisions that stay on the hosts.
    pub keep: Vec<RevisionName>,
    /// What hosts that SSH cannot reach were last seen running, for their probe.
    pub last_seen: BTreeMap<HostName, RevisionName>,
    /// Side by side: the two ports.
    pub ports: Option<[u16; 2]>,
    /// `user@machine`.
    pub by: String,
    /// Why, in the words of who started it.
    pub cause: Option<String>,
    /// The ledger and this machine, as hosts are told.
    pub owner: Owner,
    /// The service's lease.
    pub lease: Lease,
    /// Whether hosts that another ledger owns are taken from it.
    pub takes_hosts: bool,
    /// Set when a rollout is gone on with rather than begun; its spec is then that of its first event.
    pub resumed: Option<Resumed>,
}

/// A rollout that paused or whose controller died.
#[derive(Debug, Clone)]
pub struct Resumed {
    /// All its events so far.
    pub events: Vec<RecordedEvent>,
    /// Whether what failed is tried again.
    pub retry: bool,
    /// Whether it is only to be ended where it stands.
    pub abort: bool,
    /// What it has to do with the service's window now.
    pub window: Option<Windowed>,
    /// Whether nobody watches: a timer goes on with it.
    pub unattended: bool,
}

/// How a rollout came to rest.
#[derive(Debug)]
pub struct Finished {
    /// Its number.
    pub rollout: RolloutId,
    /// Its last state.
    pub state: RolloutState,
    /// What every host that could be reached was read back to run at the end.
    pub sights: Sights,
}

/// Why a rollout could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The ledger could not be written, or the lease was lost: nothing new was started.
    #[error("rollout {rollout} stopped: the ledger does not take its events any more")]
    Ledger {
        /// Its number.
        rollout: RolloutId,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// The rollout could not be begun, or gone on with.
    #[error("the rollout could not be begun")]
    Begin(#[source] LedgerError),
    /// An event did not fit: a mistake of ours.
    #[error("rollout {rollout} stopped by a mistake in rollctl")]
    Illegal {
        /// Its number.
        rollout: RolloutId,
        /// What did not fit.
        #[source]
        source: IllegalEvent,
    },
    /// Somebody asked twice to stop.
    #[error("rollout {rollout} interrupted")]
    Interrupted {
        /// Its number.
        rollout: RolloutId,
    },
}

/// What wakes the loop.
#[derive(Debug)]
pub(super) enum Input {
    /// A watcher looked.
    Looked {
        host: HostName,
        generation: u64,
        at: Timestamp,
        look: Look,
        fresh_until: Timestamp,
    },
    /// An action ended.
    Ended {
        host: HostName,
        action: ActionKind,
        ending: Box<Ending>,
    },
    /// A hook of the rollout ended.
    HookEnded { hook: HookKind, end: HookEnd },
    /// Another command asks for something.
    Asked(Request),
    /// The lease could not be renewed.
    LeaseLost(LedgerError),
    /// A signal.
    Stop(Stop),
    /// The moment came at which the decision could change.
    Tick,
}
