//! The driver `haproxy` against real HAProxys on loopback.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollctl::ports::Member;

use crate::server;
use crate::support::*;

const HAPROXY: &str = "/usr/sbin/haproxy";
const CANNOT: &str = "the dead-man's switch on `lb-01` cannot be armed: systemd does not ";

/// A HAProxy with a backend of two servers.
struct Lb {
    front: u16,
    api: u16,
    _program: Program,
}

impl Lb {
    /// `servers` are the lines of the backend.
    fn start(folder: &Path, name: &str, servers: &str) -> Self {
        let (front, api) = (free_port(), free_port());
        let config = format!(
            "global\n stats socket {folder}/{name}.sock level admin\n stats socket {folder}/{name}-user.sock level user\n \
             stats socket ipv4@127.0.0.1:{api} level admin\n maxconn 100\n\
             defaults\n mode http\n retries 0\n timeout connect 2s\n timeout client 60s\n timeout server 60s\n\
             frontend f\n bind 127.0.0.1:{front}\n default_backend web\nbackend web\n{servers}",
            folder = folder.display()
        );
        let path = folder.join(format!("{name}.cfg"));
        std::fs::write(&path, config).unwrap();
        let program = Program::start(HAPROXY, &["-db", "-f", path.to_str().unwrap()]);
        until("HAProxy listens", || {
            std::net::TcpStream::connect(("127.0.0.1", front)).is_ok()
        });
        Self {
            front,
            api,
            _program: program,
        }
    }
}

fn inventory(hosts: &str, traffic: &str) -> String {
    format!(
        "[hosts.web-1]\naddress = \"127.0.0.1\"\n[hosts.web-2]\naddress = \"127.0.0.2\"\n{hosts}\n\
         [services.web]\nhosts = \"web-*\"\nunit = \"web.service\"\ninstall_dir = \"/opt/web\"\nport = 8080\nhealth.unit = true\n\
         [services.web.traffic]\ndriver = \"haproxy\"\nbackend = \"web\"\n{traffic}\n"
    )
}

