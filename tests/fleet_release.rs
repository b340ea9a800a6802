//! Releases on real hosts, seen from outside.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use rollctl_fleet::{Base, Fleet, FleetOptions, Prober, Record, Target};
use rollctl_lab::Behaviour;
use support::{Controller, file_hash, install_by_hand, running_hash};

fn ready_after(seconds: u64) -> Behaviour {
    Behaviour {
        ready_delay: Duration::from_secs(seconds),
        ..Behaviour::default()
    }
}

fn watch(fleet: &Fleet) -> Prober {
    Prober::start(
        fleet
            .hosts()
            .iter()
            .map(|host| Target::of(host, 8080))
            .collect(),
    )
}

/// Every host runs what `status` says, and that is the file that was released.
#[track_caller]
fn all_run(fleet: &Fleet, controller: &Controller, name: &str, hash: &str) {
    let status = controller.json(&["status", "web"]);
    assert_eq!(status["revision"]["name"], name);
    assert_eq!(status["available"], fleet.hosts().len());
    for (host, shown) in fleet
        .hosts()
        .iter()
        .zip(status["instances"].as_array().unwrap())
    {
        assert_eq!(shown["host"], host.name());
        assert_eq!(shown["revision"], name, "{}", host.name());
        assert_eq!(running_hash(host, "web.service"), hash, "{}", host.name());
    }
}

fn lowest(record: &Record) -> usize {
    println!("{record}");
    record.lowest()
}

#[test]
fn twelve_hosts_are_released_and_rolled_back_within_their_budget() {
    if rollctl_fleet::skip() {
        return;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(12, Base::Full).prefix("web")).unwrap();
    let controller = Controller::new();
    let (v0, v1, v2) = (
        controller.version("v0", &ready_after(2)),
        controller.version("v1", &ready_after(2)),
        controller.version("v2", &ready_after(2)),
    );
    let hash = |path| file_hash(path);
    let release = |path: &std::path::Path, name: &str| {
        controller.rollctl(&["release", "web", path.to_str().unwrap(), "--name", name])
    };
    controller.inventory(&fleet, "root", &controller.usual("3"));
    for host in &fleet.hosts()[..6] {
        install_by_hand(host, &v0);
    }

    // The first release: half of the hosts run the service already, the others do not.
    release(&v1, "v1").exits(0);
    all_run(&fleet, &controller, "v1", &hash(&v1));

    // One login per host in a whole release, and never fewer than nine available.
    let logins: Vec<_> = fleet
        .hosts()
        .iter()
        .map(|host| host.ssh_logins().unwrap())
        .collect();
    let prober = watch(&fleet);
    release(&v2, "v2").exits(0);
    let record = prober.stop();
    for (host, before) in fleet.hosts().iter().zip(logins) {
        assert_eq!(
            host.ssh_logins().unwrap() - before,
            1,
            "logins on {}",
            host.name()
        );
    }
    assert_eq!(lowest(&record), 9);
    all_run(&fleet, &controller, "v2", &hash(&v2));

    // The same again: nothing to do, nothing is touched.
    let pids = |fleet: &Fleet| -> Vec<String> {
        fleet
            .hosts()
            .iter()
            .map(|h| h.sh("systemctl show -p MainPID --value web").unwrap())
            .collect()
    };
    let before = pids(&fleet);
    release(&v2, "v2").exits(0).says("nothing to do");
    assert_eq!(pids(&fleet), before);

    // Back by name, forth by number, back to what was there before rollctl came.
    let prober = watch(&fleet);
    controller
        .rollctl(&["rollback", "web", "--to", "v1"])
        .exits(0);
    assert_eq!(lowest(&prober.stop()), 9);
    all_run(&fleet, &controller, "v1", &hash(&v1));

    let history = controller.json(&["history", "web"]);
    let revisions = history["revisions"].as_array().unwrap();
    let named = |wanted: &dyn Fn(&str) -> bool| {
        revisions
            .iter()
            .find(|r| wanted(r["names"][0].as_str().unwrap()))
            .unwrap()
            .clone()
    };
    let number = named(&|name| name == "v2")["number"].to_string();
    controller
        .rollctl(&["rollback", "web", "--to", &number])
        .exits(0);
    all_run(&fleet, &controller, "v2", &hash(&v2));

    let adopted = named(&|name| name.starts_with("adopted-"))["names"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let prober = watch(&fleet);
    controller
        .rollctl(&["rollback", "web", "--to", &adopted])
        .exits(0);
    assert_eq!(lowest(&prober.stop()), 9);
    all_run(&fleet, &controller, &adopted, &hash(&v0));
    let unit = fleet
        .host(0)
        .sh("cat /etc/systemd/system/web.service")
        .unwrap();
    assert!(
        unit.contains("by hand"),
        "what was there is there again:\n{unit}"
    );

    // With a larger budget the prober sees more of them away: so it can see.
    let prober = watch(&fleet);
    controller
        .rollctl(&[
            "release",
            "web",
            v2.to_str().unwrap(),
            "--max-unavailable",
            "4",
        ])
        .exits(0);
    assert_eq!(lowest(&prober.stop()), 8);
    all_run(&fleet, &controller, "v2", &hash(&v2));

    // They all survive a reboot with the revision that they run.
    fleet.host(0).reboot().unwrap();
    fleet
        .host(0)
        .wait_until("systemctl is-active web.service", Duration::from_secs(20))
        .unwrap();
    assert_eq!(running_hash(fleet.host(0), "web.service"), hash(&v2));
    fleet.shut_down().unwrap();
}

#[test]
fn no_instance_is_down_while_its_artifact_travels() {
    if rollctl_fleet::skip() {
        return;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(1, Base::Full).prefix("web")).unwrap();
    let controller = Controller::new();
    controller.inventory(&fleet, "root", &controller.usual("1"));
    let padded = |version: &str, padding| {
        controller.version(
            version,
            &Behaviour {
                padding,
                padding_seed: 7,
                ..Behaviour::default()
            },
        )
    };
    let outage = |artifact: &std::path::Path| -> Duration {
        let prober = watch(&fleet);
        controller
            .rollctl(&["release", "web", artifact.to_str().unwrap()])
            .exits(0);
        let record = prober.stop();
        let bodies: BTreeSet<_> = record
            .bodies(fleet.host(0).name())
            .into_iter()
            .map(|(_, body)| body)
            .collect();
        println!("{record}\nbodies: {bodies:?}");
        record.outages(fleet.host(0).name()).into_iter().sum()
    };
    controller
        .rollctl(&["release", "web", padded("v0", 0).to_str().unwrap()])
        .exits(0);
    let mut small = Vec::new();
    let mut large = Vec::new();
    for round in 0..3 {
        small.push(outage(&padded(&format!("s{round}"), 1_000_000)));
        large.push(outage(&padded(&format!("l{round}"), 100_000_000)));
    }
    small.sort();
    large.sort();
    println!("down for 1 MB: {small:?}, for 100 MB: {large:?}");
    // Sending 100 MB takes seconds; the medians differ by less than a tenth of one.
    assert!(
        large[1] < small[1] + Duration::from_millis(100),
        "{small:?} {large:?}"
    );
    fleet.shut_down().unwrap();
}
