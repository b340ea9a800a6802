//! What can go wrong with a host, provoked from outside; and what its sshd saw.

use crate::command::{FleetError, must, run, text};
use crate::host::Host;
use std::process::Command;

/// Limits what leaves this machine by that link.
pub(crate) fn shape(link: &str, megabits: Option<u32>) -> Result<(), FleetError> {
    let Some(megabits) = megabits else {
        // Nothing to delete is what was asked for.
        return text(Command::new("tc").args(["qdisc", "delete", "dev", link, "root"])).map(drop);
    };
    let rate = format!("{megabits}mbit");
    let shape = [
        "root", "tbf", "rate", &rate, "burst", "64kb", "latency", "200ms",
    ];
    must(
        Command::new("tc")
            .args(["qdisc", "replace", "dev", link])
            .args(shape),
    )
    .map(drop)
}

impl Host {
    /// Cuts the host off the network (`true`), or joins it again. It goes on running, and does not notice but for the silence.
    ///
    /// # Errors
    /// If the host is stopped: then it has no link.
    pub fn partition(&self, cut_off: bool) -> Result<(), FleetError> {
        run(
            "ip",
            &[
                "link",
                "set",
                &self.link(),
                if cut_off { "down" } else { "up" },
            ],
        )
        .map(drop)
    }

    /// Limits what travels to the host to so many megabits a second; `None` lifts the limit. A reboot lifts it too.
    ///
    /// # Errors
    /// If the host is stopped: then it has no link.
    pub fn link_rate(&self, megabits: Option<u32>) -> Result<(), FleetError> {
        shape(&self.link(), megabits)
    }

    /// The host's end of the network on this machine, as systemd-nspawn names it.
    fn link(&self) -> String {
        format!("vb-{}", self.machine)
    }

    /// Mounts a tmpfs of `size` (as mount takes it: `4m`) on a folder, which keeps its owner and mode: a disk that is soon full.
    ///
    /// # Errors
    /// If the host is stopped or the mount fails.
    pub fn mount_small_tmpfs(&self, path: &str, size: &str) -> Result<(), FleetError> {
        let script = r#"set -e; mkdir -p "$0"; options="size=$1,mode=$(stat -c %a "$0"),uid=$(stat -c %u "$0"),gid=$(stat -c %g "$0")"
mount -t tmpfs -o "$options" tmpfs "$0""#;
        self.script(script, &[path, size])
    }

    /// Makes a folder one from which nothing can be executed.
    ///
    /// # Errors
    /// If the host is stopped or the mount fails.
    pub fn mount_noexec(&self, path: &str) -> Result<(), FleetError> {
        self.remount(path, "noexec")
    }

    /// Makes a folder one to which nothing can be written.
    ///
    /// # Errors
    /// If the host is stopped or the mount fails.
    pub fn mount_read_only(&self, path: &str) -> Result<(), FleetError> {
        self.remount(path, "ro")
    }

    fn remount(&self, path: &str, option: &str) -> Result<(), FleetError> {
        let script =
            r#"set -e; mkdir -p "$0"; mount --bind "$0" "$0"; mount -o "remount,bind,$1" "$0""#;
        self.script(script, &[path, option])
    }

    /// Takes away the last mount on a folder.
    ///
    /// # Errors
    /// If the host is stopped, nothing is mounted there, or it is in use.
    pub fn unmount(&self, path: &str) -> Result<(), FleetError> {
        self.script(r#"umount "$0""#, &[path])
    }

    /// How many logins by key sshd has accepted since the host was made.
    ///
    /// # Errors
    /// If the host is stopped or its journal cannot be read.
    pub fn ssh_logins(&self) -> Result<usize, FleetError> {
        let lines = self.sh(
            "journalctl --sync; journalctl --quiet --no-pager --output=cat -t sshd -t sshd-session",
        )?;
        Ok(lines
            .lines()
            .filter(|line| line.starts_with("Accepted publickey for "))
            .count())
    }

    /// Kills every SSH session at once, and leaves the listener: new logins work. Answers how many processes were killed.
    ///
    /// # Errors
    /// If the host is stopped.
    pub fn kill_ssh_sessions(&self) -> Result<usize, FleetError> {
        let script = r#"listener=$(systemctl show --property=MainPID --value ssh.service)
for pid in $(pgrep -x 'sshd|sshd-session'); do
    [ "$pid" = "$listener" ] || { kill -KILL "$pid" && echo "$pid"; }
done 2>/dev/null; true"#;
        Ok(self.sh(script)?.lines().count())
    }

    fn script(&self, script: &str, arguments: &[&str]) -> Result<(), FleetError> {
        must(self.enter()?.args(["sh", "-c", script]).args(arguments)).map(drop)
    }
}
