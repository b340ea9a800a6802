//! Jobs: what somebody wants of a unit, and the answer when it is reached.

use tokio::sync::oneshot;

use super::manager::Manager;
use super::service::is_simple;
use super::settings::Kind;
use super::unit::{ActiveState, LoadState, Outcome, StartRate, Sub};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobKind {
    Start,
    Stop,
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobResult {
    Done,
    /// With the unit's result.
    Failed(Outcome),
    /// Another job took its place.
    Canceled,
}

/// Resolves when the job is over.
pub(crate) type JobWait = oneshot::Receiver<JobResult>;

/// Why a job does not even begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound,
    NotLoaded,
    Masked,
    BadSetting,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: u32,
    pub(crate) kind: JobKind,
    /// Being carried out; else it waits for the unit to come down, or for its automatic restart.
    running: bool,
    waiters: Vec<oneshot::Sender<JobResult>>,
}

impl Manager {
    /// Queues a job and begins it if the unit's state permits.
    pub(crate) fn submit(&mut self, name: &str, kind: JobKind) -> Result<JobWait, Refusal> {
        let wait = self.queue(name, kind)?;
        self.settle();
        Ok(wait)
    }

    pub(crate) fn queue(&mut self, name: &str, kind: JobKind) -> Result<JobWait, Refusal> {
        self.last_job += 1;
        let id = self.last_job;
        let unit = self.load(name);
        let is_gone = unit.sub == Sub::Dead && unit.load == LoadState::NotFound;
        match (kind, &unit.load) {
            (JobKind::Stop, _) if is_gone => return Err(self.refuse(Refusal::NotLoaded)),
            (JobKind::Stop, _) | (_, LoadState::Loaded) => {}
            (_, LoadState::NotFound) => return Err(self.refuse(Refusal::NotFound)),
            (_, LoadState::Masked) => return Err(self.refuse(Refusal::Masked)),
            (_, LoadState::BadSetting) => return Err(self.refuse(Refusal::BadSetting)),
        }
        let (sender, wait) = oneshot::channel();
        match &mut unit.job {
            Some(job) if (job.kind == JobKind::Stop) == (kind == JobKind::Stop) => {
                job.waiters.push(sender);
                if kind == JobKind::Restart && job.kind == JobKind::Start {
                    job.kind = kind;
                    job.running = false;
                }
            }
            slot => {
                for waiter in slot.take().into_iter().flat_map(|job| job.waiters) {
                    let _ = waiter.send(JobResult::Canceled);
                }
                *slot = Some(Job {
                    id,
                    kind,
                    running: false,
                    waiters: vec![sender],
                });
            }
        }
        self.unsettled.push(name.to_owned());
        Ok(wait)
    }

    /// The restart that `Restart=` asked for: it takes along whoever waits for a start.
    pub(crate) fn restart_by_itself(&mut self, name: &str) {
        self.last_job += 1;
        let id = self.last_job;
        if let Some(unit) = self.units.get_mut(name) {
            let job = unit.job.get_or_insert(Job {
                id,
                kind: JobKind::Restart,
                running: false,
                waiters: Vec::new(),
            });
            job.kind = JobKind::Restart;
            job.running = false;
        }
        self.unsettled.push(name.to_owned());
    }

    /// Forgets a failure and the starts that were counted; false if the unit is not loaded.
    pub(crate) fn reset_failed(&mut self, name: &str) -> bool {
        let Some(unit) = self.units.get_mut(name) else {
            return false;
        };
        unit.start_rate = StartRate::default();
        unit.outcome = Outcome::Success;
        unit.n_restarts = 0;
        unit.flush_restarts = false;
        if unit.sub == Sub::Failed {
            self.set_state(name, Sub::Dead);
        }
        self.settle();
        true
    }

    pub(crate) fn reset_all_failed(&mut self) {
        for name in self.units.keys().cloned().collect::<Vec<_>>() {
            self.reset_failed(&name);
        }
    }

    /// Resolves with result and exit status when the unit is down.
    pub(crate) fn end_of(&mut self, name: &str) -> oneshot::Receiver<(Outcome, i32)> {
        let (sender, wait) = oneshot::channel();
        match self.units.get_mut(name) {
            Some(unit) if !unit.sub.is_down() => unit.mourners.push(sender),
            Some(unit) => drop(sender.send((
                unit.outcome,
                unit.main.ended.map_or(0, |(_, exit)| exit.status()),
            ))),
            // Down already and forgotten, and so it ended well.
            None => drop(sender.send((Outcome::Success, 0))),
        }
        wait
    }

