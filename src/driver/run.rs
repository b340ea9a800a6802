//! One rollout, from its first event to its last. The only writer of events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::begin::{begin, resume};
use super::claim::{Claimed, claim};
use super::job::{Adapters, DriverError, Finished, Input, Job};
use super::look::{Sights, look};
use super::requests::{answer, event_of, listen};
use super::side::PortsOf;
use super::stop::Stop;
use super::traffic::leave_out;
use super::watch::Look;
use super::watches::Which;
use super::write::Unwritten;
use crate::core::decide::decide;
use crate::core::decision::{Action, Decision, Verdict};
use crate::core::event::{Event, PauseCause};
use crate::core::health::HealthTracker;
use crate::core::ids::HostName;
use crate::core::rollout::{RolloutState, Stage};
use crate::core::time::Timestamp;
use crate::ports::{Controller, ProbeAnswer, Progress, Request};

/// Inputs that are taken in one turn of the loop, if so many wait: their events go into the ledger together.
const INPUTS_AT_ONCE: usize = 1024;

/// How long a turn waits for what else comes in: a decision looks at every instance, and with thousands of them something
/// comes in all the time. Nobody notices a hundredth of a second.
fn gathering(instances: usize) -> Option<Duration> {
    const EACH: Duration = Duration::from_micros(1);
    let instances = u32::try_from(instances).unwrap_or(u32::MAX);
    (instances >= 1000).then(|| (EACH * instances).min(Duration::from_millis(10)))
}

/// Runs a rollout until it ends, pauses or is stopped. `sights` are the first looks at its hosts.
///
/// # Errors
/// See [`DriverError`]. Nothing new is started after an error; what was in flight has been waited for, except after
/// [`DriverError::Interrupted`].
pub async fn run(
    ports: Arc<Adapters>,
    job: Job,
    sights: Sights,
    stop: mpsc::Receiver<Stop>,
) -> Result<Finished, DriverError> {
    let (rollout, state) = match job.resumed.clone() {
        None => begin(&ports, &job).await?,
        Some(resumed) => resume(&ports, &job, resumed).await?,
    };
    let controller = Controller {
        rollout,
        epoch: job.lease.epoch,
        owner: job.owner.clone(),
        by: job.by.clone(),
        takes_hosts: job.takes_hosts,
    };
    let (sender, receiver) = mpsc::channel(1024);
    let ports_of = job.ports;
    let mut driver = Driver {
        job: Arc::new(job),
        controller,
        state,
        sender,
        receiver,
        stop,
        watches: BTreeMap::new(),
        ports_of: PortsOf::new(ports_of),
        generation: 0,
        actions: JoinSet::new(),
        watchers: JoinSet::new(),
        wake_at: None,
        last_waiting: Decision::default(),
        unwritten: Vec::new(),
        heard: None,
        aside: VecDeque::new(),
        is_leaving: false,
        was_away: false,
        ports,
    };
    driver.drive(sights).await
}

pub(super) struct Watched {
    pub(super) generation: u64,
    pub(super) tracker: HealthTracker,
    pub(super) task: AbortHandle,
    pub(super) last_answer: Option<ProbeAnswer>,
}

pub(super) struct Driver {
    pub(super) ports: Arc<Adapters>,
    pub(super) job: Arc<Job>,
    pub(super) controller: Controller,
    pub(super) state: RolloutState,
    pub(super) sender: mpsc::Sender<Input>,
    pub(super) receiver: mpsc::Receiver<Input>,
    pub(super) stop: mpsc::Receiver<Stop>,
    /// Of each host's instance, and of the other one there.
    pub(super) watches: BTreeMap<(HostName, Which), Watched>,
    pub(super) ports_of: PortsOf,
    pub(super) generation: u64,
    pub(super) actions: JoinSet<()>,
    pub(super) watchers: JoinSet<()>,
    wake_at: Option<Timestamp>,
    last_waiting: Decision,
    /// What has happened and was decided in this turn of the loop.
    pub(super) unwritten: Vec<Unwritten>,
    /// A signal that came while the ledger was away.
    pub(super) heard: Option<Stop>,
    /// What came in while the ledger was away, oldest first.
    pub(super) aside: VecDeque<Input>,
    /// Whether nobody waits for a ledger that is away any more.
    pub(super) is_leaving: bool,
    /// Whether the ledger had to be waited for since the present write began.
    pub(super) was_away: bool,
}

