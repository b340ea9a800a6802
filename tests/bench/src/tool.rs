//! The tools that do the same release, and what each is given.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use minijinja::{Environment, context};
use rollctl_fleet::Fleet;
use serde::Serialize;

/// Who does the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tool {
    /// rollctl itself
    Rollctl,
    /// A script with OpenSSH and scp, by somebody who knows both
    Scp,
    /// The same with rsync
    Rsync,
    /// The same with rsync's delta against the file that runs
    RsyncDelta,
    /// pyinfra
    Pyinfra,
    /// Ansible with pipelining, ControlPersist, and without facts
    Ansible,
}

impl Tool {
    /// As tables and files name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rollctl => "rollctl",
            Self::Scp => "script with scp",
            Self::Rsync => "script with rsync",
            Self::RsyncDelta => "script with rsync's delta",
            Self::Pyinfra => "pyinfra",
            Self::Ansible => "Ansible, tuned",
        }
    }

    fn slug(self) -> &'static str {
        match self {
            Self::Rollctl => "rollctl",
            Self::Scp => "scp",
            Self::Rsync => "rsync",
            Self::RsyncDelta => "rsync-delta",
            Self::Pyinfra => "pyinfra",
            Self::Ansible => "ansible",
        }
    }

    /// The port of its service: each tool has a service of its own on each host.
    pub(crate) fn port(self) -> u16 {
        9000 + self as u16
    }

    pub(crate) fn unit(self) -> String {
        format!("bench-{}.service", self.slug())
    }

    pub(crate) fn dir(self) -> String {
        format!("/opt/bench-{}", self.slug())
    }
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) rollctl: PathBuf,
    /// A Python environment with Ansible and pyinfra.
    pub(crate) peers: PathBuf,
}

/// A tool with its files, ready to release.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) tool: Tool,
    folder: PathBuf,
    programs: Programs,
}

const TEMPLATES: [(&str, &str); 8] = [
    ("service.unit", include_str!("../peers/service.unit")),
    ("rollctl.toml", include_str!("../peers/rollctl.toml")),
    ("ansible.cfg", include_str!("../peers/ansible.cfg")),
    ("playbook.yml", include_str!("../peers/playbook.yml")),
    ("hosts.ini", include_str!("../peers/hosts.ini")),
    ("deploy.py", include_str!("../peers/deploy.py")),
    ("hosts.py", include_str!("../peers/hosts.py")),
    ("script.sh", include_str!("../peers/script.sh")),
];

#[derive(Serialize)]
struct HostRow {
    name: String,
    address: String,
}

impl Ready {
    /// Writes the tool's files into `folder`, filled in for the fleet.
    pub(crate) fn new(
        tool: Tool,
        fleet: &Fleet,
        batch: usize,
        folder: &Path,
        programs: &Programs,
    ) -> anyhow::Result<Self> {
        let folder = folder.join(tool.slug());
        fs::create_dir_all(&folder)?;
        let hosts: Vec<_> = fleet
            .hosts()
            .iter()
            .map(|host| HostRow {
                name: host.name().to_owned(),
                address: host.address().to_string(),
            })
            .collect();
        let (identity, known_hosts) = (fleet.identity(), fleet.known_hosts());
        let ssh_config = folder.join("ssh_config");
        fs::write(
            &ssh_config,
            format!(
                "IdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile {}\nBatchMode yes\n",
                identity.display(),
                known_hosts.display()
            ),
        )?;
        let values = context! {
            hosts, batch, identity, known_hosts, folder, ssh_config,
            dir => tool.dir(), unit => tool.unit(), port => tool.port(),
        };
        let mut templates = Environment::new();
        templates.set_keep_trailing_newline(true);
        for (name, text) in TEMPLATES {
            let text = templates.render_named_str(name, text, &values)?;
            fs::write(folder.join(name), text)?;
        }
        Ok(Self {
            tool,
            folder,
            programs: programs.clone(),
        })
    }

    /// One of its files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Releases the artifact on all hosts; what it prints is in `log` there.
    pub(crate) fn release(&self, version: &str, artifact: &Path) -> anyhow::Result<()> {
        let mut command = self.command(version, artifact);
        let log = fs::File::create(self.folder.join("log"))?;
        command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let status = command
            .status()
            .with_context(|| format!("cannot start {}", self.tool.name()))?;
        if !status.success() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            bail!("{} failed ({status}):\n{log}", self.tool.name());
        }
        Ok(())
    }

    fn command(&self, version: &str, artifact: &Path) -> Command {
        let script = |copy: &str| {
            let mut command = Command::new("bash");
            command
                .arg("script.sh")
                .arg(version)
                .arg(artifact)
                .arg(copy);
            command
        };
        match self.tool {
            Tool::Rollctl => {
                let mut command = Command::new(&self.programs.rollctl);
                command
                    .args(["--inventory", "rollctl.toml", "release", "web"])
                    .arg(artifact)
                    .args(["--name", version]);
                command
            }
            Tool::Scp => script("scp"),
            Tool::Rsync => script("rsync"),
            Tool::RsyncDelta => script("delta"),
            Tool::Pyinfra => {
                let mut command = Command::new(self.programs.peers.join("bin/pyinfra"));
                command
                    .args(["-y", "hosts.py", "deploy.py"])
                    .env("BENCH_VERSION", version)
                    .env("BENCH_ARTIFACT", artifact);
                command
            }
            Tool::Ansible => {
                let mut command = Command::new(self.programs.peers.join("bin/ansible-playbook"));
                command
                    .arg("playbook.yml")
                    .env("ANSIBLE_CONFIG", self.folder.join("ansible.cfg"))
                    .arg("--extra-vars")
                    .arg(format!(
                        "{{\"version\": \"{version}\", \"artifact\": \"{}\"}}",
                        artifact.display()
                    ));
                command
            }
        }
    }
}