    fn refuse(&mut self, refusal: Refusal) -> Refusal {
        self.settle();
        refusal
    }

    /// Carries a job on as far as the unit's state permits.
    pub(crate) fn go_on(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        let (sub, active) = (unit.sub, unit.sub.active());
        let Some(job) = unit.job.as_mut().filter(|job| !job.running) else {
            return;
        };
        match (job.kind, active) {
            (JobKind::Start, ActiveState::Active)
            | (JobKind::Stop, ActiveState::Inactive | ActiveState::Failed) => {
                self.finish(name, JobResult::Done);
            }
            (JobKind::Start, ActiveState::Activating | ActiveState::Deactivating)
            | (JobKind::Stop | JobKind::Restart, ActiveState::Deactivating) => {}
            (JobKind::Start | JobKind::Restart, ActiveState::Inactive | ActiveState::Failed) => {
                job.kind = JobKind::Start;
                job.running = true;
                self.enter_start(name);
                self.announce(name, ActiveState::Activating, "Starting");
            }
            (JobKind::Stop | JobKind::Restart, _) if sub == Sub::AutoRestart => {
                self.set_state(name, Sub::Dead);
            }
            (JobKind::Stop | JobKind::Restart, ActiveState::Active | ActiveState::Activating) => {
                job.running = true;
                self.enter_stop_on_request(name);
                self.announce(name, ActiveState::Deactivating, "Stopping");
            }
        }
    }

    /// "Starting ..." and "Stopping ..." are said only where it takes a while.
    fn announce(&mut self, name: &str, during: ActiveState, verb: &str) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let simple = unit
            .service()
            .is_some_and(|service| is_simple(&service.kind));
        if unit.sub.active() != during
            || unit.sub == Sub::AutoRestart
            || (simple && unit.sub == Sub::Start)
        {
            return;
        }
        let message = format!("{verb} {}...", unit.title());
        self.log(name, &message);
    }

    /// A unit reached a state: is that what its job wanted?
    pub(crate) fn job_follows(&mut self, name: &str, reached: ActiveState) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        let (title, outcome) = (unit.title(), unit.outcome);
        let is_oneshot = unit
            .service()
            .is_some_and(|service| service.kind == "oneshot");
        let Some(job) = unit.job.as_mut() else { return };
        let down = matches!(reached, ActiveState::Inactive | ActiveState::Failed);
        match job.kind {
            JobKind::Start if job.running && reached == ActiveState::Active => {
                let verb = if is_oneshot { "Finished" } else { "Started" };
                self.log(name, &format!("{verb} {title}."));
                self.finish(name, JobResult::Done);
            }
            JobKind::Start if job.running && reached == ActiveState::Inactive => {
                self.log(name, &format!("Finished {title}."));
                self.finish(name, JobResult::Done);
            }
            JobKind::Start if job.running && reached == ActiveState::Failed => {
                self.log(name, &format!("Failed to start {title}."));
                self.finish(name, JobResult::Failed(outcome));
            }
            JobKind::Stop if down => {
                self.log(name, &format!("Stopped {title}."));
                self.finish(name, JobResult::Done);
            }
            JobKind::Restart if down => {
                job.kind = JobKind::Start;
                job.running = false;
                self.log(name, &format!("Stopped {title}."));
            }
            _ => {}
        }
    }

    fn finish(&mut self, name: &str, result: JobResult) {
        let job = self.units.get_mut(name).and_then(|unit| unit.job.take());
        for waiter in job.into_iter().flat_map(|job| job.waiters) {
            // Whoever asked with `--no-block` is gone.
            let _ = waiter.send(result);
        }
    }

    fn enter_start(&mut self, name: &str) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        match &unit.settings.kind {
            Kind::Service(_) => self.start_service(name),
            Kind::Timer(_) => self.start_timer(name),
            Kind::Target => self.set_state(name, Sub::Reached),
        }
    }

    fn enter_stop_on_request(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        unit.forbid_restart = true;
        if unit.service().is_some() || unit.main_pid.is_some() {
            self.stop_service(name);
        } else {
            self.set_state(name, Sub::Dead);
        }
    }
}
