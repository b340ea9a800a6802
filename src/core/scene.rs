//! A rollout in the middle of its life, for tests: moved along by sentences.

use std::collections::BTreeSet;
use std::time::Duration;

use super::budget::{Budget, Quantity};
use super::counts::Counts;
use super::decide::decide;
use super::decision::{Action, Decision};
use super::event::{ActionKind, ActionOutcome, Event, Mark, Runs, Sight, Started, StartedUnit};
use super::fleet::OnFailure;
use super::health::Health;
use super::ids::{
    BootId, Digest, HostName, InvocationId, RevisionName, RevisionRef, ServiceName, UnitName,
};
use super::rollout::{RolloutState, Stage};
use super::spec::{HostSpec, RolloutKind, Spec};
use super::time::Timestamp;
use super::traffic_state::TrafficSight;

pub(super) const START: i64 = 1_000_000;

fn revision(name: &str) -> RevisionRef {
    RevisionRef {
        name: RevisionName::parse(name).unwrap(),
        digest: Digest::new(name.repeat(4)),
    }
}

pub(super) fn v1() -> RevisionRef {
    revision("v1")
}

pub(super) fn v2() -> RevisionRef {
    revision("v2")
}

/// A release of v2 to hosts h00, h01, ...; min_ready 10 s, deadline 60 s, progress_deadline 600 s.
pub(super) fn spec_of(hosts: u32, surge: u32, unavailable: u32) -> Spec {
    let count = Quantity::Count;
    Spec {
        service: ServiceName::new("web"),
        kind: RolloutKind::Release,
        target: v2(),
        from: Some(v1()),
        budget: Budget::resolve(hosts, count(surge), count(unavailable)),
        hosts: (0..hosts).map(|n| HostSpec::new(name(n), true)).collect(),
        min_ready: Duration::from_secs(10),
        deadline: Duration::from_secs(60),
        progress_deadline: Duration::from_secs(600),
        max_failures: 0,
        on_failure: OnFailure::Pause,
        max_uploads: 100,
        steps: Vec::new(),
        domains: Vec::new(),
        side_by_side: false,
        balanced: false,
        hooks: Default::default(),
        signed_by: Vec::new(),
        unattended: false,
        window: None,
    }
}

/// [`spec_of`] with another failure policy.
pub(super) fn with_policy(hosts: u32, unavailable: u32, on_failure: OnFailure) -> Spec {
    Spec {
        on_failure,
        ..spec_of(hosts, 0, unavailable)
    }
}

/// No host.
pub(super) const NONE: [u32; 0] = [];

pub(super) fn name(n: u32) -> HostName {
    HostName::new(format!("h{n:02}"))
}

/// What the one balancer says of an instance.
pub(super) fn balancer(sends: bool) -> TrafficSight {
    let one = BTreeSet::from(["lb".to_owned()]);
    match sends {
        true => TrafficSight {
            attached: one,
            detached: BTreeSet::new(),
        },
        false => TrafficSight {
            attached: BTreeSet::new(),
            detached: one,
        },
    }
}

/// A rollout in the middle of its life, moved along by sentences.
pub(super) struct Scene {
    pub(super) state: RolloutState,
    pub(super) now: i64,
}

impl Scene {
    /// Every host was looked at: `o` runs v1 and is ready, `n` runs v2 and is ready, `b` runs v1 and is broken, `u` runs
    /// v1 and is unknown, `-` runs nothing, `x` cannot be reached, `f` fails its probe once.
    pub(super) fn new(spec: Spec, hosts: &str) -> Self {
        let mut scene = Self::unseen(spec);
        for (n, letter) in (0..).zip(hosts.chars()) {
            let sight = match letter {
                '-' => Sight::reachable(Runs::Nothing),
                'x' => Sight::Unreachable {
                    reason: "gone".into(),
                },
                'n' => Sight::reachable(Runs::Revision { revision: v2() }),
                _ => Sight::reachable(Runs::Revision { revision: v1() }),
            };
            let traffic = scene
                .state
                .spec
                .balanced
                .then(|| balancer(!matches!(letter, '-' | 'd')));
            scene.happen(Event::HostObserved {
                host: name(n),
                sight,
                traffic,
                sibling: None,
            });
            let health = match letter {
                'o' | 'n' | 'd' => Health::Ready {
                    since: Timestamp::LONG_AGO,
                },
                'b' => Health::NotReady { failed_polls: 3 },
                'f' => Health::NotReady { failed_polls: 1 },
                _ => Health::Unknown,
            };
            scene.happen(Event::HealthChanged {
                host: name(n),
                health,
                sibling: false,
            });
        }
        scene
    }

    /// The same with every revision shipped.
    pub(super) fn staged(spec: Spec, hosts: &str) -> Self {
        let mut scene = Self::new(spec, hosts);
        for host in scene.runs(ActionKind::Stage) {
            scene.done(host, ActionKind::Stage);
        }
        scene
    }

    pub(super) fn happen(&mut self, event: Event) {
        self.state
            .apply(Timestamp::from_millis(self.now), &event)
            .unwrap();
    }

    pub(super) fn wait(&mut self, seconds: i64) {
        self.now += seconds * 1_000;
    }

    pub(super) fn decide(&mut self) -> Decision {
        let now = Timestamp::from_millis(self.now);
        for instance in 0..self.state.instances.len() {
            let host = self.state.instances[instance].host.clone();
            self.state.saw(&host, now);
        }
        decide(&self.state, now)
    }

