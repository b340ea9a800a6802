//! One host: what a test does on it, past sshd, so that sshd's journal holds only the logins of what is tested.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::command::{FleetError, Output, must, output, text};
use crate::nspawn::{Container, Nspawn};

/// How long a host may take to boot, or to stop, before it is a failure. Both take about a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A systemd host with sshd. Dropping the fleet ends it.
#[derive(Debug)]
pub struct Host {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) base: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) machine: String,
    pub(crate) cgroup: String,
    pub(crate) bridge: String,
    pub(crate) nspawn: Mutex<Option<Nspawn>>,
}

impl Host {
    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address; sshd listens on port 22.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Runs a shell command on the host as root; its exit code is part of the answer.
    ///
    /// # Errors
    /// If the host is stopped.
    pub fn exec(&self, script: &str) -> Result<Output, FleetError> {
        text(self.enter()?.args(["sh", "-c", script]))
    }

    /// As [`Self::exec`], for a command that must succeed; answers its standard output without the last newline.
    ///
    /// # Errors
    /// If the host is stopped or the command fails.
    pub fn sh(&self, script: &str) -> Result<String, FleetError> {
        must(self.enter()?.args(["sh", "-c", script]))
    }

    /// Runs a shell command as `user`, with what `systemctl --user` needs to find the user's manager.
    ///
    /// # Errors
    /// If the host is stopped.
    pub fn exec_as(&self, user: &str, script: &str) -> Result<Output, FleetError> {
        let prepare = r#"cd ~"$0" 2>/dev/null || cd /; export XDG_RUNTIME_DIR="/run/user/$(id -u "$0")" HOME="$(getent passwd "$0" | cut -d: -f6)" USER="$0"; cd "$HOME"
exec runuser -u "$0" -- sh -c "$1""#;
        text(self.enter()?.args(["sh", "-c", prepare, user, script]))
    }

    /// Writes a file of root's with these mode bits, in one step; makes the folders above it.
    ///
    /// # Errors
    /// If the host is stopped or the file cannot be written.
    pub fn write_file(&self, path: &str, content: &[u8], mode: u32) -> Result<(), FleetError> {
        let script = r#"set -e; mkdir -p "$(dirname "$0")"; cat >"$0.new"; chmod "$1" "$0.new"; mv -f "$0.new" "$0""#;
        let answer = output(
            self.enter()?
                .args(["sh", "-c", script, path, &format!("{mode:o}")]),
            content,
        )?;
        self.succeeded(path, &answer)
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// If the host is stopped or the file cannot be read.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>, FleetError> {
        let answer = output(self.enter()?.args(["cat", "--", path]), b"")?;
        self.succeeded(path, &answer)?;
        Ok(answer.stdout)
    }

    fn succeeded(&self, path: &str, answer: &std::process::Output) -> Result<(), FleetError> {
        if answer.status.success() {
            return Ok(());
        }
        Err(FleetError::Command {
            command: format!("{}:{path}", self.name),
            status: answer.status.to_string(),
            stderr: String::from_utf8_lossy(&answer.stderr)
                .trim_end()
                .to_owned(),
        })
    }

