//! Connections that die, stall, or never come about.

use std::time::{Duration, Instant};

use rollctl::ssh::{ConnectFailure, Connector, Problem, Target, Tuning};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::server::{Sshd, connector, empty_config, is_available, tuning};

#[tokio::test]
async fn a_killed_connection_is_lost_at_once() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let mut channel = session.open_exec("echo ready; sleep 60").await.unwrap();
    let mut ready = [0; 6];
    channel.stdout.read_exact(&mut ready).await.unwrap();
    let endless = tokio::io::repeat(7);
    let upload = session.upload("cat >/dev/null", b"", endless, |_| ());
    let killing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let start = Instant::now();
        server.signal_connections(Signal::KILL);
        start
    };
    let (upload, wait, killed) = tokio::join!(upload, channel.wait(), killing);
    assert!(
        killed.elapsed() < Duration::from_secs(2),
        "took {:?}",
        killed.elapsed()
    );
    for error in [upload.unwrap_err(), wait.unwrap_err()] {
        assert!(error.is_connection_lost() && !error.is_refusal(), "{error}");
    }
    assert!(session.is_closed());
    let error = session.exec("true").await.unwrap_err();
    assert!(error.is_connection_lost(), "{error}");
    let error = session.forward("127.0.0.1", 1).await.unwrap_err();
    assert!(error.is_connection_lost(), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let mut channel = session.open_exec("echo ready; sleep 60").await.unwrap();
    let mut ready = [0; 6];
    channel.stdout.read_exact(&mut ready).await.unwrap();
    server.signal_connections(Signal::STOP);
    // Half a second between questions, and two of them.
    let error = tokio::time::timeout(Duration::from_secs(5), channel.wait())
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        error.is_connection_lost() && error.to_string().contains("no longer answers"),
        "{error}"
    );
    server.signal_connections(Signal::CONT);
}

#[tokio::test]
async fn an_upload_into_a_stopped_server_ends() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let patient = Tuning {
        keepalive: Duration::from_secs(60),
        ..tuning()
    };
    for (tuning, wanted) in [(patient, "timed out"), (tuning(), "connection lost")] {
        let session = Connector::new(empty_config(), tuning)
            .connect(&server.target())
            .await
            .unwrap();
        let upload = session.upload("cat >/dev/null", b"", tokio::io::repeat(7), |_| ());
        let stopping = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.signal_connections(Signal::STOP);
        };
        let joined = async { tokio::join!(upload, stopping) };
        let (upload, ()) = tokio::time::timeout(Duration::from_secs(10), joined)
            .await
            .unwrap();
        let error = upload.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
        server.signal_connections(Signal::KILL);
    }
}

#[tokio::test]
async fn what_cannot_be_reached_says_how() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let key = tempfile::NamedTempFile::new().unwrap();
    let target = |address: &str, port: u16| Target {
        port: Some(port),
        user: Some("nobody".to_owned()),
        known_hosts: Some(key.path().to_owned()),
        connect_timeout: Duration::from_millis(500),
        ..Target::new("web-01", address)
    };
    let error = connector()
        .connect(&target("127.0.0.1", closed))
        .await
        .unwrap_err();
    assert!(
        matches!(
            *error.problem,
            Problem::Connect {
                failure: ConnectFailure::Refused,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        format!("`web-01` (127.0.0.1:{closed}): cannot reach host: connection refused")
    );
    let error = connector()
        .connect(&target("no-such-host.invalid", 22))
        .await
        .unwrap_err();
    assert!(
        matches!(
            *error.problem,
            Problem::Connect {
                failure: ConnectFailure::Dns,
                ..
            }
        ),
        "{error}"
    );
    // Somebody accepts and says nothing.
    let port = silent.local_addr().unwrap().port();
    let start = Instant::now();
    let error = connector()
        .connect(&target("127.0.0.1", port))
        .await
        .unwrap_err();
    assert!(
        matches!(
            *error.problem,
            Problem::Timeout {
                doing: "key exchange",
                ..
            }
        ),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(!error.is_refusal());
}

#[tokio::test]
async fn a_closed_session_says_so() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let other = session.clone();
    session.close().await;
    assert!(other.is_closed());
    assert!(other.exec("true").await.unwrap_err().is_connection_lost());
}
