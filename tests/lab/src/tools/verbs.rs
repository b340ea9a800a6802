//! The verbs of `systemctl` that change something.

use super::answer::Answer;
use super::systemctl::Options;
use crate::systemd::{
    Change, JobKind, JobResult, JobWait, LoadState, Manager, Outcome, Refusal, SharedManager,
    UnitFileError, Whom, signal_number,
};

/// `start`, `stop`, `restart`, `try-restart`: queues all, then waits for all.
pub(super) async fn jobs(
    manager: &SharedManager,
    verb: &str,
    units: &[String],
    options: &Options,
) -> Answer {
    let mut answer = Answer::default();
    let mut waits = Vec::new();
    for unit in units {
        let mut manager = Manager::lock(manager);
        match begin(&mut manager, verb, unit, options, &mut answer) {
            Ok(wait) => waits.extend(wait.map(|wait| (unit, wait))),
            Err(refusal) => refuse(&mut answer, verb, unit, refusal),
        }
    }
    if !options.no_block {
        for (unit, wait) in waits {
            let result = wait.await.unwrap_or(JobResult::Canceled);
            conclude(&mut answer, unit, result, options.quiet);
        }
    }
    answer
}

fn begin(
    manager: &mut Manager,
    verb: &str,
    unit: &str,
    options: &Options,
    answer: &mut Answer,
) -> Result<Option<JobWait>, Refusal> {
    let kind = match verb {
        "start" => JobKind::Start,
        "stop" => JobKind::Stop,
        _ => JobKind::Restart,
    };
    let loaded = manager.load(unit);
    let (is_down, load) = (loaded.sub.is_down(), loaded.load.clone());
    if verb != "stop" && !options.quiet && manager.has_changed_files(unit) {
        answer.complain(format!(
            "Warning: The unit file, source configuration file or drop-ins of {unit} changed on disk. \
             Run 'systemctl --user daemon-reload' to reload units."
        ));
    }
    if verb == "try-restart" && is_down && load == LoadState::Loaded {
        manager.settle();
        return Ok(None);
    }
    manager.submit(unit, kind).map(Some)
}

fn refuse(answer: &mut Answer, verb: &str, unit: &str, refusal: Refusal) {
    let reason = match refusal {
        Refusal::NotFound => format!("Unit {unit} not found."),
        Refusal::NotLoaded => format!("Unit {unit} not loaded."),
        Refusal::Masked => format!("Unit {unit} is masked."),
        Refusal::BadSetting => format!(
            "Unit {unit} has a bad unit file setting.\nSee user logs and 'systemctl --user status {unit}' for details."
        ),
    };
    answer.complain(format!("Failed to {verb} {unit}: {reason}"));
    answer.code = if matches!(refusal, Refusal::NotFound | Refusal::NotLoaded) {
        5
    } else {
        1
    };
}

fn conclude(answer: &mut Answer, unit: &str, result: JobResult, quiet: bool) {
    let outcome = match result {
        JobResult::Done => return,
        JobResult::Canceled => None,
        JobResult::Failed(outcome) => Some(outcome),
    };
    answer.code = 1;
    if quiet {
        return;
    }
    let Some(outcome) = outcome else {
        return answer.complain(format!("Job for {unit} canceled."));
    };
    let reason = match outcome {
        Outcome::Success => "",
        Outcome::Resources => "of unavailable resources or another system error",
        Outcome::Timeout => "a timeout was exceeded",
        Outcome::ExitCode => "the control process exited with error code",
        Outcome::Signal => "a fatal signal was delivered to the control process",
        Outcome::CoreDump => {
            "a fatal signal was delivered causing the control process to dump core"
        }
        Outcome::StartLimitHit => "start of the service was attempted too often",
    };
    answer.complain(format!("Job for {unit} failed because {reason}."));
    answer.complain(format!(
        "See \"systemctl --user status {unit}\" and \"journalctl --user -xeu {unit}\" for details."
    ));
    if outcome == Outcome::StartLimitHit {
        answer.complain(format!(
            "To force a start use \"systemctl --user reset-failed {unit}\""
        ));
        answer.complain(format!(
            "followed by \"systemctl --user start {unit}\" again."
        ));
    }
}

