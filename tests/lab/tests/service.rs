//! The demo service does what it is told to.
#![expect(clippy::expect_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rollctl_lab::{Behaviour, demo_service};
use support::wait_until;
use tempfile::TempDir;

struct Service {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Service {
    fn start(version: &str, behaviour: &Behaviour) -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("service");
        fs::write(&path, demo_service(version, behaviour)).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        // The port is free for the blink between this and the service.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|it| it.local_addr())
            .expect("a port")
            .port();
        let mut command = Command::new(path);
        command
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("ROLLCTL_REVISION", "r7")
            .stdout(Stdio::piped());
        Self {
            child: command.spawn().expect("a process"),
            address: format!("127.0.0.1:{port}"),
            _folder: folder,
        }
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Status and body of the first answer.
    fn first(&self, path: &str) -> (String, String) {
        let mut answer = None;
        wait_until("it answers", || {
            answer = self.get(path).filter(|answer| !answer.is_empty());
            answer.is_some()
        });
        let answer = answer.unwrap_or_default();
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        (
            head.split(' ').nth(1).unwrap_or_default().to_owned(),
            body.trim().to_owned(),
        )
    }

    fn terminate(&self) {
        let status = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .expect("kill");
        assert!(status.success());
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_says_its_version_whatever_the_revision_is_called() {
    let service = Service::start("v1.0", &Behaviour::default());
    assert_eq!(
        service.first("/healthz"),
        ("200".to_owned(), "ok v1.0".to_owned())
    );
    let (_, json) = service.first("/version");
    assert!(
        json.starts_with(r#"{"version":"v1.0","revision":"r7","pid":"#),
        "{json}"
    );
    assert_eq!(service.first("/nothing").0, "404");
    let exe = fs::read_link(format!("/proc/{}/exe", service.child.id())).expect("a link");
    assert!(
        exe.ends_with("service"),
        "attestation finds the artifact: {}",
        exe.display()
    );
}

#[test]
fn it_can_claim_another_version_and_be_unwell() {
    let behaviour = Behaviour {
        says: Some("v0".to_owned()),
        error_percent: 50,
        ..Behaviour::default()
    };
    let service = Service::start("v1", &behaviour);
    let mut codes: Vec<String> = (0..4).map(|_| service.first("/healthz").0).collect();
    codes.sort();
    assert_eq!(codes, ["200", "200", "503", "503"]);
    assert!(service.first("/version").1.contains(r#""version":"v0""#));
}

#[test]
fn it_is_not_ready_at_once() {
    let behaviour = Behaviour {
        ready_delay: Duration::from_millis(400),
        ..Behaviour::default()
    };
    let service = Service::start("v1", &behaviour);
    assert_eq!(
        service.first("/healthz"),
        ("503".to_owned(), "starting v1".to_owned())
    );
    wait_until("it is ready", || service.first("/healthz").0 == "200");
}

#[test]
fn it_crashes_on_time_or_at_once() {
    let after = Behaviour {
        crash_after: Some(Duration::from_millis(200)),
        ..Behaviour::default()
    };
    assert_eq!(Service::start("v1", &after).code(), Some(101));
    let at_once = Behaviour {
        exit_at_once: Some(3),
        ..Behaviour::default()
    };
    assert_eq!(Service::start("v1", &at_once).code(), Some(3));
}

#[test]
fn it_finishes_open_requests_before_it_ends() {
    let mut service = Service::start("v1", &Behaviour::default());
    service.first("/healthz");
    let answer = thread::scope(|scope| {
        let slow = scope.spawn(|| service.get("/slow?ms=600"));
        thread::sleep(Duration::from_millis(150));
        service.terminate();
        wait_until("the port is closed", || {
            TcpStream::connect(&service.address).is_err()
        });
        slow.join().expect("a thread")
    });
    assert!(answer.expect("an answer").ends_with("slept 600 ms\n"));
    assert_eq!(service.code(), Some(0));
    let log = BufReader::new(service.child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    assert!(
        log.into_iter().any(|line| line.starts_with("got SIGTERM")),
        "each signal is in its log"
    );
}

#[test]
fn it_can_ignore_sigterm_or_take_its_time() {
    let mut deaf = Service::start(
        "v1",
        &Behaviour {
            ignore_sigterm: true,
            ..Behaviour::default()
        },
    );
    deaf.first("/healthz");
    deaf.terminate();
    thread::sleep(Duration::from_millis(200));
    assert!(deaf.child.try_wait().expect("a state").is_none());
    let mut slow = Service::start(
        "v1",
        &Behaviour {
            stop_delay: Duration::from_millis(300),
            ..Behaviour::default()
        },
    );
    slow.first("/healthz");
    let start = Instant::now();
    slow.terminate();
    assert_eq!(slow.code(), Some(0));
    assert!(start.elapsed() >= Duration::from_millis(300));
}
