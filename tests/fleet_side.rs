//! Side by side on real hosts behind real HAProxies: the new instance beside the old one, which goes once the new serves.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "real time, and a test that cannot go on fails"
)]

mod support;

#[path = "fleet_traffic/haproxy.rs"]
mod haproxy;
#[path = "fleet_traffic/load.rs"]
mod load;

use std::time::{Duration, Instant};

use haproxy::Haproxy;
use load::{Habit, Load};
use rollctl_fleet::{Base, Fleet, FleetOptions};
use rollctl_lab::Behaviour;
use support::{Controller, Run, times};

const UNIT: &str = "[Unit]\nDescription=demo\n\n[Service]\nExecStart=/opt/web/revisions/%i/web\nRestart=on-failure\n\n\
[Install]\nWantedBy=multi-user.target\n";

struct Stage {
    fleet: Fleet,
    controller: Controller,
    balancers: [Haproxy; 2],
}

fn stage(hosts: usize, surge: &str, unavailable: &str) -> Option<Stage> {
    if rollctl_fleet::skip() {
        return None;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(hosts, Base::Full).prefix("web")).unwrap();
    let balancers = [Haproxy::start(fleet.hosts()), Haproxy::start(fleet.hosts())];
    let controller = Controller::new();
    let services = controller
        .usual(&format!("{unavailable}\nmax_surge = {surge}"))
        .replace("unit = \"web.service\"", "unit = \"web@.service\"")
        .replace(
            "unit_file = \"web.service\"",
            "unit_file = \"web@.service\"",
        )
        .replace("port = 8080", "ports = [8080, 8081]")
        .replace("\"pause\"", "\"rollback\"");
    controller.write("inventory/web@.service", UNIT);
    let traffic = format!(
        "[services.web.traffic]\ndriver = \"haproxy\"\nendpoints = [\"{}\", \"{}\"]\nbackend = \"web\"\n\
         drain_timeout = \"30s\"\n",
        balancers[0].endpoint(),
        balancers[1].endpoint()
    );
    controller.inventory(&fleet, "root", &format!("{services}{traffic}"));
    let stage = Stage {
        fleet,
        controller,
        balancers,
    };
    stage.release("v1", &Behaviour::default()).exits(0);
    stage.each_runs_only("v1");
    Some(stage)
}

impl Stage {
    fn release(&self, name: &str, behaviour: &Behaviour) -> Run {
        let artifact = self.controller.version(name, behaviour);
        let artifact = artifact.to_str().unwrap();
        self.controller
            .rollctl(&["release", "web", artifact, "--name", name])
    }

    /// One unit of the template runs and is enabled on each host, that of the revision, and it has its traffic.
    #[track_caller]
    fn each_runs_only(&self, revision: &str) {
        let unit = format!("web@{revision}.service");
        for host in self.fleet.hosts() {
            let running = host
                .sh("systemctl list-units --plain --no-legend 'web@*.service' | awk '{print $1}'")
                .unwrap();
            assert_eq!(running.trim(), unit, "{}", host.name());
            let enabled = host
                .sh("ls /etc/systemd/system/multi-user.target.wants | grep web")
                .unwrap();
            assert_eq!(enabled.trim(), unit, "{}", host.name());
            let current = host.sh("readlink /opt/web/current").unwrap();
            assert_eq!(current.trim(), format!("revisions/{revision}"));
        }
        let names: Vec<_> = self.fleet.hosts().iter().map(|host| host.name()).collect();
        for balancer in &self.balancers {
            assert_eq!(balancer.attached(), names);
        }
    }

    /// `status` shows both revisions that run on the first host, for people and for programs; the second runs the old one.
    #[track_caller]
    fn first_shows_both(&self, old: &str, new: &str) {
        let host = self.fleet.host(0).name();
        for revision in [old, new] {
            let unit = format!("systemctl is-active web@{revision}.service");
            assert_eq!(self.fleet.host(0).sh(&unit).unwrap().trim(), "active");
        }
        let run = self.controller.rollctl(&["status", "web"]).exits(0);
        let shown: Vec<_> = run
            .stdout
            .lines()
            .filter(|line| line.starts_with(host))
            .map(|line| line.split_whitespace().nth(1).unwrap_or_default())
            .collect();
        assert_eq!(shown, [new, old], "{}", run.stdout);
        let status = self.controller.json(&["status", "web"]);
        let entries = status["instances"].as_array().unwrap();
        assert_eq!(entries.len(), 3, "{status}");
        for (entry, revision) in entries.iter().zip([new, old, old]) {
            assert_eq!(entry["revision"], revision, "{status}");
            assert_eq!(entry["state"], "available", "{status}");
            assert!(entry["since"].is_string(), "{status}");
        }
        let counts = ["desired", "current", "up_to_date", "available"].map(|key| &status[key]);
        assert_eq!(counts, [2, 3, 1, 2], "{status}");
    }

