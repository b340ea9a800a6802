//! One controller and ever more hosts: what a release on all of them takes it.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;
use rollctl_lab::make_key;
use serde::Serialize;
use tempfile::TempDir;

use crate::usage::{self, Usage};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many scripted hosts, one run for each
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000")]
    hosts: Vec<u32>,
    /// How many may be away at once
    #[arg(long, default_value = "10%")]
    max_unavailable: String,
    /// How often the health of each host is asked: of 10,000 every 500 ms would be 20,000 probes a second
    #[arg(long, default_value = "5s")]
    interval: String,
    /// Size of the artifact, in bytes
    #[arg(long, default_value_t = 100_000)]
    bytes: usize,
    /// As on a controller without ssh: rollctl then reads its configuration itself and need not ask `ssh -G` for each host
    #[arg(long)]
    without_ssh: bool,
    /// The program that is measured
    #[arg(long, default_value = "target/release/rollctl")]
    rollctl: PathBuf,
    /// Keep the files of the runs here
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// A second release on so many hosts.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    hosts: u32,
    seconds: f64,
    /// CPU of the controller for each host.
    cpu_ms_per_host: f64,
    /// CPU of what the controller ran (`ssh -G`) for each host.
    child_cpu_ms_per_host: f64,
    peak_memory_mb: f64,
    ledger_kb_per_host: f64,
}

/// All runs.
#[derive(Debug, Serialize)]
pub(crate) struct Scale {
    version: u32,
    max_unavailable: String,
    interval: String,
    without_ssh: bool,
    rows: Vec<Row>,
}

impl Scale {
    /// As Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "| hosts | seconds | CPU ms a host | `ssh -G` ms a host | peak memory MB | ledger KB a host |\n\
             |---:|---:|---:|---:|---:|---:|\n",
        );
        for row in &self.rows {
            let _ = writeln!(
                text,
                "| {} | {:.1} | {:.1} | {:.1} | {:.0} | {:.1} |",
                row.hosts,
                row.seconds,
                row.cpu_ms_per_host,
                row.child_cpu_ms_per_host,
                row.peak_memory_mb,
                row.ledger_kb_per_host
            );
        }
        text
    }
}

/// Runs them all.
pub(crate) fn run(options: &Options) -> anyhow::Result<Scale> {
    let rollctl = fs::canonicalize(&options.rollctl)
        .with_context(|| format!("no rollctl at {}", options.rollctl.display()))?;
    let mut rows = Vec::new();
    for hosts in &options.hosts {
        let temporary = TempDir::with_prefix("rollctl-scale-")?;
        let folder = match &options.keep {
            Some(folder) => std::path::absolute(folder.join(hosts.to_string()))?,
            None => temporary.path().to_owned(),
        };
        fs::create_dir_all(&folder)?;
        let row = Bench {
            options,
            rollctl: &rollctl,
            folder: &folder,
            hosts: *hosts,
        }
        .run()?;
        eprintln!("{row:?}");
        rows.push(row);
    }
    Ok(Scale {
        version: 1,
        max_unavailable: options.max_unavailable.clone(),
        interval: options.interval.clone(),
        without_ssh: options.without_ssh,
        rows,
    })
}

struct Bench<'a> {
    options: &'a Options,
    rollctl: &'a Path,
    folder: &'a Path,
    hosts: u32,
}

