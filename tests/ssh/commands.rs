//! Commands, their output and their end.

use std::time::Duration;

use rollctl::ssh::ExitStatus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{Sshd, is_available};

#[tokio::test]
async fn output_error_and_status_come_back_apart() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let output = session
        .exec("echo out; echo err >&2; exit 7")
        .await
        .unwrap();
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(output.status, ExitStatus::Code(7));
    let output = session.exec("kill -TERM $$").await.unwrap();
    assert_eq!(output.status, ExitStatus::Signal("TERM".to_owned()));
    let output = session.exec("cat").await.unwrap();
    assert!(
        output.is_success(),
        "a command that reads its input sees the end of it: {output:?}"
    );
}

#[tokio::test]
async fn the_tests_leave_the_home_of_their_user_alone() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let home = session.exec("printf %s \"$HOME\"").await.unwrap();
    assert_eq!(
        home.stdout,
        server.folder.path().as_os_str().as_encoded_bytes()
    );
}

#[tokio::test]
async fn a_running_command_is_talked_to() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let mut channel = session
        .open_exec("while read -r line; do echo \"got $line\"; done; exit 3")
        .await
        .unwrap();
    let mut buffer = [0; 8];
    for word in ["one", "two"] {
        channel
            .stdin
            .write_all(format!("{word}\n").as_bytes())
            .await
            .unwrap();
        channel.stdin.flush().await.unwrap();
        channel.stdout.read_exact(&mut buffer).await.unwrap();
        assert_eq!(buffer, *format!("got {word}\n").as_bytes());
    }
    channel.stdin.finish().await.unwrap();
    assert_eq!(channel.wait().await.unwrap(), ExitStatus::Code(3));
}

#[tokio::test]
async fn output_is_bounded_and_counted() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let script = "head -c 20000000 /dev/zero >&2; echo end >&2; head -c 10000000 /dev/zero; exit 1";
    let output = tokio::time::timeout(Duration::from_secs(30), session.exec(script))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status, ExitStatus::Code(1));
    assert_eq!(output.stderr.len(), 4 << 20);
    assert!(
        output.stderr.ends_with(b"end\n"),
        "the last words are what is kept"
    );
    assert_eq!(
        output.stderr.len() as u64 + output.stderr_dropped,
        20_000_004
    );
    assert_eq!(
        output.stdout.len() as u64 + output.stdout_dropped,
        10_000_000
    );
}

#[tokio::test]
async fn many_commands_share_a_connection() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let runs = (0..50).map(|number| {
        let session = session.clone();
        async move {
            let output = session.exec(&format!("echo {number}")).await.unwrap();
            assert_eq!(output.stdout, format!("{number}\n").as_bytes());
        }
    });
    futures::future::join_all(runs).await;
    assert_eq!(server.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn a_channel_that_nobody_reads_blocks_no_other() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let mut unread = session.open_exec("cat /dev/zero").await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(20), unread.wait())
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("not read"), "{error}");
    let output = tokio::time::timeout(Duration::from_secs(5), session.exec("echo fine"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.stdout, b"fine\n");
}

#[tokio::test]
async fn a_dropped_command_gives_its_place_back() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    for _ in 0..30 {
        drop(session.open_exec("cat").await.unwrap());
    }
    let output = session.exec("echo fine").await.unwrap();
    assert_eq!(output.stdout, b"fine\n");
}
