//! A rollout of a large fleet, half of it done: what benches of the core work on.
#![expect(clippy::unwrap_used, reason = "a mistake in a bench is a panic")]

pub(crate) mod clock;

use std::time::Duration;

use rollctl::core::budget::{Budget, Quantity};
use rollctl::core::event::{ActionKind, ActionOutcome, Event, Runs, Sight, Started};
use rollctl::core::fleet::{Domain, OnFailure};
use rollctl::core::health::Health;
use rollctl::core::ids::{BootId, Digest, HostName, RevisionName, RevisionRef, ServiceName};
use rollctl::core::rollout::RolloutState;
use rollctl::core::spec::{DomainBudget, Gate, HostSpec, RolloutKind, Spec};
use rollctl::core::time::Timestamp;

/// When all of it happens.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// The fleet's hosts.
pub(crate) fn names(hosts: u32) -> Vec<HostName> {
    let name = |n| HostName::new(format!("h{n:05}"));
    (0..hosts).map(name).collect()
}

/// The rollout's first event, and what follows: half of the hosts run the target, as many as may be are on their way, the
/// rest waits.
pub(crate) fn story(hosts: u32) -> (Event, Vec<Event>) {
    let spec = spec(hosts);
    let names = names(hosts);
    let half = names.len() / 2;
    let mut events = Vec::new();
    for (n, host) in names.iter().enumerate() {
        let runs = Runs::Revision {
            revision: revision(if n < half { "v2" } else { "v1" }),
        };
        events.push(Event::HostObserved {
            host: host.clone(),
            sight: Sight::reachable(runs),
            traffic: None,
            sibling: None,
        });
    }
    for host in &names {
        events.push(Event::HealthChanged {
            host: host.clone(),
            health: Health::Ready {
                since: Timestamp::LONG_AGO,
            },
            sibling: false,
        });
    }
    let waiting = names.get(half..).unwrap_or_default();
    for host in waiting {
        events.extend(done(host, ActionKind::Stage, None));
    }
    let started = Started {
        boot: BootId::new("boot"),
        units: Vec::new(),
    };
    for host in waiting.iter().take(names.len() / 50) {
        events.extend(done(host, ActionKind::Activate, Some(started.clone())));
    }
    let first = Event::RolloutStarted {
        spec: Box::new(spec),
        by: String::new(),
        cause: None,
    };
    (first, events)
}

/// All that is known after these events.
pub(crate) fn told(first: &Event, events: &[Event]) -> RolloutState {
    let mut state = RolloutState::start(NOW, first).unwrap();
    for event in events {
        state.apply(NOW, event).unwrap();
    }
    state
}

fn done(host: &HostName, action: ActionKind, started: Option<Started>) -> [Event; 2] {
    [
        Event::ActionStarted {
            host: host.clone(),
            action,
        },
        Event::ActionEnded {
            host: host.clone(),
            action,
            outcome: ActionOutcome::Done { started },
        },
    ]
}

fn revision(name: &str) -> RevisionRef {
    RevisionRef {
        name: RevisionName::parse(name).unwrap(),
        digest: Digest::new(name),
    }
}

fn spec(hosts: u32) -> Spec {
    let domain = Domain {
        label: "zone".to_owned(),
        at_once: Some(2),
        max_unavailable: Some(Quantity::Percent(20)),
    };
    let zones: Vec<String> = (0..hosts).map(|n| (n % 5).to_string()).collect();
    let (budget, places) = DomainBudget::resolve(&domain, zones.iter().map(String::as_str));
    let list = names(hosts).into_iter().zip(places).map(|(name, place)| {
        let mut host = HostSpec::new(name, true);
        host.values = vec![place];
        host
    });
    Spec {
        service: ServiceName::new("web"),
        kind: RolloutKind::Release,
        target: revision("v2"),
        from: Some(revision("v1")),
        budget: Budget::resolve(hosts, Quantity::Count(0), Quantity::Percent(5)),
        hosts: list.collect(),
        min_ready: Duration::from_secs(10),
        deadline: Duration::from_secs(60),
        progress_deadline: Duration::from_secs(600),
        max_failures: 0,
        on_failure: OnFailure::Rollback,
        max_uploads: 16,
        steps: vec![Gate {
            to: hosts,
            bake: Duration::ZERO,
            approve: false,
        }],
        domains: vec![budget],
        side_by_side: false,
        balanced: false,
        hooks: Default::default(),
        signed_by: Vec::new(),
        unattended: false,
        window: None,
    }
}
