//! A unit: what it is told to be, and what it is.

use std::time::Instant;

use tokio::sync::oneshot;

use super::clock::Moment;
use super::find::Sources;
use super::job::Job;
use super::settings::{Kind, Phase, ServiceSettings, Settings, StartLimit, TimerSettings};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LoadState {
    Loaded,
    NotFound,
    Masked,
    /// The reason goes to the journal; `show` says only that there is one.
    BadSetting,
}

impl LoadState {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::NotFound => "not-found",
            Self::Masked => "masked",
            Self::BadSetting => "bad-setting",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActiveState {
    Active,
    Activating,
    Deactivating,
    Inactive,
    Failed,
}

impl ActiveState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Activating => "activating",
            Self::Deactivating => "deactivating",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
        }
    }
}

/// `SubState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sub {
    Dead,
    StartPre,
    Start,
    StartPost,
    Running,
    Exited,
    Stop,
    StopSigterm,
    StopSigkill,
    StopPost,
    FinalSigterm,
    FinalSigkill,
    Failed,
    AutoRestart,
    /// A timer that has not elapsed.
    Waiting,
    /// A timer whose service is at work.
    Triggered,
    Elapsed,
    /// A target.
    Reached,
}

impl Sub {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::StartPre => "start-pre",
            Self::Start => "start",
            Self::StartPost => "start-post",
            Self::Running | Self::Triggered => "running",
            Self::Exited => "exited",
            Self::Stop => "stop",
            Self::StopSigterm => "stop-sigterm",
            Self::StopSigkill => "stop-sigkill",
            Self::StopPost => "stop-post",
            Self::FinalSigterm => "final-sigterm",
            Self::FinalSigkill => "final-sigkill",
            Self::Failed => "failed",
            Self::AutoRestart => "auto-restart",
            Self::Waiting => "waiting",
            Self::Elapsed => "elapsed",
            Self::Reached => "active",
        }
    }

    pub(crate) fn active(self) -> ActiveState {
        match self {
            Self::Dead => ActiveState::Inactive,
            Self::Failed => ActiveState::Failed,
            Self::StartPre | Self::Start | Self::StartPost | Self::AutoRestart => {
                ActiveState::Activating
            }
            Self::Running
            | Self::Exited
            | Self::Waiting
            | Self::Triggered
            | Self::Elapsed
            | Self::Reached => ActiveState::Active,
            Self::Stop
            | Self::StopSigterm
            | Self::StopSigkill
            | Self::StopPost
            | Self::FinalSigterm
            | Self::FinalSigkill => ActiveState::Deactivating,
        }
    }

    pub(crate) fn is_down(self) -> bool {
        matches!(self, Self::Dead | Self::Failed)
    }
}

/// `Result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Resources,
    Timeout,
    ExitCode,
    Signal,
    CoreDump,
    StartLimitHit,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Resources => "resources",
            Self::Timeout => "timeout",
            Self::ExitCode => "exit-code",
            Self::Signal => "signal",
            Self::CoreDump => "core-dump",
            Self::StartLimitHit => "start-limit-hit",
        }
    }
}

/// How a process ended, as waitid(2) says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Exited(i32),
    Killed(i32),
    Dumped(i32),
}

impl Exit {
    /// `CLD_EXITED` and its brothers.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Exited(_) => 1,
            Self::Killed(_) => 2,
            Self::Dumped(_) => 3,
        }
    }

    pub(crate) fn code_name(self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::Killed(_) => "killed",
            Self::Dumped(_) => "dumped",
        }
    }

    pub(crate) fn status(self) -> i32 {
        match self {
            Self::Exited(status) | Self::Killed(status) | Self::Dumped(status) => status,
        }
    }
}

/// What became of one command.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) pid: i32,
    pub(crate) started: Option<Moment>,
    pub(crate) ended: Option<(Moment, Exit)>,
}

