//! Rollouts made by hand, for the tests of this room.

use std::time::Duration;

use crate::core::budget::Budget;
use crate::core::event::{
    ActionKind, ActionOutcome, Event, Mark, Outcome, RecordedEvent, Runs, Sight, Started,
    StartedUnit,
};
use crate::core::fleet::OnFailure;
use crate::core::health::Health;
use crate::core::hooks::{HookEnd, HookKind, HookResult, Rest};
use crate::core::ids::{
    BootId, Digest, HostName, InvocationId, RevisionName, RevisionRef, RolloutId, ServiceName,
    UnitName,
};
use crate::core::rollout::RolloutState;
use crate::core::spec::{HostSpec, RolloutKind, Spec};
use crate::core::time::Timestamp;
use crate::ports::{JournalExcerpt, ProbeAnswer, Progress};

/// 2026-11-22T10:41:00Z.
pub(crate) const START: i64 = 1_795_344_060_000;

/// A moment so many milliseconds after [`START`].
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

pub(crate) fn revision(name: &str) -> RevisionRef {
    RevisionRef {
        name: RevisionName::parse(name).unwrap(),
        digest: Digest::new(format!("{name:0<64}")),
    }
}

pub(crate) fn host(name: &str) -> HostName {
    HostName::new(name)
}

pub(crate) fn started() -> Started {
    Started {
        boot: BootId::new("b"),
        units: vec![StartedUnit {
            unit: UnitName::new("web.service"),
            invocation: InvocationId::new("i"),
            restarts: 0,
        }],
    }
}

/// A rollout with its events and the state that they fold to.
pub(crate) struct Sample {
    pub(crate) events: Vec<RecordedEvent>,
    pub(crate) state: RolloutState,
}

impl Sample {
    /// Rollout 12 of `web` from `v1.4.1` to `v1.4.2` on that many hosts.
    pub(crate) fn new(hosts: u32, max_unavailable: u32) -> Self {
        let spec = Spec {
            service: ServiceName::new("web"),
            kind: RolloutKind::Release,
            target: revision("v1.4.2"),
            from: Some(revision("v1.4.1")),
            budget: Budget {
                desired: hosts,
                max_surge: 0,
                max_unavailable,
            },
            hosts: (1..=hosts)
                .map(|number| HostSpec::new(host(&format!("web-{number:02}")), true))
                .collect(),
            min_ready: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
            progress_deadline: Duration::from_secs(600),
            max_failures: 0,
            on_failure: OnFailure::Pause,
            max_uploads: 16,
            steps: Vec::new(),
            domains: Vec::new(),
            side_by_side: false,
            balanced: false,
            hooks: Default::default(),
            signed_by: Vec::new(),
            unattended: false,
            window: None,
        };
        Self::of(spec)
    }

    /// [`Sample::new`] with a spare host after the others, `web-09`.
    pub(crate) fn with_spare(hosts: u32) -> Self {
        let mut spec = Self::new(hosts, 0).state.spec;
        spec.budget.max_surge = 1;
        spec.hosts.push(HostSpec::spare(host("web-09")));
        Self::of(spec)
    }

    /// [`Sample::new`] of a service whose revisions run side by side, with one more than the others.
    pub(crate) fn side_by_side(hosts: u32, max_unavailable: u32) -> Self {
        let mut spec = Self::new(hosts, max_unavailable).state.spec;
        spec.budget.max_surge = 1;
        spec.side_by_side = true;
        let mut sample = Self::of(spec);
        for number in 1..=hosts {
            sample.sees_old(100, &format!("web-{number:02}"));
        }
        sample
    }

    /// Ships and starts beside the old one.
    pub(crate) fn starts_beside(&mut self, millis: i64, name: &str) -> &mut Self {
        self.begins(millis, name, ActionKind::Stage)
            .ends(millis + 1_000, name, ActionKind::Stage)
            .begins(millis + 1_000, name, ActionKind::Start)
            .ends(millis + 1_500, name, ActionKind::Start)
    }

    fn of(spec: Spec) -> Self {
        let first = Event::RolloutStarted {
            spec: Box::new(spec),
            by: "ann@desk".to_owned(),
            cause: Some("fixes the login".to_owned()),
        };
        let state = RolloutState::start(at(0), &first).unwrap();
        let mut sample = Self {
            events: Vec::new(),
            state,
        };
        sample.record(0, first);
        sample
    }

