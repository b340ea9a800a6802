//! The properties of a unit, in the order and the spelling of `systemctl show`.

use std::time::Duration;

use super::clock::Moment;
use super::manager::Manager;
use super::settings::{Command, Kind, ServiceSettings};
use super::span;
use super::unit::{Run, Sub, Unit};
use super::words;

/// `--timestamp=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TimeStyle {
    #[default]
    Pretty,
    Unix,
}

impl TimeStyle {
    fn print(self, moment: Option<Moment>) -> String {
        match (self, moment) {
            (_, None) => String::new(),
            (Self::Pretty, Some(moment)) => moment.date(),
            (Self::Unix, Some(moment)) => format!("@{}", moment.realtime / 1_000_000),
        }
    }
}

/// Grows in the order in which it is printed.
struct Properties {
    list: Vec<(&'static str, String)>,
    style: TimeStyle,
}

impl Properties {
    fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.list.push((name, value.into()));
    }

    /// The property and its `...Monotonic` twin.
    fn add_time(&mut self, name: &'static str, monotonic: &'static str, moment: Option<Moment>) {
        self.add(name, self.style.print(moment));
        self.add(
            monotonic,
            moment.map_or(0, |moment| moment.monotonic).to_string(),
        );
    }
}

impl Manager {
    /// All properties of a unit, read from its files if need be. A list without entries (`ExecStart`) has no line.
    pub(crate) fn properties(
        &mut self,
        name: &str,
        style: TimeStyle,
    ) -> Vec<(&'static str, String)> {
        self.load(name);
        let mut properties = Properties {
            list: Vec::new(),
            style,
        };
        if let Some(unit) = self.units.get(name) {
            let suffix = name.rsplit('.').next().unwrap_or_default();
            let missing = ServiceSettings::default();
            match suffix {
                "service" => self.service_properties(
                    &mut properties,
                    unit,
                    unit.service().unwrap_or(&missing),
                ),
                "timer" => timer_properties(&mut properties, unit),
                _ => {}
            }
            self.unit_properties(&mut properties, unit);
        }
        self.settle();
        properties.list
    }

    /// The properties of a unit that another manager does not have.
    pub(crate) fn properties_of_missing(&self, name: &str) -> Vec<(&'static str, String)> {
        let unit = Unit::new(name);
        let mut properties = Properties {
            list: Vec::new(),
            style: TimeStyle::Pretty,
        };
        if name.ends_with(".service") {
            self.service_properties(&mut properties, &unit, &ServiceSettings::default());
        }
        self.unit_properties(&mut properties, &unit);
        for (name, value) in &mut properties.list {
            if matches!(*name, "WantedBy" | "TriggeredBy" | "UnitFileState") {
                value.clear();
            }
        }
        properties.list
    }