/// A process that prepares, stops or cleans up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    pub(crate) pid: i32,
    pub(crate) phase: Phase,
    pub(crate) index: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamps {
    pub(crate) state_change: Option<Moment>,
    pub(crate) inactive_exit: Option<Moment>,
    pub(crate) active_enter: Option<Moment>,
    pub(crate) active_exit: Option<Moment>,
    pub(crate) inactive_enter: Option<Moment>,
}

/// systemd's rate limit: a window that opens with the first start in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StartRate {
    window: Option<(Instant, u32)>,
}

impl StartRate {
    /// Counts a start; false if it is one too many.
    pub(crate) fn allows(&mut self, limit: StartLimit, now: Instant) -> bool {
        let Some(interval) = limit.interval.filter(|interval| !interval.is_zero()) else {
            return true;
        };
        if limit.burst == 0 {
            return true;
        }
        match &mut self.window {
            Some((opened, count)) if now.duration_since(*opened) <= interval => {
                *count += 1;
                *count <= limit.burst
            }
            window => {
                *window = Some((now, 1));
                true
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) load: LoadState,
    pub(crate) sources: Sources,
    pub(crate) settings: Settings,
    pub(crate) sub: Sub,
    pub(crate) outcome: Outcome,
    pub(crate) invocation: String,
    /// Rises with each change of state: a timer armed earlier no longer counts.
    pub(crate) token: u64,
    pub(crate) job: Option<Job>,
    pub(crate) stamps: Stamps,
    pub(crate) start_rate: StartRate,
    pub(crate) n_restarts: u32,
    /// The next start sets `n_restarts` to 0.
    pub(crate) flush_restarts: bool,
    pub(crate) forbid_restart: bool,
    pub(crate) main_pid: Option<i32>,
    pub(crate) main: Run,
    pub(crate) control: Option<Control>,
    /// Of the commands of `ExecStart=`.
    pub(crate) runs: Vec<Run>,
    pub(crate) start_index: usize,
    pub(crate) next_elapse: Option<u64>,
    pub(crate) last_trigger: Option<Moment>,
    /// Who waits for the end, whatever it is.
    pub(crate) mourners: Vec<oneshot::Sender<(Outcome, i32)>>,
}

impl Unit {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            load: LoadState::NotFound,
            sources: Sources::default(),
            settings: Settings::default(),
            sub: Sub::Dead,
            outcome: Outcome::Success,
            invocation: String::new(),
            token: 0,
            job: None,
            stamps: Stamps::default(),
            start_rate: StartRate::default(),
            n_restarts: 0,
            flush_restarts: false,
            forbid_restart: false,
            main_pid: None,
            main: Run::default(),
            control: None,
            runs: Vec::new(),
            start_index: 0,
            next_elapse: None,
            last_trigger: None,
            mourners: Vec::new(),
        }
    }

    pub(crate) fn service(&self) -> Option<&ServiceSettings> {
        match &self.settings.kind {
            Kind::Service(service) => Some(service),
            _ => None,
        }
    }

    pub(crate) fn timer(&self) -> Option<&TimerSettings> {
        match &self.settings.kind {
            Kind::Timer(timer) => Some(timer),
            _ => None,
        }
    }

    pub(crate) fn description(&self) -> &str {
        self.settings.description.as_deref().unwrap_or(&self.name)
    }

    /// As systemd's messages name it.
    pub(crate) fn title(&self) -> String {
        match &self.settings.description {
            Some(description) if *description != self.name => {
                format!("{} - {description}", self.name)
            }
            _ => self.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_sixth_start_in_ten_seconds_is_one_too_many() {
        let limit = StartLimit::default();
        let mut rate = StartRate::default();
        let start = Instant::now();
        for _ in 0..5 {
            assert!(rate.allows(limit, start));
        }
        assert!(!rate.allows(limit, start + Duration::from_secs(9)));
        assert!(
            rate.allows(limit, start + Duration::from_secs(11)),
            "a new window opens"
        );
        assert!(
            rate.allows(StartLimit { burst: 0, ..limit }, start),
            "a burst of 0 turns the limit off"
        );
    }
}