impl Driver {
    async fn drive(&mut self, sights: Sights) -> Result<Finished, DriverError> {
        self.keep_lease();
        self.watchers.spawn(listen(
            self.ports.clone(),
            self.job.clone(),
            self.sender.clone(),
        ));
        let mut result = self.work(sights).await;
        let is_to_stop = matches!(result, Err(DriverError::Interrupted { .. }));
        if is_to_stop {
            // What was heard just before is not forgotten.
            self.is_leaving = true;
            result = self.write().await.and(result);
        }
        // Nobody takes what they send any more; a full channel must not hold them up.
        self.receiver.close();
        let interrupted = DriverError::Interrupted {
            rollout: self.controller.rollout,
        };
        let result = match is_to_stop {
            // Nor for what is in flight, should that not have been written.
            true => result,
            false => tokio::select! {
                biased;
                () = told_to_stop(&mut self.stop) => Err(interrupted),
                () = async { while self.actions.join_next().await.is_some() {} } => result,
            },
        };
        // After an interruption: what runs on a host goes on there; only our waiting for it ends.
        self.actions.shutdown().await;
        self.watchers.shutdown().await;
        result?;
        leave_out(&self.ports, &self.state, &self.ports_of).await;
        let reachable: Vec<_> = self
            .state
            .instances
            .iter()
            .filter(|i| i.is_reachable())
            .map(|i| i.host.clone())
            .collect();
        let rollout = self.controller.rollout;
        let sights = tokio::select! {
            biased;
            () = told_to_stop(&mut self.stop) => return Err(DriverError::Interrupted { rollout }),
            sights = look(&self.ports.hosts, reachable) => sights,
        };
        Ok(Finished {
            rollout,
            state: self.state.clone(),
            sights,
        })
    }

    /// Claims the hosts; a signal is heard meanwhile.
    async fn claim(&mut self, sights: Sights) -> Result<Vec<Claimed>, DriverError> {
        let mut asked = None;
        let claimed = {
            let resumes = self.job.resumed.is_some();
            let claim = claim(&self.ports, &self.controller, &self.state, sights, resumes);
            let mut claim = std::pin::pin!(claim);
            loop {
                tokio::select! {
                    biased;
                    Some(stop) = self.stop.recv() => match stop {
                        Stop::Pause { .. } => asked = Some(stop),
                        Stop::Now => {
                            let rollout = self.controller.rollout;
                            return Err(DriverError::Interrupted { rollout });
                        }
                    },
                    claimed = &mut claim => break claimed,
                }
            }
        };
        if let Some(stop) = asked {
            self.handle(Input::Stop(stop)).await?;
        }
        Ok(claimed)
    }

    async fn work(&mut self, sights: Sights) -> Result<(), DriverError> {
        let sights = self.claim(sights).await?;
        for Claimed {
            host,
            sight,
            traffic,
            sibling,
            facts,
        } in sights
        {
            if let Some(facts) = &facts {
                self.ports_of.learn(&host, facts);
            }
            self.record(Event::HostObserved {
                host: host.clone(),
                sight,
                traffic,
                sibling,
            })?;
            self.watch_seen(&host);
        }
        loop {
            self.decide().await?;
            if self.state.is_over() {
                return Ok(());
            }
            let input = self.next_input().await;
            self.handle(input).await?;
            if let Some(pause) = gathering(self.state.instances.len()) {
                tokio::time::sleep(pause).await;
            }
            while let Some(input) = self.aside.pop_front() {
                self.handle(input).await?;
            }
            // What else has come in meanwhile is taken too, before the next decision.
            for _ in 0..INPUTS_AT_ONCE {
                let Ok(input) = self.receiver.try_recv() else {
                    break;
                };
                self.handle(input).await?;
            }
        }
    }

    async fn next_input(&mut self) -> Input {
        if let Some(stop) = self.heard.take() {
            return Input::Stop(stop);
        }
        if let Some(input) = self.aside.pop_front() {
            return input;
        }
        let wait = self.wake_at.map_or(Duration::from_secs(3600), |at| {
            at.since(self.ports.clock.now())
        });
        tokio::select! {
            biased;
            Some(stop) = self.stop.recv() => Input::Stop(stop),
            Some(input) = self.receiver.recv() => input,
            () = tokio::time::sleep(wait) => Input::Tick,
        }
    }

    async fn handle(&mut self, input: Input) -> Result<(), DriverError> {
        let rollout = self.controller.rollout;
        match input {
            Input::Tick => Ok(()),
            Input::Stop(Stop::Now) => Err(DriverError::Interrupted { rollout }),
            Input::Stop(Stop::Pause { by }) => self.record(Event::PauseRequested {
                cause: PauseCause::Asked { by: by.to_owned() },
            }),
            Input::HookEnded { hook, end } => self.hook_ended(hook, None, end),
            Input::Asked(request) => self.asked(request).await,
            Input::LeaseLost(source) => Err(DriverError::Ledger { rollout, source }),
            Input::Looked {
                host,
                generation,
                at,
                look,
                fresh_until,
            } => self.looked(host, generation, at, look, fresh_until),
            Input::Ended {
                host,
                action,
                ending,
            } => self.ended(host, action, *ending).await,
        }
    }