    /// The hosts on which an action of that kind is decided.
    pub(super) fn runs(&mut self, wanted: ActionKind) -> Vec<u32> {
        let number = |host: &HostName| host.as_str()[1..].parse().unwrap();
        let actions = self.decide().actions;
        let of_kind = actions.iter().filter_map(|action| match action {
            Action::Run { host, kind } if *kind == wanted => Some(number(host)),
            _ => None,
        });
        of_kind.collect()
    }

    pub(super) fn begin(&mut self, host: u32, action: ActionKind) {
        self.happen(Event::ActionStarted {
            host: name(host),
            action,
        });
    }

    pub(super) fn end(&mut self, host: u32, action: ActionKind, outcome: ActionOutcome) {
        self.happen(Event::ActionEnded {
            host: name(host),
            action,
            outcome,
        });
    }

    pub(super) fn done(&mut self, host: u32, action: ActionKind) {
        self.begin(host, action);
        self.finish(host, action);
    }

    /// What was begun ends well.
    pub(super) fn finish(&mut self, host: u32, action: ActionKind) {
        let started = Self::started();
        let switched = matches!(
            action,
            ActionKind::Activate | ActionKind::Start | ActionKind::Revert
        );
        self.end(
            host,
            action,
            ActionOutcome::Done {
                started: switched.then_some(started),
            },
        );
    }

    pub(super) fn health(&mut self, host: u32, health: Health) {
        self.happen(Event::HealthChanged {
            host: name(host),
            health,
            sibling: false,
        });
    }

    pub(super) fn ready(&mut self, host: u32) {
        let since = Timestamp::from_millis(self.now);
        self.health(host, Health::Ready { since });
    }

    /// Brings a host to the target: switched, ready for min_ready, confirmed.
    pub(super) fn update(&mut self, host: u32) {
        self.done(host, ActionKind::Activate);
        self.ready(host);
        self.wait(10);
        self.done(host, ActionKind::Confirm);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts::of(&self.state, Timestamp::from_millis(self.now))
    }

    pub(super) fn stage_of(&self, host: u32) -> Stage {
        self.state.instance(&name(host)).unwrap().stage.clone()
    }

    /// No host was looked at yet.
    pub(super) fn unseen(spec: Spec) -> Self {
        let first = Event::RolloutStarted {
            spec: Box::new(spec),
            by: "t".into(),
            cause: None,
        };
        let state = RolloutState::start(Timestamp::from_millis(START), &first).unwrap();
        Self { state, now: START }
    }

    pub(super) fn started() -> Started {
        let unit = StartedUnit {
            unit: UnitName::new("web.service"),
            invocation: InvocationId::new("1"),
            restarts: 0,
        };
        Started {
            boot: BootId::new("b"),
            units: vec![unit],
        }
    }

    pub(super) fn moment(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// The scheduler calls it failed.
    pub(super) fn fail(&mut self, host: u32) {
        let reason = "not ready within 60s".to_owned();
        let (host, mark) = (name(host), Mark::Failed { reason });
        self.happen(Event::InstanceMarked { host, mark });
    }

    /// Puts one back, until it is available.
    pub(super) fn revert(&mut self, host: u32) {
        self.begin(host, ActionKind::Revert);
        self.reverted(host);
    }

    /// A revert that was begun ends well, and what ran before becomes available.
    pub(super) fn reverted(&mut self, host: u32) {
        let instance = self.state.instance(&name(host)).unwrap();
        let absent = instance.before == Some(Runs::Nothing);
        let started = (!absent).then(Self::started);
        self.end(host, ActionKind::Revert, ActionOutcome::Done { started });
        if !absent {
            self.ready(host);
            self.wait(10);
            let (host, mark) = (name(host), Mark::Reverted);
            self.happen(Event::InstanceMarked { host, mark });
        }
    }

    /// Another controller goes on.
    pub(super) fn resume(&mut self, retry: bool) {
        let by = "t".to_owned();
        let window = None;
        let unattended = false;
        self.happen(Event::RolloutResumed {
            by,
            retry,
            window,
            unattended,
        });
    }

    /// The host is looked at: it runs `v1` or `v2`, or is `gone`.
    pub(super) fn sees(&mut self, host: u32, what: &str) {
        let sight = match what {
            "gone" => Sight::Unreachable {
                reason: "gone".into(),
            },
            name => Sight::Reachable {
                runs: Runs::Revision {
                    revision: revision(name),
                },
                started: Some(Self::started()),
                unproven: None,
            },
        };
        let traffic = self.state.spec.balanced.then(|| balancer(true));
        self.looks(host, sight, traffic);
    }

    /// The same, where its balancer has stopped to send it traffic.
    pub(super) fn sees_detached(&mut self, host: u32, name: &str) {
        let runs = Runs::Revision {
            revision: revision(name),
        };
        let sight = Sight::Reachable {
            runs,
            started: Some(Self::started()),
            unproven: None,
        };
        self.looks(host, sight, Some(balancer(false)));
    }

    fn looks(&mut self, host: u32, sight: Sight, traffic: Option<TrafficSight>) {
        self.happen(Event::HostObserved {
            host: name(host),
            sight,
            traffic,
            sibling: None,
        });
    }
}
