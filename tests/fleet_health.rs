//! Every way of asking for health, and the way over a jump host, on real hosts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use rollctl_fleet::{Base, Fleet, FleetOptions};
use rollctl_lab::Behaviour;
use support::Controller;

/// Sick in every way that a check can notice: it never listens.
fn deaf() -> Behaviour {
    Behaviour {
        start_delay: Duration::from_secs(3600),
        ..Behaviour::default()
    }
}

fn release(controller: &Controller, name: &str, behaviour: &Behaviour) -> support::Run {
    let path = controller.version(name, behaviour);
    controller.rollctl(&["release", "web", path.to_str().unwrap(), "--name", name])
}

#[test]
fn each_kind_of_check_tells_a_good_revision_from_a_bad_one() {
    if rollctl_fleet::skip() {
        return;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(2, Base::Full).prefix("web")).unwrap();
    let controller = Controller::new();
    let direct = "http = \"http://{address}:{port}/healthz\"";
    for (n, check, says) in [
        (
            1,
            "http = \"http://{address}:{port}/healthz\"\nexpect_body = \"{revision}\"",
            "connection refused",
        ),
        (
            2,
            "http = \"http://{address}:{port}/version\"\nexpect_json = { \"/version\" = \"{revision}\" }",
            "connection refused",
        ),
        (
            3,
            "http = \"http://127.0.0.1:{port}/healthz\"\nthrough = \"ssh\"",
            "127.0.0.1:8080",
        ),
        (4, "tcp = \"{address}:{port}\"", "8080"),
        (
            5,
            "tcp = \"127.0.0.1:{port}\"\nthrough = \"ssh\"",
            "127.0.0.1:8080",
        ),
        (
            6,
            "command = \"curl -sf http://127.0.0.1:{port}/healthz | grep -q 'ok {revision}'\"",
            "exit",
        ),
    ] {
        let services = controller
            .usual("1")
            .replace(direct, check)
            .replace("\"20s\"", "\"6s\"");
        // While it starts, the service holds SIGTERM back; nobody wants to wait 90 s for that.
        let unit = support::UNIT.replace("Restart=", "TimeoutStopSec=1\nRestart=");
        controller.write("inventory/web.service", unit);
        controller.inventory(&fleet, "root", &services);
        let (good, bad) = (format!("good{n}"), format!("bad{n}"));
        release(&controller, &good, &Behaviour::default()).exits(0);
        release(&controller, &bad, &deaf())
            .exits(5)
            .says("not ready within 6s")
            .says(says);
        let status = controller.json(&["status", "web"]);
        assert_eq!(status["available"], 2, "{check}: {status}");
        assert_eq!(status["instances"][0]["revision"], good.as_str(), "{check}");
        assert_eq!(status["instances"][1]["revision"], good.as_str(), "{check}");
    }
    // The unit's state alone sees what does not stay up, and nothing else.
    let services = controller.usual("1").replace(direct, "unit = true");
    controller.inventory(&fleet, "root", &services);
    release(&controller, "good7", &Behaviour::default()).exits(0);
    let exits = Behaviour {
        exit_at_once: Some(3),
        ..Behaviour::default()
    };
    release(&controller, "bad7", &exits)
        .exits(5)
        .says("giving up at once");
    let status = controller.json(&["status", "web"]);
    assert_eq!(status["available"], 2, "{status}");
    fleet.shut_down().unwrap();
}

#[test]
fn hosts_behind_a_jump_host_are_asked_through_ssh_and_it_is_logged_in_to_once() {
    if rollctl_fleet::skip() {
        return;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(4, Base::Full).prefix("web")).unwrap();
    let controller = Controller::new();
    controller.inventory(&fleet, "root", &controller.usual("2"));
    let path = controller.path("inventory/test.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let jump = format!("[ssh]\njump = \"root@{}\"\n", fleet.host(0).address());
    let text = text
        .replacen("[ssh]\n", &jump, 1)
        .replace("hosts = \"*\"", "hosts = \"!web-01\"");
    std::fs::write(&path, text).unwrap();
    release(&controller, "v1", &Behaviour::default()).exits(0);
    let logins: Vec<_> = fleet
        .hosts()
        .iter()
        .map(|host| host.ssh_logins().unwrap())
        .collect();
    release(&controller, "v2", &Behaviour::default()).exits(0);
    for (host, before) in fleet.hosts().iter().zip(logins) {
        assert_eq!(
            host.ssh_logins().unwrap() - before,
            1,
            "logins on {}",
            host.name()
        );
    }
    for host in &fleet.hosts()[1..] {
        let answer = host.sh("curl -s http://127.0.0.1:8080/healthz").unwrap();
        assert!(answer.contains("v2"), "{}: {answer}", host.name());
    }
    assert!(
        fleet.host(0).sh("test ! -e /opt/web").is_ok(),
        "the jump host is only passed through"
    );
    fleet.shut_down().unwrap();
}
