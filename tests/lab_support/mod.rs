//! A fleet of the lab and a controller for it: for tests that any user can run, without root.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test program uses a part of this"
)]

#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rollctl_fleet::{Prober, Target};
use rollctl_lab::{Behaviour, Lab, LabHost, LabOptions, demo_service};
use serde_json::Value;
pub(crate) use support::{Controller, Run};

/// Nothing that is waited for here takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

const UNIT: &str = "[Unit]\nDescription=demo\n\n[Service]\nExecStart=%h/web/current/web\nRestart=on-failure\n\n\
[Install]\nWantedBy=default.target\n";

/// The fleet, and who rolls.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) controller: Controller,
}

/// So long until an instance is ready.
pub(crate) fn ready_after(delay: Duration) -> Behaviour {
    Behaviour {
        ready_delay: delay,
        ..Behaviour::default()
    }
}

/// A file so much larger, and never alike.
pub(crate) fn padded(bytes: usize) -> Behaviour {
    Behaviour {
        padding: bytes,
        ..Behaviour::default()
    }
}

impl Scene {
    /// Hosts on which nothing runs yet.
    pub(crate) fn fresh(hosts: usize, max_unavailable: usize) -> Self {
        let lab = Lab::boot(&LabOptions {
            hosts,
            ..LabOptions::default()
        })
        .unwrap();
        let scene = Self {
            lab,
            controller: Controller::new(),
        };
        scene.inventory(max_unavailable);
        scene
    }

    /// Hosts that all run v1.
    pub(crate) fn on_v1(hosts: usize, max_unavailable: usize) -> Self {
        let scene = Self::fresh(hosts, max_unavailable);
        scene.release("v1", &Behaviour::default()).exits(0);
        scene
    }

    /// Writes the inventory; a rollout that fails pauses.
    pub(crate) fn inventory(&self, max_unavailable: usize) {
        self.strategy(max_unavailable, "on_failure = \"pause\"");
    }

    /// Writes the inventory, with more keys of the strategy.
    pub(crate) fn strategy(&self, max_unavailable: usize, more: &str) {
        let service = format!(
            r#"
[ledger]
url = "sqlite:ledger.db"

[services.web]
hosts = "role=web"
scope = "user"
unit = "web.service"
unit_file = "web.service"
install_dir = "~/web"
port = 8080
[services.web.strategy]
max_unavailable = {max_unavailable}
min_ready = "500ms"
progress_deadline = "2m"
{more}
[services.web.health]
http = "http://{{address}}:{{port}}/healthz"
interval = "100ms"
successes = 2
deadline = "10s"
"#
        );
        self.controller.write("inventory/web.service", UNIT);
        self.controller.write(
            "inventory/test.toml",
            self.lab.inventory_snippet() + &service,
        );
    }

    /// Releases a version.
    pub(crate) fn release(&self, version: &str, behaviour: &Behaviour) -> Run {
        let words = self.words(version, behaviour);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.controller.rollctl(&words)
    }

    /// What is typed to release a version, which is built.
    pub(crate) fn words(&self, version: &str, behaviour: &Behaviour) -> Vec<String> {
        let path = self.controller.version(version, behaviour);
        let path = path.to_str().unwrap();
        ["release", "web", path, "--name", version]
            .map(str::to_owned)
            .into()
    }

    /// Begins to release a version, and reads along.
    pub(crate) fn begin(&self, version: &str, behaviour: &Behaviour) -> Running {
        let mut words = self.words(version, behaviour);
        words.extend(["--output", "json"].map(str::to_owned));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.start(&words)
    }

