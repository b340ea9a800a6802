//! The controller is killed between drain and attach and never comes back: by the dead-man's switch at the balancer alone, a
//! healthy instance gets its traffic again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "fleet_traffic/on_host.rs"]
mod on_host;

use std::time::Duration;

use rollctl_fleet::{Base, Fleet, FleetOptions, Host};
use rollctl_lab::Behaviour;
use support::{Controller, Run, times};

/// The window of these tests is 45 s; a busy machine may be late.
const PATIENCE: Duration = Duration::from_secs(120);

/// Says its short stop, so that the windows are short.
const UNIT: &str = "[Service]\nExecStart=/opt/web/current/web\nRestart=on-failure\nTimeoutStopSec=1s\n\n\
[Install]\nWantedBy=multi-user.target\n";

const AS_SVC: &str =
    "runuser -u svc -- env XDG_RUNTIME_DIR=/run/user/$(id -u svc) systemctl --user";

/// All that a switch leaves on a machine; nothing when none is armed.
const SWITCHES: &str = "ls -d /etc/systemd/system/rollctl-web-traffic-* /etc/systemd/system/timers.target.wants/rollctl-web-* \
/var/lib/rollctl/traffic/* /home/svc/.config/systemd/user/rollctl-web-traffic-* /home/svc/.local/share/rollctl/traffic/* 2>/dev/null || true";

struct Stage {
    fleet: Fleet,
    controller: Controller,
}

impl Stage {
    /// Two instances and, if that is asked for, a third host before them.
    fn boot(hosts: usize) -> Option<Self> {
        if rollctl_fleet::skip() {
            return None;
        }
        Some(Self {
            fleet: Fleet::boot(FleetOptions::hosts(hosts, Base::Full).prefix("web")).unwrap(),
            controller: Controller::new(),
        })
    }

    /// The usual service on the first two hosts, with short times, behind a balancer.
    fn inventory(&self, user: &str, traffic: &str) {
        let services = self
            .controller
            .usual("2")
            .replace("hosts = \"*\"", "hosts = \"web-*,!web-03\"")
            .replace("deadline = \"20s\"", "deadline = \"5s\"");
        self.controller.write("inventory/web.service", UNIT);
        let services =
            format!("{services}[services.web.traffic]\ndrain_timeout = \"1s\"\n{traffic}");
        self.controller.inventory(&self.fleet, user, &services);
    }

    fn release(&self, name: &str) -> Run {
        let artifact = self.controller.version(name, &Behaviour::default());
        let words = [
            "release",
            "web",
            artifact.to_str().unwrap(),
            "--name",
            name,
            "--max-unavailable",
            "2",
        ];
        self.controller.rollctl(&words)
    }

    /// A release that is killed with -9 as it begins its `number`th action of that kind.
    fn killed_at(&self, name: &str, action: &str, number: usize) {
        let action = format!("\"action\":\"{action}\"");
        let words = ["\"kind\":\"action_started\"", &action];
        self.controller.release_killed_at(name, &words, number);
    }
}

