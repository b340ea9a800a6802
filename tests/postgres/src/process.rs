//! Processes of an unprivileged user: PostgreSQL refuses to run as root.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, kill_process};

pub(crate) use rustix::process::Signal;

/// Who runs the server when the tests run as root: the package makes that user.
const USER: &str = "postgres";

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// A program that ends with the thread that starts it; without root's rights.
pub(crate) fn unprivileged(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root() {
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    }
    command
        .arg("--")
        .arg(program)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir(folder);
    command
}

/// Gives a file to the user who runs the server.
pub(crate) fn give(path: &Path) -> io::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let status = Command::new("chown").arg(USER).arg(path).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("there is no user `{USER}`"))),
    }
}

/// Nobody but its owner reads it.
pub(crate) fn keep_private(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Sends a signal to a server and to all that it has started: each is a session of its own.
pub(crate) fn signal_all(server: u32, signal: Signal) -> io::Result<()> {
    // Asked first: children of a dead process are no longer its own.
    let children = children(server)?;
    signal_one(server, signal)?;
    for child in children {
        // It may have ended by itself.
        let _ = signal_one(child, signal);
    }
    Ok(())
}

/// Sends a signal to the server alone.
pub(crate) fn signal_one(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("no process has that number"))?;
    Ok(kill_process(pid, signal)?)
}

fn children(of: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        if parent.and_then(|parent| parent.trim().parse().ok()) == Some(of) {
            found.push(pid);
        }
    }
    Ok(found)
}