    /// The event comes first: what an operator asked for is never forgotten, whatever dies in between.
    async fn asked(&mut self, request: Request) -> Result<(), DriverError> {
        let event = event_of(&request, &self.state);
        let answer = answer(&event);
        if let Ok(event) = event {
            self.record(event)?;
            self.write().await?;
        }
        let (ports, job, now) = (self.ports.clone(), self.job.clone(), self.ports.clock.now());
        let (ledger, lease) = (&ports.ledger, &job.lease);
        self.insist(async || ledger.answer(lease, request.id, now, &answer).await)
            .await
            .map(drop)
    }

    fn looked(
        &mut self,
        host: HostName,
        generation: u64,
        at: Timestamp,
        look: Look,
        fresh_until: Timestamp,
    ) -> Result<(), DriverError> {
        let mut both = [Which::Main, Which::Other].into_iter();
        let Some(which) = both.find(|which| {
            let watched = self.watches.get(&(host.clone(), *which));
            watched.is_some_and(|watched| watched.generation == generation)
        }) else {
            return Ok(());
        };
        let sibling = which == Which::Other;
        let Some(watched) = self.watches.get_mut(&(host.clone(), which)) else {
            return Ok(());
        };
        watched.last_answer = Some(look.answer.clone());
        // As of then: it may have waited while the ledger was away.
        let change = watched.tracker.poll(at, look.poll);
        match sibling {
            true => self.state.saw_sibling(&host, fresh_until),
            false => self.state.saw(&host, fresh_until),
        }
        self.ports.reporter.progress(&Progress::Polled {
            host: host.clone(),
            answer: look.answer,
        });
        if let Some(started) = look.rebooted
            && !sibling
            && self
                .state
                .instance(&host)
                .is_some_and(|i| i.started().is_some() && i.open.is_none())
        {
            self.record(Event::HostRebooted {
                host: host.clone(),
                started,
            })?;
            // What was not confirmed is gone with the boot, and what ran before is what the host runs.
            match self
                .state
                .instance(&host)
                .is_some_and(|one| one.stage == Stage::Staged)
            {
                true => self.watch_other_as_main(&host),
                false => self.watch_started(&host),
            }
            return Ok(());
        }
        match change {
            Some(health) => {
                let change = Event::HealthChanged {
                    host,
                    health,
                    sibling,
                };
                self.record(change)
            }
            None => Ok(()),
        }
    }

    /// Decides until nothing more follows from what is known now; then writes, and starts what was decided.
    async fn decide(&mut self) -> Result<(), DriverError> {
        // One moment for the whole turn: what was seen while it waits for the ledger is not in it yet.
        let now = self.ports.clock.now();
        loop {
            let decision = decide(&self.state, now);
            if decision.actions.is_empty() && decision.verdict.is_none() {
                self.write().await?;
                self.wake_at = decision.wake_at;
                if decision.waiting_on != self.last_waiting.waiting_on {
                    self.ports.reporter.waiting(&self.state, &decision);
                    self.last_waiting = decision;
                }
                return Ok(());
            }
            for action in decision.actions {
                match action {
                    Action::Mark { host, mark } => {
                        self.record(Event::InstanceMarked { host, mark })?;
                    }
                    Action::Run { host, kind } => self.begin(host, kind)?,
                }
            }
            if let Some(verdict) = decision.verdict {
                // What came before is told as things stood then.
                self.write().await?;
                self.turn(verdict)?;
            }
            if self.state.is_over() {
                return self.write().await;
            }
        }
    }

    /// Notes what was decided of the rollout as a whole.
    fn turn(&mut self, verdict: Verdict) -> Result<(), DriverError> {
        match verdict {
            Verdict::Pause(cause) => self.record(Event::PauseRequested { cause }),
            Verdict::RollBack(cause) => self.record(Event::RollbackStarted { cause }),
            Verdict::ReachStep(step) => self.record(Event::StepReached { step }),
            Verdict::OpenStep(step) => self.record(Event::StepOpened { step }),
            Verdict::RunHook { hook, rest } => self.begin_hook(hook, rest),
            Verdict::Paused => self.record(Event::RolloutPaused),
            Verdict::End(outcome) => self.record(Event::RolloutEnded { outcome }),
        }
    }
}

/// Waits until somebody asks to stop at once.
async fn told_to_stop(stop: &mut mpsc::Receiver<Stop>) {
    loop {
        match stop.recv().await {
            Some(Stop::Now) => return,
            Some(Stop::Pause { .. }) => {}
            None => return std::future::pending().await,
        }
    }
}
