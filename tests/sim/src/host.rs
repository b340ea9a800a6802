//! What is true on a host, whatever a controller believes.

use rollctl::core::event::{Runs, Started, StartedUnit, Unproven};
use rollctl::core::health::Poll;
use rollctl::core::ids::{BootId, InvocationId, UnitName};

use crate::draw::{Behaviour, Release, runs_of};

/// The dead-man's switch of a switch that nobody confirmed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Armed {
    pub(crate) fires_at: i64,
    pub(crate) window: i64,
    /// What it puts back.
    pub(crate) before: Release,
    /// It only takes away what was started beside.
    pub(crate) beside: bool,
    /// Which switch; an event in the queue that names another does nothing.
    pub(crate) number: u64,
}

/// A step that holds the host's lock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Busy {
    pub(crate) until: i64,
    /// What `current` pointed to when it began, while it is not finished.
    pub(crate) before: Release,
    /// Something is started beside what runs, which goes on running.
    pub(crate) beside: bool,
}

/// The other instance on a host, side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Other {
    pub(crate) runs: Release,
    pub(crate) up: bool,
    pub(crate) started_at: i64,
    pub(crate) starts: u64,
    pub(crate) in_traffic: bool,
}

/// One host.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// What `current` leads to.
    pub(crate) runs: Release,
    pub(crate) up: bool,
    pub(crate) started_at: i64,
    pub(crate) starts: u64,
    /// Of both instances, so that no two starts have one number.
    pub(crate) total_starts: u64,
    pub(crate) boot: u64,
    pub(crate) epoch: i64,
    pub(crate) armed: Option<Armed>,
    pub(crate) busy: Option<Busy>,
    /// A step that was cut off: what a claim, or the dead-man's switch, puts back.
    pub(crate) begun: Option<Release>,
    /// Off the network until then.
    pub(crate) cut_until: i64,
    /// Only SSH is gone until then.
    pub(crate) ssh_gone_until: i64,
    /// Powered off until then.
    pub(crate) off_until: i64,
    /// How each release behaves here, by its number.
    pub(crate) behaviours: Vec<Behaviour>,
    /// Killed by somebody at that moment: it does not answer for a while, and its unit has restarted.
    pub(crate) dead_until: i64,
    /// Whether the balancers send it traffic; always where nobody sees to that.
    pub(crate) in_traffic: bool,
    /// What runs beside it, which a boot does not start.
    pub(crate) other: Option<Other>,
    /// An operator took it out of traffic before anything began.
    pub(crate) kept_out: bool,
    /// Answers that got lost make the controller ask again: so much later.
    pub(crate) lag: i64,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            runs: 0,
            up: false,
            started_at: -1_000_000,
            starts: 1,
            total_starts: 1,
            boot: 1,
            epoch: 0,
            armed: None,
            busy: None,
            begun: None,
            cut_until: 0,
            ssh_gone_until: 0,
            off_until: 0,
            behaviours: Vec::new(),
            dead_until: 0,
            in_traffic: true,
            kept_out: false,
            other: None,
            lag: 0,
        }
    }
}

impl Host {
    pub(crate) fn answers_ssh(&self, now: i64) -> bool {
        now >= self.cut_until && now >= self.off_until && now >= self.ssh_gone_until
    }

    pub(crate) fn is_on_network(&self, now: i64) -> bool {
        now >= self.cut_until && now >= self.off_until
    }

    /// Whether its instance truly serves.
    pub(crate) fn serves(&self, now: i64) -> bool {
        self.up
            && now >= self.off_until
            && now >= self.dead_until
            && self.busy.is_none_or(|busy| busy.beside)
            && self.passes(self.runs, now - self.started_at)
    }

    /// Whether the other one truly serves.
    pub(crate) fn other_serves(&self, now: i64) -> bool {
        self.other.is_some_and(|other| {
            other.up && now >= self.off_until && self.passes(other.runs, now - other.started_at)
        })
    }

