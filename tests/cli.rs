//! The `rollctl` binary from outside: help, usage errors, streams and exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "cli/help.rs"]
mod help;
#[path = "cli/usage.rs"]
mod usage;

/// The binary, without anything of the environment that changes what it says.
fn rollctl() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin("rollctl").unwrap();
    for variable in ["ROLLCTL_INVENTORY", "ROLLCTL_LOG", "COLUMNS", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command
}
