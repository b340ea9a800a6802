//! A revision that goes bad after it was confirmed: what becomes of real hosts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use rollctl_fleet::{Base, Fleet, FleetOptions, Prober, Target};
use rollctl_lab::Behaviour;
use support::Controller;

fn fleet(hosts: usize) -> Option<Fleet> {
    if rollctl_fleet::skip() {
        return None;
    }
    Some(Fleet::boot(FleetOptions::hosts(hosts, Base::Full).prefix("web")).unwrap())
}

fn release(controller: &Controller, version: &str, behaviour: &Behaviour) -> Vec<String> {
    let path = controller.version(version, behaviour);
    let path = path.to_str().unwrap().to_owned();
    ["release", "web", &path, "--name", version]
        .map(str::to_owned)
        .to_vec()
}

fn version_of(host: &rollctl_fleet::Host) -> String {
    let ask = "curl -s -m 2 http://127.0.0.1:8080/healthz || echo down";
    host.sh(ask).unwrap().trim().to_owned()
}

#[test]
fn a_revision_that_crashes_after_half_a_minute_takes_one_instance_with_it() {
    let Some(fleet) = fleet(10) else { return };
    let controller = Controller::new();
    let services = controller
        .usual("3")
        .replace(
            "on_failure = \"pause\"",
            "on_failure = \"rollback\"\nsteps = [{ to = 1, bake = \"60s\" }, \"100%\"]",
        )
        .replace("min_ready = \"1s\"", "min_ready = \"10s\"");
    controller.inventory(&fleet, "root", &services);
    let words = release(&controller, "v1", &Behaviour::default());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    controller.rollctl(&words).exits(0);
    let prober = Prober::start(
        fleet
            .hosts()
            .iter()
            .map(|host| Target::of(host, 8080))
            .collect(),
    );
    let crashes = Behaviour {
        crash_after: Some(Duration::from_secs(30)),
        ..Behaviour::default()
    };
    let words = release(&controller, "v2", &crashes);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    controller.rollctl(&words).exits(10);
    let record = prober.stop();
    assert_eq!(
        record.lowest(),
        9,
        "one at most was ever affected: {record}"
    );
    for host in fleet.hosts() {
        assert_eq!(version_of(host), "ok v1", "{}", host.name());
    }
}
