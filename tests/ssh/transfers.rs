//! Uploads and forwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rollctl::ssh::{ExitStatus, Problem, Session};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use crate::server::{Sshd, is_available};

/// Bytes that repeat nowhere near.
fn payload(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

async fn upload_and_compare(server: &Sshd, session: &Session, length: usize) {
    let bytes = payload(length);
    let file = server.path("uploaded");
    let told = AtomicU64::new(0);
    let command = format!(
        "read -r name; cat > '{}/'\"$name\"",
        server.folder.path().display()
    );
    let output = session
        .upload(&command, b"uploaded\n", bytes.as_slice(), |sent| {
            assert!(
                told.swap(sent, Ordering::Relaxed) < sent,
                "progress only grows"
            );
        })
        .await
        .unwrap();
    assert_eq!(output.status, ExitStatus::Code(0), "{output:?}");
    assert_eq!(told.into_inner(), length as u64);
    let arrived = std::fs::read(file).unwrap();
    assert_eq!(arrived.len(), length);
    assert_eq!(Sha256::digest(&arrived), Sha256::digest(&bytes));
}

#[tokio::test]
async fn fifty_megabytes_arrive_as_they_were() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let start = std::time::Instant::now();
    upload_and_compare(&server, &session, 50_000_003).await;
    println!("50 MB took {:?}", start.elapsed());
    upload_and_compare(&server, &session, 1).await;
}

#[tokio::test]
async fn an_upload_survives_many_rekeys() {
    if !is_available() {
        return;
    }
    let server = Sshd::with("RekeyLimit 1M\nLogLevel DEBUG1", &["ed25519"]);
    let session = server.connect().await;
    // Something else goes on meanwhile, so that replies cross with the key exchanges.
    let other = async {
        for _ in 0..20 {
            assert_eq!(session.exec("echo fine").await.unwrap().stdout, b"fine\n");
        }
    };
    tokio::join!(upload_and_compare(&server, &session, 20_000_000), other);
    let rekeys = server.log().matches("SSH2_MSG_NEWKEYS received").count();
    assert!(
        rekeys > 5,
        "only {rekeys} key exchanges: the test does not test"
    );
}

#[tokio::test]
async fn a_command_that_does_not_read_everything_is_no_success() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let bytes = payload(20_000_000);
    let output = session
        .upload(
            "head -c 10; echo full >&2; exit 4",
            b"",
            bytes.as_slice(),
            |_| (),
        )
        .await
        .unwrap();
    assert_eq!(
        (output.status, output.stderr.as_slice()),
        (ExitStatus::Code(4), b"full\n".as_slice())
    );
    assert_eq!(output.stdout, bytes[..10]);
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_no_end_of_file() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let broken = tokio_util::io::StreamReader::new(futures::stream::iter([
        Ok(bytes::Bytes::from_static(b"half")),
        Err(std::io::Error::other("disk gone")),
    ]));
    let error = session
        .upload("cat >/dev/null", b"", broken, |_| ())
        .await
        .unwrap_err();
    assert!(matches!(*error.problem, Problem::Source { .. }), "{error}");
    assert_eq!(session.exec("echo fine").await.unwrap().stdout, b"fine\n");
}

#[tokio::test]
async fn an_upload_that_nobody_takes_times_out() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let bytes = payload(20_000_000);
    let upload = session.upload("sleep 60", b"", bytes.as_slice(), |_| ());
    let error = tokio::time::timeout(Duration::from_secs(15), upload)
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(*error.problem, Problem::Timeout { .. }), "{error}");
    assert_eq!(
        session.exec("echo fine").await.unwrap().stdout,
        b"fine\n",
        "the connection is sound"
    );
}

#[tokio::test]
async fn ports_and_sockets_of_the_host_are_reached() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let session = server.connect().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = server.path("socket");
    let unix = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = tcp.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        drop(tcp);
        let (mut unix, _) = unix.accept().await.unwrap();
        unix.write_all(b"from the socket").await.unwrap();
    });
    let bytes = payload(3_000_000);
    let (mut read, mut write) = tokio::io::split(session.forward("127.0.0.1", port).await.unwrap());
    let sending = async {
        write.write_all(&bytes).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut echoed = Vec::new();
    let (_, received) = tokio::join!(sending, read.read_to_end(&mut echoed));
    received.unwrap();
    assert!(echoed == bytes, "the echo is what was sent");
    let mut text = String::new();
    session
        .forward_unix(socket.to_str().unwrap())
        .await
        .unwrap()
        .read_to_string(&mut text)
        .await
        .unwrap();
    assert_eq!(text, "from the socket");
    let error = session.forward("127.0.0.1", 1).await.unwrap_err();
    assert!(matches!(*error.problem, Problem::Channel { .. }), "{error}");
    assert!(!error.is_refusal());
}
