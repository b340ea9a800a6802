//! A controller: the folded state, its watchers, and the loop of the driver in small.

use rollctl::core::event::{ActionKind, Event, Runs, Started};
use rollctl::core::health::HealthTracker;
use rollctl::core::ids::HostName;
use rollctl::core::rollout::{RolloutState, Stage};
use rollctl::core::time::Timestamp;

use crate::draw::Release;
use crate::world::release_of;

/// Polls that must pass in a row.
const SUCCESSES: u32 = 2;

/// How an instance is watched.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// Which of a host's two instances; nothing where there is only one.
    pub(crate) of: Option<Release>,
    pub(crate) tracker: HealthTracker,
    /// Boot and start of what we started.
    pub(crate) started: Option<(u64, u64)>,
    pub(crate) trusts_probe: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Controller {
    pub(crate) id: u64,
    pub(crate) epoch: i64,
    pub(crate) rollout: usize,
    pub(crate) state: RolloutState,
    pub(crate) watches: Vec<Option<Watch>>,
    /// Of the other instances on the hosts.
    pub(crate) others: Vec<Option<Watch>>,
    pub(crate) wake_at: Option<i64>,
    /// How many more events it writes before it dies.
    pub(crate) dies_in: Option<usize>,
    /// Something happened since it last decided.
    pub(crate) stirred: bool,
}

/// How much of a start the simulation tells apart.
pub(crate) fn start_of(started: &Started) -> Option<(u64, u64)> {
    let unit = started.units.first()?;
    Some((
        started.boot.as_str().parse().ok()?,
        unit.invocation.as_str().parse().ok()?,
    ))
}

impl Controller {
    pub(crate) fn new(id: u64, epoch: i64, rollout: usize, state: RolloutState) -> Self {
        Self {
            id,
            epoch,
            rollout,
            watches: vec![None; state.instances.len()],
            others: vec![None; state.instances.len()],
            state,
            wake_at: None,
            dies_in: None,
            stirred: true,
        }
    }

    pub(crate) fn host_name(&self, host: usize) -> HostName {
        self.state.instances[host].host.clone()
    }

    /// Watches what was seen there: what has to prove itself under its start, the rest as what ran before.
    pub(crate) fn watch_seen(&mut self, host: usize) {
        let instance = &self.state.instances[host];
        let proves_itself = matches!(
            instance.stage,
            Stage::Settling { .. } | Stage::Recovering { .. }
        );
        let is_first = instance.health.is_none();
        let tracker = match is_first && !proves_itself {
            true => HealthTracker::of_running(SUCCESSES),
            false => HealthTracker::of_started(SUCCESSES),
        };
        self.watch(host, tracker);
        let sibling = self.state.instances[host].sibling.as_ref();
        self.others[host] = sibling.map(|sibling| Watch {
            of: Some(release_of(sibling.runs.as_ref())),
            tracker: HealthTracker::of_running(SUCCESSES),
            started: None,
            trusts_probe: true,
        });
    }

    pub(crate) fn watch_started(&mut self, host: usize) {
        self.watch(host, HealthTracker::of_started(SUCCESSES));
    }

    /// After a confirmation only the way of asking changes.
    pub(crate) fn watch_confirmed(&mut self, host: usize) {
        if let Some(watch) = self.watches[host].take() {
            self.watch(host, watch.tracker);
        }
    }

    fn watch(&mut self, host: usize, tracker: HealthTracker) {
        let instance = &self.state.instances[host];
        let side_by_side = self.state.spec.side_by_side && instance.runs.is_some();
        let of = side_by_side.then(|| release_of(instance.runs.as_ref()));
        self.watches[host] = (instance.runs != Some(Runs::Nothing)).then(|| Watch {
            of,
            tracker,
            started: instance.started().and_then(start_of),
            trusts_probe: matches!(instance.stage, Stage::Updated { .. }),
        });
    }

    /// After an action has ended, as the driver does.
    pub(crate) fn rewatch(&mut self, host: usize, action: ActionKind, declined: bool) {
        match action {
            ActionKind::Start if declined => self.watches[host] = self.others[host].take(),
            ActionKind::Start => self.watch_started(host),
            ActionKind::Revert if self.takes_the_other(host) => {
                self.watches[host] = self.others[host].take();
            }
            ActionKind::StopSibling if self.state.instances[host].sibling.is_none() => {
                self.others[host] = None;
            }
            ActionKind::Activate if declined => self.watch_seen(host),
            ActionKind::Activate | ActionKind::Revert => self.watch_started(host),
            ActionKind::Confirm => self.watch_confirmed(host),
            ActionKind::Stop if self.state.instances[host].is_absent() => self.watches[host] = None,
            ActionKind::Stage
            | ActionKind::BeforeInstance
            | ActionKind::BeforeStart
            | ActionKind::Drain
            | ActionKind::Attach
            | ActionKind::AfterInstance
            | ActionKind::Stop
            | ActionKind::DrainSibling
            | ActionKind::AttachSibling
            | ActionKind::StopSibling
            | ActionKind::Prune => {}
        }
    }

    /// Whether what was watched as the other instance is what the host runs now.
    pub(crate) fn takes_the_other(&self, host: usize) -> bool {
        self.others[host].is_some() && self.state.instances[host].sibling.is_none()
    }

    pub(crate) fn apply(&mut self, at: Timestamp, event: &Event) -> Result<(), String> {
        self.stirred = true;
        self.state
            .apply(at, event)
            .map_err(|error| format!("illegal: {error}"))
    }
}
