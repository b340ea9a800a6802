//! What tests of the whole program share: an inventory for some hosts, versions of a service, and runs of `rollctl`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rollctl_fleet::{Fleet, Host};
use rollctl_lab::{Behaviour, demo_service};
use tempfile::TempDir;

/// The unit as a revision brings it.
pub(crate) const UNIT: &str = "[Unit]\nDescription=demo\n\n[Service]\nExecStart=/opt/web/current/web\nRestart=on-failure\n\n\
[Install]\nWantedBy=multi-user.target\n";

/// The unit as somebody wrote it before rollctl came.
pub(crate) const OLD_UNIT: &str = "[Unit]\nDescription=demo, by hand\n\n[Service]\nEnvironment=PORT=8080\n\
ExecStart=/usr/local/bin/web\nRestart=on-failure\n\n[Install]\nWantedBy=multi-user.target\n";

/// A controller: its own home, ledger, inventory and artifacts, thrown away at the end.
pub(crate) struct Controller {
    folder: TempDir,
}

/// How a run of `rollctl` ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// How it ended.
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails with everything that was printed unless it ended with that code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// All that was printed.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Fails unless the text was printed.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.text().contains(text),
            "{text:?} is not in:\n{}{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

impl Controller {
    /// One without an inventory.
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::with_prefix("rollctl-test-").unwrap(),
        }
    }

    /// A file of its own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of its own.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A version of the demo service, as an executable file.
    pub(crate) fn version(&self, version: &str, behaviour: &Behaviour) -> PathBuf {
        let path = self.write(
            &format!("build-{version}"),
            demo_service(version, behaviour),
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Writes the inventory of a fleet: these hosts, reached as `user`, and what `services` adds.
    pub(crate) fn inventory(&self, fleet: &Fleet, user: &str, services: &str) {
        self.inventory_of(
            fleet.hosts(),
            &fleet.identity(),
            &fleet.known_hosts(),
            user,
            services,
        );
    }

    /// The same for some hosts, with another key or other known hosts.
    pub(crate) fn inventory_of(
        &self,
        hosts: &[Host],
        identity: &Path,
        known_hosts: &Path,
        user: &str,
        services: &str,
    ) {
        let mut text = format!(
            "[ssh]\nuser = \"{user}\"\nidentity = \"{}\"\nknown_hosts = \"{}\"\nconnect_timeout = \"5s\"\n",
            identity.display(),
            known_hosts.display(),
        );
        if user == "deploy" || user == "locked" {
            text.push_str("become = \"sudo\"\n");
        }
        text.push_str("\n[ledger]\nurl = \"sqlite:ledger.db\"\n\n");
        for host in hosts {
            writeln!(
                text,
                "[hosts.{}]\naddress = \"{}\"",
                host.name(),
                host.address()
            )
            .unwrap();
        }
        text.push_str(services);
        self.write("inventory/test.toml", text);
    }

    /// The usual service: the demo on port 8080, its unit part of the revision.
    pub(crate) fn usual(&self, max_unavailable: &str) -> String {
        self.write("inventory/web.service", UNIT);
        format!(
            r#"
[services.web]
hosts = "*"
unit = "web.service"
unit_file = "web.service"
install_dir = "/opt/web"
port = 8080
[services.web.strategy]
max_unavailable = {max_unavailable}
min_ready = "1s"
progress_deadline = "2m"
on_failure = "pause"
[services.web.health]
http = "http://{{address}}:{{port}}/healthz"
interval = "200ms"
successes = 2
deadline = "20s"
"#
        )
    }

    /// `rollctl` with these words, its environment as empty as a cron job's.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollctl"));
        command
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.folder.path())
            .env("USER", "ann")
            .env("ROLLCTL_INVENTORY", self.path("inventory/test.toml"))
            .stdin(Stdio::null());
        command
    }

    /// Runs `rollctl` with these words.
    pub(crate) fn rollctl(&self, words: &[&str]) -> Run {
        let run = Run::of(
            &self
                .command(words)
                .output()
                .expect("rollctl cannot be started"),
        );
        eprintln!(
            "$ rollctl {}   # exit {}\n{}{}",
            words.join(" "),
            run.code,
            run.stdout,
            run.stderr
        );
        run
    }

    /// Releases a version as `name`, and kills that with -9 at its `number`th event that holds all these words.
    #[track_caller]
    pub(crate) fn release_killed_at(&self, name: &str, words: &[&str], number: usize) {
        let artifact = self.version(name, &Behaviour::default());
        let artifact = artifact.to_str().unwrap();
        let release = [
            "release", "web", artifact, "--name", name, "--output", "json",
        ];
        let mut child = self
            .command(&release)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut events = events
            .map_while(Result::ok)
            .filter(|event| words.iter().all(|word| event.contains(word)));
        assert!(events.nth(number - 1).is_some(), "{words:?} never came");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// What `rollctl WORDS --output json` printed: its last line, parsed.
    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        let words: Vec<_> = words.iter().copied().chain(["--output", "json"]).collect();
        let run = self.rollctl(&words);
        let last = run.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("{error}: {}{}", run.stdout, run.stderr))
    }
}

/// How often a test does its work, for whoever has time for more than `usual`: the variable's value, where it is set.
pub(crate) fn times(variable: &str, usual: usize) -> usize {
    let value = std::env::var(variable).ok();
    value.map_or(usual, |text| text.parse().unwrap())
}

/// The hash of what the unit's main process executes, asked of the kernel of the host.
pub(crate) fn running_hash(host: &Host, unit: &str) -> String {
    let text = host
        .sh(&format!(
            "sha256sum /proc/$(systemctl show -p MainPID --value {unit})/exe"
        ))
        .unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}

/// The hash of a file here.
pub(crate) fn file_hash(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned()
}

/// Puts the service on a host as it was before rollctl came, and starts it.
pub(crate) fn install_by_hand(host: &Host, binary: &Path) {
    host.write_file("/usr/local/bin/web", &fs::read(binary).unwrap(), 0o755)
        .unwrap();
    host.write_file(
        "/etc/systemd/system/web.service",
        OLD_UNIT.as_bytes(),
        0o644,
    )
    .unwrap();
    host.sh("systemctl daemon-reload && systemctl enable --now web.service")
        .unwrap();
}
