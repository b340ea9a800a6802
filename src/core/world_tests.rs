//! Random worlds around the real `decide` and `apply`: any order of events, virtual time, an independent checker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::budget::{Budget, Quantity};
use super::counts::Counts;
use super::decide::{decide, decide_by};
use super::decision::{Action, Verdict};
use super::event::{
    ActionKind, ActionOutcome, Event, PauseCause, Runs, Sight, Started, StartedUnit,
};
use super::fleet::{Domain, OnFailure};
use super::health::{Health, HealthTracker, Poll};
use super::ids::{
    BootId, Digest, HostName, InvocationId, RevisionName, RevisionRef, ServiceName, UnitName,
};
use super::invariant::Checker;
use super::rollout::{Expects, Instance, RolloutPhase, RolloutState, Stage};
use super::rules::{CONTRACT, Rules};
use super::spec::{DomainBudget, Gate, HostSpec, RolloutKind, Spec};
use super::time::Timestamp;

const INTERVAL_MS: i64 = 500;
const LIMIT_MS: i64 = 3_600_000;

fn revision(name: &str) -> RevisionRef {
    RevisionRef {
        name: RevisionName::parse(name).unwrap(),
        digest: Digest::new(name.repeat(4)),
    }
}

fn started() -> Started {
    let unit = StartedUnit {
        unit: UnitName::new("web.service"),
        invocation: InvocationId::new("1"),
        restarts: 0,
    };
    Started {
        boot: BootId::new("boot"),
        units: vec![unit],
    }
}

/// How the service behaves on a host, old and new.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Behaviour {
    /// Passes this long after its start.
    Good { ready_after_ms: i64 },
    /// Never passes.
    Dead,
    /// Passes, then never again.
    Dies {
        ready_after_ms: i64,
        dies_after_ms: i64,
    },
    /// Passes, or fails, or says nothing, at random.
    Flaps,
    /// Nobody can say.
    Mute,
}

struct Host {
    name: HostName,
    sight: Sight,
    old: Behaviour,
    new: Behaviour,
    runs_new: bool,
    started_at: i64,
    tracker: Option<HealthTracker>,
    action_ms: i64,
    /// Which action fails, if any.
    fails: Option<ActionKind>,
    /// Whether a switch that fails changes nothing.
    refuses: bool,
}

impl Host {
    fn poll(&self, now: i64, rng: &mut StdRng) -> Poll {
        let pass = |ok| if ok { Poll::Pass } else { Poll::Fail };
        let age = now - self.started_at;
        match if self.runs_new { self.new } else { self.old } {
            Behaviour::Good { ready_after_ms } => pass(age >= ready_after_ms),
            Behaviour::Dead => Poll::Fail,
            Behaviour::Dies {
                ready_after_ms,
                dies_after_ms,
            } => pass(age >= ready_after_ms && age < dies_after_ms),
            Behaviour::Flaps => match rng.random_range(0..12) {
                0 | 1 => Poll::Fail,
                2 => Poll::Unknown,
                3 if self.runs_new => Poll::Restarted,
                _ => Poll::Pass,
            },
            Behaviour::Mute => Poll::Unknown,
        }
    }
}

struct World {
    rng: StdRng,
    rules: Rules,
    now: i64,
    state: RolloutState,
    checker: Checker,
    hosts: BTreeMap<HostName, Host>,
    /// Actions under way by the moment of their end.
    ends: BTreeSet<(i64, HostName, ActionKind)>,
    events: Vec<Event>,
    pause_at: Option<i64>,
}

