//! What a seed draws: a fleet, a strategy, and what goes wrong when.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use rollctl::core::budget::{Budget, Quantity};
use rollctl::core::event::Runs;
use rollctl::core::fleet::{Domain, OnFailure, Step};
use rollctl::core::ids::{Digest, HostName, RevisionName, RevisionRef, ServiceName};
use rollctl::core::spec::{DomainBudget, Gate, HostSpec, RolloutKind, Spec};

use crate::host::Host;

/// A release by its number; 0 is none.
pub(crate) type Release = u8;

/// How a release behaves on a host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Behaviour {
    /// Passes this long after its start.
    Good { ready_after: i64 },
    /// Never passes.
    Dead,
    /// Passes, then never again.
    Dies { ready_after: i64, dies_after: i64 },
}

impl Behaviour {
    pub(crate) fn passes(self, age: i64) -> bool {
        match self {
            Self::Good { ready_after } => age >= ready_after,
            Self::Dead => false,
            Self::Dies {
                ready_after,
                dies_after,
            } => age >= ready_after && age < dies_after,
        }
    }
}

pub(crate) fn revision(release: Release) -> RevisionRef {
    let name = format!("v{release}");
    RevisionRef {
        name: RevisionName::parse(&name).unwrap_or_else(|_| unreachable!("it is a name")),
        digest: Digest::new(name),
    }
}

pub(crate) fn runs_of(release: Release) -> Runs {
    match release {
        0 => Runs::Nothing,
        release => Runs::Revision {
            revision: revision(release),
        },
    }
}

/// How much goes wrong in this world.
#[derive(Debug, Clone)]
pub(crate) struct Temper {
    /// Faults on hosts, in milliseconds between two of them; nothing: none.
    pub(crate) fault_every: Option<i64>,
    /// The controller dies at about every so many events; nothing: never.
    pub(crate) dies_every: Option<usize>,
    /// Operators do something at about such intervals.
    pub(crate) operator_every: Option<i64>,
    /// One in so many polls flaps; 0: none.
    pub(crate) flaps: u32,
    /// One in so many answers is lost; 0: none.
    pub(crate) loses: u32,
    /// Faults end then.
    pub(crate) calm_at: i64,
    /// One of so many actions fails by itself; 0: none.
    pub(crate) fails: u32,
    /// How often instances are looked at.
    pub(crate) interval: i64,
}

pub(crate) fn temper(rng: &mut SmallRng) -> Temper {
    let calm = rng.random_bool(0.15);
    let sometimes = |rng: &mut SmallRng, share: f64| !calm && rng.random_bool(share);
    Temper {
        fault_every: sometimes(rng, 0.6).then(|| rng.random_range(2_000..60_000)),
        dies_every: sometimes(rng, 0.5).then(|| rng.random_range(5..120)),
        operator_every: sometimes(rng, 0.5).then(|| rng.random_range(3_000..60_000)),
        flaps: if sometimes(rng, 0.3) {
            rng.random_range(10..200)
        } else {
            0
        },
        loses: if sometimes(rng, 0.5) {
            rng.random_range(3..30)
        } else {
            0
        },
        calm_at: if calm {
            0
        } else {
            rng.random_range(20_000..240_000)
        },
        fails: if sometimes(rng, 0.3) {
            rng.random_range(10..60)
        } else {
            0
        },
        interval: [500, 1_000, 2_000][rng.random_range(0..3)],
    }
}

