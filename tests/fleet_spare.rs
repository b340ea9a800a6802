//! Spare hosts on real machines behind real HAProxies: a fleet that may never be short of one is rolled all the same.
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
use rollctl_fleet::{Base, Fleet, FleetOptions, Host};
use rollctl_lab::Behaviour;
use support::{Controller, Run, times};

struct Stage {
    fleet: Fleet,
    controller: Controller,
    balancers: [Haproxy; 2],
}

/// `hosts` ordinary hosts with `v1` and one spare host after them, which none of them may miss: surge 1, unavailable 0.
fn stage(hosts: usize) -> Option<Stage> {
    if rollctl_fleet::skip() {
        return None;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(hosts + 1, Base::Full).prefix("web")).unwrap();
    let balancers = [Haproxy::start(fleet.hosts()), Haproxy::start(fleet.hosts())];
    let controller = Controller::new();
    let spare = format!("web-{:02}", hosts + 1);
    let services = controller
        .usual("0\nmax_surge = 1")
        .replace(
            "hosts = \"*\"",
            &format!("hosts = \"web-*,!{spare}\"\nspare_hosts = \"{spare}\""),
        )
        .replace("\"pause\"", "\"rollback\"");
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
    Some(stage)
}

impl Stage {
    fn release(&self, name: &str, behaviour: &Behaviour) -> Run {
        let artifact = self.controller.version(name, behaviour);
        let artifact = artifact.to_str().unwrap();
        self.controller
            .rollctl(&["release", "web", artifact, "--name", name])
    }

    fn spare(&self) -> &Host {
        self.fleet.hosts().last().unwrap()
    }

    /// Every ordinary host has its traffic, and the spare one runs nothing and gets none.
    #[track_caller]
    fn is_as_it_should_be(&self) {
        let ordinary = self.fleet.hosts().len() - 1;
        let names: Vec<_> = self.fleet.hosts().iter().map(Host::name).collect();
        for balancer in &self.balancers {
            assert_eq!(balancer.attached()[..ordinary], names[..ordinary]);
        }
        let said = self
            .spare()
            .sh("systemctl is-active web.service; ls /opt/web; pgrep -x web")
            .unwrap_or_else(|error| error.to_string());
        assert!(!said.contains("current"), "{said}");
        assert!(!said.lines().any(|line| line == "active"), "{said}");
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
fn no_request_fails_while_a_spare_host_carries_the_surge() {
    let Some(stage) = stage(6) else {
        return;
    };
    stage.is_as_it_should_be();
    let load = stage.load();
    for round in 0..times("ROLLCTL_TRAFFIC_ROUNDS", 1) {
        let run = stage
            .release(&format!("v{}", round + 2), &Behaviour::default())
            .exits(0);
        let at = |words: &str| {
            let found = run.stderr.find(words);
            found.unwrap_or_else(|| panic!("{words:?} is not in {}", run.stderr))
        };
        assert!(at("web-07: starting") < at("web-01: switching"));
        assert!(at("web-06: runs") < at("web-07: stopping it"));
        stage.is_as_it_should_be();
    }
    stage.controller.rollctl(&["rollback", "web"]).exits(0);
    stage.is_as_it_should_be();
    let seen = load.stop();
    println!(
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
    let Some(stage) = stage(2) else {
        return;
    };
    let load = stage.load();
    let never = Behaviour {
        ready_delay: Duration::from_secs(600),
        ..Behaviour::default()
    };
    stage.release("bad", &never).exits(10);
    stage.is_as_it_should_be();
    let seen = load.stop();
    assert_eq!(seen.failures, Vec::<String>::new());
    assert!(seen.asked > 1_000, "{}", seen.asked);
    let status = stage.controller.json(&["status", "web"]);
    assert_eq!(status["desired"], 2);
    assert_eq!(status["instances"][2]["spare"], true);
    assert_eq!(status["instances"][2]["state"], "absent");
    stage.fleet.shut_down().unwrap();
}

#[test]
fn killed_at_any_time_the_spare_host_is_left_with_nothing() {
    let Some(stage) = stage(2) else {
        return;
    };
    let spare = "\"instance\":\"web-03\"";
    // The first three in each test run, all of them for whoever has time for more.
    let moments: [&[&str]; 5] = [
        &["action_started", spare, "\"activate\""],
        &["action_started", "\"instance\":\"web-01\"", "\"activate\""],
        &["action_started", spare, "\"stop\""],
        &["action_ended", spare, "\"confirm\""],
        &["action_started", spare, "\"drain\""],
    ];
    let kills = times("ROLLCTL_TRAFFIC_KILLS", 3);
    let load = stage.load();
    for (round, words) in moments.iter().take(kills).enumerate() {
        let name = format!("k{round}");
        stage.controller.release_killed_at(&name, words, 1);
        match round % 2 {
            0 => stage.controller.rollctl(&["resume", "web"]).exits(0),
            // Another rollout takes its place, and what was left on the spare host.
            _ => stage
                .release(&format!("n{round}"), &Behaviour::default())
                .exits(0),
        };
        stage.is_as_it_should_be();
    }
    let seen = load.stop();
    assert_eq!(seen.failures, Vec::<String>::new());
    stage.fleet.shut_down().unwrap();
}

#[test]
fn without_a_spare_host_that_can_be_reached_nothing_is_touched() {
    let Some(stage) = stage(2) else {
        return;
    };
    stage.spare().stop().unwrap();
    let artifact = stage.controller.version("v2", &Behaviour::default());
    let artifact = artifact.to_str().unwrap();
    stage
        .controller
        .rollctl(&["plan", "web", artifact])
        .exits(2)
        .says("no spare host can be reached to carry the surge");
    stage
        .controller
        .rollctl(&["release", "web", artifact, "--name", "v2"])
        .exits(2)
        .says("no spare host can be reached to carry the surge")
        .says("--max-unavailable 1");
    let status = stage.controller.json(&["status", "web"]);
    assert_eq!(status["instances"][0]["revision"], "v1");
    stage.fleet.shut_down().unwrap();
}
