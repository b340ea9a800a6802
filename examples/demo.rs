//! A fleet of ten hosts on this machine, and a rolling release, watched from outside.
//!
//! `cargo run --release --example demo` needs no root, no containers and no network; nothing stays running. With
//! `-- --keep` the fleet stays up for playing until Ctrl-C.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "this is what it is for"
)]

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use rollctl_lab::{Behaviour, Lab, LabOptions, demo_service};

const HOSTS: usize = 10;
const MAX_UNAVAILABLE: usize = 2;

const UNIT: &str = "[Unit]
Description=the demo's web service

[Service]
ExecStart=%h/web/current/web
Restart=on-failure

[Install]
WantedBy=default.target
";

const SERVICE: &str = r#"
[ledger]
url = "sqlite:ledger.db"

[services.web]
hosts = "*"
scope = "user"                     # systemctl --user: no root on the hosts
unit = "web.service"
unit_file = "web.service"
install_dir = "~/web"
port = 8080
[services.web.strategy]
max_unavailable = 2
min_ready = "1s"
[services.web.health]
http = "http://{address}:{port}/healthz"
expect_body = "{revision}"         # it is the new one that answers
interval = "200ms"
deadline = "20s"
"#;

fn main() -> ExitCode {
    // The lab starts its hosts and their commands from this same executable.
    rollctl_lab::dispatch();
    let stop = Stop::default();
    match demo(&stop) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if stop.is_asked() => {
            eprintln!("stopped; nothing is left running");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(stop: &Stop) -> Result<(), Box<dyn Error>> {
    let keep = std::env::args().any(|argument| argument == "--keep");
    let rollctl = build_rollctl()?;
    stop.listen()?;
    let begun = Instant::now();
    let lab = Lab::boot(&LabOptions {
        hosts: HOSTS,
        ..LabOptions::default()
    })?;
    println!(
        "{HOSTS} hosts are up after {:.1} s: an SSH server and a systemd look-alike each",
        begun.elapsed().as_secs_f32()
    );
    // Inside the lab's folder, which goes with the lab however this ends.
    let demo = Demo {
        rollctl,
        folder: lab.folder().join("demo"),
        stop,
    };
    demo.prepare(&lab)?;

    println!("\nthe first release: nothing runs yet, so it starts everywhere at once");
    demo.run("release web ./web-v1.0 --name v1.0")?;
    println!(
        "\na new version, at most {MAX_UNAVAILABLE} of {HOSTS} down at a time; somebody else asks every instance every 20 ms"
    );
    let prober = Prober::start(&lab);
    demo.run("release web ./web-v1.1 --name v1.1")?;
    let seen = prober.stop();
    demo.run("status web")?;
    println!("\nand back, by name");
    let prober = Prober::start(&lab);
    demo.run("rollback web --to v1.0")?;
    let back = prober.stop();
    demo.run("history web")?;

    println!();
    for (what, seen) in [("release", seen), ("rollback", back)] {
        println!(
            "the prober saw, during the {what}: at least {} of {HOSTS} available ({} must be), {} answers",
            seen.lowest,
            HOSTS - MAX_UNAVAILABLE,
            seen.answers
        );
        if seen.lowest < HOSTS - MAX_UNAVAILABLE {
            return Err("the budget was broken".into());
        }
    }
    match keep {
        true => demo.keep(&lab),
        false => Ok(()),
    }
}

/// Ctrl-C and SIGTERM: what runs is told, and everything is taken down in order.
#[derive(Clone, Default)]
struct Stop(Arc<Mutex<Stopping>>);

#[derive(Default)]
struct Stopping {
    is_asked: bool,
    /// The `rollctl` at work.
    child: Option<Pid>,
    /// Who waits for the end.
    waiting: Option<Thread>,
}

impl Stop {
    fn lock(&self) -> MutexGuard<'_, Stopping> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_asked(&self) -> bool {
        self.lock().is_asked
    }

    fn listen(&self) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let guard = runtime.enter();
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let [mut interrupt, mut terminate, mut hangup] = kinds.map(signal);
        drop(guard);
        let stop = self.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                let (Ok(interrupt), Ok(terminate), Ok(hangup)) =
                    (&mut interrupt, &mut terminate, &mut hangup)
                else {
                    return;
                };
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hangup.recv() => {}
                    }
                    stop.ask();
                }
            });
        });
        Ok(())
    }

    fn ask(&self) {
        let mut stopping = self.lock();
        stopping.is_asked = true;
        if let Some(child) = stopping.child {
            // It may have ended already.
            let _told = kill_process(child, Signal::INT);
        }
        if let Some(waiting) = &stopping.waiting {
            waiting.unpark();
        }
    }
}

struct Demo<'a> {
    rollctl: PathBuf,
    folder: PathBuf,
    stop: &'a Stop,
}

