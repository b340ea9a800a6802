//! Moving traffic with a real HAProxy: two processes before two servers on loopback, one told over TCP, one over a socket.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "real processes, and a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollctl::core::ids::HostName;
use rollctl::host::FleetMachines;
use rollctl::ports::{Member, Traffic};
use rollctl::ssh::{Connector, SshConfig, Tuning};
use rollctl::traffic::traffic_of;

/// A server that says its name; `/slow` takes a second.
fn server(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || answer(stream.unwrap(), name));
        }
    });
    address
}

fn answer(stream: TcpStream, name: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    if first.contains("/slow") {
        std::thread::sleep(Duration::from_secs(1));
    }
    let mut stream = stream;
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}",
        name.len()
    );
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A HAProxy that is killed with its handle.
struct Balancer {
    process: Child,
    port: u16,
    api: u16,
    folder: tempfile::TempDir,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Balancer {
    fn start(servers: &[(&str, SocketAddr)], level: &str) -> Option<Self> {
        let is_there = Command::new("haproxy").arg("-v").output();
        if is_there.is_err() {
            assert!(std::env::var_os("CI").is_none(), "haproxy is not installed");
            eprintln!("skipped: haproxy is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (port, api) = (free_port(), free_port());
        let socket = folder.path().join("admin.sock");
        let mut text = format!(
            "global\n  stats socket {} level {level}\n  stats socket 127.0.0.1:{api} level {level}\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout client 10s\n  timeout server 10s\n\
             frontend in\n  bind 127.0.0.1:{port}\n  default_backend web\n\
             backend web\n  balance roundrobin\n",
            socket.display()
        );
        for (name, address) in servers {
            text += &format!("  server {name} {address} check inter 200ms rise 1 fall 1\n");
        }
        let path = folder.path().join("haproxy.cfg");
        std::fs::write(&path, text).unwrap();
        let process = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let balancer = Self {
            process,
            port,
            api,
            folder,
        };
        let begun = Instant::now();
        while balancer.get("/").is_none() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "haproxy does not come up"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(balancer)
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_owned())
    }

    /// Who answers, asked often enough to see everybody.
    fn answering(&self) -> BTreeSet<String> {
        (0..8).map(|_| self.get("/").unwrap()).collect()
    }

    fn tell(&self, command: &str) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.api)).unwrap();
        writeln!(stream, "{command}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
    }

    fn tcp(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.api)
    }

    fn unix(&self) -> String {
        format!("unix:{}", self.folder.path().join("admin.sock").display())
    }
}

/// The balancers of an inventory that names these endpoints.
fn haproxy(endpoints: &[String], backend: &str, drain_timeout: Duration) -> Arc<dyn Traffic> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.toml");
    let text = format!(
        "[hosts.\"web-[01-02]\"]\n[services.web]\nhosts = \"*\"\nunit = \"web.service\"\ninstall_dir = \"/opt/web\"\n\
         health.unit = true\n[services.web.traffic]\ndriver = \"haproxy\"\nendpoints = {endpoints:?}\n\
         backend = \"{backend}\"\ndrain_timeout = \"{}ms\"\n",
        drain_timeout.as_millis()
    );
    std::fs::write(&path, text).unwrap();
    let fleet = rollctl::inventory::load(&path).unwrap().fleet;
    let connector = Arc::new(Connector::new(SshConfig::system(), Tuning::default()));
    let machines = Arc::new(FleetMachines::new(&fleet, &connector));
    traffic_of(&fleet.services[0], &fleet, machines)
        .unwrap()
        .unwrap()
}

fn member(host: &str) -> Member {
    Member {
        host: HostName::new(host),
        port: None,
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_leaves_the_traffic_of_every_balancer_and_comes_back() {
    let servers = [("web-01", server("one")), ("web-02", server("two"))];
    let (Some(first), Some(second)) = (
        Balancer::start(&servers, "admin"),
        Balancer::start(&servers, "admin"),
    ) else {
        return;
    };
    let traffic = haproxy(&[first.tcp(), second.unix()], "web", LONG);
    let everywhere = names(&[&first.tcp(), &second.unix()]);
    let one = member("web-01");
    assert_eq!(traffic.observe(&one).await.unwrap().attached, everywhere);
    for _twice in 0..2 {
        assert_eq!(traffic.drain(&one).await.unwrap().sessions_left, 0);
        assert_eq!(traffic.observe(&one).await.unwrap().detached, everywhere);
    }
    for balancer in [&first, &second] {
        assert_eq!(balancer.answering(), names(&["two"]));
    }
    for _twice in 0..2 {
        traffic.attach(&one, &BTreeSet::new(), true).await.unwrap();
        assert_eq!(traffic.observe(&one).await.unwrap().attached, everywhere);
    }
    for balancer in [&first, &second] {
        assert_eq!(balancer.answering(), names(&["one", "two"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_has_out_at_one_balancer_stays_out_there() {
    let servers = [("web-01", server("one")), ("web-02", server("two"))];
    let (Some(first), Some(second)) = (
        Balancer::start(&servers, "admin"),
        Balancer::start(&servers, "admin"),
    ) else {
        return;
    };
    first.tell("set server web/web-01 state maint");
    let traffic = haproxy(&[first.tcp(), second.tcp()], "web", LONG);
    let one = member("web-01");
    let seen = traffic.observe(&one).await.unwrap();
    assert_eq!(seen.detached, names(&[&first.tcp()]));
    traffic.drain(&one).await.unwrap();
    traffic.attach(&one, &seen.detached, true).await.unwrap();
    assert_eq!(traffic.observe(&one).await.unwrap(), seen);
    assert_eq!(first.answering(), names(&["two"]));
    assert_eq!(second.answering(), names(&["one", "two"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_what_is_under_way_and_says_what_it_cut_off() {
    let servers = [("web-01", server("one"))];
    let Some(balancer) = Balancer::start(&servers, "admin") else {
        return;
    };
    let one = member("web-01");
    for (patience, left) in [(LONG, 0), (Duration::from_millis(100), 1)] {
        let traffic = haproxy(&[balancer.tcp()], "web", patience);
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| balancer.get("/slow"));
            let busy = Instant::now();
            while busy.elapsed() < Duration::from_millis(300) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let drained = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(traffic.drain(&one))
            });
            assert_eq!(drained.unwrap().sessions_left, left);
            assert_eq!(slow.join().unwrap().as_deref(), Some("one"));
        });
        traffic.attach(&one, &BTreeSet::new(), true).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_with_the_way_out() {
    let servers = [("web-01", server("one"))];
    let (Some(balancer), Some(reader)) = (
        Balancer::start(&servers, "admin"),
        Balancer::start(&servers, "operator"),
    ) else {
        return;
    };
    let nobody = "unix:/nonexistent/admin.sock".to_owned();
    let wrong = |endpoint: String, backend| haproxy(&[endpoint], backend, LONG);
    for (traffic, host, said) in [
        (
            wrong(balancer.tcp(), "web"),
            "web-02",
            "has no server `web-02`",
        ),
        (wrong(balancer.tcp(), "api"), "web-01", "`api`"),
        (wrong(nobody, "web"), "web-01", "No such file"),
        (wrong(reader.tcp(), "web"), "web-01", "does not allow"),
    ] {
        let error = traffic.drain(&member(host)).await.unwrap_err();
        assert!(error.message.contains(said), "{error}");
        assert!(error.hint.is_some(), "{error}");
    }
}
