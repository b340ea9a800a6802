//! `rollctl timer`: prints a systemd service and its timer, and a cron line, for releases that nobody watches.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::args::Global;
use super::args_unattended::{TimerArgs, TimerPart};
use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use super::timer_units::{Place, Run, cron_line, service_unit, timer_unit};
use super::wire::{find_inventory, service, user};
use crate::core::fleet::{EnvironmentValue, Fleet, Scope, Service};
use crate::core::notify::Webhook;
use crate::inventory::Loaded;
use crate::report::Output;

/// Prints them; installs nothing.
///
/// # Errors
/// Exit code 2 when there is nothing that a timer could release, or systemd does not understand when.
pub(crate) fn timer(
    args: &TimerArgs,
    global: &Global,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let fleet = &loaded.fleet;
    let service = service(fleet, &args.service)?;
    if service.artifact.is_none() {
        return Err(CliError::usage(format!(
            "`{}` has no `artifact`: a timer would find nothing to release",
            service.name
        ))
        .hint("name in the inventory what is released: a path, a URL, or a channel with `version_from`"));
    }
    let calendar = args.on_calendar.as_str();
    understood(calendar)?;
    let place = match args.scope {
        Scope::User => Place::User,
        Scope::System => Place::System {
            user: args.user.clone().unwrap_or_else(user),
        },
    };
    let run = run(fleet, service, global, place)?;
    let unit = service_unit(&run);
    let timer = timer_unit(&run, calendar, args.randomized_delay.as_secs());
    let cron = cron_line(&run, calendar);
    note_agent(fleet, service, screen);
    match (screen.output, args.only) {
        (Output::Json, _) => screen.print_json(&json!({
            "version": 1,
            "service": service.name,
            "folder": run.place.folder(),
            "files": [
                {"name": format!("{}.service", run.unit), "content": unit},
                {"name": format!("{}.timer", run.unit), "content": timer},
            ],
            "cron": cron,
        }))?,
        (Output::Human, Some(TimerPart::Service)) => screen.print(&unit)?,
        (Output::Human, Some(TimerPart::Timer)) => screen.print(&timer)?,
        (Output::Human, Some(TimerPart::Cron)) => match &cron {
            Some(line) => screen.print(&format!("{line}\n"))?,
            None => {
                return Err(
                    CliError::usage(format!("cron has no way to say `{calendar}`"))
                        .hint("write it for cron yourself, around the command of `--only service`"),
                );
            }
        },
        (Output::Human, None) => screen.print(&all(&run, &unit, &timer, cron.as_deref()))?,
    }
    Ok(ExitCode::Done)
}

/// Both files, each below where it goes, and what to type then.
fn all(run: &Run, unit: &str, timer: &str, cron: Option<&str>) -> String {
    let (folder, name) = (run.place.folder(), &run.unit);
    let systemctl = match run.place {
        Place::System { .. } => "systemctl",
        Place::User => "systemctl --user",
    };
    let linger = match run.place {
        Place::System { .. } => "",
        Place::User => "# So that it runs while nobody is logged in: loginctl enable-linger\n",
    };
    let cron = cron.map_or_else(String::new, |line| {
        format!("#\n# Or, instead of both, in a crontab (`crontab -e` of whoever is to run it):\n# {line}\n")
    });
    format!(
        "# {folder}/{name}.service\n{unit}\n# {folder}/{name}.timer\n{timer}\n\
# `--only service` and `--only timer` print one file. Once they are there:\n\
# {systemctl} daemon-reload && {systemctl} enable --now {name}.timer\n{linger}{cron}"
    )
}

fn run(fleet: &Fleet, service: &Service, global: &Global, place: Place) -> Result<Run, CliError> {
    let absolute = |path: &Path| -> Result<String, CliError> {
        let path = std::path::absolute(path)
            .map_err(|error| CliError::usage(format!("`{}`: {error}", path.display())))?;
        let text = path
            .to_str()
            .filter(|text| !text.contains(char::is_control));
        text.map(str::to_owned).ok_or_else(|| {
            CliError::usage(format!("`{}` cannot stand in a unit file", path.display()))
                .hint("a path of UTF-8 text without line breaks can")
        })
    };
    let program: PathBuf = std::env::current_exe().map_err(|error| {
        CliError::new(
            ExitCode::Unexpected,
            format!("where rollctl lies is not known: {error}"),
        )
    })?;
    // A ledger in its usual place follows these two.
    let variables = ["XDG_STATE_HOME", "XDG_CONFIG_HOME"].into_iter();
    let variables = variables.filter_map(|name| {
        let value = std::env::var(name).ok()?;
        let is_plain = value.starts_with('/') && !value.contains(char::is_control);
        is_plain.then_some((name, value))
    });
    Ok(Run {
        unit: format!("rollctl-release-{}-{}", fleet.name, service.name),
        service: service.name.to_string(),
        program: absolute(&program)?,
        inventory: absolute(&find_inventory(global)?)?,
        fleet: fleet.name.to_string(),
        place,
        variables: variables.collect(),
        secrets: secrets(fleet, service),
        stop_seconds: service.strategy.progress_deadline.as_secs() + 60,
    })
}

/// Variables that a run takes from its environment.
fn secrets(fleet: &Fleet, service: &Service) -> Vec<String> {
    let of_service = service
        .environment
        .values()
        .filter_map(|value| match value {
            EnvironmentValue::Secret { env } => Some(env.clone()),
            EnvironmentValue::Plain(_) => None,
        });
    let webhook = fleet
        .notify
        .iter()
        .filter_map(|notify| match &notify.webhook {
            Some(Webhook::Env(name)) => Some(name.clone()),
            _ => None,
        });
    let mut all: Vec<String> = of_service.chain(webhook).collect();
    all.sort();
    all.dedup();
    all
}

/// A timer has no agent; whoever always had one may not know that they need a key.
fn note_agent(fleet: &Fleet, service: &Service, screen: &mut Screen) {
    let keyless = service.carriers().filter_map(|name| fleet.host(name));
    let keyless = keyless.filter(|host| host.ssh.identity.is_none()).count();
    if keyless > 0 && screen.output == Output::Human {
        screen.note(
            "note: the inventory names no `identity`, and a timer has no SSH agent: it logs in with what ~/.ssh/config and ~/.ssh of its user say\n",
        );
    }
}

/// Asks systemd, where it is, whether it understands when.
fn understood(calendar: &str) -> Result<(), CliError> {
    let wrong = |details: &str| {
        let error = CliError::usage(format!(
            "`{calendar}` is not a time that systemd understands"
        ));
        let error = match details {
            "" => error,
            details => error.detail(details),
        };
        error.hint(
            "write it as `hourly`, `*:0/15` or `Mon..Fri 02:30`; `man systemd.time` has all of it",
        )
    };
    if calendar.contains(|c: char| c.is_control() || c == '%') || calendar.trim().is_empty() {
        return Err(wrong(""));
    }
    let answer = Command::new("systemd-analyze")
        .args(["calendar", "--", calendar])
        .output();
    match answer {
        Ok(answer) if answer.status.success() => Ok(()),
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.stderr);
            Err(wrong(said.lines().next().unwrap_or_default()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            tracing::debug!(%error, "systemd-analyze could not be asked");
            Ok(())
        }
    }
}