impl Demo<'_> {
    fn prepare(&self, lab: &Lab) -> Result<(), Box<dyn Error>> {
        let inventory = self.folder.join("inventory");
        fs::create_dir_all(&inventory)?;
        fs::write(
            inventory.join("demo.toml"),
            lab.inventory_snippet() + SERVICE,
        )?;
        fs::write(inventory.join("web.service"), UNIT)?;
        let behaviour = Behaviour {
            ready_delay: Duration::from_millis(500),
            ..Behaviour::default()
        };
        for version in ["v1.0", "v1.1"] {
            let path = self.folder.join(format!("web-{version}"));
            fs::write(&path, demo_service(version, &behaviour))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Runs the real program, and prints the command as a user would type it.
    fn run(&self, words: &str) -> Result<(), Box<dyn Error>> {
        println!("\n$ rollctl {words}");
        let mut command = Command::new(&self.rollctl);
        command
            .args(words.split(' '))
            .current_dir(&self.folder)
            .env_remove("ROLLCTL_INVENTORY")
            .stdin(Stdio::null())
            // Ctrl-C comes to it through us, once.
            .process_group(0);
        let mut child = {
            let mut stopping = self.stop.lock();
            if stopping.is_asked {
                return Err("stopped".into());
            }
            let child = command.spawn()?;
            stopping.child = Pid::from_raw(child.id().cast_signed());
            child
        };
        let status = child.wait()?;
        self.stop.lock().child = None;
        if self.stop.is_asked() {
            return Err("stopped".into());
        }
        if status.success() {
            Ok(())
        } else {
            Err(format!("rollctl ended with {status}").into())
        }
    }

    /// Leaves the fleet up until somebody asks for the end.
    fn keep(&self, lab: &Lab) -> Result<(), Box<dyn Error>> {
        println!("\nthe fleet stays up until Ctrl-C. In another terminal:\n");
        println!("    cd {}", self.folder.display());
        println!("    export PATH=\"{}:$PATH\"", beside(&self.rollctl));
        println!("    rollctl status web");
        println!("    rollctl release web ./web-v1.1\n");
        for host in lab.hosts() {
            println!(
                "    {}  http://{}:8080/healthz",
                host.name(),
                host.address()
            );
        }
        self.stop.lock().waiting = Some(std::thread::current());
        while !self.stop.is_asked() {
            std::thread::park();
        }
        println!();
        Ok(())
    }
}

fn beside(program: &Path) -> String {
    program.parent().unwrap_or(program).display().to_string()
}

/// Builds `rollctl` as this example was built, and says where it is.
fn build_rollctl() -> Result<PathBuf, Box<dyn Error>> {
    // target/release/examples/demo stands beside target/release/rollctl.
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent);
    let folder = folder.ok_or("this example is not in a target folder")?;
    let rollctl = folder.join("rollctl");
    let Some(mut command) = rollctl_lab::cargo() else {
        // Started by hand, without cargo: what is there is what was built.
        return match rollctl.exists() {
            true => Ok(rollctl),
            false => Err("`cargo build --bin rollctl` first".into()),
        };
    };
    // Naming the example keeps the features of the build that made it: without, half of the libraries would be built anew.
    command
        .args(["build", "--bin", "rollctl", "--example", "demo"])
        .args(
            folder
                .parent()
                .map(|target| format!("--target-dir={}", target.display())),
        )
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    match command.status()?.success() {
        true => Ok(rollctl),
        false => Err("rollctl could not be built".into()),
    }
}

/// Asks every instance every 20 ms. Knows nothing of rollctl.
struct Prober {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<(Instant, bool)>>>,
}

/// What a prober saw.
struct Seen {
    lowest: usize,
    answers: usize,
}

impl Prober {
    fn start(lab: &Lab) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = lab
            .hosts()
            .iter()
            .map(|host| {
                let (stop, address) = (stop.clone(), format!("{}:8080", host.address()));
                std::thread::spawn(move || {
                    let mut answers = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        answers.push((Instant::now(), is_healthy(&address).unwrap_or(false)));
                        std::thread::park_timeout(Duration::from_millis(20));
                    }
                    answers
                })
            })
            .collect();
        Self { stop, threads }
    }

    fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let hosts: Vec<Vec<(Instant, bool)>> = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_default())
            .collect();
        let mut changes: Vec<(Instant, usize, bool)> = (0..)
            .zip(&hosts)
            .flat_map(|(host, answers)| {
                answers
                    .iter()
                    .map(move |(at, healthy)| (*at, host, *healthy))
            })
            .collect();
        changes.sort();
        let mut now: Vec<Option<bool>> = vec![None; hosts.len()];
        let mut lowest = hosts.len();
        for (_, host, healthy) in &changes {
            now[*host] = Some(*healthy);
            if now.iter().all(Option::is_some) {
                lowest = lowest.min(now.iter().filter(|one| **one == Some(true)).count());
            }
        }
        Seen {
            lowest,
            answers: changes.len(),
        }
    }
}

fn is_healthy(address: &str) -> Result<bool, std::io::Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
