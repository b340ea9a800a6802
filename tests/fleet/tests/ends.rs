//! However a test process ends, nothing of its hosts is left.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests panic as tests do"
)]

mod leftovers;

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leftovers::{PATIENCE, leftovers};
use rollctl_fleet::{Base, Fleet, FleetOptions};

/// Another process with two hosts, and the address of its first.
fn process_with_hosts() -> (Child, Ipv4Addr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rollctl-fleet"))
        .args(["2", "minimal"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let said: Vec<_> = lines
        .take_while(|line| !line.starts_with("# 2 hosts are up"))
        .collect();
    let address = said.iter().find_map(|line| {
        line.strip_prefix("address = \"")?
            .strip_suffix('"')?
            .parse()
            .ok()
    });
    let address = address.unwrap_or_else(|| panic!("it says where its hosts are: {said:?}"));
    assert!(!leftovers(address).is_empty());
    (child, address)
}

fn wait_until_nothing_is_left(address: Ipv4Addr) {
    let started = Instant::now();
    while !leftovers(address).is_empty() {
        assert!(
            started.elapsed() < PATIENCE,
            "still there: {:?}",
            leftovers(address)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_killed_test_process_leaves_nothing_behind() {
    if rollctl_fleet::skip() {
        return;
    }
    let (mut child, address) = process_with_hosts();
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until_nothing_is_left(address);
}

#[test]
fn hosts_for_a_person_end_with_the_input() {
    if rollctl_fleet::skip() {
        return;
    }
    let (mut child, address) = process_with_hosts();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(leftovers(address), Vec::<String>::new());
}

#[test]
fn what_a_killed_janitor_left_goes_with_the_next_boot() {
    if rollctl_fleet::skip() {
        return;
    }
    let neighbour = Fleet::boot(FleetOptions::hosts(1, Base::Minimal)).unwrap();
    let (mut child, address) = process_with_hosts();
    let find = format!("pgrep --parent {} --full janitor", child.id());
    let janitor = Command::new("sh").args(["-c", &find]).output().unwrap();
    let janitor = String::from_utf8(janitor.stdout).unwrap();
    assert!(
        Command::new("kill")
            .args(["-KILL", janitor.trim()])
            .status()
            .unwrap()
            .success()
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!leftovers(address).is_empty());

    let next = Fleet::boot(FleetOptions::hosts(0, Base::Minimal)).unwrap();
    next.shut_down().unwrap();
    assert_eq!(leftovers(address), Vec::<String>::new());
    assert_eq!(
        neighbour.host(0).sh("systemctl is-system-running").unwrap(),
        "running",
        "a slot in use is left alone"
    );
}
