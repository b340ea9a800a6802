//! A fleet of ten hosts on this machine, and a rolling release, watched from outside.
//!
//! `cargo run --release --example demo` needs no root, no containers and no network; nothing stays running. With
//! `-- --keep` the fleet stays up for playing until Ctrl-C.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "this is what it is for"
)]

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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

fn main() -> Result<(), Box<dyn Error>> {
    // The lab starts its hosts and their commands from this same executable.
    rollctl_lab::dispatch();
    let keep = std::env::args().any(|argument| argument == "--keep");
    let rollctl = build_rollctl()?;
    let begun = Instant::now();
    let lab = Lab::boot(&LabOptions {
        hosts: HOSTS,
        ..LabOptions::default()
    })?;
    println!(
        "{HOSTS} hosts are up after {:.1} s: an SSH server and a systemd look-alike each",
        begun.elapsed().as_secs_f32()
    );
    let folder = tempfile::TempDir::with_prefix("rollctl-demo-")?;
    let demo = Demo {
        rollctl,
        folder: folder.path().to_owned(),
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
    if keep {
        demo.wait_for_ctrl_c(&lab);
    }
    Ok(())
}

struct Demo {
    rollctl: PathBuf,
    folder: PathBuf,
}

impl Demo {
    fn prepare(&self, lab: &Lab) -> Result<(), Box<dyn Error>> {
        let inventory = self.folder.join("inventory");
        fs::create_dir(&inventory)?;
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
        let status = Command::new(&self.rollctl)
            .args(words.split(' '))
            .args(["--inventory", "inventory/demo.toml"])
            .current_dir(&self.folder)
            .stdin(std::process::Stdio::null())
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("rollctl ended with {status}").into())
        }
    }

    fn wait_for_ctrl_c(&self, lab: &Lab) {
        println!("\nthe fleet stays up until Ctrl-C. In another terminal:\n");
        println!("    cd {}", self.folder.display());
        println!(
            "    {} status web --inventory inventory/demo.toml\n",
            self.rollctl.display()
        );
        for host in lab.hosts() {
            println!("    {}  {}", host.name(), host.address());
        }
        loop {
            std::thread::park();
        }
    }
}

/// Builds `rollctl` as this example was built, and says where it is.
fn build_rollctl() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--bin", "rollctl"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if !command.status()?.success() {
        return Err("rollctl could not be built".into());
    }
    // target/release/examples/demo stands beside target/release/rollctl.
    let own = std::env::current_exe()?;
    let built = own
        .parent()
        .and_then(Path::parent)
        .ok_or("this example is not in a target folder")?;
    Ok(built.join("rollctl"))
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