    fn service_properties(&self, to: &mut Properties, unit: &Unit, service: &ServiceSettings) {
        to.add("Type", &service.kind);
        to.add("ExitType", "main");
        to.add("Restart", &service.restart);
        to.add("NotifyAccess", "none");
        to.add("RestartUSec", span::format(service.restart_delay));
        to.add("TimeoutStartUSec", span::format(service.timeout_start));
        to.add("TimeoutStopUSec", span::format(service.timeout_stop));
        to.add("TimeoutAbortUSec", span::format(service.timeout_stop));
        to.add("RuntimeMaxUSec", "infinity");
        to.add("WatchdogUSec", "0");
        to.add("RemainAfterExit", yes_no(service.remain_after_exit));
        to.add("GuessMainPID", "yes");
        to.add("MainPID", unit.main_pid.unwrap_or(0).to_string());
        to.add(
            "ControlPID",
            unit.control.map_or(0, |control| control.pid).to_string(),
        );
        to.add("StatusText", "");
        to.add("Result", unit.outcome.as_str());
        to.add("ReloadResult", "success");
        to.add("CleanResult", "success");
        to.add("UID", "[not set]");
        to.add("GID", "[not set]");
        to.add("NRestarts", unit.n_restarts.to_string());
        to.add("OOMPolicy", "stop");
        to.add_time(
            "ExecMainStartTimestamp",
            "ExecMainStartTimestampMonotonic",
            unit.main.started,
        );
        to.add_time(
            "ExecMainExitTimestamp",
            "ExecMainExitTimestampMonotonic",
            unit.main.ended.map(|(moment, _)| moment),
        );
        to.add("ExecMainPID", unit.main.pid.to_string());
        to.add(
            "ExecMainCode",
            unit.main
                .ended
                .map_or(0, |(_, exit)| exit.code())
                .to_string(),
        );
        to.add(
            "ExecMainStatus",
            unit.main
                .ended
                .map_or(0, |(_, exit)| exit.status())
                .to_string(),
        );
        add_commands(to, "ExecStartPre", &service.start_pre, &[]);
        add_commands(to, "ExecStart", &service.start, &unit.runs);
        add_commands(to, "ExecStartPost", &service.start_post, &[]);
        add_commands(to, "ExecStop", &service.stop, &[]);
        add_commands(to, "ExecStopPost", &service.stop_post, &[]);
        let environment: Vec<String> = service
            .environment
            .iter()
            .map(|assignment| words::quote(assignment))
            .collect();
        to.add("Environment", environment.join(" "));
        for (path, may_miss) in &service.environment_files {
            to.add(
                "EnvironmentFiles",
                format!("{path} (ignore_errors={})", yes_no(*may_miss)),
            );
        }
        to.add("UMask", "0022");
        let home = format!("!{}", self.facts.home.display());
        let directory = service.working_directory.as_ref();
        to.add(
            "WorkingDirectory",
            directory.map_or(home, |(path, may_miss)| {
                format!("{}{path}", if *may_miss { "!" } else { "" })
            }),
        );
        to.add(
            "SyslogIdentifier",
            service.syslog_identifier.clone().unwrap_or_default(),
        );
        to.add("User", "");
        to.add("Group", "");
        to.add("KillMode", &service.kill_mode);
        to.add("KillSignal", service.kill_signal.to_string());
        to.add("RestartKillSignal", service.kill_signal.to_string());
        to.add("FinalKillSignal", "9");
        to.add("SendSIGKILL", "yes");
    }

    fn unit_properties(&self, to: &mut Properties, unit: &Unit) {
        let name = &unit.name;
        to.add("Id", name);
        to.add("Names", name);
        to.add("WantedBy", self.wanted_by(name).join(" "));
        let timers = self
            .units
            .values()
            .filter(|other| other.timer().is_some_and(|timer| timer.unit == *name));
        to.add(
            "Triggers",
            unit.timer().map_or("", |timer| timer.unit.as_str()),
        );
        to.add(
            "TriggeredBy",
            timers
                .map(|timer| timer.name.as_str())
                .collect::<Vec<_>>()
                .join(" "),
        );
        to.add("Description", unit.description());
        to.add("LoadState", unit.load.as_str());
        to.add("ActiveState", unit.sub.active().as_str());
        to.add("FreezerState", "running");
        to.add("SubState", unit.sub.as_str());
        let fragment = unit
            .sources
            .fragment
            .as_ref()
            .map_or_else(String::new, |path| path.display().to_string());
        to.add("FragmentPath", fragment);
        to.add("SourcePath", "");
        let drop_ins: Vec<String> = unit
            .sources
            .drop_ins
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        to.add("DropInPaths", drop_ins.join(" "));
        to.add(
            "UnitFileState",
            self.unit_file_state(name).unwrap_or_default(),
        );
        to.add(
            "UnitFilePreset",
            if unit.sources.fragment.is_some() {
                "enabled"
            } else {
                ""
            },
        );
        let stamps = unit.stamps;
        to.add_time(
            "StateChangeTimestamp",
            "StateChangeTimestampMonotonic",
            stamps.state_change,
        );
        to.add_time(
            "InactiveExitTimestamp",
            "InactiveExitTimestampMonotonic",
            stamps.inactive_exit,
        );
        to.add_time(
            "ActiveEnterTimestamp",
            "ActiveEnterTimestampMonotonic",
            stamps.active_enter,
        );
        to.add_time(
            "ActiveExitTimestamp",
            "ActiveExitTimestampMonotonic",
            stamps.active_exit,
        );
        to.add_time(
            "InactiveEnterTimestamp",
            "InactiveEnterTimestampMonotonic",
            stamps.inactive_enter,
        );
        to.add("CanStart", "yes");
        to.add("CanStop", "yes");
        to.add("CanReload", "no");
        to.add(
            "Job",
            unit.job
                .as_ref()
                .map_or_else(String::new, |job| job.id.to_string()),
        );
        to.add("NeedDaemonReload", yes_no(self.needs_reload(unit)));
        let limit = unit.settings.start_limit;
        to.add(
            "Transient",
            yes_no(
                unit.sources
                    .fragment
                    .as_ref()
                    .is_some_and(|path| path.starts_with(self.transient_folder())),
            ),
        );
        to.add("StartLimitIntervalUSec", span::format(limit.interval));
        to.add("StartLimitBurst", limit.burst.to_string());
        to.add("LoadError", load_error(unit));
        to.add("InvocationID", &unit.invocation);
        let collect_failed = unit.settings.collect_failed;
        to.add(
            "CollectMode",
            if collect_failed {
                "inactive-or-failed"
            } else {
                "inactive"
            },
        );
    }
}

