//! The verbs of `systemctl` that only look.

use std::fs;

use super::answer::Answer;
use super::systemctl::Options;
use crate::systemd::{ActiveState, LoadState, Manager, Match, SharedManager};

pub(super) fn run(
    manager: &SharedManager,
    verb: &str,
    units: &[String],
    options: &Options,
) -> Answer {
    let mut manager = Manager::lock(manager);
    match verb {
        "show" if units.is_empty() => show_manager(&manager, options),
        "show" => {
            let units = expand(&manager, units);
            show(
                units
                    .iter()
                    .map(|unit| manager.properties(unit, options.timestamp))
                    .collect(),
                options,
            )
        }
        "is-active" => states(&mut manager, units, options, 3, |state| {
            state == ActiveState::Active
        }),
        "is-failed" => states(&mut manager, units, options, 1, |state| {
            state == ActiveState::Failed
        }),
        "is-enabled" => is_enabled(&manager, units, options),
        "is-system-running" => {
            let failed = options.user
                && manager
                    .units
                    .values()
                    .any(|unit| unit.sub.active() == ActiveState::Failed);
            let state = if failed { "degraded" } else { "running" };
            let out = if options.quiet {
                String::new()
            } else {
                format!("{state}\n")
            };
            Answer {
                out,
                code: i32::from(failed),
                ..Answer::default()
            }
        }
        "cat" => cat(&manager, units),
        "status" => status(&mut manager, units),
        "list-units" => list_units(&manager, units, options),
        "list-unit-files" => list_unit_files(&manager),
        "list-timers" => list_units(&manager, &["*.timer".to_owned()], options),
        _ => Answer::failure(1, format!("Unknown command verb {verb}.")),
    }
}

type Properties = Vec<(&'static str, String)>;

fn show(units: Vec<Properties>, options: &Options) -> Answer {
    let mut answer = Answer::default();
    for (index, properties) in units.iter().enumerate() {
        if index > 0 && !options.value {
            answer.say("");
        }
        for (name, value) in properties {
            let chosen = match &options.properties {
                Some(names) => names.iter().any(|wanted| wanted == name),
                None => options.all || !value.is_empty(),
            };
            // A job is shown only where there is one.
            let hidden = !chosen || (*name == "Job" && value.is_empty() && !options.all);
            match (hidden, options.value) {
                (true, _) => {}
                (false, true) => answer.say(value),
                (false, false) => answer.say(format!("{name}={value}")),
            }
        }
    }
    answer
}

/// `show` of the machine's own manager, which has none of these units.
pub(super) fn show_foreign(manager: &SharedManager, units: &[String], options: &Options) -> Answer {
    let manager = Manager::lock(manager);
    if units.is_empty() {
        return show_manager(&manager, options);
    }
    show(
        units
            .iter()
            .map(|unit| manager.properties_of_missing(unit))
            .collect(),
        options,
    )
}

fn show_manager(manager: &Manager, options: &Options) -> Answer {
    let failed = manager
        .units
        .values()
        .filter(|unit| unit.sub.active() == ActiveState::Failed)
        .count();
    let properties = vec![
        ("Version", "252.39-1~deb12u2".to_owned()),
        ("Architecture", "x86-64".to_owned()),
        ("NFailedUnits", failed.to_string()),
        (
            "SystemState",
            if failed > 0 { "degraded" } else { "running" }.to_owned(),
        ),
        ("DefaultTimeoutStartUSec", "1min 30s".to_owned()),
        ("DefaultTimeoutStopUSec", "1min 30s".to_owned()),
    ];
    show(vec![properties], options)
}

/// Patterns stand for the loaded units that they match.
fn expand(manager: &Manager, units: &[String]) -> Vec<String> {
    let matching = |pattern: &String| -> Vec<String> {
        if pattern.contains('*') {
            manager
                .units
                .keys()
                .filter(|name| fits(pattern, name))
                .cloned()
                .collect()
        } else {
            vec![pattern.clone()]
        }
    };
    units.iter().flat_map(matching).collect()
}

/// A pattern with stars.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|at| tail.is_char_boundary(*at))
                .any(|at| fits(rest, &tail[at..]))
        }),
    }
}

/// Exit code 0 if any unit is as asked, as systemd has it.
fn states(
    manager: &mut Manager,
    units: &[String],
    options: &Options,
    otherwise: i32,
    asked: fn(ActiveState) -> bool,
) -> Answer {
    let mut answer = Answer {
        code: otherwise,
        ..Answer::default()
    };
    for unit in expand(manager, units) {
        let state = manager.load(&unit).sub.active();
        if !options.quiet {
            answer.say(state.as_str());
        }
        if asked(state) {
            answer.code = 0;
        }
    }
    manager.settle();
    answer
}