    fn load(&self) -> Load {
        for balancer in &self.balancers {
            let begun = Instant::now();
            while balancer.connect().is_err() {
                assert!(begun.elapsed() < Duration::from_secs(10));
            }
        }
        let addresses = [&self.balancers[0], &self.balancers[1]].map(Haproxy::address);
        Load::start(
            &addresses,
            &[Habit::Keeps, Habit::Fresh, Habit::Slow { ms: 2_000 }],
        )
    }
}

#[test]
fn no_request_fails_while_old_and_new_run_side_by_side() {
    let rounds = times("ROLLCTL_TRAFFIC_ROUNDS", 1);
    let hosts = if rounds > 1 { 6 } else { 3 };
    let Some(stage) = stage(hosts, "1", "0") else {
        return;
    };
    let load = stage.load();
    for round in 0..rounds {
        let name = format!("v{}", round + 2);
        stage.release(&name, &Behaviour::default()).exits(0);
        stage.each_runs_only(&name);
    }
    stage.controller.rollctl(&["rollback", "web"]).exits(0);
    stage.each_runs_only(&format!("v{rounds}"));
    let seen = load.stop();
    eprintln!(
        "{} requests, {} of them of 2 s, {} failures",
        seen.asked,
        seen.slow,
        seen.failures.len()
    );
    assert_eq!(seen.failures, Vec::<String>::new());
    assert!(seen.asked > 1_000, "{}", seen.asked);
    stage.fleet.shut_down().unwrap();
}

#[test]
fn nobody_sees_a_bad_release() {
    let Some(stage) = stage(2, "1", "0") else {
        return;
    };
    let load = stage.load();
    let never = Behaviour {
        ready_delay: Duration::from_secs(600),
        ..Behaviour::default()
    };
    stage.release("bad", &never).exits(10);
    stage.each_runs_only("v1");
    let seen = load.stop();
    assert_eq!(seen.failures, Vec::<String>::new());
    stage.fleet.shut_down().unwrap();
}

#[test]
fn both_budgets_at_once() {
    let Some(stage) = stage(3, "1", "1") else {
        return;
    };
    let run = stage.release("v2", &Behaviour::default()).exits(0);
    stage.each_runs_only("v2");
    // One beside, one in place on its other port.
    assert!(run.stderr.contains("web-01: starting `v2` beside `v1`"));
    assert!(run.stderr.contains("web-02: switching from `v1` to `v2`"));
    stage.fleet.shut_down().unwrap();
}

#[test]
fn killed_at_any_time_one_of_the_two_is_left() {
    let Some(stage) = stage(2, "1", "0") else {
        return;
    };
    let moments: [&[&str]; 6] = [
        &["action_started", "\"start\""],
        &["action_ended", "\"start\""],
        &["action_started", "\"confirm\""],
        &["action_ended", "\"attach\""],
        &["action_ended", "\"drain_sibling\""],
        &["action_started", "\"stop_sibling\""],
    ];
    let load = stage.load();
    for (round, words) in moments.iter().enumerate() {
        let name = format!("k{round}");
        let before = stage.controller.json(&["status", "web"]);
        stage.controller.release_killed_at(&name, words, 1);
        if words[1] == "\"attach\"" {
            let old = before["revision"]["name"].as_str().unwrap();
            stage.first_shows_both(old, &name);
        }
        match round % 2 {
            0 => {
                stage.controller.rollctl(&["resume", "web"]).exits(0);
                stage.each_runs_only(&name);
            }
            _ => {
                let other = format!("n{round}");
                stage.release(&other, &Behaviour::default()).exits(0);
                stage.each_runs_only(&other);
            }
        }
    }
    let seen = load.stop();
    assert_eq!(seen.failures, Vec::<String>::new());
    stage.fleet.shut_down().unwrap();
}

#[test]
fn a_reboot_before_the_confirmation_brings_back_the_old_one() {
    let Some(stage) = stage(1, "1", "0") else {
        return;
    };
    let started = ["action_ended", "\"start\""];
    stage.controller.release_killed_at("v2", &started, 1);
    stage.fleet.host(0).reboot().unwrap();
    stage.each_runs_only("v1");
    stage.controller.rollctl(&["resume", "web"]).exits(0);
    stage.each_runs_only("v2");
    stage.fleet.shut_down().unwrap();
}
