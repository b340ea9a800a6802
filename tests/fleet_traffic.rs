//! Not one failed request: real hosts behind real HAProxies, under load from outside.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "real time, and a test that cannot go on fails"
)]

mod support;

#[path = "fleet_traffic/haproxy.rs"]
mod haproxy;
#[path = "fleet_traffic/load.rs"]
mod load;
#[path = "fleet_traffic/nginx.rs"]
mod nginx;
#[path = "ssh/server.rs"]
#[expect(dead_code, reason = "the tests of SSH use the rest")]
mod server;

use std::time::{Duration, Instant};

use haproxy::Haproxy;
use load::{Habit, Load};
use nginx::Nginx;
use rollctl_fleet::{Base, Fleet, FleetOptions};
use rollctl_lab::Behaviour;
use support::{Controller, Run, times};

struct Stage {
    fleet: Fleet,
    controller: Controller,
    balancers: [Haproxy; 2],
}

/// Hosts with `v1`, two balancers before them, and the inventory that names both.
fn stage(hosts: usize, drain_timeout: &str) -> Option<Stage> {
    if rollctl_fleet::skip() {
        return None;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(hosts, Base::Full).prefix("web")).unwrap();
    let balancers = [Haproxy::start(fleet.hosts()), Haproxy::start(fleet.hosts())];
    let controller = Controller::new();
    let traffic = format!(
        "[services.web.traffic]\ndriver = \"haproxy\"\nendpoints = [\"{}\", \"{}\"]\nbackend = \"web\"\n\
         drain_timeout = \"{drain_timeout}\"\n",
        balancers[0].endpoint(),
        balancers[1].endpoint()
    );
    controller.inventory(
        &fleet,
        "root",
        &format!("{}{traffic}", controller.usual("1")),
    );
    let stage = Stage {
        fleet,
        controller,
        balancers,
    };
    stage.release("v1").exits(0);
    stage.all_are_attached();
    Some(stage)
}

impl Stage {
    fn release(&self, name: &str) -> Run {
        let artifact = self.controller.version(name, &Behaviour::default());
        let artifact = artifact.to_str().unwrap();
        self.controller
            .rollctl(&["release", "web", artifact, "--name", name])
    }

    fn names(&self) -> Vec<String> {
        let hosts = self.fleet.hosts().iter();
        hosts.map(|host| host.name().to_owned()).collect()
    }

    #[track_caller]
    fn all_are_attached(&self) {
        for balancer in &self.balancers {
            assert_eq!(balancer.attached(), self.names());
        }
    }

    fn load(&self, slow_ms: u64) -> Load {
        for balancer in &self.balancers {
            let begun = Instant::now();
            while balancer.connect().is_err() {
                assert!(begun.elapsed() < Duration::from_secs(10));
            }
        }
        let addresses = [&self.balancers[0], &self.balancers[1]].map(Haproxy::address);
        let habits = [Habit::Keeps, Habit::Fresh, Habit::Slow { ms: slow_ms }];
        Load::start(&addresses, &habits)
    }
}

/// How many releases in a row, for whoever has time for more.
fn rounds() -> usize {
    times("ROLLCTL_TRAFFIC_ROUNDS", 1)
}

#[test]
fn no_request_fails_while_a_fleet_is_released() {
    let Some(stage) = stage(6, "30s") else {
        return;
    };
    let load = stage.load(2_000);
    for round in 0..rounds() {
        stage.release(&format!("v{}", round + 2)).exits(0);
        stage.all_are_attached();
    }
    stage.controller.rollctl(&["rollback", "web"]).exits(0);
    let seen = load.stop();
    println!(
        "{} requests, {} of them of 2 s, {} failures",
        seen.asked,
        seen.slow,
        seen.failures.len()
    );
    assert_eq!(seen.failures, Vec::<String>::new());
    assert!(seen.asked > 1_000, "{}", seen.asked);
    stage.all_are_attached();
    stage.fleet.shut_down().unwrap();
}

