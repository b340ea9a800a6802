//! Units that `systemd-run` makes up: real files in the runtime folder, gone with the unit.

use std::fmt::Write as _;
use std::fs;
use std::io;

use super::manager::Manager;
use super::unit::LoadState;

/// What `systemd-run` was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transient {
    /// With its suffix.
    pub(crate) unit: String,
    pub(crate) description: Option<String>,
    /// Forgotten even if it failed.
    pub(crate) collect: bool,
    pub(crate) command: Vec<String>,
    /// `KEY=VALUE` of `[Service]`.
    pub(crate) properties: Vec<String>,
    /// `KEY=VALUE` of `[Timer]`; with any, a timer starts the service.
    pub(crate) timer: Vec<String>,
}

impl Transient {
    pub(crate) fn timer_unit(&self) -> String {
        self.unit.replace(".service", ".timer")
    }
}

impl Manager {
    /// Writes the files; false if there is such a unit already.
    pub(crate) fn make_transient(&mut self, transient: &Transient) -> io::Result<bool> {
        if self.load(&transient.unit).load != LoadState::NotFound {
            self.settle();
            return Ok(false);
        }
        let quoted: Vec<String> = transient.command.iter().map(|word| quote(word)).collect();
        let description = transient
            .description
            .clone()
            .unwrap_or_else(|| transient.command.join(" ").replace('%', "%%"));
        let collect = if transient.collect {
            "CollectMode=inactive-or-failed\n"
        } else {
            ""
        };
        let mut service = format!(
            "[Unit]\nDescription={description}\n{collect}[Service]\nExecStart={}\n",
            quoted.join(" ")
        );
        for property in &transient.properties {
            let _ = writeln!(service, "{property}");
        }
        let folder = self.transient_folder();
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(&transient.unit), service)?;
        if !transient.timer.is_empty() {
            let timer = format!(
                "[Timer]\nRemainAfterElapse=no\n{}\n",
                transient.timer.join("\n")
            );
            fs::write(folder.join(transient.timer_unit()), timer)?;
        }
        // What was known of it, "not found", is no longer true.
        self.units.remove(&transient.unit);
        self.units.remove(&transient.timer_unit());
        Ok(true)
    }
}

/// For a unit file: in double quotes, specifiers disarmed. Variables stay: systemd puts them in, too.
fn quote(word: &str) -> String {
    let escaped = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .replace('%', "%%");
    format!("\"{escaped}\"")
}
