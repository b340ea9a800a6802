//! An outside prober: asks each host for its health, over plain HTTP, many times a second, and writes down what it hears. It knows
//! nothing of rollctl and shares no code with it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::record::{Answer, Record, Series};

/// Time between two questions to one host.
const INTERVAL: Duration = Duration::from_millis(20);
/// A host that says nothing for so long has not answered.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Answers longer than this are cut: a health check's is short.
const MOST_BYTES: u64 = 16 * 1024;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name in the record.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What to ask for.
    pub path: String,
}

impl Target {
    /// `GET http://ADDRESS:PORT/healthz` of the instance `name`.
    #[must_use]
    pub fn new(name: &str, address: Ipv4Addr, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            address: (address, port).into(),
            path: "/healthz".to_owned(),
        }
    }

    /// `GET /healthz` of a host, at this port.
    #[must_use]
    pub fn of(host: &Host, port: u16) -> Self {
        Self::new(host.name(), host.address(), port)
    }
}

/// A prober at work: one thread per target.
#[derive(Debug)]
pub struct Prober {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Series>>,
}

impl Prober {
    /// Starts asking every target every 20 ms.
    #[must_use]
    pub fn start(targets: Vec<Target>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let epoch = Instant::now();
        let spawn = |target: Target| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || watch(&target, epoch, &stop))
        };
        let threads = targets.into_iter().map(spawn).collect();
        Self { stop, threads }
    }

    /// Stops asking; what was heard.
    #[must_use]
    pub fn stop(mut self) -> Record {
        self.stop.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<Series>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        Record::new(self.threads.drain(..).map(join).collect())
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn watch(target: &Target, epoch: Instant, stop: &AtomicBool) -> Series {
    let mut answers = Vec::new();
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let asked = epoch.elapsed();
        let (status, body) =
            ask(target).map_or((None, String::new()), |(status, body)| (Some(status), body));
        answers.push(Answer {
            asked,
            answered: epoch.elapsed(),
            status,
            body,
        });
        // After a slow answer the questions missed meanwhile are left out, not asked all at once.
        next = (next + INTERVAL).max(Instant::now());
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Series {
        name: target.name.clone(),
        answers,
    }
}

/// One question on a connection of its own. `None`: no answer, or none that is HTTP.
fn ask(target: &Target) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&target.address, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.set_write_timeout(Some(TIMEOUT)).ok()?;
    let question = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        target.path, target.address
    );
    stream.write_all(question.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).ok()?;
    parse(&String::from_utf8_lossy(&answer))
}

/// Status and body of an answer; an answer whose body is cut short is none.
fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let promised: usize = length.map_or(Some(0), |(_, value)| value.trim().parse().ok())?;
    (body.len() >= promised).then(|| (status, body.trim_end().to_owned()))
}

#[cfg(test)]
#[path = "prober_tests.rs"]
mod tests;
