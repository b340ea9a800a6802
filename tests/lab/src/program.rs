//! Finding the executable that is started for hosts and shims.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::control::BUILD;
use crate::dispatch;

const NAME: &str = "rollctl-lab";
/// Names an executable for all labs of a process.
const VARIABLE: &str = "ROLLCTL_LAB_PROGRAM";

/// There is no executable for the lab's hosts.
#[derive(Debug, thiserror::Error)]
#[error("program `rollctl-lab` of this build was not found beside `{}`", beside.display())]
pub struct ProgramError {
    beside: PathBuf,
}

impl ProgramError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("`cargo build -p rollctl-lab --bins` makes it; or call `rollctl_lab::dispatch()` first in `main`".to_owned())
    }
}

/// This executable if it dispatches, else `rollctl-lab` in the same target folder, built if it is missing or old.
pub(crate) fn find() -> Result<PathBuf, ProgramError> {
    if let Some(path) = env::var_os(VARIABLE) {
        return Ok(path.into());
    }
    let own = env::current_exe().unwrap_or_default();
    if dispatch::is_dispatching() {
        return Ok(own);
    }
    let missing = || ProgramError {
        beside: own.clone(),
    };
    // A test is `target/debug/deps/NAME-HASH`, an example `target/debug/examples/NAME`.
    let folder = own
        .ancestors()
        .skip(1)
        .find(|folder| !is_inner(folder))
        .ok_or_else(missing)?;
    let candidate = folder.join(NAME);
    if is_of_this_build(&candidate) || (build(folder) && is_of_this_build(&candidate)) {
        return Ok(candidate);
    }
    Err(missing())
}

fn is_inner(folder: &Path) -> bool {
    folder
        .file_name()
        .is_some_and(|name| name == "deps" || name == "examples")
}

fn is_of_this_build(program: &Path) -> bool {
    let output = Command::new(program)
        .args(["__lab", "build"])
        .stdin(Stdio::null())
        .output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == BUILD)
}

/// The cargo below which this process runs, if it does, ready to be started once more. The variables that it set for this
/// process are taken away: with them some build scripts would believe that all has changed, and compile it anew, twice.
#[must_use]
pub fn cargo() -> Option<Command> {
    let mut command = Command::new(env::var_os("CARGO")?);
    let is_of_outer = |name: &str| {
        let prefixes = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        prefixes.iter().any(|prefix| name.starts_with(prefix))
            || name == "OUT_DIR"
            || name == "CARGO"
    };
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_of_outer) {
            command.env_remove(name);
        }
    }
    Some(command)
}

/// Several tests may come here at once: cargo lets one after the other build.
fn build(folder: &Path) -> bool {
    let Some(mut command) = cargo() else {
        return false;
    };
    command.args([
        "build",
        "--quiet",
        "--offline",
        "--package",
        NAME,
        "--bin",
        NAME,
    ]);
    command
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    if folder.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
