//! Ways that are not direct.

use rollctl::ssh::{Connector, Problem, Target};

use crate::server::{Sshd, config, connector, empty_config, is_available, tuning, whoami};

/// Two servers, and a `known_hosts` with both.
fn pair(extra: &str) -> (Sshd, Sshd, Target) {
    let bastion = Sshd::with(extra, &["ed25519"]);
    let inner = Sshd::start();
    let known = format!(
        "{}{}",
        bastion.public("known_hosts"),
        inner.public("known_hosts")
    );
    std::fs::write(inner.path("known_hosts"), known).unwrap();
    // One key for both, as in a fleet.
    std::fs::copy(
        inner.path("authorized_keys"),
        bastion.path("authorized_keys"),
    )
    .unwrap();
    let target = Target {
        jump: Some(format!("{}@127.0.0.1:{}", whoami(), bastion.port)),
        ..inner.target()
    };
    (bastion, inner, target)
}

#[tokio::test]
async fn many_targets_share_one_login_on_the_jump_host() {
    if !is_available() {
        return;
    }
    let (bastion, inner, target) = pair("");
    let connector = Connector::new(empty_config(), tuning());
    let sessions = futures::future::join_all((0..20).map(|_| connector.connect(&target))).await;
    for session in sessions {
        let output = session.unwrap().exec("echo $SSH_CONNECTION").await.unwrap();
        assert!(output.is_success());
    }
    assert_eq!(bastion.log().matches("Accepted publickey").count(), 1);
    assert_eq!(inner.log().matches("Accepted publickey").count(), 20);
    connector.close().await;
}

#[tokio::test]
async fn logins_that_are_dropped_at_random_are_made_again() {
    if !is_available() {
        return;
    }
    // Every second one beyond two unauthenticated ones is dropped.
    let server = Sshd::with("MaxStartups 2:50:20", &["ed25519"]);
    let connector = connector();
    let target = server.target();
    let sessions = futures::future::join_all((0..16).map(|_| connector.connect(&target))).await;
    for session in sessions {
        session.unwrap();
    }
    assert!(
        server.log().contains("MaxStartups"),
        "nothing was dropped: the test does not test"
    );
}

#[tokio::test]
async fn a_jump_host_that_refuses_is_named() {
    if !is_available() {
        return;
    }
    let (bastion, _inner, target) = pair("AllowTcpForwarding no");
    let error = connector().connect(&target).await.unwrap_err();
    let Problem::Jump { source } = &*error.problem else {
        panic!("{error}");
    };
    assert!(
        matches!(*source.problem, Problem::Channel { .. }),
        "{source}"
    );
    assert_eq!(source.address, format!("127.0.0.1:{}", bastion.port));

    let (bastion, inner, target) = pair("");
    std::fs::copy(bastion.path("known_hosts"), bastion.path("kept")).unwrap();
    std::fs::write(inner.path("known_hosts"), "").unwrap();
    let error = connector().connect(&target).await.unwrap_err();
    assert!(error.is_refusal(), "{error}");
    assert!(error.hint().unwrap().contains(&format!(
        "rollctl trust {}@127.0.0.1:{}",
        whoami(),
        bastion.port
    )));
}

#[tokio::test]
async fn a_jump_session_that_died_is_made_anew() {
    if !is_available() {
        return;
    }
    let (bastion, _inner, target) = pair("");
    let connector = connector();
    let first = connector.connect(&target).await.unwrap();
    bastion.signal_connections(rustix::process::Signal::KILL);
    first.closed().await;
    assert!(first.is_closed());
    let second = connector.connect(&target).await.unwrap();
    assert_eq!(second.exec("echo fine").await.unwrap().stdout, b"fine\n");
    assert_eq!(bastion.log().matches("Accepted publickey").count(), 2);
}

#[tokio::test]
async fn a_proxy_command_carries_the_connection() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    // A proxy that every machine with sshd has.
    let sshd = format!(
        "/usr/sbin/sshd -i -f {}",
        server.path("sshd_config").display()
    );
    let connector = Connector::new(
        config(
            &server,
            &format!("Host *\nIdentityAgent none\nProxyCommand {sshd}\n"),
        ),
        tuning(),
    );
    let session = connector.connect(&server.target()).await.unwrap();
    assert_eq!(session.exec("echo fine").await.unwrap().stdout, b"fine\n");

    let text = "Host *\nIdentityAgent none\nProxyCommand sh -c 'echo no way to %h >&2'\n";
    let mut tuning = tuning();
    tuning.retries = 0;
    let error = Connector::new(config(&server, text), tuning)
        .connect(&server.target())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no way to 127.0.0.1"), "{error}");
}
