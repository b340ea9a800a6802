//! What a unit file says, as values.

use std::time::Duration;

use super::span::Span;

/// systemd's `DefaultTimeoutStartSec` and `DefaultTimeoutStopSec`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(90);
/// A unit file, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) description: Option<String>,
    pub(crate) start_limit: StartLimit,
    /// `CollectMode=inactive-or-failed`: forgotten when it is down, even if it failed.
    pub(crate) collect_failed: bool,
    pub(crate) install: Install,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Kind {
    Service(Box<ServiceSettings>),
    Timer(TimerSettings),
    #[default]
    Target,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct StartLimit {
    pub(crate) interval: Span,
    pub(crate) burst: u32,
}

impl Default for StartLimit {
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(10)),
            burst: 5,
        }
    }
}

/// The `[Install]` section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Install {
    pub(crate) wanted_by: Vec<String>,
    pub(crate) required_by: Vec<String>,
    pub(crate) also: Vec<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) default_instance: Option<String>,
}

impl Install {
    pub(crate) fn is_empty(&self) -> bool {
        self.wanted_by.is_empty()
            && self.required_by.is_empty()
            && self.also.is_empty()
            && self.aliases.is_empty()
    }
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) path: String,
    pub(crate) argv: Vec<String>,
    /// `-`: a failure is none.
    pub(crate) ignore_errors: bool,
    /// `:`: variables are left alone.
    pub(crate) no_variables: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    StartPre,
    StartPost,
    Stop,
    StopPost,
}

#[derive(Clone, Debug)]
pub(crate) struct ServiceSettings {
    pub(crate) kind: String,
    pub(crate) start_pre: Vec<Command>,
    pub(crate) start: Vec<Command>,
    pub(crate) start_post: Vec<Command>,
    pub(crate) stop: Vec<Command>,
    pub(crate) stop_post: Vec<Command>,
    pub(crate) restart: String,
    pub(crate) restart_delay: Span,
    pub(crate) timeout_start: Span,
    pub(crate) timeout_stop: Span,
    pub(crate) remain_after_exit: bool,
    pub(crate) environment: Vec<String>,
    /// Path, and whether it may be missing.
    pub(crate) environment_files: Vec<(String, bool)>,
    /// Path, and whether it may be missing.
    pub(crate) working_directory: Option<(String, bool)>,
    pub(crate) kill_mode: String,
    pub(crate) kill_signal: i32,
    pub(crate) success_exit_status: Vec<i32>,
    pub(crate) syslog_identifier: Option<String>,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            kind: "simple".to_owned(),
            start_pre: Vec::new(),
            start: Vec::new(),
            start_post: Vec::new(),
            stop: Vec::new(),
            stop_post: Vec::new(),
            restart: "no".to_owned(),
            restart_delay: Some(Duration::from_millis(100)),
            timeout_start: Some(DEFAULT_TIMEOUT),
            timeout_stop: Some(DEFAULT_TIMEOUT),
            remain_after_exit: false,
            environment: Vec::new(),
            environment_files: Vec::new(),
            working_directory: None,
            kill_mode: "control-group".to_owned(),
            kill_signal: 15,
            success_exit_status: Vec::new(),
            syslog_identifier: None,
        }
    }
}

impl ServiceSettings {
    pub(crate) fn commands(&self, phase: Phase) -> &[Command] {
        match phase {
            Phase::StartPre => &self.start_pre,
            Phase::StartPost => &self.start_post,
            Phase::Stop => &self.stop,
            Phase::StopPost => &self.stop_post,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct TimerSettings {
    /// After the timer became active, each.
    pub(crate) on_active: Vec<Duration>,
    pub(crate) accuracy: Span,
    pub(crate) unit: String,
    pub(crate) remain_after_elapse: bool,
}