    fn record(&mut self, millis: i64, event: Event) {
        self.events.push(RecordedEvent {
            rollout: RolloutId(12),
            seq: self.events.len() as u64 + 1,
            at: at(millis),
            event,
            hash: String::new(),
        });
    }

    /// [`Sample::new`] of a service with these hooks.
    pub(crate) fn hooked(hosts: u32, unavailable: u32, hooks: &[HookKind]) -> Self {
        let mut sample = Self::new(hosts, unavailable);
        if let Some(Event::RolloutStarted { spec, .. }) =
            sample.events.first_mut().map(|first| &mut first.event)
        {
            spec.hooks = hooks.iter().copied().collect();
            sample.state.spec = (**spec).clone();
        }
        sample
    }

    /// Every hook of a host, which all end well but the last.
    pub(crate) fn with_hooks() -> Self {
        let mut sample = Self::hooked(1, 1, &HookKind::ALL);
        let of_rollout = |sample: &mut Self, millis, hook, rest, status, output: &str| {
            let end = hook_end(status, output);
            let host = None;
            sample
                .push(millis, Event::HookStarted { hook, rest })
                .push(millis + 1_200, Event::HookEnded { hook, host, end });
        };
        let of_instance = |sample: &mut Self, millis, action: ActionKind| {
            let (hook, host) = (action.hook().unwrap(), Some(host("web-01")));
            let end = hook_end(0, "");
            sample
                .begins(millis, "web-01", action)
                .push(millis + 1_200, Event::HookEnded { hook, host, end })
                .ends(millis + 1_200, "web-01", action);
        };
        sample.sees_old(100, "web-01");
        of_rollout(
            &mut sample,
            200,
            HookKind::BeforeRollout,
            None,
            0,
            "no freeze",
        );
        sample
            .begins(2_000, "web-01", ActionKind::Stage)
            .ends(3_000, "web-01", ActionKind::Stage);
        of_instance(&mut sample, 3_000, ActionKind::BeforeInstance);
        sample
            .begins(5_000, "web-01", ActionKind::Activate)
            .ends(5_500, "web-01", ActionKind::Activate)
            .health(6_000, "web-01", Health::Ready { since: at(6_000) })
            .begins(16_000, "web-01", ActionKind::Confirm)
            .ends(16_100, "web-01", ActionKind::Confirm);
        of_instance(&mut sample, 16_100, ActionKind::AfterInstance);
        let rest = Some(Rest::Ended(Outcome::Completed));
        let output = "posting\n\u{fffd}[31mno such channel";
        of_rollout(&mut sample, 18_000, HookKind::AfterRollout, rest, 3, output);
        sample.completes(20_000);
        sample
    }

    /// Adds an event, which must be possible.
    pub(crate) fn push(&mut self, millis: i64, event: Event) -> &mut Self {
        self.state.apply(at(millis), &event).unwrap();
        self.record(millis, event);
        self
    }

    pub(crate) fn sees(&mut self, millis: i64, name: &str, runs: Runs) -> &mut Self {
        let absent = runs == Runs::Nothing;
        self.push(
            millis,
            Event::HostObserved {
                host: host(name),
                sight: Sight::reachable(runs),
                traffic: None,
                sibling: None,
            },
        );
        if !absent {
            self.health(
                millis,
                name,
                Health::Ready {
                    since: Timestamp::LONG_AGO,
                },
            );
        }
        self
    }

    pub(crate) fn sees_old(&mut self, millis: i64, name: &str) -> &mut Self {
        let revision = revision("v1.4.1");
        self.sees(millis, name, Runs::Revision { revision })
    }

    pub(crate) fn unreachable(&mut self, millis: i64, name: &str) -> &mut Self {
        self.push(
            millis,
            Event::HostObserved {
                host: host(name),
                sight: Sight::Unreachable {
                    reason: "connection refused (192.0.2.17:22)".to_owned(),
                },
                traffic: None,
                sibling: None,
            },
        );
        self.health(millis, name, Health::NotReady { failed_polls: 1 })
    }

