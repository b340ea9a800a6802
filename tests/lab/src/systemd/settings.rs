//! What a unit file says, as values.

use std::time::Duration;

use super::find::Assignment;
use super::span::{self, Span};
use super::words::{self, Specifiers};

/// systemd's `DefaultTimeoutStartSec` and `DefaultTimeoutStopSec`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(90);
/// Where a command without a folder is looked for.
const COMMAND_FOLDERS: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"];

/// A unit file, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) description: Option<String>,
    pub(crate) start_limit: StartLimit,
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

/// Reads the assignments of `unit`. What systemd ignores with a warning becomes a warning.
///
/// # Errors
/// The reason why systemd refuses the unit as a whole (`LoadState=bad-setting`).
pub(crate) fn read(
    unit: &str,
    assignments: &[Assignment],
    specifiers: &Specifiers,
    warnings: &mut Vec<String>,
) -> Result<Settings, String> {
    let (stem, suffix) = unit.rsplit_once('.').unwrap_or((unit, "service"));
    let mut reader = Reader {
        settings: Settings::default(),
        service: ServiceSettings::default(),
        has_timeout: false,
        specifiers,
    };
    let mut timer = TimerSettings {
        on_active: Vec::new(),
        accuracy: Some(Duration::from_secs(60)),
        unit: format!("{stem}.service"),
        remain_after_elapse: true,
    };
    for assignment in assignments {
        let Assignment {
            section,
            key,
            value,
        } = assignment;
        let understood = match section.as_str() {
            "Unit" => reader.unit(key, value),
            "Install" => reader.install(key, value),
            "Service" => reader.service(key, value),
            "Timer" => read_timer(&mut timer, key, value, specifiers),
            _ => Some(()),
        };
        if understood.is_none() {
            warnings.push(format!(
                "{unit}: Failed to parse {key}={value} in section [{section}], ignoring."
            ));
        }
    }
    let Reader {
        mut settings,
        mut service,
        has_timeout,
        ..
    } = reader;
    settings.kind = match suffix {
        "service" => {
            if service.kind == "oneshot" && !has_timeout {
                service.timeout_start = None;
            }
            check(unit, &service)?;
            Kind::Service(Box::new(service))
        }
        "timer" if timer.on_active.is_empty() => {
            return Err(format!("{unit}: Timer unit lacks value setting. Refusing."));
        }
        "timer" => Kind::Timer(timer),
        _ => Kind::Target,
    };
    Ok(settings)
}

fn check(unit: &str, service: &ServiceSettings) -> Result<(), String> {
    let oneshot = service.kind == "oneshot";
    if service.start.is_empty() && service.stop.is_empty() {
        return Err(format!(
            "{unit}: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing."
        ));
    }
    if service.start.is_empty() && !oneshot {
        return Err(format!(
            "{unit}: Service has no ExecStart= setting, which is only allowed for Type=oneshot services. Refusing."
        ));
    }
    if service.start.len() > 1 && !oneshot {
        return Err(format!(
            "{unit}: Service has more than one ExecStart= setting, which is only allowed for Type=oneshot services. Refusing."
        ));
    }
    if oneshot && matches!(service.restart.as_str(), "always" | "on-success") {
        return Err(format!(
            "{unit}: Service has Restart= set to either always or on-success, which isn't allowed for Type=oneshot services. Refusing."
        ));
    }
    Ok(())
}

struct Reader<'a> {
    settings: Settings,
    service: ServiceSettings,
    has_timeout: bool,
    specifiers: &'a Specifiers,
}