fn is_enabled(manager: &Manager, units: &[String], options: &Options) -> Answer {
    let mut answer = Answer {
        code: 1,
        ..Answer::default()
    };
    for unit in units {
        match manager.unit_file_state(unit) {
            Some(state) => {
                if !options.quiet {
                    answer.say(state);
                }
                if matches!(
                    state,
                    "enabled" | "static" | "alias" | "indirect" | "generated"
                ) {
                    answer.code = 0;
                }
            }
            None => answer.complain(format!(
                "Failed to get unit file state for {unit}: No such file or directory"
            )),
        }
    }
    answer
}

fn cat(manager: &Manager, units: &[String]) -> Answer {
    let mut answer = Answer::default();
    for unit in units {
        let files = manager.files(unit);
        if files.is_empty() {
            answer.complain(format!("No files found for {unit}."));
            answer.code = 1;
        }
        for file in files {
            if !answer.out.is_empty() {
                answer.say("");
            }
            answer.say(format!("# {}", file.display()));
            answer
                .out
                .push_str(&fs::read_to_string(&file).unwrap_or_default());
        }
    }
    answer
}

fn status(manager: &mut Manager, units: &[String]) -> Answer {
    let mut answer = Answer::default();
    for (index, name) in units.iter().enumerate() {
        if index > 0 {
            answer.say("");
        }
        let unit = manager.load(name);
        if unit.load == LoadState::NotFound && unit.sub.is_down() {
            answer.complain(format!("Unit {name} could not be found."));
            answer.code = 4;
            continue;
        }
        if unit.sub.active() != ActiveState::Active {
            answer.code = 3;
        }
        status_of(manager, name, &mut answer);
    }
    manager.settle();
    answer
}

fn status_of(manager: &Manager, name: &str, answer: &mut Answer) {
    let Some(unit) = manager.units.get(name) else {
        return;
    };
    let active = unit.sub.active();
    let dot = match active {
        ActiveState::Active => "●",
        ActiveState::Failed => "×",
        ActiveState::Inactive => "○",
        ActiveState::Activating | ActiveState::Deactivating => "●",
    };
    answer.say(format!("{dot} {}", unit.title()));
    let fragment = unit
        .sources
        .fragment
        .as_ref()
        .map_or_else(String::new, |path| path.display().to_string());
    let enabled = match manager.unit_file_state(name) {
        Some(state @ ("enabled" | "disabled")) => format!("{state}; preset: enabled"),
        state => state.unwrap_or("n/a").to_owned(),
    };
    answer.say(format!(
        "     Loaded: {} ({fragment}; {enabled})",
        unit.load.as_str()
    ));
    let since = unit
        .stamps
        .state_change
        .map_or_else(String::new, |moment| format!(" since {}", moment.date()));
    let result = match active {
        ActiveState::Failed => format!(" (Result: {})", unit.outcome.as_str()),
        _ => format!(" ({})", unit.sub.as_str()),
    };
    answer.say(format!("     Active: {}{result}{since}", active.as_str()));
    if let Some(pid) = unit.main_pid {
        answer.say(format!("   Main PID: {pid}"));
    }
    let lines = manager
        .journal
        .select(&[vec![Match::Unit(name.to_owned())]], Some(10));
    if !lines.is_empty() {
        answer.say("");
    }
    for entry in lines {
        let (time, host) = (entry.moment().short(), &manager.facts.name);
        answer.say(format!(
            "{time} {host} {}[{}]: {}",
            entry.identifier, entry.pid, entry.message
        ));
    }
}

fn list_units(manager: &Manager, patterns: &[String], options: &Options) -> Answer {
    let mut answer = Answer::default();
    let shown = manager.units.values().filter(|unit| {
        let active = unit.sub.active();
        let fitting =
            patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern, &unit.name));
        let wanted = if options.failed {
            active == ActiveState::Failed
        } else {
            options.all || active != ActiveState::Inactive
        };
        fitting && wanted
    });
    let mut count = 0;
    for unit in shown {
        count += 1;
        let dot = match (options.plain, unit.sub.active()) {
            (true, _) => "",
            (false, ActiveState::Failed) => "● ",
            (false, _) => "  ",
        };
        let (load, active, sub) = (
            unit.load.as_str(),
            unit.sub.active().as_str(),
            unit.sub.as_str(),
        );
        answer.say(format!(
            "{dot}{} {load} {active} {sub} {}",
            unit.name,
            unit.description()
        ));
    }
    if !options.no_legend {
        answer.say(format!("\n{count} loaded units listed."));
    }
    answer
}

fn list_unit_files(manager: &Manager) -> Answer {
    let mut answer = Answer::default();
    for name in manager.unit_files() {
        answer.say(format!(
            "{name} {} -",
            manager.unit_file_state(&name).unwrap_or("bad")
        ));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("web*", "web@x.service", true),
            ("*.timer", "a.timer", true),
            ("w*b*e", "web.service", true),
            ("web.service", "web.service", true),
            ("web*", "aweb", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
