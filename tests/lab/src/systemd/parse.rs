//! From the assignments of unit files to settings.

use std::time::Duration;

use super::find::Assignment;
use super::settings::{Command, Kind, ServiceSettings, Settings, TimerSettings};
use super::span::{self, Span};
use super::words::{self, Specifiers};

/// Where a command without a folder is looked for.
const COMMAND_FOLDERS: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"];

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
            "CollectMode" => self.settings.collect_failed = value == "inactive-or-failed",
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