pub(crate) fn hosts(rng: &mut SmallRng) -> Vec<Host> {
    // Small fleets are where the rounding is; large ones are rarer.
    let most = f64::ln(200.0);
    let number = rng.random_range(0.0..most).exp().round() as usize;
    let bad_share = [0.0, 0.0, 0.0, 0.05, 0.3, 1.0][rng.random_range(0..6)];
    let (sick, absent) = (
        [0.0, 0.0, 0.1][rng.random_range(0..3)],
        [0.0, 0.0, 0.1, 1.0][rng.random_range(0..4)],
    );
    let good = |rng: &mut SmallRng| Behaviour::Good {
        ready_after: rng.random_range(0..6_000),
    };
    (0..number.max(1))
        .map(|_| {
            let mut behaviours = vec![Behaviour::Dead];
            behaviours.push(if rng.random_bool(sick) {
                Behaviour::Dead
            } else {
                good(rng)
            });
            behaviours.push(match () {
                () if !rng.random_bool(bad_share) => good(rng),
                () if rng.random_bool(0.5) => Behaviour::Dead,
                () => Behaviour::Dies {
                    ready_after: rng.random_range(0..4_000),
                    dies_after: rng.random_range(4_000..120_000),
                },
            });
            behaviours.push(good(rng));
            let runs = Release::from(!rng.random_bool(absent));
            Host {
                runs,
                up: runs != 0,
                ssh_gone_until: if rng.random_bool(0.02) { 120_000 } else { 0 },
                behaviours,
                lag: rng.random_range(20..800),
                ..Host::default()
            }
        })
        .collect()
}

/// Spare hosts after the ordinary ones, and a surge that they may carry. Drawn apart, so that a seed's world is otherwise
/// what it was; by this salt the worlds that once failed have none.
pub(crate) fn surge(seed: u64, hosts: &mut Vec<Host>, spec: &mut Spec) {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x5a1e_0000_0000_0001);
    if !rng.random_bool(0.35) {
        return;
    }
    let desired = spec.budget.desired;
    spec.budget.max_surge = match rng.random_bool(0.6) {
        true => rng.random_range(1..=3),
        false => Quantity::Percent(rng.random_range(1..=50)).rounded_up(desired),
    };
    if rng.random_bool(0.6) {
        spec.budget.max_unavailable = 0;
    }
    for _ in 0..rng.random_range(1..=3) {
        let mut spare = host(&mut rng, 0.1);
        // What a rollout that nobody ended has left there.
        (spare.runs, spare.up) = match rng.random_bool(0.1) {
            true => (1, true),
            false => (0, false),
        };
        let name = HostName::new(format!("h{:03}", hosts.len()));
        spec.hosts.push(HostSpec::spare(name));
        hosts.push(spare);
    }
}

/// Whether new instances may be started beside old ones; where there are no spare hosts. Drawn apart, as [`surge`] is.
pub(crate) fn side_by_side(seed: u64, spec: &mut Spec) {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x51de_0000_0000_0001);
    if spec.hosts.iter().any(|host| host.spare) || !rng.random_bool(0.4) {
        return;
    }
    spec.side_by_side = true;
    spec.budget.max_surge = match rng.random_bool(0.6) {
        true => rng.random_range(1..=3),
        false => Quantity::Percent(rng.random_range(1..=50)).rounded_up(spec.budget.desired),
    };
    if rng.random_bool(0.5) {
        spec.budget.max_unavailable = 0;
    }
}

fn host(rng: &mut SmallRng, bad: f64) -> Host {
    let good = |rng: &mut SmallRng| Behaviour::Good {
        ready_after: rng.random_range(0..6_000),
    };
    let either = |rng: &mut SmallRng| match rng.random_bool(bad) {
        true => Behaviour::Dead,
        false => good(rng),
    };
    let behaviours = vec![Behaviour::Dead, either(rng), either(rng), good(rng)];
    Host {
        behaviours,
        lag: rng.random_range(20..800),
        ..Host::default()
    }
}