fn timer_properties(to: &mut Properties, unit: &Unit) {
    let timer = unit.timer();
    to.add("Unit", timer.map_or("", |timer| timer.unit.as_str()));
    let elapse = unit
        .next_elapse
        .filter(|_| !unit.sub.is_down())
        .map_or(Duration::ZERO, Duration::from_micros);
    for span in timer.iter().flat_map(|timer| &timer.on_active) {
        let (span, elapse) = (span::format(Some(*span)), span::format(Some(elapse)));
        to.add(
            "TimersMonotonic",
            format!("{{ OnActiveUSec={span} ; next_elapse={elapse} }}"),
        );
    }
    to.add("NextElapseUSecRealtime", "");
    let next = Some(elapse).filter(|_| unit.sub == Sub::Waiting);
    to.add("NextElapseUSecMonotonic", span::format(next));
    to.add("LastTriggerUSec", to.style.print(unit.last_trigger));
    to.add("Result", unit.outcome.as_str());
    let accuracy = timer.map_or(Some(Duration::from_secs(60)), |timer| timer.accuracy);
    to.add("AccuracyUSec", span::format(accuracy));
    to.add(
        "RemainAfterElapse",
        yes_no(timer.is_none_or(|timer| timer.remain_after_elapse)),
    );
}

/// One line a command.
fn add_commands(to: &mut Properties, name: &'static str, commands: &[Command], runs: &[Run]) {
    let time = |moment: Option<Moment>| {
        moment.map_or_else(|| "n/a".to_owned(), |moment| to.style.print(Some(moment)))
    };
    let lines: Vec<String> = commands
        .iter()
        .enumerate()
        .map(|(index, command)| {
            let run = runs.get(index).copied().unwrap_or_default();
            let exit = run.ended.map(|(_, exit)| exit);
            let status = match exit {
                None => "0/0".to_owned(),
                Some(super::unit::Exit::Exited(status)) => status.to_string(),
                Some(exit) => format!("{}/{}", exit.status(), super::kill::signal_name(exit.status())),
            };
            format!(
                "{{ path={} ; argv[]={} ; ignore_errors={} ; start_time=[{}] ; stop_time=[{}] ; pid={} ; code={} ; status={status} }}",
                command.path,
                command.argv.join(" "),
                yes_no(command.ignore_errors),
                time(run.started),
                time(run.ended.map(|(moment, _)| moment)),
                run.pid,
                exit.map_or("(null)", |exit| exit.code_name()),
            )
        })
        .collect();
    for line in lines {
        to.add(name, line);
    }
}

fn load_error(unit: &Unit) -> String {
    use super::unit::LoadState::{BadSetting, Loaded, Masked, NotFound};
    let is_target = matches!(unit.settings.kind, Kind::Target) && unit.load == Loaded;
    let name = &unit.name;
    match unit.load {
        Loaded => String::new(),
        _ if is_target => String::new(),
        NotFound => format!("org.freedesktop.systemd1.NoSuchUnit \"Unit {name} not found.\""),
        Masked => format!("org.freedesktop.systemd1.UnitMasked \"Unit {name} is masked.\""),
        BadSetting => format!(
            "org.freedesktop.systemd1.BadUnitSetting \"Unit {name} has a bad unit file setting.\""
        ),
    }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
