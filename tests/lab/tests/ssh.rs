//! A lab host's SSH server, seen by a client.
#![expect(clippy::expect_used, reason = "a test fails by it")]

mod support;

use std::process::Command;

use rollctl_lab::{Behaviour, demo_service};
use support::{Login, is_alive, lab, wait_until};

#[test]
fn a_command_has_three_streams_and_an_end() {
    let lab = lab(1);
    let login = Login::new(&lab, &lab.hosts()[0]);
    let answer = login
        .run_with_input("cat; echo oops >&2; exit 3", b"in")
        .expect("an answer");
    assert_eq!(
        (answer.out.as_str(), answer.err.as_str(), answer.code),
        ("in", "oops\n", Some(3))
    );
    let killed = login.run("kill -9 $$");
    assert_eq!(
        (killed.code, killed.signal.as_deref()),
        (None, Some("KILL"))
    );
    assert_eq!(
        login.ask("pwd; echo $HOME"),
        format!("{0}\n{0}", lab.hosts()[0].home().display())
    );
    assert_eq!(login.run("/nonexistent").code, Some(127));
}

#[test]
fn many_bytes_come_through_whole() {
    static BYTES: [u8; 3_000_001] = [b'x'; 3_000_001];
    let lab = lab(1);
    let login = Login::new(&lab, &lab.hosts()[0]);
    let answer = login.run_with_input("cat", &BYTES).expect("an answer");
    assert_eq!(answer.out.len(), BYTES.len());
    // A command that does not read holds up nobody.
    let deaf = login
        .run_with_input("exec <&-; echo done", &BYTES)
        .expect("an answer");
    assert_eq!(deaf.out, "done\n");
}

#[test]
fn only_the_labs_user_and_key_get_in() {
    let (lab, other) = (lab(1), lab(1));
    let host = &lab.hosts()[0];
    assert!(
        Login::with_key(host, lab.user(), &other.identity()).is_none(),
        "another key"
    );
    assert!(
        Login::with_key(host, "somebody-else", &lab.identity()).is_none(),
        "another user"
    );
    assert_eq!(host.login_count().expect("a count"), 0);
    let login = Login::new(&lab, host);
    login.ask("true");
    login.ask("true");
    assert_eq!(
        host.login_count().expect("a count"),
        1,
        "a connection is one login, whatever it does"
    );
}

#[test]
fn a_connection_has_ten_sessions_as_with_sshd() {
    let lab = lab(1);
    let login = Login::new(&lab, &lab.hosts()[0]);
    assert_eq!(login.sessions(12), 10);
    assert_eq!(lab.hosts()[0].login_count().expect("a count"), 1);
}

#[test]
fn ports_are_forwarded_and_localhost_is_the_host_itself() {
    let lab = lab(2);
    let mut logins = Vec::new();
    for host in lab.hosts() {
        let service = host.home().join("service");
        std::fs::write(&service, demo_service(host.name(), &Behaviour::default())).expect("a file");
        let login = Login::new(&lab, host);
        login.ask("chmod +x service; PORT=8080 setsid ./service </dev/null >log 2>&1 &");
        logins.push((host, login));
    }
    for (host, login) in &logins {
        let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        for target in ["localhost", host.address()] {
            let mut answer = String::new();
            wait_until("the service answers", || {
                answer = login.forward(target, 8080, request).unwrap_or_default();
                !answer.is_empty()
            });
            assert!(
                answer.ends_with(&format!("ok {}\n", host.name())),
                "{target}: {answer}"
            );
        }
        assert!(
            login.forward(host.address(), 1, request).is_none(),
            "nothing listens there"
        );
    }
}

#[test]
fn a_broken_connection_does_not_end_its_command() {
    let lab = lab(1);
    let host = &lab.hosts()[0];
    let login = Login::new(&lab, host);
    let pid: i32 = login
        .ask("sleep 1000 >/dev/null 2>&1 & echo $!")
        .parse()
        .expect("a pid");
    host.cut_connections().expect("cut");
    assert!(
        login.run_with_input("true", b"").is_none(),
        "the connection is gone"
    );
    assert!(is_alive(pid));
    Login::new(&lab, host).ask("true");
}

#[test]
fn a_host_goes_down_and_comes_back_with_its_home_and_port() {
    let lab = lab(1);
    let host = &lab.hosts()[0];
    let (login, port) = (Login::new(&lab, host), host.ssh_port());
    let pid: i32 = login
        .ask("echo kept > file; setsid sleep 1000 >/dev/null 2>&1 & echo $!")
        .parse()
        .expect("a pid");
    host.stop();
    assert!(!is_alive(pid), "no power, no processes");
    assert!(Login::with_key(host, lab.user(), &lab.identity()).is_none());
    assert_eq!(
        host.login_count().expect("a count"),
        1,
        "remembered while it is down"
    );
    host.start().expect("a boot");
    assert_eq!(host.ssh_port(), port);
    assert_eq!(Login::new(&lab, host).ask("cat file"), "kept");
    assert_eq!(host.login_count().expect("a count"), 2);
}

#[test]
fn without_ssh_services_go_on() {
    let lab = lab(1);
    let host = &lab.hosts()[0];
    let pid: i32 = Login::new(&lab, host)
        .ask("setsid sleep 1000 >/dev/null 2>&1 & echo $!")
        .parse()
        .expect("a pid");
    host.close_ssh().expect("closed");
    assert!(Login::with_key(host, lab.user(), &lab.identity()).is_none());
    assert!(is_alive(pid));
    host.open_ssh().expect("open");
    Login::new(&lab, host).ask("true");
}

#[test]
fn openssh_finds_its_way_by_the_labs_files() {
    let lab = lab(1);
    let ssh = |arguments: &[&str]| {
        Command::new("ssh")
            .arg("-F")
            .arg(lab.ssh_config())
            .args(arguments)
            .output()
    };
    let Ok(output) = ssh(&["web-01", "echo $USER; exit 4"]) else {
        println!("skipped: there is no `ssh` on this machine");
        return;
    };
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        lab.user(),
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(4));
}
