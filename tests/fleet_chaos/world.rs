//! The fleet over all rounds: ten hosts, one controller's home, the versions that were released.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rollctl_fleet::{Base, Fleet, FleetOptions, Host, Prober, Target};
use rollctl_lab::Behaviour;

use crate::running::{Ended, Running};
use crate::support::{Controller, file_hash};

pub(crate) const HOSTS: usize = 10;
/// How many may be unavailable.
pub(crate) const BUDGET: usize = 3;
/// This one's install_dir lies on a disk of its own, which can be filled. It does not survive a reboot.
pub(crate) const SMALL_DISK: usize = HOSTS - 1;

const HOLD: &str = include_str!("hold.sh");
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// What a revision is, from outside.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) build: PathBuf,
    pub(crate) hash: String,
    pub(crate) unit_hash: String,
}

pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) controller: Controller,
    /// Those that a rollout brought everywhere, oldest first.
    pub(crate) completed: Vec<Version>,
    made: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        let fleet = Fleet::boot(FleetOptions::hosts(HOSTS, Base::Full).prefix("web")).unwrap();
        for host in fleet.hosts() {
            for tool in ["mv", "sync", "systemctl", "dd", "chmod"] {
                host.write_file(&format!("/usr/local/sbin/{tool}"), HOLD.as_bytes(), 0o755)
                    .unwrap();
            }
        }
        fleet
            .host(SMALL_DISK)
            .mount_small_tmpfs("/opt/web", "100m")
            .unwrap();
        let controller = Controller::new();
        let service = controller
            .usual(&BUDGET.to_string())
            .replace("deadline = \"20s\"", "deadline = \"10s\"");
        controller.inventory(&fleet, "root", &service);
        Self {
            fleet,
            controller,
            completed: Vec::new(),
            made: 0,
        }
    }

    /// Another version: its file and its unit file are of their own.
    pub(crate) fn make(&mut self, random: &mut StdRng) -> Version {
        self.made += 1;
        let name = format!("c{}", self.made);
        let behaviour = Behaviour {
            ready_delay: Duration::from_millis(random.random_range(0..500)),
            padding: random.random_range(0..400_000),
            ..Behaviour::default()
        };
        let build = self.controller.version(&name, &behaviour);
        let unit = format!(
            "[Unit]\nDescription=demo {name}\nStartLimitIntervalSec=0\n\n[Service]\nExecStart=/opt/web/current/web\nRestart=on-failure\n\
             TimeoutStopSec=2\n\n[Install]\nWantedBy=multi-user.target\n"
        );
        let unit = self
            .controller
            .write(&format!("inventory/{name}.service"), unit);
        Version {
            hash: file_hash(&build),
            unit_hash: file_hash(&unit),
            name,
            build,
        }
    }

    /// `rollctl release` of it; its unit file is what the inventory names from now on.
    pub(crate) fn release(&self, version: &Version, more: &[&str]) -> Command {
        let folder = self.controller.path("inventory");
        fs::copy(
            folder.join(format!("{}.service", version.name)),
            folder.join("web.service"),
        )
        .unwrap();
        let build = version.build.to_str().unwrap();
        let words = ["release", "web", build, "--name", &version.name];
        self.rollctl(&[&words, more].concat())
    }

    pub(crate) fn rollback(&self, version: &Version) -> Command {
        self.rollctl(&["rollback", "web", "--to", &version.name])
    }

    pub(crate) fn rollctl(&self, words: &[&str]) -> Command {
        self.controller
            .command(&[words, &["--output", "json"]].concat())
    }

    /// Runs to the end.
    pub(crate) fn run(&self, command: Command) -> Ended {
        Running::start(command).end()
    }

    /// What runs everywhere.
    pub(crate) fn now(&self) -> &Version {
        self.completed.last().unwrap()
    }

    pub(crate) fn host(&self, name: &str) -> &Host {
        self.fleet
            .hosts()
            .iter()
            .find(|host| host.name() == name)
            .unwrap()
    }

    pub(crate) fn watch(&self) -> Prober {
        let targets = self.fleet.hosts().iter();
        Prober::start(targets.map(|host| Target::of(host, 8080)).collect())
    }
}

/// Lets the controller's clock be moved while it runs: answers the file that says by how much. `None`: there is no faketime.
pub(crate) fn with_movable_clock(world: &World, command: &mut Command) -> Option<PathBuf> {
    if !PathBuf::from(FAKETIME).exists() {
        return None;
    }
    let file = world.controller.write("clock", "+0\n");
    command
        .env("LD_PRELOAD", FAKETIME)
        .env("FAKETIME_TIMESTAMP_FILE", &file)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    Some(file)
}

/// Holds the next call of that point on a host.
pub(crate) fn hold(host: &Host, point: &str) {
    host.sh(&format!(
        "mkdir -p /run/chaos && echo {point} >/run/chaos/hold.new && /usr/bin/mv /run/chaos/hold.new /run/chaos/hold"
    ))
    .unwrap();
}

/// Whether a call is held there now.
pub(crate) fn is_held(host: &Host) -> bool {
    host.root()
        .is_ok_and(|root| root.join("run/chaos/held").exists())
}

/// Lets everything go on.
pub(crate) fn let_go(host: &Host) {
    if host.is_running() {
        host.sh("rm -f /run/chaos/hold /run/chaos/held").unwrap();
    }
}

/// Kills what rollctl runs on a host, as the kernel would when memory is short.
pub(crate) fn kill_scripts(host: &Host) {
    host.sh(
        "for p in /proc/[0-9]*; do n=${p#/proc/}; [ $n != $$ ] || continue
if tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q 'What rollctl does on a hos[t]'; then kill -9 $n; fi; done; true",
    )
    .unwrap();
}

/// Takes back what a round that broke off may have left of its fault.
pub(crate) fn heal(world: &World) {
    for host in world.fleet.hosts() {
        if !host.is_running() {
            host.start().unwrap();
        }
        host.partition(false).unwrap();
        let_go(host);
        host.sh("rm -f /opt/web/.filler; systemctl start ssh.service")
            .unwrap();
    }
}
