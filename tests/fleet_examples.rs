//! The examples that a reader copies: the folder as it stands, only what its page says replaced, and the page's own
//! commands.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "real time, and a test that cannot go on fails"
)]

mod support;

#[path = "fleet_traffic/load.rs"]
#[expect(dead_code, reason = "users of balancers do more")]
mod load;
#[path = "ssh/server.rs"]
#[expect(dead_code, reason = "the tests of SSH use the rest")]
mod server;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use load::{Habit, Load};
use rollctl_fleet::{Base, Fleet, FleetOptions};
use server::Sshd;

/// A copy of an example, for a fleet.
struct Copied {
    folder: tempfile::TempDir,
}

impl Copied {
    /// The example's hosts are those of the fleet, in its order; `[ssh]` says how they are reached.
    fn of(example: &str, fleet: &Fleet) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = Path::new("examples").join(example);
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        let copied = Self { folder };
        let login = format!(
            "user = \"root\"\nidentity = \"{}\"\nknown_hosts = \"{}\"",
            fleet.identity().display(),
            fleet.known_hosts().display()
        );
        copied.replace("fleet.toml", "user = \"root\"", &login);
        copied
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Every place, of which there has to be one.
    fn replace(&self, file: &str, what: &str, with: &str) {
        let text = std::fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(what), "{what:?} is not in {file}");
        std::fs::write(self.path(file), text.replace(what, with)).unwrap();
    }

    /// Every command of the page's `sh` block, one shell for all of them, as the reader has it.
    fn runs_its_page(&self) -> String {
        let page = std::fs::read_to_string(self.path("README.md")).unwrap();
        let block = page.split("```sh\n").nth(1).unwrap();
        let commands = block.split("```").next().unwrap();
        assert!(commands.lines().count() >= 7, "{commands}");
        let rollctl = Path::new(env!("CARGO_BIN_EXE_rollctl"));
        let path = format!(
            "{}:/usr/sbin:/usr/bin:/sbin:/bin",
            rollctl.parent().unwrap().display()
        );
        let status = Command::new("sh")
            .args(["-exc", &format!("exec >said 2>&1\n{commands}")])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("USER", "ann")
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{status}:\n{}", self.said());
        self.said()
    }

    /// What the page's commands have printed so far.
    fn said(&self) -> String {
        std::fs::read_to_string(self.path("said")).unwrap_or_default()
    }
}

/// Ends its process with its handle.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(address: SocketAddr) {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{address}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs the page; from its first release on users ask, and nobody may be refused.
fn under_load(copied: &Copied, users: &[SocketAddr]) -> String {
    std::thread::scope(|scope| {
        let page = scope.spawn(|| copied.runs_its_page());
        let begun = Instant::now();
        let last = *users.last().unwrap();
        // Asked before there is anybody to answer, a socket would give up.
        while !(copied.said().contains(" completed: ") && answers(last, "hello from v1")) {
            let in_vain = page.is_finished() || begun.elapsed() > Duration::from_secs(60);
            assert!(!in_vain, "never `v1`: {}", copied.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        let load = Load::start(users, &[Habit::Fresh]);
        let said = page.join().unwrap();
        let seen = load.stop();
        assert_eq!(seen.failures, Vec::<String>::new(), "{said}");
        assert!(seen.asked > 500, "{}", seen.asked);
        said
    })
}

#[test]
fn behind_haproxy() {
    if rollctl_fleet::skip() {
        return;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(3, Base::Full).prefix("web")).unwrap();
    let copied = Copied::of("haproxy", &fleet);
    for (host, place) in fleet.hosts().iter().zip(["11", "12", "13"]) {
        let address = host.address().to_string();
        copied.replace("fleet.toml", &format!("192.0.2.{place}"), &address);
        copied.replace("haproxy.cfg", &format!("192.0.2.{place}"), &address);
    }
    // The balancer is this machine, which has an sshd of its own for it.
    let sshd = Sshd::start();
    let lb = format!(
        "address = \"127.0.0.1:{}\"\nuser = \"{}\"\nidentity = \"{}\"\nknown_hosts = \"{}\"",
        sshd.port,
        server::whoami(),
        sshd.path("user").display(),
        sshd.path("known_hosts").display(),
    );
    copied.replace("fleet.toml", "address = \"192.0.2.10\"", &lb);
    let socket = copied.path("admin.sock").display().to_string();
    copied.replace("fleet.toml", "/run/haproxy-hello.sock", &socket);
    copied.replace("haproxy.cfg", "/run/haproxy-hello.sock", &socket);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let users = listener.local_addr().unwrap();
    drop(listener);
    copied.replace("haproxy.cfg", "bind :80", &format!("bind {users}"));
    let haproxy = Command::new("haproxy")
        .args(["-db", "-f"])
        .arg(copied.path("haproxy.cfg"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let haproxy = Ended(haproxy.unwrap());
    wait_for(users);

    let said = under_load(&copied, &[users]);
    for words in [
        "in traffic",
        "taking it out of traffic",
        "confirmed",
        "3 of 3 on `v2`",
        "3 of 3 on `v1`",
    ] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
    assert!(answers(users, "hello from v1"));
    drop(haproxy);
    fleet.shut_down().unwrap();
}

/// Whether a request is answered with these words.
fn answers(address: SocketAddr, words: &str) -> bool {
    let url = format!("http://{address}/");
    let output = Command::new("curl").args(["-sf", "-m", "5", &url]).output();
    String::from_utf8_lossy(&output.unwrap().stdout).contains(words)
}

#[test]
fn a_socket_that_systemd_holds() {
    if rollctl_fleet::skip() {
        return;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(2, Base::Full).prefix("web")).unwrap();
    let copied = Copied::of("socket-activation", &fleet);
    for (host, place) in fleet.hosts().iter().zip(["11", "12"]) {
        let address = host.address().to_string();
        copied.replace("fleet.toml", &format!("192.0.2.{place}"), &address);
        for unit in ["web.socket", "web.service"] {
            let text = std::fs::read(copied.path(unit)).unwrap();
            host.write_file(&format!("/etc/systemd/system/{unit}"), &text, 0o644)
                .unwrap();
        }
        host.sh("systemctl daemon-reload && systemctl enable --now web.socket")
            .unwrap();
    }
    let users: Vec<SocketAddr> = fleet
        .hosts()
        .iter()
        .map(|host| (host.address(), 8080).into())
        .collect();
    let said = under_load(&copied, &users);
    for words in [
        "activated by `web.socket`",
        "2 of 2 on `v2`",
        "2 of 2 on `v1`",
    ] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
    fleet.shut_down().unwrap();
}
