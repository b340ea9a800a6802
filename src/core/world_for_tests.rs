//! A random world around the real `decide` and `apply`, for tests: hosts that fail, flap and lie, in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::counts::Counts;
use super::decide::{decide, decide_by};
use super::decision::{Action, Verdict};
use super::event::{
    ActionKind, ActionOutcome, Event, PauseCause, Runs, Sight, Started, StartedUnit,
};
use super::health::{HealthTracker, Poll};
use super::hooks::{HookEnd, HookKind, HookResult};
use super::ids::{BootId, Digest, HostName, InvocationId, RevisionName, RevisionRef, UnitName};
use super::invariant::Checker;
use super::rollout::{Expects, RolloutPhase, RolloutState, Stage};
use super::rules::Rules;
use super::time::Timestamp;
use super::world_draw_for_tests::{draw_hosts, draw_spec};

const INTERVAL_MS: i64 = 500;

const LIMIT_MS: i64 = 3_600_000;

pub(super) fn revision(name: &str) -> RevisionRef {
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
pub(super) enum Behaviour {
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

pub(super) struct Host {
    pub(super) name: HostName,
    pub(super) sight: Sight,
    pub(super) old: Behaviour,
    pub(super) new: Behaviour,
    pub(super) runs_new: bool,
    pub(super) started_at: i64,
    pub(super) tracker: Option<HealthTracker>,
    pub(super) action_ms: i64,
    /// Which action fails, if any.
    pub(super) fails: Option<ActionKind>,
    /// Whether a switch that fails changes nothing.
    pub(super) refuses: bool,
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

pub(super) struct World {
    pub(super) rng: StdRng,
    pub(super) rules: Rules,
    pub(super) now: i64,
    pub(super) state: RolloutState,
    pub(super) checker: Checker,
    pub(super) hosts: BTreeMap<HostName, Host>,
    /// Actions under way by the moment of their end.
    pub(super) ends: BTreeSet<(i64, HostName, ActionKind)>,
    pub(super) events: Vec<Event>,
    pub(super) pause_at: Option<i64>,
    /// The hook of the rollout that runs, and when it ends.
    pub(super) hook: Option<(i64, HookKind)>,
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
            hook: None,
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
                sibling: None,
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
        if let Some((_, hook)) = self.hook.take_if(|(at, _)| self.now >= *at) {
            let status = i32::from(self.rng.random_bool(0.2));
            let end = HookEnd {
                result: HookResult::Exited { status },
                ..HookEnd::not_run("")
            };
            let host = None;
            self.happen(Event::HookEnded { hook, host, end })?;
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
                    sibling: false,
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
                Some(Verdict::RunHook { hook, rest }) => {
                    self.happen(Event::HookStarted { hook, rest })?;
                    self.hook = Some((self.now + self.rng.random_range(1..=5_000), hook));
                }
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

pub(super) fn nothing() -> Sight {
    Sight::reachable(Runs::Nothing)
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

pub(super) fn run(seed: u64, rules: Rules) -> Result<World, String> {
    let world = World::new(seed, rules).run()?;
    check_end(&world)?;
    Ok(world)
}
