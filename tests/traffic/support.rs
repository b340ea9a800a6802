//! What the tests of the traffic drivers share: tiny backends, an inventory, and the way from it to a driver.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rollctl::core::ids::HostName;
use rollctl::core::traffic_state::TrafficSight;
use rollctl::host::FleetMachines;
use rollctl::inventory::load;
use rollctl::ports::{Member, Traffic};
use rollctl::ssh::{Connector, SshConfig, Tuning};
use rollctl::traffic::traffic_of;

use crate::server::{Sshd, whoami};

/// Whether these programs are there; says which is not. In CI a missing one is a failure.
pub(crate) fn are_installed(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|path| !Path::new(path).exists());
    let Some(missing) = missing else {
        return true;
    };
    assert!(
        std::env::var("CI").is_err(),
        "`{missing}` is missing: in CI these tests must run"
    );
    println!("skipped: `{missing}` is missing");
    false
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits for a condition.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} does not become true");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The same beside a driver that is at work.
pub(crate) async fn until_async(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} does not become true"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A process that ends with the test.
pub(crate) struct Program(Child);

impl Program {
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).ok();
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            // Its children go with it only if it is asked.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

#[derive(Default)]
struct Gate {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

/// A web server that answers every request with its name; `/hold` waits for [`Web::release`].
pub(crate) struct Web {
    pub(crate) port: u16,
    address: SocketAddr,
    gate: Arc<Gate>,
    is_stopped: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

type Handler = dyn Fn(&str, &str) -> Option<(u16, String)> + Send + Sync;

impl Web {
    pub(crate) fn start(name: &str, address: &str) -> Self {
        Self::with(name, address, |_, _| None)
    }

    /// With answers of the test's own.
    pub(crate) fn with(
        name: &str,
        address: &str,
        handler: impl Fn(&str, &str) -> Option<(u16, String)> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::<Gate>::default();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&is_stopped);
        let (shared, name) = (Arc::clone(&gate), name.to_owned());
        let handler: Arc<Handler> = Arc::new(handler);
        let listening = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (gate, name, handler) =
                    (Arc::clone(&shared), name.clone(), Arc::clone(&handler));
                std::thread::spawn(move || serve(stream, &name, &gate, handler.as_ref()));
            }
        });
        Self {
            port: address.port(),
            address,
            gate,
            is_stopped,
            listening: Some(listening),
        }
    }

    /// Listens no more: whoever comes is refused.
    pub(crate) fn stop(mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            listening.join().unwrap();
        }
    }

    /// How many requests are held.
    pub(crate) fn held(&self) -> usize {
        self.gate.state.lock().unwrap().1
    }

    /// Answers those that are held, and all later ones at once.
    pub(crate) fn release(&self) {
        self.gate.state.lock().unwrap().0 = true;
        self.gate.changed.notify_all();
    }
}

fn serve(stream: TcpStream, name: &str, gate: &Gate, handler: &Handler) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let mut words = first.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    if path == "/hold" {
        let mut state = gate.state.lock().unwrap();
        state.1 += 1;
        while !state.0 {
            state = gate.changed.wait(state).unwrap();
        }
        state.1 -= 1;
    }
    let (status, body) = handler(method, path).unwrap_or((200, name.to_owned()));
    let mut stream = stream;
    let _ = write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

/// The body of an answer, or what went wrong.
pub(crate) fn get(port: u16, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => answer
            .split("\r\n\r\n")
            .nth(1)
            .unwrap_or_default()
            .trim()
            .to_owned(),
        Ok(answer) => answer.lines().next().unwrap_or("nothing").to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Who answers a number of requests.
pub(crate) fn who_answers(port: u16) -> BTreeSet<String> {
    (0..20).map(|_| get(port, "/")).collect()
}

/// From an inventory's text to its first service's driver.
pub(crate) fn driver(folder: &Path, inventory: &str) -> Arc<dyn Traffic> {
    let path = folder.join("fleet.toml");
    std::fs::write(&path, inventory).unwrap();
    let loaded = load(&path).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    let connector = Arc::new(Connector::new(
        SshConfig::own_reader(Vec::new()),
        Tuning::default(),
    ));
    let machines = Arc::new(FleetMachines::new(&loaded.fleet, &connector));
    traffic_of(&loaded.fleet.services[0], &loaded.fleet, machines)
        .unwrap()
        .unwrap()
}

/// The host `lb-01`, behind an sshd of the test's own.
pub(crate) fn balancer_host(sshd: &Sshd) -> String {
    format!(
        "[hosts.lb-01]\naddress = \"127.0.0.1:{}\"\n{}",
        sshd.port,
        login(sshd)
    )
}

/// The keys of a host that say how to log in.
pub(crate) fn login(sshd: &Sshd) -> String {
    format!(
        "user = \"{}\"\nidentity = \"{}\"\nknown_hosts = \"{}\"\n",
        whoami(),
        sshd.path("user").display(),
        sshd.path("known_hosts").display()
    )
}

pub(crate) fn member(host: &str) -> Member {
    Member {
        host: HostName::new(host),
        port: None,
    }
}

pub(crate) fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn attachment(attached: &[&str], detached: &[&str]) -> TrafficSight {
    TrafficSight {
        attached: names(attached),
        detached: names(detached),
    }
}

/// People who ask all the time.
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    people: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Half of them keep their connection, where the balancer lets them.
    pub(crate) fn start(port: u16, keeps_connections: bool) -> Self {
        let (is_over, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let people = (0..4)
            .map(|person| {
                let (is_over, asked) = (Arc::clone(&is_over), Arc::clone(&asked));
                std::thread::spawn(move || {
                    let mut wrong = Vec::new();
                    let mut kept = (keeps_connections && person % 2 == 0).then(|| Kept::open(port));
                    while !is_over.load(Ordering::SeqCst) {
                        let answer = match &mut kept {
                            Some(kept) => kept.get(),
                            None => get(port, "/"),
                        };
                        asked.fetch_add(1, Ordering::SeqCst);
                        if !["one", "two"].contains(&answer.as_str()) {
                            wrong.push(answer);
                            kept = kept.map(|_| Kept::open(port));
                        }
                    }
                    wrong
                })
            })
            .collect();
        Self {
            is_over,
            asked,
            people,
        }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// How often they asked, and all answers that were none.
    pub(crate) fn end(self) -> (usize, Vec<String>) {
        self.is_over.store(true, Ordering::SeqCst);
        let wrong = self
            .people
            .into_iter()
            .flat_map(|person| person.join().unwrap())
            .collect();
        (self.asked.load(Ordering::SeqCst), wrong)
    }
}

/// A connection that is used for many requests.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn open(port: u16) -> Self {
        Self(BufReader::new(
            TcpStream::connect(("127.0.0.1", port)).unwrap(),
        ))
    }

    fn get(&mut self) -> String {
        let mut ask = || -> std::io::Result<String> {
            self.0
                .get_mut()
                .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
            let mut head = String::new();
            while self.0.read_line(&mut head)? > 2 {}
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            let mut body = vec![0; length];
            self.0.read_exact(&mut body)?;
            Ok(String::from_utf8_lossy(&body).into_owned())
        };
        ask().unwrap_or_else(|error| error.to_string())
    }
}
