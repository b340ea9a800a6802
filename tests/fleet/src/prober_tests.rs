use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Prober, Target, parse};

/// Answers `number` connections from a function, then closes its port.
fn serve(
    answer: impl Fn(usize) -> String + Send + 'static,
    number: usize,
) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    std::thread::spawn(move || {
        for connection in 0..number {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 512];
            let length = stream.read(&mut question).unwrap();
            assert!(question[..length].starts_with(b"GET /healthz HTTP/1.1\r\n"));
            stream.write_all(answer(connection).as_bytes()).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, served)
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn wait_for(count: &AtomicUsize, wanted: usize) {
    let started = Instant::now();
    while count.load(Ordering::SeqCst) < wanted {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "served {} of {wanted}",
            count.load(Ordering::SeqCst)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_change_of_version_and_a_bad_spell_are_seen() {
    let answer = |connection| match connection {
        0..5 => http("200 OK", "v1"),
        5..8 => http("503 Service Unavailable", "starting"),
        _ => http("200 OK", "v2"),
    };
    let (port, served) = serve(answer, 12);
    let (steady, _) = serve(|_| http("200 OK", "v1"), 10_000);
    let prober = Prober::start(vec![
        Target::new("changing", Ipv4Addr::LOCALHOST, port),
        Target::new("steady", Ipv4Addr::LOCALHOST, steady),
    ]);
    wait_for(&served, 12);
    let record = prober.stop();
    assert_eq!(
        record
            .bodies("changing")
            .iter()
            .map(|(_, body)| *body)
            .collect::<Vec<_>>(),
        ["v1", "v2"],
        "{record}"
    );
    assert_eq!(record.outages("changing").len(), 1, "{record}");
    assert!(
        record.outages("changing")[0] >= Duration::from_millis(60),
        "three questions lie between: {record}"
    );
    assert!(record.outages("steady").is_empty(), "{record}");
    assert_eq!((record.lowest(), record.highest()), (1, 2), "{record}");
}

#[test]
fn a_closed_port_is_no_answer_and_asked_again_soon() {
    let (port, served) = serve(|_| http("200 OK", "v1"), 1);
    let prober = Prober::start(vec![Target::new("gone", Ipv4Addr::LOCALHOST, port)]);
    wait_for(&served, 1);
    std::thread::sleep(Duration::from_millis(300));
    let record = prober.stop();
    let answers = record.answers("gone");
    assert!(
        answers.len() > 5,
        "refused at once, so asked every 20 ms: {record}"
    );
    assert_eq!(
        answers.last().and_then(|answer| answer.status),
        None,
        "{record}"
    );
    assert_eq!(record.lowest(), 0, "{record}");
}

#[test]
fn only_whole_answers_count() {
    let rows = [
        (
            "whole",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nv1\n",
            Some((200, "v1")),
        ),
        (
            "until the connection closes",
            "HTTP/1.0 503 no\r\n\r\nsick",
            Some((503, "sick")),
        ),
        (
            "body cut short",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nv1",
            None,
        ),
        ("head cut short", "HTTP/1.1 200 OK\r\nContent-Le", None),
        ("not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", None),
        ("nothing", "", None),
    ];
    for (row, answer, expected) in rows {
        assert_eq!(
            parse(answer),
            expected.map(|(status, body)| (status, body.to_owned())),
            "{row}"
        );
    }
}
