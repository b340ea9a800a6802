//! Nothing outlives a lab, however it ends.
#![expect(clippy::expect_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rollctl_lab::{Lab, LabHost};
use support::{Login, is_alive, lab, wait_until};

/// A unit, a child of it in a session of its own, and a command left behind by a login.
const BUSY: &str = r#"mkdir -p ~/.config/systemd/user
printf '[Service]\nExecStart=/bin/sh -c "setsid sleep 1001 & exec sleep 1002"\n' > ~/.config/systemd/user/busy.service
systemctl --user start busy || exit 1
setsid sleep 1003 >/dev/null 2>&1 &
systemctl --user show --value -p MainPID busy"#;

fn busy_pids(lab: &Lab, host: &LabHost) -> Vec<i32> {
    let main: i32 = Login::new(lab, host).ask(BUSY).parse().expect("a pid");
    wait_until("three sleepers", || sleepers(host).len() == 3);
    let pids = sleepers(host);
    assert!(pids.contains(&main));
    pids
}

fn sleepers(host: &LabHost) -> Vec<i32> {
    let is_sleeper = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.starts_with("sleep"))
    };
    host.processes().into_iter().filter(is_sleeper).collect()
}

#[test]
fn a_dropped_lab_leaves_nothing() {
    let lab = lab(2);
    let pids: Vec<i32> = lab
        .hosts()
        .iter()
        .flat_map(|host| busy_pids(&lab, host))
        .collect();
    let folder = lab.folder().to_owned();
    assert!(folder.exists());
    drop(lab);
    assert_eq!(
        pids.into_iter()
            .filter(|pid| is_alive(*pid))
            .collect::<Vec<_>>(),
        Vec::<i32>::new()
    );
    assert!(!folder.exists());
}

#[test]
fn a_host_whose_first_process_is_killed_is_down_and_can_start_again() {
    let lab = lab(1);
    let host = &lab.hosts()[0];
    let pids = busy_pids(&lab, host);
    let main: i32 = Login::new(&lab, host)
        .ask("systemctl --user show --value -p MainPID busy")
        .parse()
        .expect("a pid");
    kill("KILL", parent_of(main).expect("the host's first process"));
    wait_until("the host is gone", || host.login_count().is_err());
    host.stop();
    assert!(
        pids.iter().all(|pid| !is_alive(*pid)),
        "what the kernel did not kill the lab did"
    );
    host.start().expect("a boot");
    Login::new(&lab, host).ask("true");
}

/// `rollctl-lab up`, which is not this process and so can be killed.
struct Up {
    child: Child,
    inventory: PathBuf,
}

impl Up {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rollctl-lab"))
            .args(["up", "--hosts", "2"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("rollctl-lab");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let inventory =
            lines.find_map(|line| Some(PathBuf::from(line.ok()?.strip_prefix("inventory: ")?)));
        Self {
            child,
            inventory: inventory.expect("the inventory's path"),
        }
    }

    /// Makes every host busy; the pids of all that the lab started, hosts included.
    fn busy(&self) -> Vec<i32> {
        let folder = self.inventory.parent().expect("a folder");
        let known_hosts = fs::read_to_string(folder.join("known_hosts")).expect("known hosts");
        let user = fs::read_to_string(&self.inventory).expect("an inventory");
        let user = user
            .lines()
            .find_map(|line| line.strip_prefix("user = \""))
            .expect("a user")
            .trim_end_matches('"');
        let mut pids = children_of(self.child.id());
        assert_eq!(pids.len(), 2, "a process for each host");
        for line in known_hosts.lines() {
            let (place, key) = line.split_once(' ').expect("a line");
            let (address, port) = place
                .trim_start_matches('[')
                .split_once("]:")
                .expect("a port");
            let port = port.parse().expect("a port");
            let login =
                Login::at((address, port), key, user, &folder.join("id_ed25519")).expect("a login");
            pids.push(login.ask(BUSY).parse().expect("a pid"));
            let mut others = String::new();
            wait_until("the other sleepers", || {
                others = login.run(r#"grep -lz "^ROLLCTL_LAB_HOST=$ROLLCTL_LAB_HOST$" /proc/[0-9]*/environ 2>/dev/null"#).out;
                others.lines().count() >= 3
            });
            pids.extend(
                others
                    .lines()
                    .filter_map(|path| path.split('/').nth(2)?.parse::<i32>().ok()),
            );
        }
        pids
    }

    fn ends_with(mut self, pids: &[i32]) {
        self.child.wait().expect("an end");
        wait_until("all processes are gone", || {
            pids.iter().all(|pid| !is_alive(*pid))
        });
        let folder = self.inventory.parent().expect("a folder").to_owned();
        wait_until("the folder is gone", || !folder.exists());
    }
}

#[test]
fn a_killed_lab_leaves_nothing() {
    let up = Up::start();
    let pids = up.busy();
    kill("KILL", i32::try_from(up.child.id()).expect("a pid"));
    up.ends_with(&pids);
}

#[test]
fn ctrl_c_ends_a_fleet_that_is_up() {
    let up = Up::start();
    let pids = up.busy();
    kill("INT", i32::try_from(up.child.id()).expect("a pid"));
    up.ends_with(&pids);
}

fn kill(signal: &str, pid: i32) {
    let status = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid.to_string())
        .status()
        .expect("kill");
    assert!(status.success());
}

fn children_of(parent: u32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent_of(*pid) == i32::try_from(parent).ok())
        .collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')')
        .next()?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}