/// Without units: all that failed.
pub(super) fn reset_failed(manager: &SharedManager, units: &[String]) -> Answer {
    let mut manager = Manager::lock(manager);
    let mut answer = Answer::default();
    if units.is_empty() {
        manager.reset_all_failed();
    }
    for unit in units {
        if !manager.reset_failed(unit) {
            answer.complain(format!(
                "Failed to reset failed state of unit {unit}: Unit {unit} not loaded."
            ));
            answer.code = 1;
        }
    }
    answer
}

pub(super) fn kill(manager: &SharedManager, units: &[String], options: &Options) -> Answer {
    let signal = options.signal.as_deref().unwrap_or("SIGTERM");
    let Some(number) = signal_number(signal) else {
        return Answer::failure(1, format!("Failed to parse signal string \"{signal}\"."));
    };
    let whom = if options.kill_whom.as_deref() == Some("main") {
        Whom::Main
    } else {
        Whom::All
    };
    let mut answer = Answer::default();
    for unit in units {
        if let Err(reason) = Manager::lock(manager).kill(unit, number, whom) {
            answer.complain(format!("Failed to kill unit {unit}: {reason}"));
            answer.code = 1;
        }
    }
    answer
}

/// `enable`, `disable`, `reenable`, with `--now`.
pub(super) async fn enable(
    manager: &SharedManager,
    verb: &str,
    units: &[String],
    options: &Options,
) -> Answer {
    let mut answer = Answer::default();
    let mut names = Vec::new();
    for unit in units {
        let mut manager = Manager::lock(manager);
        let mut changes = Vec::new();
        let mut result = Ok(());
        if verb != "enable" {
            result = manager.disable(unit).map(|made| changes.extend(made));
        }
        if verb != "disable" && result.is_ok() {
            result = manager.enable(unit).map(|made| changes.extend(made));
        }
        match result {
            Ok(()) => report(&mut answer, &changes, options.quiet),
            Err(error) => file_error(&mut answer, verb, unit, &error),
        }
        names.push(unit.rsplit('/').next().unwrap_or(unit).to_owned());
    }
    if options.now && answer.code == 0 {
        let now = if verb == "disable" { "stop" } else { "start" };
        let jobs = jobs(manager, now, &names, options).await;
        answer.err.push_str(&jobs.err);
        answer.code = jobs.code;
    }
    answer
}

pub(super) fn link(manager: &SharedManager, units: &[String]) -> Answer {
    let mut answer = Answer::default();
    for unit in units {
        let mut manager = Manager::lock(manager);
        let mut changes = Vec::new();
        match manager.link_if_path(unit, &mut changes) {
            Ok(_) => report(&mut answer, &changes, false),
            Err(error) => file_error(&mut answer, "link", unit, &error),
        }
        manager.reload();
    }
    answer
}

fn report(answer: &mut Answer, changes: &[Change], quiet: bool) {
    for change in changes.iter().filter(|_| !quiet) {
        match change {
            Change::Created { link, target } => {
                answer.complain(format!(
                    "Created symlink {} → {}.",
                    link.display(),
                    target.display()
                ));
            }
            Change::Removed(link) => answer.complain(format!("Removed \"{}\".", link.display())),
            Change::NothingToInstall => answer.complain(NOTHING_TO_INSTALL),
        }
    }
}

fn file_error(answer: &mut Answer, verb: &str, unit: &str, error: &UnitFileError) {
    let reason = match error {
        UnitFileError::Missing => format!("Unit file {unit} does not exist."),
        UnitFileError::Masked => format!("Unit file {unit} is masked."),
        UnitFileError::Io(reason) => reason.clone(),
    };
    answer.complain(format!("Failed to {verb} unit: {reason}"));
    answer.code = 1;
}

const NOTHING_TO_INSTALL: &str = "\
The unit files have no installation config (WantedBy=, RequiredBy=, Also=,
Alias= settings in the [Install] section, and DefaultInstance= for template
units). This means they are not meant to be enabled using systemctl.
 
Possible reasons for having this kind of units are:
• A unit may be statically enabled by being symlinked from another unit's
  .wants/ or .requires/ directory.
• A unit's purpose may be to act as a helper for some other unit which has
  a requirement dependency on it.
• A unit may be started when needed via activation (socket, path, timer,
  D-Bus, udev, scripted systemctl call, ...).
• In case of template units, the unit is meant to be enabled with some
  instance name specified.";
