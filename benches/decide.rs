//! How long one decision takes in the middle of a rollout: `cargo bench --bench decide`. The last column is the time per
//! instance against that of the smallest fleet: 1 is linear.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it measured, and a mistake in it is a panic"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use rollctl::core::budget::{Budget, Quantity};
use rollctl::core::decide::decide;
use rollctl::core::event::{ActionKind, ActionOutcome, Event, Runs, Sight, Started};
use rollctl::core::fleet::{Domain, OnFailure};
use rollctl::core::health::Health;
use rollctl::core::ids::{BootId, Digest, HostName, RevisionName, RevisionRef, ServiceName};
use rollctl::core::rollout::RolloutState;
use rollctl::core::spec::{DomainBudget, Gate, HostSpec, RolloutKind, Spec};
use rollctl::core::time::Timestamp;

const ROUNDS: usize = 51;

fn main() {
    let mut smallest = None;
    println!(
        "{:>9} {:>12} {:>18}",
        "instances", "a decision", "against linear"
    );
    for hosts in [100, 1_000, 10_000] {
        let (state, now) = halfway(hosts);
        let mut took: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let begun = clock();
                let _decided = black_box(decide(black_box(&state), now));
                begun.elapsed()
            })
            .collect();
        took.sort_unstable();
        let median = took[ROUNDS / 2];
        let each = median.as_secs_f64() / f64::from(hosts);
        let base = *smallest.get_or_insert(each);
        println!(
            "{hosts:>9} {:>9.1} us {:>18.2}",
            median.as_secs_f64() * 1e6,
            each / base
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench needs a clock")]
fn clock() -> Instant {
    Instant::now()
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
    let list = (0..hosts).zip(places).map(|(n, place)| {
        let mut host = HostSpec::new(HostName::new(format!("h{n:05}")), true);
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
    }
}

/// Half of the hosts run the target, as many as may be are on their way, the rest waits.
fn halfway(hosts: u32) -> (RolloutState, Timestamp) {
    let now = Timestamp::from_millis(1_000_000);
    let spec = spec(hosts);
    let names: Vec<HostName> = spec.hosts.iter().map(|host| host.name.clone()).collect();
    let first = Event::RolloutStarted {
        spec: Box::new(spec),
        by: String::new(),
        cause: None,
    };
    let mut state = RolloutState::start(now, &first).unwrap();
    let half = names.len() / 2;
    for (n, host) in names.iter().enumerate() {
        let release = if n < half { "v2" } else { "v1" };
        let runs = Runs::Revision {
            revision: revision(release),
        };
        let (host, sight) = (host.clone(), Sight::reachable(runs));
        state
            .apply(
                now,
                &Event::HostObserved {
                    host,
                    sight,
                    traffic: None,
                    sibling: None,
                },
            )
            .unwrap();
    }
    for host in &names {
        let (host, since) = (host.clone(), Timestamp::LONG_AGO);
        let health = Health::Ready { since };
        state
            .apply(
                now,
                &Event::HealthChanged {
                    host,
                    health,
                    sibling: false,
                },
            )
            .unwrap();
    }
    for host in &names[half..] {
        let outcome = ActionOutcome::Done { started: None };
        run(&mut state, now, host, ActionKind::Stage, outcome);
    }
    for host in &names {
        state.saw(host, now + Duration::from_secs(3600));
    }
    for host in &names[half..half + names.len() / 50] {
        let started = Some(Started {
            boot: BootId::new("boot"),
            units: Vec::new(),
        });
        let outcome = ActionOutcome::Done { started };
        run(&mut state, now, host, ActionKind::Activate, outcome);
    }
    (state, now)
}

fn run(
    state: &mut RolloutState,
    now: Timestamp,
    host: &HostName,
    action: ActionKind,
    outcome: ActionOutcome,
) {
    let started = Event::ActionStarted {
        host: host.clone(),
        action,
    };
    state.apply(now, &started).unwrap();
    let ended = Event::ActionEnded {
        host: host.clone(),
        action,
        outcome,
    };
    state.apply(now, &ended).unwrap();
}