impl World {
    fn new(seed: u64, rules: Rules) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let hosts = draw_hosts(&mut rng);
        let first = Event::RolloutStarted {
            spec: Box::new(draw_spec(&mut rng, &hosts)),
            by: "t".into(),
            cause: None,
        };
        let state = RolloutState::start(Timestamp::from_millis(1_000_000), &first).unwrap();
        let pause_at = rng
            .random_bool(0.1)
            .then(|| 1_000_000 + rng.random_range(0..60_000));
        Self {
            rules,
            now: 1_000_000,
            state,
            checker: Checker::new(&first).unwrap(),
            hosts: hosts
                .into_iter()
                .map(|host| (host.name.clone(), host))
                .collect(),
            ends: BTreeSet::new(),
            events: vec![first],
            pause_at,
            rng,
        }
    }

    /// Runs to the end; what the checker said, or what it still waits for after an hour.
    fn run(mut self) -> Result<Self, String> {
        let names: Vec<_> = self.hosts.keys().cloned().collect();
        for name in &names {
            let sight = self.hosts[name].sight.clone();
            self.happen(Event::HostObserved {
                host: name.clone(),
                sight,
                traffic: None,
            })?;
        }
        let end = self.now + LIMIT_MS;
        while !self.state.is_over() {
            if self.now > end {
                let decision = decide(&self.state, Timestamp::from_millis(self.now));
                return Err(format!(
                    "does not end: {decision:?}\n{:#?}",
                    self.state.instances
                ));
            }
            self.step(&names)?;
        }
        Ok(self)
    }

    fn step(&mut self, names: &[HostName]) -> Result<(), String> {
        self.now += INTERVAL_MS / 2;
        if self.pause_at.is_some_and(|at| self.now >= at) {
            self.pause_at = None;
            self.happen(Event::PauseRequested {
                cause: PauseCause::Asked { by: "t".into() },
            })?;
        }
        while let Some(first) = self
            .ends
            .first()
            .filter(|(at, ..)| *at <= self.now)
            .cloned()
        {
            self.ends.remove(&first);
            self.end(first.1, first.2)?;
        }
        for name in names {
            if self.state.is_over() {
                return Ok(());
            }
            if self.rng.random_bool(0.5) {
                self.look(name)?;
            }
        }
        self.decide()
    }

    fn look(&mut self, name: &HostName) -> Result<(), String> {
        let host = self.hosts.get_mut(name).unwrap();
        let poll = host.poll(self.now, &mut self.rng);
        let Some(tracker) = host.tracker.as_mut() else {
            return Ok(());
        };
        let change = tracker.poll(Timestamp::from_millis(self.now), poll);
        self.state
            .saw(name, Timestamp::from_millis(self.now + 2 * INTERVAL_MS));
        match change {
            Some(health) => {
                self.happen(Event::HealthChanged {
                    host: name.clone(),
                    health,
                })?;
                self.decide()
            }
            None => Ok(()),
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        let at = Timestamp::from_millis(self.now);
        self.checker
            .check(at, &event)
            .map_err(|violation| violation.to_string())?;
        self.state
            .apply(at, &event)
            .map_err(|illegal| format!("illegal: {illegal}"))?;
        if let Event::HostObserved { host, sight, .. } = &event {
            let runs = !matches!(
                sight,
                Sight::Reachable {
                    runs: Runs::Nothing,
                    ..
                }
            );
            self.hosts.get_mut(host).unwrap().tracker = runs.then(|| HealthTracker::of_running(2));
        }
        self.events.push(event);
        Ok(())
    }

    fn decide(&mut self) -> Result<(), String> {
        loop {
            let decision = decide_by(&self.rules, &self.state, Timestamp::from_millis(self.now));
            let verdict = decision.verdict.clone();
            let again = verdict.is_some()
                || decision
                    .actions
                    .iter()
                    .any(|a| matches!(a, Action::Mark { .. }));
            for action in decision.actions {
                self.act(action)?;
            }
            match verdict {
                Some(Verdict::Pause(cause)) => self.happen(Event::PauseRequested { cause })?,
                Some(Verdict::RollBack(cause)) => self.happen(Event::RollbackStarted { cause })?,
                Some(Verdict::ReachStep(step)) => self.happen(Event::StepReached { step })?,
                Some(Verdict::OpenStep(step)) => self.happen(Event::StepOpened { step })?,
                Some(Verdict::Paused) => self.happen(Event::RolloutPaused)?,
                Some(Verdict::End(outcome)) => self.happen(Event::RolloutEnded { outcome })?,
                None => {}
            }
            if !again || self.state.is_over() {
                return Ok(());
            }
        }
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Mark { host, mark } => self.happen(Event::InstanceMarked { host, mark }),
            Action::Run { host, kind } => {
                self.happen(Event::ActionStarted {
                    host: host.clone(),
                    action: kind,
                })?;
                let world = self.hosts.get_mut(&host).unwrap();
                if matches!(kind, ActionKind::Activate | ActionKind::Revert) {
                    world.tracker = None;
                }
                let end = self.now + self.rng.random_range(1..=world.action_ms);
                self.ends.insert((end, host, kind));
                Ok(())
            }
        }
    }

    fn end(&mut self, name: HostName, action: ActionKind) -> Result<(), String> {
        let expects = match self.state.instance(&name).map(|i| &i.stage) {
            Some(Stage::Activating { expects, .. }) => Some(*expects),
            _ => None,
        };
        let poll = self.hosts[&name].poll(self.now, &mut self.rng);
        let host = self.hosts.get_mut(&name).unwrap();
        // As the driver does: a fresh probe before an instance is taken down that is believed to be broken.
        let declined = expects == Some(Expects::Broken) && poll == Poll::Pass;
        let outcome = match () {
            () if declined => ActionOutcome::Declined {
                reason: "it works again".into(),
            },
            () if host.fails == Some(action) && host.refuses && expects.is_some() => {
                host.tracker = (host.sight != nothing()).then(|| HealthTracker::of_started(2));
                ActionOutcome::Refused {
                    reason: "full".into(),
                }
            }
            () if host.fails == Some(action) => ActionOutcome::Failed {
                reason: "no".into(),
            },
            () => {
                let switched = matches!(action, ActionKind::Activate | ActionKind::Revert);
                if switched {
                    host.runs_new = action == ActionKind::Activate;
                    host.started_at = self.now;
                    let absent = action == ActionKind::Revert && host.sight == nothing();
                    host.tracker = (!absent).then(|| HealthTracker::of_started(2));
                }
                let stopped = action == ActionKind::Revert && host.sight == nothing();
                ActionOutcome::Done {
                    started: (switched && !stopped).then(started),
                }
            }
        };
        if declined {
            host.tracker = Some(HealthTracker::of_started(2));
        }
        self.happen(Event::ActionEnded {
            host: name,
            action,
            outcome,
        })
    }
}