    /// Whether that release is beside what the host runs.
    pub(crate) fn has_beside(&self, release: Release) -> bool {
        self.other.is_some_and(|other| other.runs == release) && self.runs != release
    }

    fn passes(&self, release: Release, age: i64) -> bool {
        let behaviour = self.behaviours.get(usize::from(release));
        behaviour.is_some_and(|behaviour| behaviour.passes(age))
    }

    /// What runs beside becomes what the host runs, and the other way round.
    pub(crate) fn exchange(&mut self) {
        let Some(other) = self.other else {
            return;
        };
        self.other = Some(Other {
            runs: self.runs,
            up: self.up,
            started_at: self.started_at,
            starts: self.starts,
            in_traffic: self.in_traffic,
        });
        (self.runs, self.up) = (other.runs, other.up);
        (self.started_at, self.starts) = (other.started_at, other.starts);
        self.in_traffic = other.in_traffic;
    }

    /// Starts a release beside what runs.
    pub(crate) fn start_beside(&mut self, release: Release, now: i64, in_traffic: bool) {
        self.total_starts += 1;
        self.other = Some(Other {
            runs: release,
            up: true,
            started_at: now,
            starts: self.total_starts,
            in_traffic,
        });
        self.busy = None;
    }

    /// How its units run, as a look shows them.
    pub(crate) fn started(&self) -> Started {
        self.start_numbered(self.starts)
    }

    pub(crate) fn start_numbered(&self, starts: u64) -> Started {
        Started {
            boot: BootId::new(self.boot.to_string()),
            units: vec![StartedUnit {
                unit: UnitName::new("web.service"),
                invocation: InvocationId::new(starts.to_string()),
                restarts: 0,
            }],
        }
    }

    pub(crate) fn unproven(&self) -> Option<Unproven> {
        let before = runs_of(self.armed.filter(|armed| !armed.beside)?.before);
        Some(Unproven { before })
    }

    pub(crate) fn sight_of_runs(&self) -> Runs {
        runs_of(self.runs)
    }

    /// What a watcher sees: of one that was started by us also whether it still is the same.
    pub(crate) fn poll(
        &self,
        now: i64,
        flap: u8,
        watched: Option<(u64, u64)>,
        trusts: bool,
        of: Option<Release>,
    ) -> Poll {
        let beside = of.is_some_and(|release| self.has_beside(release));
        let is_there = of.is_none_or(|release| beside || self.runs == release);
        let (serves, now_started) = match (self.other, beside) {
            (Some(other), true) => (self.other_serves(now), other.starts),
            _ => (is_there && self.serves(now), self.starts),
        };
        let probe = match () {
            () if !self.is_on_network(now) => Poll::Fail,
            () if flap == 1 => Poll::Fail,
            () if flap == 2 => Poll::Unknown,
            () if serves => Poll::Pass,
            () => Poll::Fail,
        };
        let Some((boot, starts)) = watched else {
            return probe;
        };
        if !self.answers_ssh(now) {
            return match (trusts, probe) {
                (true, Poll::Pass) => Poll::Pass,
                (_, Poll::Fail) => Poll::Fail,
                _ => Poll::Unknown,
            };
        }
        match () {
            () if self.boot != boot => Poll::Unknown,
            () if now_started != starts => Poll::Restarted,
            () => probe,
        }
    }

    /// Puts a release in place and starts it, or stops all where there is none.
    pub(crate) fn start(&mut self, release: Release, now: i64) {
        self.runs = release;
        self.up = release != 0;
        self.started_at = now;
        self.total_starts += 1;
        self.starts = self.total_starts;
        (self.busy, self.begun) = (None, None);
        // One name runs once: what was beside it under this name is what was started anew.
        self.other = self.other.filter(|other| other.runs != release);
    }

    /// What a claim or the dead-man's switch makes of a step that was cut off.
    pub(crate) fn recover(&mut self, now: i64) {
        if let Some(before) = self.begun.take() {
            self.start(before, now);
            self.armed = None;
        }
    }
}
