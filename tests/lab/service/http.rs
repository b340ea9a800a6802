//! As much HTTP/1.1 as a health probe needs: one request a connection, a thread each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::Service;

/// A request line and its headers are no longer than this, in bytes.
const MAX_HEAD: u64 = 16 * 1024;
/// A client that says nothing for this long is let go.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes connections until the service drains; then the port is free.
pub(crate) fn accept(service: &Arc<Service>, listener: TcpListener) {
    for stream in listener.incoming() {
        if service.draining.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        service.open.fetch_add(1, Ordering::SeqCst);
        let service = Arc::clone(service);
        thread::spawn(move || {
            // A client that went away is its own business.
            drop(answer(&service, stream));
            service.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// The same from a socket that stays open when this process ends: nothing is taken that is not answered.
pub(crate) fn accept_given(service: &Arc<Service>, listener: &TcpListener) {
    if let Err(error) = listener.set_nonblocking(true) {
        eprintln!("the given socket cannot be used: {error}");
        return;
    }
    loop {
        let taken = {
            let _taking = service.taking.lock();
            if service.draining.load(Ordering::SeqCst) {
                return;
            }
            let taken = listener.accept();
            service
                .open
                .fetch_add(u64::from(taken.is_ok()), Ordering::SeqCst);
            taken
        };
        let Ok((stream, _)) = taken else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        let service = Arc::clone(service);
        thread::spawn(move || {
            // Linux hands the flag of the listener on to nobody, others do.
            let answered = stream.set_nonblocking(false);
            drop(answered.and_then(|()| answer(&service, stream)));
            service.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn answer(service: &Service, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_nodelay(true)?;
    let mut head = BufReader::new((&stream).take(MAX_HEAD));
    let mut request = String::new();
    head.read_line(&mut request)?;
    let mut line = String::new();
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    let target = request.split(' ').nth(1).unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (status, content_type, body) = respond(service, path, query);
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn respond(service: &Service, path: &str, query: &str) -> (&'static str, &'static str, String) {
    let version = service
        .settings
        .says
        .as_ref()
        .unwrap_or(&service.settings.version);
    match path {
        "/healthz" => health(service, version),
        "/version" => ("200 OK", "application/json", version_json(service, version)),
        "/slow" => {
            let milliseconds = query
                .strip_prefix("ms=")
                .and_then(|ms| ms.parse().ok())
                .unwrap_or(1000);
            thread::sleep(Duration::from_millis(milliseconds));
            ("200 OK", "text/plain", format!("slept {milliseconds} ms\n"))
        }
        _ => ("404 Not Found", "text/plain", "not found\n".to_owned()),
    }
}

fn health(service: &Service, version: &str) -> (&'static str, &'static str, String) {
    let unavailable = "503 Service Unavailable";
    if service.started.elapsed() < service.settings.ready_delay {
        return (unavailable, "text/plain", format!("starting {version}\n"));
    }
    // Every so many requests, not at random: a test knows what it gets.
    let asked = service.asked.fetch_add(1, Ordering::SeqCst);
    let rate = u64::from(service.settings.error_percent);
    if (asked + 1) * rate / 100 > asked * rate / 100 {
        return (unavailable, "text/plain", format!("unwell {version}\n"));
    }
    ("200 OK", "text/plain", format!("ok {version}\n"))
}

fn version_json(service: &Service, version: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let revision = service
        .settings
        .revision
        .as_deref()
        .map_or("null".to_owned(), quoted);
    format!(
        "{{\"version\":{},\"revision\":{revision},\"pid\":{}}}\n",
        quoted(version),
        std::process::id()
    )
}
