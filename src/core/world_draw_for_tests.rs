//! What a random world is drawn from: its hosts and its rollout.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::budget::{Budget, Quantity};
use super::event::{ActionKind, Runs, Sight};
use super::fleet::{Domain, OnFailure};
use super::hooks::HookKind;
use super::ids::{HostName, ServiceName};
use super::spec::{DomainBudget, Gate, HostSpec, RolloutKind, Spec};
use super::world_for_tests::{Behaviour, Host, nothing, revision};

pub(super) fn draw_hosts(rng: &mut StdRng) -> Vec<Host> {
    let number = if rng.random_bool(0.2) {
        rng.random_range(1..=3)
    } else {
        rng.random_range(1..=24)
    };
    let (absent, sick, gone, bad) = (
        rng.random_range(0.0..0.4),
        rng.random_range(0.0..0.3),
        rng.random_range(0.0..0.15),
        rng.random_range(0.0..0.4),
    );
    let bad = if rng.random_bool(0.5) { 0.0 } else { bad };
    (0..number)
        .map(|n| {
            let ready = rng.random_range(0..8_000);
            let odd = |rng: &mut StdRng| match rng.random_range(0..4) {
                0 => Behaviour::Dead,
                1 => Behaviour::Flaps,
                2 => Behaviour::Mute,
                _ => Behaviour::Dies {
                    ready_after_ms: ready,
                    dies_after_ms: rng.random_range(1_000..60_000),
                },
            };
            let old_revision = Runs::Revision {
                revision: revision(if rng.random_bool(0.1) { "v2" } else { "v1" }),
            };
            let sight = match () {
                () if rng.random_bool(gone) => Sight::Unreachable {
                    reason: "gone".into(),
                },
                () if rng.random_bool(gone / 2.0) => Sight::Refused {
                    reason: "no sudo".into(),
                },
                () if rng.random_bool(absent) => nothing(),
                () => Sight::reachable(old_revision),
            };
            Host {
                name: HostName::new(format!("h{n:02}")),
                sight,
                old: if rng.random_bool(sick) {
                    odd(rng)
                } else {
                    Behaviour::Good {
                        ready_after_ms: ready,
                    }
                },
                new: if rng.random_bool(bad) {
                    odd(rng)
                } else {
                    Behaviour::Good {
                        ready_after_ms: ready,
                    }
                },
                runs_new: false,
                started_at: 1_000_000 - rng.random_range(0..100_000),
                tracker: None,
                action_ms: rng.random_range(1..5_000),
                refuses: rng.random_bool(0.5),
                fails: rng.random_bool(bad / 4.0).then(|| {
                    use ActionKind::*;
                    let kinds = [
                        Stage,
                        BeforeInstance,
                        Activate,
                        Confirm,
                        AfterInstance,
                        Revert,
                        Prune,
                    ];
                    kinds[rng.random_range(0..kinds.len())]
                }),
            }
        })
        .collect()
}

pub(super) fn draw_spec(rng: &mut StdRng, hosts: &[Host]) -> Spec {
    let number = u32::try_from(hosts.len()).unwrap();
    // Fewer desired than hosts: what spare hosts will do, so that R3 has something to forbid.
    let desired = if rng.random_bool(0.2) {
        number.saturating_sub(rng.random_range(0..=3)).max(1)
    } else {
        number
    };
    let unavailable = match rng.random_range(0..3) {
        0 => Quantity::Count(1),
        1 => Quantity::Count(rng.random_range(1..=4)),
        _ => Quantity::Percent(rng.random_range(1..=60)),
    };
    let mut all: Vec<_> = hosts
        .iter()
        .map(|host| HostSpec::new(host.name.clone(), rng.random_bool(0.9)))
        .collect();
    let domains = match rng.random_bool(0.3) {
        true => vec![draw_domain(rng, &mut all)],
        false => Vec::new(),
    };
    let steps = match rng.random_bool(0.3) {
        true => vec![Gate {
            to: rng.random_range(1..=number),
            bake: Duration::from_secs(rng.random_range(0..10)),
            approve: false,
        }],
        false => Vec::new(),
    };
    Spec {
        service: ServiceName::new("web"),
        kind: RolloutKind::Release,
        target: revision("v2"),
        from: None,
        budget: Budget::resolve(desired, Quantity::Count(0), unavailable),
        hosts: all,
        min_ready: Duration::from_millis([0, 3_000, 10_000][rng.random_range(0..3)]),
        deadline: Duration::from_secs(40),
        progress_deadline: Duration::from_secs(200),
        max_failures: rng.random_range(0..3),
        on_failure: OnFailure::Pause,
        max_uploads: rng.random_range(1..6),
        steps,
        domains,
        side_by_side: false,
        balanced: false,
        hooks: match rng.random_bool(0.3) {
            true => HookKind::ALL
                .into_iter()
                .filter(|_| rng.random_bool(0.6))
                .collect(),
            false => BTreeSet::new(),
        },
        signed_by: Vec::new(),
        unattended: false,
        window: None,
    }
}

/// Zones for all hosts, with a limit of either kind or both.
fn draw_domain(rng: &mut StdRng, hosts: &mut [HostSpec]) -> DomainBudget {
    let zones: Vec<String> = hosts
        .iter()
        .map(|_| rng.random_range(0..3).to_string())
        .collect();
    let domain = Domain {
        label: "zone".into(),
        at_once: rng.random_bool(0.6).then(|| rng.random_range(1..=2)),
        max_unavailable: rng
            .random_bool(0.6)
            .then(|| Quantity::Percent(rng.random_range(1..=60))),
    };
    let (budget, places) = DomainBudget::resolve(&domain, zones.iter().map(String::as_str));
    for (host, place) in hosts.iter_mut().zip(places) {
        host.values = vec![place];
    }
    budget
}