#[test]
fn a_drain_that_takes_too_long_is_cut_short_and_said_so() {
    let Some(stage) = stage(2, "500ms") else {
        return;
    };
    let load = stage.load(4_000);
    let run = stage.release("v2").exits(0);
    assert!(
        run.text().contains("drain_timeout is over, "),
        "{}",
        run.text()
    );
    drop(load.stop());
    stage.all_are_attached();
    stage.fleet.shut_down().unwrap();
}

#[test]
fn what_an_operator_took_out_stays_out_and_is_updated() {
    let Some(stage) = stage(3, "10s") else {
        return;
    };
    for balancer in &stage.balancers {
        balancer.tell("set server web/web-03 state maint");
    }
    stage
        .controller
        .rollctl(&["check", "--connect"])
        .exits(0)
        .says("web-01")
        .says("root, in traffic")
        .says("root, out of traffic at `unix:");
    // One of three is out: with `max_unavailable = 1` no other may go down.
    stage
        .release("v2")
        .exits(3)
        .says("as it was found: left so");
    let status = stage.controller.json(&["status", "web"]);
    assert_eq!(status["instances"][2]["revision"], "v2");
    assert_eq!(status["instances"][0]["revision"], "v1");
    let artifact = stage.controller.path("build-v2");
    stage
        .controller
        .rollctl(&[
            "release",
            "web",
            artifact.to_str().unwrap(),
            "--max-unavailable",
            "2",
        ])
        .exits(0);
    for balancer in &stage.balancers {
        assert_eq!(balancer.attached(), ["web-01", "web-02"]);
    }
    stage.fleet.shut_down().unwrap();
}

#[test]
fn killed_between_drain_and_attach_everything_gets_its_traffic_again() {
    let Some(stage) = stage(3, "10s") else {
        return;
    };
    let kills = times("ROLLCTL_TRAFFIC_KILLS", 4);
    let actions = ["drain", "activate", "confirm", "attach"];
    for (round, action) in actions.iter().cycle().take(kills).enumerate() {
        let name = format!("k{round}");
        let action_word = format!("\"action\":\"{action}\"");
        let words = ["\"kind\":\"action_started\"", &action_word];
        let number = 1 + round / 4 % 3;
        stage.controller.release_killed_at(&name, &words, number);
        let out = stage.balancers[0].attached().len();
        println!("killed at {action}: {out} of 3 are in traffic");
        if round % 2 == 0 {
            stage.controller.rollctl(&["resume", "web"]).exits(0);
        } else {
            // Another rollout takes its place: it knows what the first has taken out.
            stage.release(&format!("n{round}")).exits(0);
        }
        stage.all_are_attached();
    }
    stage.fleet.shut_down().unwrap();
}

#[test]
fn no_request_fails_behind_nginx() {
    if rollctl_fleet::skip() {
        return;
    }
    let hosts = if rounds() > 1 { 6 } else { 3 };
    let fleet = Fleet::boot(FleetOptions::hosts(hosts, Base::Full).prefix("web")).unwrap();
    let balancers = [Nginx::start(fleet.hosts()), Nginx::start(fleet.hosts())];
    let all_are_in = || assert_eq!(balancers.each_ref().map(Nginx::down), [0, 0]);
    let controller = Controller::new();
    let services = controller.usual("1").replace("\"*\"", "\"web-*\"");
    controller.inventory(
        &fleet,
        "root",
        &format!("{services}{}", Nginx::inventory(&balancers)),
    );
    let release = |name: &str| {
        let artifact = controller.version(name, &Behaviour::default());
        let artifact = artifact.to_str().unwrap().to_owned();
        controller.rollctl(&["release", "web", &artifact, "--name", name])
    };
    release("v1").exits(0);
    all_are_in();
    let habits = [Habit::Reopens, Habit::Fresh, Habit::Slow { ms: 2_000 }];
    let load = Load::start(&balancers.each_ref().map(Nginx::address), &habits);
    for round in 0..rounds() {
        release(&format!("v{}", round + 2)).exits(0);
        all_are_in();
    }
    let seen = load.stop();
    println!(
        "{} requests, {} of them of 2 s, {} failures",
        seen.asked,
        seen.slow,
        seen.failures.len()
    );
    assert_eq!(seen.failures, Vec::<String>::new());
    fleet.shut_down().unwrap();
}
