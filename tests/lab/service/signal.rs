//! Seeing SIGTERM without a signal handler, which Rust's standard library has not.
//!
//! The process starts once more through `env --block-signal=TERM` (coreutils 8.31 or newer): a blocked signal stays
//! pending, and the kernel shows what is pending in `/proc/self/status`. The pid and `/proc/self/exe` stay the same.

use std::env;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::settings::Settings;

const SIGTERM_BIT: u64 = 1 << (15 - 1);
/// Set on the second start, so that there is no third.
const MARK: &str = "DEMO_SIGTERM_IS_BLOCKED";

/// Returns when SIGTERM is blocked, or says why it cannot be.
pub(crate) fn hold_back(settings: &Settings) -> io::Result<()> {
    if mask("SigBlk:") & SIGTERM_BIT != 0
        || env::var_os(MARK).is_some()
        || settings.exit_at_once.is_some()
    {
        return Ok(());
    }
    let error = Command::new("env")
        .arg("--block-signal=TERM")
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(MARK, "1")
        .exec();
    Err(error)
}

/// Whether somebody asked this process to end.
pub(crate) fn is_sigterm_pending() -> bool {
    mask("ShdPnd:") & SIGTERM_BIT != 0
}

fn mask(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap_or("0");
    u64::from_str_radix(value.trim(), 16).unwrap_or(0)
}
