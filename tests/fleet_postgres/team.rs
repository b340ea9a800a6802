//! A fleet whose ledger is on a server, its artifacts in a bucket, and the machines of those who work on it.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rollctl_fleet::{Base, Fleet, FleetOptions, Prober, Target};
use rollctl_lab::Behaviour;
use rollctl_postgres::{Options, Server};

use crate::agree;
use crate::running::{Ended, Running};
use crate::support::{Controller, file_hash, running_hash};

pub(crate) const HOSTS: usize = 8;
/// How many may be unavailable.
pub(crate) const BUDGET: usize = 2;

/// What gets one into the database, and is nowhere else.
const PASSWORD: &str = "geheim-geheim";

/// What a revision is, from outside.
pub(crate) struct Version {
    pub(crate) name: String,
    build: PathBuf,
    hash: String,
}

pub(crate) struct Team {
    pub(crate) fleet: Fleet,
    pub(crate) server: Server,
    buckets: rollctl_s3::Server,
    builds: Controller,
}

/// One machine: a name of its own, a home of its own, and a copy of the inventory.
pub(crate) struct Desk {
    pub(crate) machine: &'static str,
    user: &'static str,
    controller: Controller,
    environment: [(&'static str, String); 4],
}

impl Team {
    pub(crate) fn new() -> Self {
        let fleet = Fleet::boot(FleetOptions::hosts(HOSTS, Base::Full).prefix("web")).unwrap();
        let builds = Controller::new();
        let folder = builds.path("buckets");
        fs::create_dir_all(folder.join("builds")).unwrap();
        // This machine, as the hosts see it.
        let [a, b, c, _] = fleet.host(0).address().octets();
        let buckets = rollctl_s3::Server::start(IpAddr::from([a, b, c, 1]), &folder).unwrap();
        let server = Server::with(Options {
            password: Some(PASSWORD.to_owned()),
            ..Options::default()
        })
        .unwrap();
        server.create_database("rollctl").unwrap();
        Self {
            fleet,
            server,
            buckets,
            builds,
        }
    }

    pub(crate) fn desk(&self, machine: &'static str, user: &'static str) -> Desk {
        let controller = Controller::new();
        let bucket = "[artifacts]\nurl = \"s3://builds/rollctl\"\n";
        let service = controller.usual(&BUDGET.to_string());
        controller.inventory(&self.fleet, "root", &format!("{bucket}{service}"));
        let path = controller.path("inventory/test.toml");
        let text = fs::read_to_string(&path).unwrap();
        let url = self.server.url("rollctl");
        fs::write(path, text.replace("sqlite:ledger.db", &url)).unwrap();
        Desk {
            machine,
            user,
            controller,
            environment: self.buckets.environment(),
        }
    }

    pub(crate) fn version(&self, name: &str) -> Version {
        let behaviour = Behaviour {
            ready_delay: Duration::from_millis(300),
            ..Behaviour::default()
        };
        let build = self.builds.version(name, &behaviour);
        Version {
            hash: file_hash(&build),
            name: name.to_owned(),
            build,
        }
    }

    /// Runs to the end. Whatever happens, nobody is shown the password.
    pub(crate) fn run(&self, command: Command) -> Ended {
        let ended = Running::start(command).end();
        assert!(!ended.stderr.contains(PASSWORD), "{}", ended.stderr);
        ended
    }

    pub(crate) fn watch(&self) -> Prober {
        let targets = self.fleet.hosts().iter();
        Prober::start(targets.map(|host| Target::of(host, 8080)).collect())
    }

    /// Every host runs the version, every machine sees that, and the hosts' journals and the ledger agree.
    #[track_caller]
    pub(crate) fn all_run(&self, version: &Version, desks: &[&Desk]) {
        for host in self.fleet.hosts() {
            let hash = running_hash(host, "web.service");
            assert_eq!(hash, version.hash, "{}", host.name());
        }
        for desk in desks {
            let ended = self.run(desk.rollctl(&["status", "web"]));
            let shown = ended.events.last().unwrap();
            assert_eq!(shown["revision"]["name"], version.name.as_str(), "{shown}");
            assert_eq!(shown["available"], HOSTS, "{shown}");
            assert!(shown["rollout"].is_null(), "{shown}");
        }
        for desk in desks {
            let ended = self.run(desk.rollctl(&["ledger", "verify", "--connect"]));
            assert_eq!(ended.code, Some(0), "{:?}{}", ended.events, ended.stderr);
        }
        let url = self.server.url("rollctl");
        let url = url.replace('@', &format!(":{PASSWORD}@"));
        let wrong = agree::wrong(&self.fleet, &url);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

impl Desk {
    pub(crate) fn release(&self, version: &Version) -> Command {
        let build = version.build.to_str().unwrap();
        self.rollctl(&["release", "web", build, "--name", &version.name])
    }

    /// `rollctl` on this machine: the kernel gives it the machine's name.
    pub(crate) fn rollctl(&self, words: &[&str]) -> Command {
        let words = [words, &["--output", "json"]].concat();
        let own = self.controller.command(&words);
        let mut command = Command::new("unshare");
        command
            .args(["--uts", "sh", "-c"])
            .arg("echo \"$0\" >/proc/sys/kernel/hostname && exec \"$@\"")
            .arg(self.machine)
            .arg(own.get_program())
            .args(own.get_args())
            .env_clear();
        for (name, value) in own.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("USER", self.user)
            .env("PGPASSWORD", PASSWORD)
            .stdin(std::process::Stdio::null());
        command
    }
}
