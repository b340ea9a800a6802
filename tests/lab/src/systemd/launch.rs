//! Starting a service's processes: arguments, environment, working folder.

use std::collections::BTreeMap;
use std::fs;

use super::environment_file;
use super::kill;
use super::manager::Manager;
use super::process::Launch;
use super::settings::Command;
use super::words;

impl Manager {
    /// A process for one command; the error is the line for the journal.
    pub(crate) fn spawn(&mut self, name: &str, command: &Command) -> Result<i32, String> {
        let environment = self.environment(name)?;
        let argv = if command.no_variables {
            command.argv.clone()
        } else {
            let rest = words::substitute(&command.argv[1..], &environment);
            command.argv[..1].iter().cloned().chain(rest).collect()
        };
        let unit = self.units.get(name).ok_or("no such unit")?;
        let service = unit.service().ok_or("no service")?;
        let home = (self.facts.home.display().to_string(), true);
        let (directory, may_miss) = service.working_directory.as_ref().unwrap_or(&home);
        let basename = command
            .path
            .rsplit('/')
            .next()
            .unwrap_or(&command.path)
            .to_owned();
        let launch = Launch {
            unit: name,
            invocation: &unit.invocation,
            identifier: service.syslog_identifier.clone().unwrap_or(basename),
            path: &command.path,
            argv: &argv,
            environment: &environment,
            working_directory: directory,
            directory_may_miss: *may_miss,
        };
        launch
            .start(&self.facts.program, &self.events)
            .map_err(|error| format!("Failed to fork: {error}"))
    }

    fn environment(&self, name: &str) -> Result<BTreeMap<String, String>, String> {
        let mut environment = self.facts.environment();
        let unit = self.units.get(name).ok_or("no such unit")?;
        let service = unit.service().ok_or("no service")?;
        environment.insert("INVOCATION_ID".to_owned(), unit.invocation.clone());
        if let Some(pid) = unit.main_pid {
            environment.insert("MAINPID".to_owned(), pid.to_string());
        }
        if let Some((_, exit)) = unit.main.ended {
            let status = if exit.code() == 1 {
                exit.status().to_string()
            } else {
                kill::signal_name(exit.status())
            };
            environment.insert(
                "SERVICE_RESULT".to_owned(),
                unit.outcome.as_str().to_owned(),
            );
            environment.insert("EXIT_CODE".to_owned(), exit.code_name().to_owned());
            environment.insert("EXIT_STATUS".to_owned(), status);
        }
        let set = service
            .environment
            .iter()
            .filter_map(|assignment| assignment.split_once('='));
        environment.extend(set.map(|(key, value)| (key.to_owned(), value.to_owned())));
        for (path, may_miss) in &service.environment_files {
            match fs::read_to_string(path) {
                Ok(text) => environment.extend(environment_file::read(&text)),
                Err(_) if *may_miss => {}
                Err(error) => {
                    let reason = strerror(&error);
                    return Err(format!("Failed to load environment files: {reason}"));
                }
            }
        }
        Ok(environment)
    }
}

/// 128 random bits, as hex.
pub(crate) fn invocation_id() -> String {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    uuid.trim().replace('-', "")
}

/// The system's words for an error, without Rust's number behind them.
fn strerror(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
