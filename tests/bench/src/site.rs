//! A fleet of scripted hosts, its inventory, and the rollctl that is measured on it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail};
use rollctl_lab::make_key;
use tempfile::TempDir;

use crate::scripted::Received;
use crate::usage::{self, Usage};

/// What of the inventory differs from bench to bench.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) hosts: u32,
    pub(crate) max_unavailable: String,
    /// How often the health of each host is asked.
    pub(crate) interval: String,
    /// What all hosts together are reached with, in Mbit/s; nothing: as fast as it goes.
    pub(crate) uplink: Option<u32>,
}

/// Everything in one folder.
pub(crate) struct Site {
    folder: PathBuf,
    rollctl: PathBuf,
    shape: Shape,
    hosts: ScriptedHosts,
    /// Whether rollctl finds no ssh, and reads its configuration itself.
    pub(crate) without_ssh: bool,
    _temporary: TempDir,
}

impl Site {
    /// Starts the hosts. `keep`: where the files go that are otherwise deleted.
    pub(crate) fn new(rollctl: &Path, shape: Shape, keep: Option<&Path>) -> anyhow::Result<Self> {
        let rollctl = fs::canonicalize(rollctl)
            .with_context(|| format!("no rollctl at {}", rollctl.display()))?;
        let temporary = TempDir::with_prefix("rollctl-bench-")?;
        let folder = match keep {
            Some(folder) => std::path::absolute(folder.join(shape.hosts.to_string()))?,
            None => temporary.path().to_owned(),
        };
        fs::create_dir_all(&folder)?;
        let hosts = ScriptedHosts::start(&folder, shape.uplink)?;
        let site = Self {
            folder,
            rollctl,
            shape,
            hosts,
            without_ssh: false,
            _temporary: temporary,
        };
        site.write_files()?;
        Ok(site)
    }

    /// The ledger's file.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger.db")
    }

    /// Ships a file with that content, under that name. No host runs it.
    pub(crate) fn release(&self, name: &str, content: &[u8]) -> anyhow::Result<Usage> {
        fs::write(self.folder.join(name), content)?;
        self.run(["release", "web", name, "--name", name])
    }

    /// Runs rollctl, which has to end well.
    pub(crate) fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Usage> {
        let log_path = self.folder.join("rollctl.log");
        let log = fs::File::create(&log_path)?;
        let mut command = Command::new(&self.rollctl);
        command
            .args(["--inventory", "inventory.toml"])
            .args(arguments)
            .env("HOME", &self.folder)
            .env_remove("SSH_AUTH_SOCK")
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if self.without_ssh {
            command.env("PATH", "");
        }
        let (status, usage) = usage::run(&mut command)?;
        if !status.success() {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let end = lines.get(lines.len().saturating_sub(40)..);
            bail!(
                "rollctl on {} hosts failed ({status}):\n{}",
                self.shape.hosts,
                end.unwrap_or_default().join("\n")
            );
        }
        Ok(usage)
    }

    /// Ends the hosts; what they were sent.
    pub(crate) fn stop(self) -> anyhow::Result<Received> {
        self.hosts.stop()
    }

    fn write_files(&self) -> anyhow::Result<()> {
        let Shape {
            max_unavailable,
            interval,
            hosts,
            ..
        } = &self.shape;
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
            self.hosts.http
        );
        // A line for each host, as `rollctl trust` writes them.
        let mut known = String::new();
        for number in 1..=*hosts {
            let address = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + number);
            let _ = writeln!(
                text,
                "[hosts.h-{number:05}]\naddress = \"{address}:{}\"\n",
                self.hosts.ssh
            );
            let (ssh, public) = (self.hosts.ssh, &self.hosts.public);
            let _ = writeln!(known, "[{address}]:{ssh} {public}");
        }
        fs::write(self.folder.join("inventory.toml"), text)?;
        fs::write(self.folder.join("known_hosts"), known)?;
        fs::write(
            self.folder.join("web.service"),
            "[Service]\nExecStart=/opt/web/current/web\n\n[Install]\nWantedBy=multi-user.target\n",
        )?;
        Ok(())
    }
}

/// The hosts, in a process of their own, so that what the controller takes is the controller's.
struct ScriptedHosts {
    child: Child,
    /// They end with it.
    line: ChildStdin,
    said: BufReader<ChildStdout>,
    /// The public key of all hosts.
    public: String,
    ssh: u16,
    http: u16,
}

impl ScriptedHosts {
    /// Starts them, and writes the keys with which one logs in.
    fn start(folder: &Path, uplink: Option<u32>) -> anyhow::Result<Self> {
        let identity = folder.join("identity");
        make_key(&identity)?;
        let host_key = folder.join("host_key");
        let public = make_key(&host_key)?;
        let mut command = Command::new(std::env::current_exe()?);
        if let Some(uplink) = uplink {
            command.args(["scripted-hosts", "--uplink", &uplink.to_string()]);
        } else {
            command.arg("scripted-hosts");
        }
        let mut child = command
            .arg("--host-key")
            .arg(&host_key)
            .arg("--client-key")
            .arg(identity.with_extension("pub"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let line = child.stdin.take().context("no line to the hosts")?;
        let output = child.stdout.take().context("no word from the hosts")?;
        let mut said = BufReader::new(output);
        let mut ports = String::new();
        said.read_line(&mut ports)?;
        let (ssh, http) = ports
            .trim()
            .split_once(' ')
            .context("the scripted hosts did not start")?;
        Ok(Self {
            child,
            line,
            said,
            public,
            ssh: ssh.parse()?,
            http: http.parse()?,
        })
    }

    fn stop(self) -> anyhow::Result<Received> {
        let Self {
            mut child,
            line,
            mut said,
            ..
        } = self;
        drop(line);
        let mut last = String::new();
        said.read_to_string(&mut last)?;
        child.wait()?;
        serde_json::from_str(&last).context("the scripted hosts did not say what they received")
    }
}