fn nothing() -> Sight {
    Sight::reachable(Runs::Nothing)
}

fn draw_hosts(rng: &mut StdRng) -> Vec<Host> {
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
                    use ActionKind::{Activate, Confirm, Prune, Revert, Stage};
                    [Stage, Activate, Confirm, Revert, Prune][rng.random_range(0..5)]
                }),
            }
        })
        .collect()
}

fn draw_spec(rng: &mut StdRng, hosts: &[Host]) -> Spec {
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
        balanced: false,
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

/// What must hold at the end, whatever happened.
fn check_end(world: &World) -> Result<(), String> {
    for instance in &world.state.instances {
        let touched = world.events.iter().any(|event| {
            matches!(event, Event::ActionStarted { host, action: ActionKind::Activate } if *host == instance.host)
        });
        if touched && !instance.selected {
            return Err(format!(
                "{} was touched although it was not selected",
                instance.host
            ));
        }
        if instance.is_in_hand() && !instance.is_given_up() || instance.open.is_some() {
            return Err(format!(
                "{} is left in hand: {:?}",
                instance.host, instance.stage
            ));
        }
    }
    let failed = Counts::of(&world.state, Timestamp::from_millis(world.now)).failed;
    if failed > world.state.spec.max_failures
        && matches!(world.state.phase, RolloutPhase::Ended(o) if o != super::event::Outcome::Failed)
    {
        return Err(format!("{failed} failures were let pass"));
    }
    Ok(())
}

fn run(seed: u64, rules: Rules) -> Result<World, String> {
    let world = World::new(seed, rules).run()?;
    check_end(&world)?;
    Ok(world)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Whatever fails and in whatever order things finish: R1-R3 hold, the rollout ends, nothing is left in hand, and
    /// folding the events again gives the same state.
    #[test]
    fn the_rules_hold_in_any_world(seed: u64) {
        let world = run(seed, CONTRACT).map_err(TestCaseError::fail)?;
        let mut again = RolloutState::start(world.state.started_at, &world.events[0]).unwrap();
        for event in &world.events[1..] {
            again.apply(Timestamp::from_millis(world.now), event).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
        prop_assert_eq!(again.phase, world.state.phase);
    }
}

#[test]
fn random_worlds_meet_what_they_are_meant_to_meet() {
    let (mut reverted, mut paused, mut stood, mut completed, mut declined, mut full) =
        (0, 0, 0, 0, 0, 0);
    let worlds = 400;
    for seed in 0..worlds {
        let world = run(seed, CONTRACT).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        let has = |pick: &dyn Fn(&Event) -> bool| u32::from(world.events.iter().any(pick));
        reverted += has(&|e| {
            matches!(
                e,
                Event::ActionStarted {
                    action: ActionKind::Revert,
                    ..
                }
            )
        });
        declined += has(&|e| {
            matches!(
                e,
                Event::ActionEnded {
                    outcome: ActionOutcome::Declined { .. },
                    ..
                }
            )
        });
        paused += u32::from(world.state.phase == RolloutPhase::Paused);
        stood +=
            u32::from(world.state.phase == RolloutPhase::Ended(super::event::Outcome::StoodStill));
        completed +=
            u32::from(world.state.phase == RolloutPhase::Ended(super::event::Outcome::Completed));
        full += u32::from(
            world
                .state
                .instances
                .iter()
                .filter(|i| i.was_touched())
                .count()
                > 2,
        );
    }
    for (what, number) in [
        ("reverted", reverted),
        ("paused", paused),
        ("stood still", stood),
        ("completed", completed),
        ("busy", full),
    ] {
        assert!(
            number * 20 >= u32::try_from(worlds).unwrap(),
            "only {number} of {worlds} worlds {what}"
        );
    }
    assert!(declined > 0, "no switch was ever declined");
}

/// Each planted mistake must be noticed in some of these worlds.
#[test]
fn planted_mistakes_are_caught() {
    let lenient: [(&str, &str, Rules); 11] = [
        (
            "R1 off by one",
            "R1",
            Rules {
                flight_has_room: |c, b| {
                    c.in_flight <= b.max_unavailable + c.running.saturating_sub(c.desired)
                },
                ..CONTRACT
            },
        ),
        (
            "R2 off by one",
            "R2",
            Rules {
                enough_remain: |remaining, b| remaining + 1 >= b.min_available(),
                ..CONTRACT
            },
        ),
        (
            "R3 off by one",
            "R3",
            Rules {
                fleet_has_room: |c, b| c.running <= b.max_total(),
                ..CONTRACT
            },
        ),
        (
            "R4 off by one",
            "R4",
            Rules {
                domain_has_room: |in_work, at_once| in_work <= at_once + 1,
                ..CONTRACT
            },
        ),
        (
            "R4 inside a value off by one",
            "R4",
            Rules {
                enough_remain_inside: |remaining, value| {
                    (CONTRACT.enough_remain_inside)(remaining + 1, value)
                },
                ..CONTRACT
            },
        ),
        (
            "a step off by one",
            "step",
            Rules {
                gate_has_room: |new, to| new <= to,
                ..CONTRACT
            },
        ),
        (
            "in flight ignored",
            "R1",
            Rules {
                flight_has_room: |_, b| b.max_unavailable > 0,
                ..CONTRACT
            },
        ),
        (
            "decided but not yet seen ignored",
            "R",
            Rules {
                charge: |_, _, _| {},
                ..CONTRACT
            },
        ),
        (
            "decided but not yet seen still available",
            "R2",
            Rules {
                charge: |c, expects, _| (CONTRACT.charge)(c, expects, false),
                ..CONTRACT
            },
        ),
        (
            "ready taken for available",
            "R2",
            Rules {
                is_available: |i, now, _| i.is_available(now, Duration::ZERO),
                ..CONTRACT
            },
        ),
        (
            "unknown taken for broken",
            "R2",
            Rules {
                is_broken: |i: &Instance| i.is_broken() || i.health == Some(Health::Unknown),
                ..CONTRACT
            },
        ),
    ];
    for (mistake, rule, rules) in lenient {
        let caught =
            (0..3_000).find_map(|seed| run(seed, rules).err().filter(|why| why.starts_with(rule)));
        assert!(caught.is_some(), "nobody noticed: {mistake}");
    }
    let strict: [(&str, Rules); 6] = [
        (
            "R4 too strict",
            Rules {
                domain_has_room: |in_work, at_once| in_work < at_once,
                ..CONTRACT
            },
        ),
        (
            "R4 inside a value too strict",
            Rules {
                enough_remain_inside: |remaining, value| {
                    remaining > 0 && (CONTRACT.enough_remain_inside)(remaining - 1, value)
                },
                ..CONTRACT
            },
        ),
        (
            "a step too strict",
            Rules {
                gate_has_room: |new, to| new + 1 < to,
                ..CONTRACT
            },
        ),
        (
            "R1 too strict",
            Rules {
                flight_has_room: |c, b| c.in_flight + 1 < b.max_unavailable,
                ..CONTRACT
            },
        ),
        (
            "R2 too strict",
            Rules {
                enough_remain: |remaining, b| remaining > b.min_available(),
                ..CONTRACT
            },
        ),
        (
            "R3 too strict",
            Rules {
                fleet_has_room: |c, b| c.running + 1 < b.max_total(),
                ..CONTRACT
            },
        ),
    ];
    for (mistake, rules) in strict {
        let differs = (0..400).any(|seed| {
            let phase = |rules| run(seed, rules).map(|world| world.state.phase).ok();
            phase(rules) != phase(CONTRACT)
        });
        assert!(differs, "nobody noticed: {mistake}");
    }
}