    /// True while the host is up, booting, or going down.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.current().as_mut().is_some_and(Nspawn::is_running)
    }

    /// Shuts the host down in order, and waits for it.
    ///
    /// # Errors
    /// If it is stopped already or does not stop.
    pub fn stop(&self) -> Result<(), FleetError> {
        self.end(Nspawn::ask_to_power_off)
    }

    /// Ends everything on the host at once, as a power cut does. Files already written stay.
    ///
    /// # Errors
    /// If it is stopped already.
    pub fn cut_power(&self) -> Result<(), FleetError> {
        self.end(Nspawn::kill)
    }

    /// Starts the stopped host with the files it had, and waits until systemd says `running`. Also for a host that ended by itself, by
    /// `systemctl reboot` or `poweroff`. Tmpfs and noexec mounts of a test are gone, as after any reboot.
    ///
    /// # Errors
    /// If it runs already, or a unit fails, or it takes too long.
    pub fn start(&self) -> Result<(), FleetError> {
        self.launch()?;
        self.wait_until_running()
    }

    /// Reboots the host and waits until systemd says `running` again.
    ///
    /// # Errors
    /// If it is stopped, or a unit fails, or it takes too long.
    pub fn reboot(&self) -> Result<(), FleetError> {
        self.end(Nspawn::ask_to_reboot)?;
        self.start()
    }

    /// Waits until a shell condition holds on the host.
    ///
    /// # Errors
    /// If it does not within `limit`; the error shows what the condition printed last.
    pub fn wait_until(&self, condition: &str, limit: Duration) -> Result<(), FleetError> {
        let started = Instant::now();
        loop {
            let answer = self.exec(condition)?;
            if answer.is_success() {
                return Ok(());
            }
            if started.elapsed() > limit {
                let seen = format!(
                    "`{condition}` answers {:?}: {}{}",
                    answer.code, answer.stdout, answer.stderr
                );
                return Err(self.too_slow("as waited for", started, seen));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn launch(&self) -> Result<(), FleetError> {
        let mut current = self.current();
        if current.as_mut().is_some_and(Nspawn::is_running) {
            return Err(FleetError::RunningAlready {
                host: self.name.clone(),
            });
        }
        *current = Some(Nspawn::launch(&Container {
            host: &self.name,
            cgroup: &self.cgroup,
            base: &self.base,
            folder: &self.folder,
            machine: &self.machine,
            bridge: &self.bridge,
        })?);
        Ok(())
    }

    pub(crate) fn wait_until_running(&self) -> Result<(), FleetError> {
        let started = Instant::now();
        loop {
            let answer = self.exec("systemctl is-system-running")?;
            match answer.stdout.trim_end() {
                "running" => return Ok(()),
                "degraded" => {
                    let failed = self.exec("systemctl --failed --no-legend --plain")?;
                    return Err(self.too_slow("running", started, failed.stdout));
                }
                state if started.elapsed() > PATIENCE => {
                    return Err(self.too_slow(
                        "running",
                        started,
                        format!("{state} {}", answer.stderr),
                    ));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn end(&self, ask: impl FnOnce(&Nspawn) -> Result<(), FleetError>) -> Result<(), FleetError> {
        let mut current = self.current();
        let Some(nspawn) = current
            .as_mut()
            .and_then(|nspawn| nspawn.is_running().then_some(nspawn))
        else {
            return Err(FleetError::NotRunning {
                host: self.name.clone(),
            });
        };
        let started = Instant::now();
        ask(nspawn)?;
        if !nspawn.wait_for_end(PATIENCE) {
            return Err(self.too_slow("stopped", started, "systemd-nspawn still runs".to_owned()));
        }
        *current = None;
        Ok(())
    }

    /// A command inside all of the host's namespaces, with a clean environment.
    pub(crate) fn enter(&self) -> Result<Command, FleetError> {
        let mut current = self.current();
        let running = current
            .as_mut()
            .and_then(|nspawn| nspawn.is_running().then_some(nspawn.leader));
        let leader = running
            .ok_or_else(|| FleetError::NotRunning {
                host: self.name.clone(),
            })?
            .to_string();
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target", &leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                "--root", "--wd",
            ])
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8");
        Ok(command)
    }

    fn current(&self) -> MutexGuard<'_, Option<Nspawn>> {
        self.nspawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn too_slow(&self, wanted: &'static str, started: Instant, seen: String) -> FleetError {
        FleetError::TooSlow {
            host: self.name.clone(),
            wanted,
            waited: started.elapsed(),
            seen,
        }
    }

    /// The host's root folder as this machine sees it, for looking at files often: it costs no process. Another one after each boot.
    ///
    /// # Errors
    /// If the host is stopped.
    pub fn root(&self) -> Result<PathBuf, FleetError> {
        let leader = self
            .current()
            .as_mut()
            .and_then(|nspawn| nspawn.is_running().then_some(nspawn.leader))
            .ok_or_else(|| FleetError::NotRunning {
                host: self.name.clone(),
            })?;
        Ok(PathBuf::from(format!("/proc/{leader}/root")))
    }

    /// The folder of this machine that holds what the host has written. For looking at a stopped host.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        Path::new(&self.folder).join("upper")
    }
}