fn switches(host: &Host) -> Vec<String> {
    let text = host.sh(SWITCHES).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Neither on disk nor in systemd, once what ran for it has ended.
fn nothing_is_armed(host: &Host) {
    assert_eq!(switches(host), Vec::<String>::new());
    for systemctl in ["systemctl", AS_SVC] {
        let units = format!("test -z \"$({systemctl} list-units --all --no-legend 'rollctl-*')\"");
        host.wait_until(&units, PATIENCE).unwrap();
    }
}

#[test]
fn haproxy_gets_it_back_and_what_an_operator_took_out_stays_out() {
    let Some(stage) = Stage::boot(3) else {
        return;
    };
    let balancer = stage.fleet.host(2);
    on_host::haproxy(balancer, &stage.fleet.hosts()[..2]);
    // Root by sudo; the socket is the login user's to use.
    stage.inventory(
        "deploy",
        "driver = \"haproxy\"\nbackend = \"web\"\nendpoints = [\"ssh://web-03/run/haproxy.sock\"]\n",
    );
    let run = stage.release("v1").exits(0);
    assert!(!run.text().contains("dead-man"), "{}", run.text());
    nothing_is_armed(balancer);
    let state = |server: &str| on_host::haproxy_state(balancer, server);
    assert_eq!((state("web-01"), state("web-02")), ((2, 0), (2, 0)));

    on_host::tell_haproxy(balancer, "set server web/web-01 state maint");
    let is_in = format!("{} | grep -q ' web-02 [0-9.]* 2 0 '", on_host::ASK_HAPROXY);
    // Both are switched at once, and only the second has traffic to lose: before its switch, and before it is put in.
    let moments = [("activate", 2), ("attach", 1)];
    for (round, (action, number)) in moments
        .iter()
        .cycle()
        .take(times("ROLLCTL_GUARD_KILLS", 2))
        .enumerate()
    {
        stage.killed_at(&format!("k{round}"), action, *number);
        let armed = switches(balancer);
        let is_second = |path: &String| path.contains("rollctl-web-traffic-web-02-");
        assert!(armed.iter().all(is_second), "{armed:?}");
        if *action == "activate" {
            assert_eq!((state("web-01").1, state("web-02").1), (1, 1));
            assert!(
                armed.iter().any(|path| path.ends_with(".timer")),
                "{armed:?}"
            );
        }
        balancer.wait_until(&is_in, PATIENCE).unwrap();
        balancer
            .wait_until(&format!("test -z \"$({SWITCHES})\""), PATIENCE)
            .unwrap();
        nothing_is_armed(balancer);
        assert_eq!(state("web-01").1, 1, "an operator's own");
        // Its own host went back too, or will; somebody comes after all.
        stage.controller.rollctl(&["resume", "web"]).exits(0);
        assert_eq!((state("web-01").1, state("web-02")), (1, (2, 0)));
        nothing_is_armed(balancer);
    }
    balancer
        .sh("journalctl -u 'rollctl-web-traffic-*' | grep 'put back into traffic'")
        .unwrap();

    // Where nothing can be armed, that is said, and the rollout goes on without.
    let cannot = "the dead-man's switch on `web-03` cannot be armed: nothing there can speak to a Unix socket";
    balancer
        .sh("chmod a-x /usr/bin/perl* /usr/bin/python3*")
        .unwrap();
    let checked = stage
        .controller
        .rollctl(&["check", "--connect"])
        .exits(0)
        .says(cannot);
    assert_eq!(checked.text().matches(cannot).count(), 1);
    let run = stage
        .release("v9")
        .exits(0)
        .says("web-02: warning: ssh://web-03/run/haproxy.sock: ")
        .says(cannot);
    assert_eq!(run.text().matches(cannot).count(), 1);
    nothing_is_armed(balancer);
    stage.fleet.shut_down().unwrap();
}

#[test]
fn nginx_gets_its_line_back() {
    let Some(stage) = Stage::boot(3) else {
        return;
    };
    let balancer = stage.fleet.host(2);
    let file = on_host::nginx(balancer, &stage.fleet.hosts()[..2]);
    stage.inventory(
        "root",
        &format!("driver = \"nginx\"\nendpoints = [\"ssh://web-03{file}\"]\n"),
    );
    let text = || balancer.sh(&format!("cat {file}")).unwrap();
    stage.release("v1").exits(0);
    assert_eq!(text().matches(" down;").count(), 0);
    let before = text();
    nothing_is_armed(balancer);
    for round in 0..times("ROLLCTL_GUARD_KILLS", 1) {
        stage.killed_at(&format!("k{round}"), "activate", 2);
        assert_eq!(text().matches(" down;").count(), 2);
        // A reboot does not forget it; the time counts anew.
        balancer.reboot().unwrap();
        assert_eq!(text().matches(" down;").count(), 2);
        balancer
            .wait_until(&format!("! grep -q ' down;' {file}"), PATIENCE)
            .unwrap();
        balancer
            .wait_until(&format!("test -z \"$({SWITCHES})\""), PATIENCE)
            .unwrap();
        assert_eq!(text(), before);
        nothing_is_armed(balancer);
        let answers = "curl -fsS -m 5 http://127.0.0.1:8000/healthz";
        balancer.wait_until(answers, PATIENCE).unwrap();
        stage.controller.rollctl(&["resume", "web"]).exits(0);
        assert_eq!(text(), before);
    }
    stage.fleet.shut_down().unwrap();
}

#[test]
fn a_drain_mark_is_removed_by_the_users_own_systemd() {
    let Some(stage) = Stage::boot(1) else {
        return;
    };
    let host = stage.fleet.host(0);
    stage.inventory(
        "svc",
        "driver = \"health\"\ndrain_file = \"/home/svc/drain\"\npoll = \"200ms\"\nfall = 1\nrise = 1\n",
    );
    let inventory = stage.controller.path("inventory/test.toml");
    let text = std::fs::read_to_string(&inventory).unwrap();
    let text = text.replace("\"/opt/web\"", "\"~/web\"\nscope = \"user\"");
    std::fs::write(&inventory, text).unwrap();
    let unit = UNIT
        .replace("/opt/web", "%h/web")
        .replace("multi-user.target", "default.target");
    stage.controller.write("inventory/web.service", unit);
    stage.release("v1").exits(0);
    nothing_is_armed(host);
    for round in 0..times("ROLLCTL_GUARD_KILLS", 1) {
        stage.killed_at(&format!("k{round}"), "activate", 1);
        host.sh("test -e /home/svc/drain").unwrap();
        let armed = switches(host);
        assert!(
            armed
                .iter()
                .any(|path| path.ends_with(".timer") && path.starts_with("/home/svc/")),
            "{armed:?}"
        );
        host.wait_until("! test -e /home/svc/drain", PATIENCE)
            .unwrap();
        host.wait_until(&format!("test -z \"$({SWITCHES})\""), PATIENCE)
            .unwrap();
        nothing_is_armed(host);
        stage.controller.rollctl(&["resume", "web"]).exits(0);
        host.sh("! test -e /home/svc/drain").unwrap();
    }
    stage.fleet.shut_down().unwrap();
}