    pub(crate) fn health(&mut self, millis: i64, name: &str, health: Health) -> &mut Self {
        self.push(
            millis,
            Event::HealthChanged {
                host: host(name),
                health,
                sibling: false,
            },
        )
    }

    pub(crate) fn begins(&mut self, millis: i64, name: &str, action: ActionKind) -> &mut Self {
        self.push(
            millis,
            Event::ActionStarted {
                host: host(name),
                action,
            },
        )
    }

    pub(crate) fn ends(&mut self, millis: i64, name: &str, action: ActionKind) -> &mut Self {
        let started = matches!(
            action,
            ActionKind::Activate | ActionKind::Start | ActionKind::Revert
        )
        .then(self::started);
        self.push(
            millis,
            Event::ActionEnded {
                host: host(name),
                action,
                outcome: ActionOutcome::Done { started },
            },
        )
    }

    /// Ships and switches, up to the start of the new one.
    pub(crate) fn switches(&mut self, millis: i64, name: &str) -> &mut Self {
        self.begins(millis, name, ActionKind::Stage)
            .ends(millis + 1_000, name, ActionKind::Stage)
            .begins(millis + 1_000, name, ActionKind::Activate)
            .ends(millis + 1_500, name, ActionKind::Activate)
    }

    /// All of it, 13 s long.
    pub(crate) fn updates(&mut self, millis: i64, name: &str) -> &mut Self {
        self.switches(millis, name);
        let since = at(millis + 2_500);
        self.health(millis + 2_500, name, Health::Ready { since })
            .begins(millis + 12_500, name, ActionKind::Confirm)
            .ends(millis + 13_000, name, ActionKind::Confirm)
    }

    /// Fails after a minute and is put back.
    pub(crate) fn fails(&mut self, millis: i64, name: &str) -> &mut Self {
        self.switches(millis, name)
            .health(millis + 2_000, name, Health::NotReady { failed_polls: 5 })
            .push(
                millis + 61_000,
                Event::InstanceMarked {
                    host: host(name),
                    mark: Mark::Failed {
                        reason: "not ready within 1m".to_owned(),
                    },
                },
            )
            .begins(millis + 61_000, name, ActionKind::Revert)
            .ends(millis + 61_500, name, ActionKind::Revert)
            .health(
                millis + 62_000,
                name,
                Health::Ready {
                    since: at(millis + 62_000),
                },
            )
            .push(
                millis + 72_000,
                Event::InstanceMarked {
                    host: host(name),
                    mark: Mark::Reverted,
                },
            )
    }

    pub(crate) fn completes(&mut self, millis: i64) -> &mut Self {
        self.push(
            millis,
            Event::RolloutEnded {
                outcome: Outcome::Completed,
            },
        )
    }

    /// Plays all events as the driver would have reported them, each with the state after it.
    pub(crate) fn play(&self, mut each: impl FnMut(&RecordedEvent, &RolloutState)) {
        let mut state = RolloutState::start(self.events[0].at, &self.events[0].event).unwrap();
        for recorded in &self.events {
            if recorded.seq > 1 {
                state.apply(recorded.at, &recorded.event).unwrap();
            }
            each(recorded, &state);
        }
    }
}

/// A probe that failed, with a body that tries to steer the terminal.
pub(crate) fn bad_answer() -> ProbeAnswer {
    ProbeAnswer {
        passed: Some(false),
        shown:
            "GET http://192.0.2.13:8080/healthz answered 503 \"db: \x1b[2Jconnection refused\" in 3 ms"
                .to_owned(),
        stored: "GET http://192.0.2.13:8080/healthz answered 503".to_owned(),
        latency: Duration::from_millis(3),
    }
}

pub(crate) fn diagnosis(name: &str) -> Progress {
    Progress::Diagnosis {
        host: host(name),
        last_probe: Some(bad_answer()),
        journal: JournalExcerpt::Lines(vec![
            "10:41:07 web[812]: starting".to_owned(),
            "10:41:07 web[812]: panicked at src/main.rs:31: \x1b]0;owned\x07no database".to_owned(),
        ]),
    }
}

pub(crate) fn hook_end(status: i32, output: &str) -> HookEnd {
    HookEnd {
        result: HookResult::Exited { status },
        took: Duration::from_millis(1_200),
        output: output.to_owned(),
    }
}