impl Bench<'_> {
    fn run(&self) -> anyhow::Result<Row> {
        let hosts = ScriptedHosts::start(self.folder)?;
        self.write_files(&hosts)?;
        self.release("v1")?;
        let ledger = self.ledger_size()?;
        let usage = self.release("v2")?;
        let ledger = self.ledger_size()?.saturating_sub(ledger);
        hosts.stop()?;
        let count = f64::from(self.hosts);
        Ok(Row {
            hosts: self.hosts,
            seconds: usage.wall.as_secs_f64(),
            cpu_ms_per_host: usage.own.as_secs_f64() * 1e3 / count,
            child_cpu_ms_per_host: usage.children.as_secs_f64() * 1e3 / count,
            peak_memory_mb: as_f64(usage.peak) / 1e6,
            ledger_kb_per_host: as_f64(ledger) / 1e3 / count,
        })
    }

    fn write_files(&self, hosts: &ScriptedHosts) -> anyhow::Result<()> {
        let Options {
            max_unavailable,
            interval,
            bytes,
            ..
        } = self.options;
        let mut text = format!(
            r#"[ssh]
user = "root"
identity = "identity"
known_hosts = "known_hosts"

[ledger]
url = "sqlite:ledger.db"

[artifacts]
url = "file:artifacts"

[services.web]
hosts = "h-*"
unit = "web.service"
unit_file = "web.service"
install_dir = "/opt/web"
binary = "web"
port = {}

[services.web.strategy]
max_unavailable = "{max_unavailable}"
min_ready = "0s"

[services.web.health]
http = "http://{{address}}:{{port}}/healthz"
expect_body = "{{revision}}"
interval = "{interval}"
successes = 1
deadline = "60s"

"#,
            hosts.http
        );
        for number in 1..=self.hosts {
            let address = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + number);
            let _ = writeln!(
                text,
                "[hosts.h-{number:05}]\naddress = \"{address}:{}\"\n",
                hosts.ssh
            );
        }
        fs::write(self.folder.join("inventory.toml"), text)?;
        fs::write(
            self.folder.join("web.service"),
            "[Service]\nExecStart=/opt/web/current/web\n\n[Install]\nWantedBy=multi-user.target\n",
        )?;
        for name in ["v1", "v2"] {
            // No host runs it.
            let text = format!("#!/bin/sh\n{}\n", name.repeat(bytes / name.len()));
            fs::write(self.folder.join(name), text)?;
        }
        Ok(())
    }

    fn release(&self, name: &str) -> anyhow::Result<Usage> {
        let log_path = self.folder.join(format!("{name}.log"));
        let log = fs::File::create(&log_path)?;
        let mut command = Command::new(self.rollctl);
        command
            .args(["--inventory", "inventory.toml", "release", "web", name])
            .args(["--name", name])
            .env("HOME", self.folder)
            .env_remove("SSH_AUTH_SOCK")
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if self.options.without_ssh {
            command.env("PATH", "");
        }
        let (status, usage) = usage::run(&mut command)?;
        if !status.success() {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let end = lines.get(lines.len().saturating_sub(40)..);
            bail!(
                "the release on {} hosts failed ({status}):\n{}",
                self.hosts,
                end.unwrap_or_default().join("\n")
            );
        }
        Ok(usage)
    }

    /// With its log, which may not be tidied away yet.
    fn ledger_size(&self) -> anyhow::Result<u64> {
        let size = |name| fs::metadata(self.folder.join(name)).map(|file| file.len());
        Ok(size("ledger.db")? + size("ledger.db-wal").unwrap_or(0))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes are far below what a float counts exactly"
)]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// The hosts, in a process of their own, so that what the controller takes is the controller's.
struct ScriptedHosts {
    child: Child,
    /// They end with it.
    line: ChildStdin,
    ssh: u16,
    http: u16,
}

impl ScriptedHosts {
    /// Starts them, and writes the keys with which one logs in.
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let identity = folder.join("identity");
        make_key(&identity)?;
        let host_key = folder.join("host_key");
        let public = make_key(&host_key)?;
        fs::write(folder.join("known_hosts"), format!("* {public}\n"))?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("scripted-hosts")
            .arg("--host-key")
            .arg(&host_key)
            .arg("--client-key")
            .arg(identity.with_extension("pub"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let line = child.stdin.take().context("no line to the hosts")?;
        let output = child.stdout.take().context("no word from the hosts")?;
        let mut ports = String::new();
        BufReader::new(output).read_line(&mut ports)?;
        let (ssh, http) = ports
            .trim()
            .split_once(' ')
            .context("the scripted hosts did not start")?;
        Ok(Self {
            child,
            line,
            ssh: ssh.parse()?,
            http: http.parse()?,
        })
    }

    fn stop(self) -> anyhow::Result<()> {
        let Self {
            mut child, line, ..
        } = self;
        drop(line);
        child.wait()?;
        Ok(())
    }
}