/// The strategy of the service: the same for all its rollouts.
pub(crate) fn spec(rng: &mut SmallRng, hosts: usize) -> Spec {
    let number = u32::try_from(hosts).unwrap_or(u32::MAX);
    // Fewer desired than hosts: what spare hosts will do, so that R3 has something to forbid.
    let desired = match rng.random_bool(0.1) {
        true => number.saturating_sub(rng.random_range(0..=3)).max(1),
        false => number,
    };
    let unavailable = match rng.random_range(0..3) {
        0 => Quantity::Count(1),
        1 => Quantity::Count(rng.random_range(1..=4)),
        _ => Quantity::Percent(rng.random_range(1..=60)),
    };
    let mut list: Vec<HostSpec> = (0..hosts)
        .map(|n| {
            let mut host = HostSpec::new(HostName::new(format!("h{n:03}")), true);
            host.selected = rng.random_bool(0.97);
            host
        })
        .collect();
    if rng.random_bool(0.2) {
        for host in &mut list {
            host.rank = rng.random_range(0..3);
        }
    }
    let domains = if rng.random_bool(0.3) {
        vec![domain(rng, &mut list)]
    } else {
        Vec::new()
    };
    let deadline = rng.random_range(15..40);
    Spec {
        service: ServiceName::new("web"),
        kind: RolloutKind::Release,
        target: revision(2),
        from: Some(revision(1)),
        budget: Budget::resolve(desired, Quantity::Count(0), unavailable),
        min_ready: Duration::from_millis([0, 3_000, 10_000][rng.random_range(0..3)]),
        deadline: Duration::from_secs(deadline),
        progress_deadline: Duration::from_secs(rng.random_range(deadline + 10..200)),
        max_failures: [0, 0, 0, 1, 3][rng.random_range(0..5)],
        on_failure: [
            OnFailure::Rollback,
            OnFailure::Rollback,
            OnFailure::Pause,
            OnFailure::Continue,
        ][rng.random_range(0..4)],
        max_uploads: rng.random_range(1..20),
        steps: steps(rng, desired, number),
        hosts: list,
        domains,
        side_by_side: false,
        balanced: false,
        hooks: Default::default(),
        signed_by: Vec::new(),
        unattended: false,
        window: None,
    }
}

/// Whether balancers stand before the service; then operators keep some hosts out of traffic. Drawn apart, so that a
/// seed's world is otherwise what it was.
pub(crate) fn balance(seed: u64, hosts: &mut [Host]) -> bool {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x7ab1_e5ee_d000_0001);
    let balanced = rng.random_bool(0.4);
    let operators = rng.random_bool(0.3);
    let mut open = SmallRng::seed_from_u64(seed ^ 0x0be4_0000_0000_0001);
    for host in hosts {
        host.kept_out = balanced && operators && host.runs != 0 && rng.random_bool(0.1);
        // A balancer may have an entry for what is not there yet.
        let is_open = open.random_bool(0.3);
        host.in_traffic = !host.kept_out && (!balanced || host.runs != 0 || is_open);
    }
    balanced
}

fn domain(rng: &mut SmallRng, hosts: &mut [HostSpec]) -> DomainBudget {
    let domain = Domain {
        label: "zone".to_owned(),
        at_once: rng.random_bool(0.7).then(|| rng.random_range(1..=2)),
        max_unavailable: match rng.random_range(0..3) {
            0 => None,
            1 => Some(Quantity::Count(rng.random_range(1..=2))),
            _ => Some(Quantity::Percent(rng.random_range(10..=80))),
        },
    };
    let zones = rng.random_range(1..=4);
    let values: Vec<String> = hosts
        .iter()
        .map(|_| rng.random_range(0..zones).to_string())
        .collect();
    let (budget, places) = DomainBudget::resolve(&domain, values.iter().map(String::as_str));
    for (host, place) in hosts.iter_mut().zip(places) {
        host.values = vec![place];
    }
    budget
}

fn steps(rng: &mut SmallRng, desired: u32, selected: u32) -> Vec<Gate> {
    if rng.random_bool(0.65) {
        return Vec::new();
    }
    let mut steps = Vec::new();
    for to in [
        Quantity::Count(1),
        Quantity::Percent(25),
        Quantity::Percent(100),
    ] {
        if rng.random_bool(0.6) {
            steps.push(Step {
                to,
                bake: Duration::from_secs([0, 5, 60][rng.random_range(0..3)]),
                approve: rng.random_bool(0.3),
            });
        }
    }
    Gate::resolve(&steps, desired, selected)
}
