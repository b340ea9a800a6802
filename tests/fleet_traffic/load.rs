//! Users: they ask all the time, over connections that they keep, over fresh ones, and for what takes long. Every request
//! and every failure is counted; nothing is tried twice.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

#[derive(Default)]
struct Book {
    stop: AtomicBool,
    asked: AtomicU64,
    slow: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// Users of some addresses.
pub(crate) struct Load {
    book: Arc<Book>,
    users: Vec<JoinHandle<()>>,
}

/// What they saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) asked: u64,
    pub(crate) slow: u64,
    pub(crate) failures: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Habit {
    /// Over one connection as long as it is kept open.
    Keeps,
    /// The same; one that was closed between two requests is made again, as every HTTP client does (RFC 9112, 9.3.1).
    Reopens,
    /// Over a connection for each request.
    Fresh,
    /// The same, for what takes so long.
    Slow { ms: u64 },
}

impl Load {
    /// Two users of every habit at each address.
    pub(crate) fn start(addresses: &[SocketAddr], habits: &[Habit]) -> Self {
        let book = Arc::new(Book::default());
        let mut users = Vec::new();
        for &address in addresses {
            for &habit in habits {
                for _ in 0..2 {
                    let book = Arc::clone(&book);
                    users.push(std::thread::spawn(move || ask(&book, address, habit)));
                }
            }
        }
        Self { book, users }
    }

    pub(crate) fn stop(self) -> Seen {
        self.book.stop.store(true, Ordering::SeqCst);
        for user in self.users {
            user.join().unwrap();
        }
        let failures = self.book.failures.lock().unwrap().clone();
        Seen {
            asked: self.book.asked.load(Ordering::SeqCst),
            slow: self.book.slow.load(Ordering::SeqCst),
            failures,
        }
    }
}

fn ask(book: &Book, address: SocketAddr, habit: Habit) {
    let mut kept: Option<TcpStream> = None;
    let path = match habit {
        Habit::Slow { ms } => format!("/slow?ms={ms}"),
        _ => "/version".to_owned(),
    };
    while !book.stop.load(Ordering::SeqCst) {
        book.asked.fetch_add(1, Ordering::SeqCst);
        if matches!(habit, Habit::Slow { .. }) {
            book.slow.fetch_add(1, Ordering::SeqCst);
        }
        let keeps = matches!(habit, Habit::Keeps | Habit::Reopens);
        let old = kept.take();
        let was_kept = old.is_some();
        let mut answered = request(old, address, &path, keeps);
        if was_kept && habit == Habit::Reopens && answered.as_ref().is_err_and(Failure::is_closed) {
            answered = request(None, address, &path, keeps);
        }
        match answered {
            Ok(stream) => kept = stream.filter(|_| keeps),
            Err(why) => {
                let mut failures = book.failures.lock().unwrap();
                failures.push(format!("{path}: {}", why.0));
            }
        }
        if !matches!(habit, Habit::Slow { .. }) {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

/// Why a request failed.
struct Failure(String);

impl Failure {
    /// Nothing came: the connection had been closed before the request reached anybody.
    fn is_closed(&self) -> bool {
        self.0.starts_with("write") || self.0.starts_with("closed")
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self(why)
    }
}

/// One request; the connection, when it may be used again.
fn request(
    kept: Option<TcpStream>,
    address: SocketAddr,
    path: &str,
    keeps: bool,
) -> Result<Option<TcpStream>, Failure> {
    let stream = match kept {
        Some(stream) => stream,
        None => TcpStream::connect(address).map_err(|e| format!("connect: {e}"))?,
    };
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let connection = if keeps { "keep-alive" } else { "close" };
    let mut writer = stream.try_clone().map_err(|e| e.to_string())?;
    writer
        .write_all(
            format!("GET {path} HTTP/1.1\r\nHost: web\r\nConnection: {connection}\r\n\r\n")
                .as_bytes(),
        )
        .map_err(|e| format!("write: {e}"))?;
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader
        .read_line(&mut status)
        .map_err(|e| format!("closed: {e}"))?;
    if status.is_empty() {
        return Err(Failure("closed without an answer".to_owned()));
    }
    if !status.contains(" 200 ") {
        return Err(Failure(format!("answered {status:?}")));
    }
    let (mut length, mut closes) = (0, false);
    loop {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .map_err(|e| format!("read: {e}"))?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value
                .trim()
                .parse()
                .map_err(|_| "a bad length".to_owned())?;
        }
        closes |= line == "connection: close";
    }
    let mut body = vec![0; length];
    reader
        .read_exact(&mut body)
        .map_err(|e| format!("body: {e}"))?;
    Ok((!closes).then(|| reader.into_inner()))
}