    /// Begins something that prints JSON lines, and reads along.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        let mut command = self.controller.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap());
        Running {
            child,
            events,
            seen: Vec::new(),
        }
    }

    /// Runs `rollctl` as somebody else at another machine would: another home, the same inventory and ledger.
    pub(crate) fn elsewhere(&self, words: &[&str]) -> Run {
        let home = self.controller.path("home-of-bob");
        std::fs::create_dir_all(&home).unwrap();
        let mut command = self.controller.command(words);
        command.env("HOME", home).env("USER", "bob");
        let run = Run::of(&command.output().unwrap());
        eprintln!(
            "bob$ rollctl {}   # exit {}\n{}",
            words.join(" "),
            run.code,
            run.text()
        );
        run
    }

    /// What `status` says of the rollout that is not over.
    pub(crate) fn rollout(&self) -> Value {
        self.controller.json(&["status", "web"])["rollout"].clone()
    }

    /// How the newest rollout ended.
    pub(crate) fn outcome(&self) -> Value {
        self.controller.json(&["history", "web"])["rollouts"][0]["outcome"].clone()
    }

    /// A version that starts only where its host does not have the file `refuses` in its home.
    pub(crate) fn touchy(&self, version: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.controller.path(&format!("build-{version}"));
        let script = "#!/bin/sh\n[ -e \"$HOME/refuses\" ] && { echo no database here; exit 3; }\n\
exec \"${0%/*}/demo\"\n";
        for (name, content) in [
            ("web", script.as_bytes().to_vec()),
            ("demo", demo_service(version, &Behaviour::default())),
        ] {
            let path = self
                .controller
                .write(&format!("build-{version}/{name}"), content);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder.to_str().unwrap().to_owned()
    }

    /// What instances answer, asked past rollctl, in the order of the hosts.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.lab.hosts().iter().map(version_of).collect()
    }

    /// Fails unless all answer with that version.
    #[track_caller]
    pub(crate) fn all_run(&self, version: &str) {
        let versions = self.versions();
        assert!(
            versions.iter().all(|one| one == version),
            "not all {version}: {versions:?}"
        );
        let status = self.controller.json(&["status", "web"]);
        assert_eq!(status["revision"]["name"], version);
        assert_eq!(status["available"], self.lab.hosts().len());
    }

    /// Waits until each host runs what its `current` leads to, and that is one of these versions.
    #[track_caller]
    pub(crate) fn is_consistent(&self, allowed: &[&str]) {
        let begun = Instant::now();
        loop {
            let pairs: Vec<(String, String)> = self
                .lab
                .hosts()
                .iter()
                .map(|host| (version_of(host), current_of(host)))
                .collect();
            let is_fine = pairs
                .iter()
                .all(|(runs, current)| runs == current && allowed.contains(&runs.as_str()));
            if is_fine {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "running and in place: {pairs:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nothing half done lies on the hosts.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        for host in self.lab.hosts() {
            let revisions = host.home().join("web/revisions");
            for entry in std::fs::read_dir(revisions).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                assert!(!name.starts_with('.'), "{name} is left on {}", host.name());
            }
        }
    }

    /// Somebody who asks all instances and knows nothing of rollctl.
    pub(crate) fn watch(&self) -> Prober {
        let targets = self.lab.hosts().iter().map(|host| {
            let address: Ipv4Addr = host.address().parse().unwrap();
            Target::new(host.name(), address, 8080)
        });
        Prober::start(targets.collect())
    }

    /// A file on a host.
    pub(crate) fn on_host(&self, host: usize, path: &str) -> PathBuf {
        self.lab.hosts()[host].home().join(path)
    }

    /// The lines that rollctl wrote into a host's journal.
    pub(crate) fn host_journal(&self, host: usize) -> String {
        std::fs::read_to_string(self.on_host(host, "web/.rollctl/journal")).unwrap_or_default()
    }
}

fn version_of(host: &LabHost) -> String {
    use std::io::{Read, Write};
    let ask = || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect((host.address(), 8080))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().unwrap_or_default();
    let body = answer.rsplit("\r\n").next().unwrap_or_default().trim();
    body.strip_prefix("ok ").unwrap_or("down").to_owned()
}

fn current_of(host: &LabHost) -> String {
    let target = std::fs::read_link(host.home().join("web/current")).unwrap_or_default();
    target
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Returns when it is so; fails if it never is.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A `rollctl` at work, read line by line.
pub(crate) struct Running {
    child: Child,
    events: BufReader<ChildStdout>,
    pub(crate) seen: Vec<Value>,
}

impl Running {
    /// Reads until a line is that; fails if there is none.
    #[track_caller]
    pub(crate) fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut line = String::new();
            let read = self.events.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended before: {:#?}", self.seen);
            let event: Value = serde_json::from_str(&line).unwrap();
            self.seen.push(event.clone());
            if is_it(&event) {
                return event;
            }
        }
    }

    /// Reads until an action begins, or ends.
    #[track_caller]
    pub(crate) fn until_action(&mut self, kind: &str, action: &str) -> Value {
        self.until(|event| event["kind"] == kind && event["action"] == action)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `INT`, `TERM`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Reads the rest and waits for the end; -1 when a signal ended it.
    pub(crate) fn end(mut self) -> (Run, Vec<Value>) {
        let mut stderr = self.child.stderr.take().unwrap();
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
            text
        });
        let mut stdout = String::new();
        for line in (&mut self.events).lines() {
            let line = line.unwrap();
            match serde_json::from_str(&line) {
                Ok(event) => self.seen.push(event),
                Err(error) => panic!("{error}: {line}"),
            }
            stdout.push_str(&line);
            stdout.push('\n');
        }
        let status = self.child.wait().unwrap();
        let stderr = reading.join().unwrap();
        let run = Run {
            code: status.code().unwrap_or(-1),
            stdout,
            stderr,
        };
        (run, self.seen)
    }
}
