//! Two ledgers and one fleet, and a ledger that is lost: on real hosts, asserted from their journals and processes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rollctl_fleet::{Base, Fleet, FleetOptions};
use rollctl_lab::Behaviour;
use serde_json::Value;
use support::{Controller, Run, file_hash, running_hash};

fn boot(hosts: usize) -> Option<(Fleet, Controller)> {
    if rollctl_fleet::skip() {
        return None;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(hosts, Base::Full).prefix("web")).unwrap();
    let controller = Controller::new();
    controller.inventory(&fleet, "root", &controller.usual("2"));
    Some((fleet, controller))
}

fn release(controller: &Controller, name: &str, behaviour: &Behaviour) -> Run {
    let path = controller.version(name, behaviour);
    controller.rollctl(&["release", "web", path.to_str().unwrap(), "--name", name])
}

/// Every host runs the file that was released under that name.
#[track_caller]
fn all_run(fleet: &Fleet, controller: &Controller, name: &str) {
    let wanted = file_hash(&controller.path(&format!("build-{name}")));
    for host in fleet.hosts() {
        assert_eq!(running_hash(host, "web.service"), wanted, "{}", host.name());
    }
}

fn journals(fleet: &Fleet) -> Vec<String> {
    let read = |host: &rollctl_fleet::Host| host.sh("cat /opt/web/.rollctl/journal").unwrap();
    fleet.hosts().iter().map(read).collect()
}

/// What `history` says, with times cut to what a journal has: rollouts without, revisions with.
fn history(controller: &Controller) -> Value {
    let mut history = controller.json(&["history", "web"]);
    for one in history["rollouts"].as_array_mut().unwrap() {
        one["started_at"] = Value::Null;
        one["ended_at"] = Value::Null;
    }
    history
}

fn lose(controller: &Controller) {
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = fs::remove_file(controller.path(&format!("inventory/{name}")));
    }
    fs::remove_dir_all(controller.path("inventory/ledger.artifacts")).unwrap();
}

#[test]
fn a_ledger_that_is_lost_comes_back_from_the_hosts() {
    let Some((fleet, controller)) = boot(4) else {
        return;
    };
    for name in ["v1", "v2", "v3"] {
        release(&controller, name, &Behaviour::default()).exits(0);
    }
    let broken = Behaviour {
        ready_delay: Duration::from_secs(600),
        ..Behaviour::default()
    };
    let inventory = fs::read_to_string(controller.path("inventory/test.toml")).unwrap();
    let goes_back = inventory
        .replace("on_failure = \"pause\"", "on_failure = \"rollback\"")
        .replace("deadline = \"20s\"", "deadline = \"3s\"");
    controller.write("inventory/test.toml", &goes_back);
    release(&controller, "v4", &broken).exits(10);
    controller.rollctl(&["restart", "web"]).exits(0);
    controller
        .rollctl(&["rollback", "web", "--to", "v2"])
        .exits(0);
    controller
        .rollctl(&["ledger", "verify", "--connect"])
        .exits(0);
    let before = history(&controller);
    let rows = controller.rollctl(&["ledger", "export"]).exits(0).stdout;
    assert!(rows.lines().count() > 100);

    lose(&controller);
    controller.rollctl(&["ledger", "rebuild"]).exits(0);
    // v4 is on no host any more but as what was shipped: its revision is still there, and so is its rollout.
    assert_eq!(history(&controller), before);
    controller.rollctl(&["ledger", "verify"]).exits(0);
    controller
        .rollctl(&["rollback", "web", "--to", "v1", "--take-over"])
        .exits(0);
    all_run(&fleet, &controller, "v1");
    controller
        .rollctl(&["ledger", "verify", "--connect"])
        .exits(0);
    for journal in journals(&fleet) {
        assert_eq!(journal.matches("\ttaken over from the ledger ").count(), 1);
    }
    // A line that nobody's ledger decided is found, and named.
    let forged = "2026-11-26T02:00:00Z\\t9\\t9\\teve@host\\tv1\\tv3\\tswitched\\tfeedbeef\\n";
    let host = &fleet.hosts()[2];
    host.sh(&format!("printf '{forged}' >>/opt/web/.rollctl/journal"))
        .unwrap();
    controller
        .rollctl(&["ledger", "verify", "--connect"])
        .exits(11)
        .says("web-03: DIFFERS: its journal has a change that is not in the ledger: rollout 9 by eve@host");
}

#[test]
fn whoever_is_taken_over_from_in_the_middle_can_act_nowhere() {
    let Some((fleet, first)) = boot(4) else {
        return;
    };
    release(&first, "v1", &Behaviour::default()).exits(0);
    release(&first, "v2", &Behaviour::default()).exits(0);
    // Somebody else's machine: the inventory, the key and the hosts, nothing more.
    let second = Controller::new();
    second.inventory(&fleet, "root", &second.usual("2"));
    second
        .rollctl(&["rollback", "web", "--to", "v1"])
        .exits(5)
        .says("is managed by another ledger");
    let before = journals(&fleet);
    release(&second, "v9", &Behaviour::default())
        .exits(5)
        .says("nothing was touched");
    assert_eq!(
        journals(&fleet),
        before,
        "the second was refused, and changed nothing"
    );
    assert!(!second.path("inventory/ledger.artifacts").exists());

    let slow = Behaviour {
        ready_delay: Duration::from_secs(4),
        ..Behaviour::default()
    };
    let path = first.version("v3", &slow);
    let words = ["release", "web", path.to_str().unwrap(), "--name", "v3"];
    let mut child = first
        .command(&words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let switched = "grep -q 'v3.switched' /opt/web/.rollctl/journal";
    let patience = Duration::from_secs(60);
    fleet.hosts()[0].wait_until(switched, patience).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it ended too early");
    second
        .rollctl(&["rollback", "web", "--to", "v1", "--take-over"])
        .exits(0);
    let output = child.wait_with_output().unwrap();
    let ended = Run::of(&output);
    assert!(![0, 10].contains(&ended.code), "{}", ended.text());
    assert!(
        ended.text().contains("managed by the ledger"),
        "{}",
        ended.text()
    );
    all_run(&fleet, &first, "v1");
    for journal in journals(&fleet) {
        let (_, after) = journal.split_once("\ttaken over from the ledger ").unwrap();
        // The first controller's epoch and rollouts are nowhere after that: every line has the second's ledger's events.
        assert!(!after.contains("\tv3\tconfirmed\t"), "{journal}");
    }
    second.rollctl(&["ledger", "verify", "--connect"]).exits(0);
    for words in [&["restart", "web"][..], &["rollback", "web", "--to", "v2"]] {
        first
            .rollctl(words)
            .exits(5)
            .says("is managed by another ledger");
    }
    all_run(&fleet, &first, "v1");
    // And back again, as deliberately.
    first
        .rollctl(&["rollback", "web", "--to", "v2", "--take-over"])
        .exits(0);
    all_run(&fleet, &first, "v2");
    second.rollctl(&["restart", "web"]).exits(5);
}