fn two_servers(one: &Web, two: &Web) -> String {
    format!(
        " server web-1 127.0.0.1:{} check inter 100ms\n server web-2 127.0.0.1:{}\n",
        one.port, two.port
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_goes_out_and_in_at_every_balancer() {
    if !are_installed(&[HAPROXY]) || !server::is_available() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (
        Web::start("one", "127.0.0.1:0"),
        Web::start("two", "127.0.0.1:0"),
    );
    let a = Lb::start(dir.path(), "a", &two_servers(&one, &two));
    let b = Lb::start(dir.path(), "b", &two_servers(&one, &two));
    let sshd = server::Sshd::start();
    let host = balancer_host(&sshd);
    let (at_a, at_b) = (
        format!("tcp://127.0.0.1:{}", a.api),
        format!("ssh://lb-01{}/b.sock", dir.path().display()),
    );
    let endpoints = format!("endpoints = [\"{at_a}\", \"{at_b}\"]");
    let traffic = driver(dir.path(), &inventory(&host, &endpoints));
    let web = member("web-1");

    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&[&at_a, &at_b], &[])
    );
    for round in 0..2 {
        // The second does nothing more.
        let drained = traffic.drain(&web).await.unwrap();
        assert_eq!(drained.sessions_left, 0);
        let told = drained.unguarded.join("");
        match round {
            // Nothing is said of what is not behind `ssh://`, and of what is, only once.
            0 => assert!(told.starts_with(&at_b) && told.contains(CANNOT), "{told}"),
            _ => assert_eq!(told, ""),
        }
        assert_eq!(who_answers(a.front), names(&["two"]));
        assert_eq!(who_answers(b.front), names(&["two"]));
        assert_eq!(
            traffic.observe(&web).await.unwrap(),
            attachment(&[], &[&at_a, &at_b])
        );
    }
    traffic.attach(&web, &names(&[&at_a]), true).await.unwrap();
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&[&at_b], &[&at_a])
    );
    assert_eq!(who_answers(a.front), names(&["two"]));
    assert_eq!(who_answers(b.front), names(&["one", "two"]));
    for _ in 0..2 {
        traffic.attach(&web, &names(&[]), true).await.unwrap();
        assert_eq!(who_answers(a.front), names(&["one", "two"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_waited_for() {
    if !are_installed(&[HAPROXY]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (
        Web::start("one", "127.0.0.1:0"),
        Web::start("two", "127.0.0.1:0"),
    );
    let servers = format!(
        " server web-1 127.0.0.1:{}\n server web-2 127.0.0.1:{} backup\n",
        one.port, two.port
    );
    let lb = Lb::start(dir.path(), "a", &servers);
    let endpoints = format!("endpoints = [\"unix:{}/a.sock\"]", dir.path().display());
    let patient = driver(dir.path(), &inventory("", &endpoints));
    let hurried = driver(
        dir.path(),
        &inventory("", &format!("{endpoints}\ndrain_timeout = \"300ms\"")),
    );
    let front = lb.front;
    let under_way = std::thread::spawn(move || get(front, "/hold"));
    until_async("the request is under way", || one.held() == 1).await;

    let told = hurried.drain(&member("web-1")).await.unwrap();
    assert_eq!(told.sessions_left, 1);
    let drain = tokio::spawn({
        let patient = Arc::clone(&patient);
        async move { patient.drain(&member("web-1")).await }
    });
    assert_eq!(who_answers(front), names(&["two"]));
    assert!(!drain.is_finished(), "the request is still under way");
    one.release();
    assert_eq!(drain.await.unwrap().unwrap().sessions_left, 0);
    assert_eq!(under_way.join().unwrap(), "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_is_switched_between_two_ports() {
    if !are_installed(&[HAPROXY]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (
        Web::start("old", "127.0.0.1:0"),
        Web::start("new", "127.0.0.1:0"),
    );
    for check in [
        "",
        " check inter 100ms",
        &format!(" check inter 100ms port {}", old.port),
    ] {
        let folder = tempfile::tempdir_in(dir.path()).unwrap();
        let held = Web::start("old", "127.0.0.1:0");
        let check = check.replace(&old.port.to_string(), &held.port.to_string());
        let lb = Lb::start(
            folder.path(),
            "a",
            &format!(" server web-1 127.0.0.1:{}{check}\n", held.port),
        );
        let endpoint = format!("unix:{}/a.sock", folder.path().display());
        let traffic = driver(
            folder.path(),
            &inventory("", &format!("endpoints = [\"{endpoint}\"]")),
        );
        let on = |port| Member {
            port: Some(port),
            ..member("web-1")
        };
        let front = lb.front;
        assert_eq!(
            traffic.observe(&on(held.port)).await.unwrap(),
            attachment(&[&endpoint], &[])
        );
        assert_eq!(
            traffic.observe(&on(new.port)).await.unwrap(),
            attachment(&[], &[&endpoint])
        );
        // An entry that leads to the sibling sends nothing to the free port: it stays as it is.
        traffic.close(&on(new.port)).await.unwrap();
        assert_eq!(who_answers(front), names(&["old"]));
        let under_way = std::thread::spawn(move || get(front, "/hold"));
        until_async("the request is under way", || held.held() == 1).await;

        traffic
            .attach(&on(new.port), &names(&[]), true)
            .await
            .unwrap();
        assert_eq!(who_answers(front), names(&["new"]));
        assert_eq!(
            traffic.observe(&on(held.port)).await.unwrap(),
            attachment(&[], &[&endpoint])
        );
        let drain = tokio::spawn({
            let (traffic, old) = (Arc::clone(&traffic), on(held.port));
            async move { traffic.drain(&old).await }
        });
        assert_eq!(who_answers(front), names(&["new"]));
        assert!(!drain.is_finished(), "the old one still has a request");
        held.release();
        assert_eq!(drain.await.unwrap().unwrap().sessions_left, 0);
        assert_eq!(under_way.join().unwrap(), "old");

        // And back, as in a rollback.
        traffic
            .attach(&on(held.port), &names(&[]), true)
            .await
            .unwrap();
        assert_eq!(who_answers(front), names(&["old"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_took_out_is_seen_as_out() {
    if !are_installed(&[HAPROXY]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (
        Web::start("one", "127.0.0.1:0"),
        Web::start("two", "127.0.0.1:0"),
    );
    let lb = Lb::start(dir.path(), "a", &two_servers(&one, &two));
    let endpoint = format!("tcp://127.0.0.1:{}", lb.api);
    let traffic = driver(
        dir.path(),
        &inventory("", &format!("endpoints = [\"{endpoint}\"]")),
    );
    for (command, is_in) in [
        ("state drain", false),
        ("state ready", true),
        ("state maint", false),
        ("state ready", true),
        ("weight 0%", false),
        ("weight 100%", true),
    ] {
        let line = format!("set server web/web-1 {command}\n");
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", lb.api)).unwrap();
        std::io::Write::write_all(&mut stream, line.as_bytes()).unwrap();
        std::io::Read::read_to_string(&mut stream, &mut String::new()).unwrap();
        let seen = traffic.observe(&member("web-1")).await.unwrap();
        assert_eq!(seen.attached.contains(&endpoint), is_in, "{command}");
    }
    // Nobody listens any more where the second asks.
    let gone = free_port();
    let both = format!("endpoints = [\"{endpoint}\", \"tcp://127.0.0.1:{gone}\"]");
    let traffic = driver(dir.path(), &inventory("", &both));
    let error = traffic.drain(&member("web-1")).await.unwrap_err();
    assert!(error.is_passing, "{error}");
    for word in [
        "cannot connect to HAProxy",
        &gone.to_string(),
        &format!("it is out at {endpoint}"),
    ] {
        assert!(error.message.contains(word), "{word}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_say_what_to_do() {
    if !are_installed(&[HAPROXY]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (
        Web::start("one", "127.0.0.1:0"),
        Web::start("two", "127.0.0.1:0"),
    );
    let _lb = Lb::start(dir.path(), "a", &two_servers(&one, &two));
    let socket = format!("unix:{}/a.sock", dir.path().display());
    let user = format!("unix:{}/a-user.sock", dir.path().display());
    for (endpoint, server, backend, message, hint) in [
        (
            &socket,
            "x-{host}",
            "web",
            "no server `x-web-1`; it has web-1, web-2",
            "add `server x-web-1",
        ),
        (
            &socket,
            "{host}",
            "wab",
            "has no backend `wab`",
            "`backend` in the inventory",
        ),
        (
            &user,
            "{host}",
            "web",
            "does not allow `set server web/web-1 state drain`",
            "level admin",
        ),
    ] {
        let text = inventory(
            "",
            &format!("endpoints = [\"{endpoint}\"]\nserver = \"{server}\""),
        )
        .replace("backend = \"web\"", &format!("backend = \"{backend}\""));
        let traffic = driver(dir.path(), &text);
        let error = tokio::time::timeout(Duration::from_secs(20), traffic.drain(&member("web-1")))
            .await
            .unwrap()
            .unwrap_err();
        assert!(error.message.contains(message), "{message}: {error}");
        assert!(
            error.message.contains(endpoint.as_str()),
            "{endpoint}: {error}"
        );
        assert!(
            error.hint.as_ref().unwrap().contains(hint),
            "{hint}: {error:?}"
        );
        assert!(!error.is_passing, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_instances_are_replaced() {
    if !are_installed(&[HAPROXY]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (
        Web::start("one", "127.0.0.1:0"),
        Web::start("two", "127.0.0.1:0"),
    );
    let lb = Lb::start(dir.path(), "a", &two_servers(&one, &two));
    let endpoints = format!("endpoints = [\"unix:{}/a.sock\"]", dir.path().display());
    let traffic = driver(dir.path(), &inventory("", &endpoints));
    let load = Load::start(lb.front, true);
    let mut webs = [("web-1", "one", one), ("web-2", "two", two)];
    for _ in 0..5 {
        for (host, name, web) in &mut webs {
            let asked = load.asked();
            until_async("there is load", || load.asked() > asked + 20).await;
            let left = traffic.drain(&member(host)).await.unwrap();
            assert_eq!(left.sessions_left, 0);
            let address = format!("127.0.0.1:{}", web.port);
            std::mem::replace(web, Web::start(name, "127.0.0.1:0")).stop();
            *web = Web::start(name, &address);
            traffic
                .attach(&member(host), &names(&[]), true)
                .await
                .unwrap();
        }
    }
    let (asked, wrong) = load.end();
    assert_eq!(wrong, Vec::<String>::new(), "of {asked}");
}