/// `None` from any of these: not understood, ignored with a warning.
impl Reader<'_> {
    fn unit(&mut self, key: &str, value: &str) -> Option<()> {
        let limit = &mut self.settings.start_limit;
        match key {
            "Description" => self.settings.description = Some(self.specifiers.expand(value)?),
            "StartLimitIntervalSec" | "StartLimitInterval" => limit.interval = span::parse(value)?,
            "StartLimitBurst" => limit.burst = value.parse().ok()?,
            _ => {}
        }
        Some(())
    }

    fn install(&mut self, key: &str, value: &str) -> Option<()> {
        let names: Vec<String> = value
            .split_whitespace()
            .filter_map(|name| self.specifiers.expand(name))
            .collect();
        let install = &mut self.settings.install;
        match key {
            "WantedBy" => extend(&mut install.wanted_by, names, value),
            "RequiredBy" => extend(&mut install.required_by, names, value),
            "Also" => extend(&mut install.also, names, value),
            "Alias" => extend(&mut install.aliases, names, value),
            "DefaultInstance" => install.default_instance = Some(value.to_owned()),
            _ => {}
        }
        Some(())
    }

    fn service(&mut self, key: &str, value: &str) -> Option<()> {
        let specifiers = self.specifiers;
        let service = &mut self.service;
        match key {
            "Type" => value.clone_into(&mut service.kind),
            "ExecStartPre" => return commands(&mut service.start_pre, value, specifiers),
            "ExecStart" => return commands(&mut service.start, value, specifiers),
            "ExecStartPost" => return commands(&mut service.start_post, value, specifiers),
            "ExecStop" => return commands(&mut service.stop, value, specifiers),
            "ExecStopPost" => return commands(&mut service.stop_post, value, specifiers),
            "Restart" => value.clone_into(&mut service.restart),
            "RestartSec" => service.restart_delay = span::parse(value)?,
            "TimeoutStartSec" => {
                self.has_timeout = true;
                service.timeout_start = timeout(value)?;
            }
            "TimeoutStopSec" => service.timeout_stop = timeout(value)?,
            "TimeoutSec" => {
                self.has_timeout = true;
                service.timeout_start = timeout(value)?;
                service.timeout_stop = service.timeout_start;
            }
            "RemainAfterExit" => service.remain_after_exit = boolean(value)?,
            "Environment" => return environment(&mut service.environment, value, specifiers),
            "EnvironmentFile" if value.is_empty() => service.environment_files.clear(),
            "EnvironmentFile" => service
                .environment_files
                .push(optional_path(value, specifiers)?),
            "WorkingDirectory" if value.is_empty() => service.working_directory = None,
            "WorkingDirectory" => {
                service.working_directory = Some(optional_path(value, specifiers)?)
            }
            "KillMode" => value.clone_into(&mut service.kill_mode),
            "KillSignal" => service.kill_signal = super::kill::signal_number(value)?,
            "SuccessExitStatus" => service.success_exit_status.extend(
                value
                    .split_whitespace()
                    .filter_map(|w| w.parse::<i32>().ok()),
            ),
            "SyslogIdentifier" => service.syslog_identifier = Some(specifiers.expand(value)?),
            "StartLimitInterval" | "StartLimitBurst" => return self.unit(key, value),
            _ => {}
        }
        Some(())
    }
}

fn read_timer(
    timer: &mut TimerSettings,
    key: &str,
    value: &str,
    specifiers: &Specifiers,
) -> Option<()> {
    match key {
        "OnActiveSec" if value.is_empty() => timer.on_active.clear(),
        // A lab host has only just booted, and so has its manager.
        "OnActiveSec" | "OnBootSec" | "OnStartupSec" => timer.on_active.push(span::parse(value)??),
        "AccuracySec" => timer.accuracy = span::parse(value)?,
        "Unit" => timer.unit = specifiers.expand(value)?,
        "RemainAfterElapse" => timer.remain_after_elapse = boolean(value)?,
        _ => {}
    }
    Some(())
}

/// An empty assignment resets a list.
fn extend(list: &mut Vec<String>, names: Vec<String>, value: &str) {
    if value.is_empty() {
        list.clear();
    }
    list.extend(names);
}

fn commands(list: &mut Vec<Command>, value: &str, specifiers: &Specifiers) -> Option<()> {
    if value.is_empty() {
        list.clear();
        return Some(());
    }
    list.push(command(value, specifiers)?);
    Some(())
}

pub(crate) fn command(line: &str, specifiers: &Specifiers) -> Option<Command> {
    let program = line.trim_start_matches(['-', '@', ':', '+', '!', '|']);
    let prefix = &line[..line.len() - program.len()];
    let words = words::split(program)?;
    let mut argv = words
        .iter()
        .map(|word| specifiers.expand(word))
        .collect::<Option<Vec<_>>>()?;
    let path = locate(argv.first()?);
    if prefix.contains('@') {
        argv.remove(0);
    }
    (!argv.is_empty()).then(|| Command {
        path,
        argv,
        ignore_errors: prefix.contains('-'),
        no_variables: prefix.contains(':'),
    })
}

/// A name without a folder is looked for, like systemd does, in fixed places.
fn locate(program: &str) -> String {
    if program.contains('/') {
        return program.to_owned();
    }
    let candidates = COMMAND_FOLDERS
        .iter()
        .map(|folder| format!("{folder}/{program}"));
    candidates
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .unwrap_or_else(|| program.to_owned())
}

fn environment(list: &mut Vec<String>, value: &str, specifiers: &Specifiers) -> Option<()> {
    if value.is_empty() {
        list.clear();
    }
    for word in words::split(value)? {
        let assignment = specifiers.expand(&word)?;
        let (name, _) = assignment.split_once('=')?;
        list.retain(|other| other.split('=').next() != Some(name));
        list.push(assignment);
    }
    Some(())
}

fn optional_path(value: &str, specifiers: &Specifiers) -> Option<(String, bool)> {
    let (path, may_miss) = value
        .strip_prefix('-')
        .map_or((value, false), |path| (path, true));
    let path = if path == "~" {
        specifiers.home.clone()
    } else {
        specifiers.expand(path)?
    };
    path.starts_with('/').then_some((path, may_miss))
}

/// 0 turns a timeout off.
fn timeout(value: &str) -> Option<Span> {
    Some(span::parse(value)?.filter(|span| !span.is_zero()))
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "yes" | "true" | "on" | "y" | "t" => Some(true),
        "0" | "no" | "false" | "off" | "n" | "f" => Some(false),
        _ => None,
    }
}
