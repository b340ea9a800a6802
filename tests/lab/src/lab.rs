//! The fleet: boots hosts, says how to reach them, and leaves nothing behind.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::addresses::Addresses;
use crate::control::HostConfig;
use crate::keys;
use crate::lab_host::LabHost;
use crate::program::{self, ProgramError};
use crate::systemd::invocation_id;
use crate::tools;

/// What a lab should be.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// How many hosts.
    pub hosts: usize,
    /// They are called `PREFIX-01`, `PREFIX-02`, ... and carry the label `role = "PREFIX"`.
    pub prefix: String,
    /// Where homes, keys and files for ssh go; they stay there. By default a temporary folder, gone with the lab.
    pub folder: Option<PathBuf>,
    /// The login shell of the hosts' user.
    pub shell: String,
    /// sshd's `MaxSessions`: session channels of one connection at once.
    pub max_sessions: usize,
    /// The executable for hosts and shims, if it is not found by itself (see the crate's documentation).
    pub program: Option<PathBuf>,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self {
            hosts: 3,
            prefix: "web".to_owned(),
            folder: None,
            shell: "/bin/sh".to_owned(),
            max_sessions: 10,
            program: None,
        }
    }
}

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No executable that can be host and shim.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A file, folder or socket.
    #[error("lab could not make `{}`", path.display())]
    Io {
        /// What was to be made.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A host's process did not come up, or is gone.
    #[error("lab host `{host}` does not answer: {reason}")]
    Host {
        /// Its name.
        host: String,
        /// What it said, or why it said nothing.
        reason: String,
    },
}

/// A running fleet. Dropping it ends every process that it started.
#[derive(Debug)]
pub struct Lab {
    hosts: Vec<LabHost>,
    folder: PathBuf,
    user: String,
    /// Dropped last, with all that is in them.
    _addresses: Addresses,
    _sockets: TempDir,
    _temporary: Option<TempDir>,
}

impl Lab {
    /// Boots all hosts; returns when every one accepts logins.
    ///
    /// # Errors
    /// If a file cannot be made or a host does not come up; then none is left running.
    pub fn boot(options: &LabOptions) -> Result<Self, LabError> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => program::find()?,
        };
        let temporary = match options.folder {
            None => Some(
                TempDir::with_prefix("rollctl-lab-")
                    .map_err(|source| at(Path::new("temporary folder"), source))?,
            ),
            Some(_) => None,
        };
        let folder = match (&options.folder, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => PathBuf::new(),
        };
        fs::create_dir_all(&folder).map_err(|source| at(&folder, source))?;
        let folder = fs::canonicalize(&folder).map_err(|source| at(&folder, source))?;
        // Short, wherever the lab's folder is: the path of a socket has 108 bytes at most.
        let sockets = TempDir::with_prefix("rollctl-lab-s-")
            .map_err(|source| at(Path::new("temporary folder"), source))?;
        let mut lab = Self {
            hosts: Vec::new(),
            user: user_name(),
            folder,
            _addresses: Addresses::reserve(),
            _sockets: sockets,
            _temporary: temporary,
        };
        lab.boot_hosts(options, &program)?;
        lab.write_files()?;
        Ok(lab)
    }

    fn boot_hosts(&mut self, options: &LabOptions, program: &Path) -> Result<(), LabError> {
        let client_key =
            keys::make(&self.identity()).map_err(|source| at(&self.identity(), source))?;
        for number in 1..=options.hosts {
            let name = format!("{}-{number:02}", options.prefix);
            let folder = self.folder.join("hosts").join(&name);
            let host_key = folder.join("host_key");
            fs::create_dir_all(folder.join("home")).map_err(|source| at(&folder, source))?;
            let public_key = keys::make(&host_key).map_err(|source| at(&host_key, source))?;
            let socket = self._sockets.path().join(number.to_string());
            make_shims(&folder.join("bin"), program, &socket)?;
            let config = HostConfig {
                address: self._addresses.of(number),
                ssh_port: 0,
                user: self.user.clone(),
                shell: options.shell.clone(),
                socket,
                program: program.to_owned(),
                host_key,
                client_key: client_key.clone(),
                mark: invocation_id(),
                max_sessions: options.max_sessions,
                lab_folder: self.folder.clone(),
                is_temporary: self._temporary.is_some(),
                folder,
                name,
            };
            self.hosts
                .push(LabHost::launch(config, public_key, number)?);
        }
        self.hosts.iter().try_for_each(LabHost::wait_until_ready)
    }

    /// The hosts, in the order of their names.
    #[must_use]
    pub fn hosts(&self) -> &[LabHost] {
        &self.hosts
    }

    /// The host of this name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&LabHost> {
        self.hosts.iter().find(|host| host.name() == name)
    }

    /// Holds everything of the lab: keys, `known_hosts`, `ssh_config`, `inventory.toml`, `hosts/NAME/home`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The user that logs in, on every host: the one who runs the lab.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The private key that every host lets in.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.folder.join("id_ed25519")
    }

    /// The host keys, as ssh reads them.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// For `ssh -F PATH NAME`.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.folder.join("ssh_config")
    }

    /// The file with [`Self::inventory_snippet`].
    #[must_use]
    pub fn inventory(&self) -> PathBuf {
        self.folder.join("inventory.toml")
    }

    /// `[ssh]` and the `[hosts.*]` of an inventory; services are the reader's.
    #[must_use]
    pub fn inventory_snippet(&self) -> String {
        let (identity, known_hosts) = (self.identity(), self.known_hosts());
        let mut text = String::new();
        let _ = writeln!(
            text,
            "[ssh]\nuser = {:?}\nidentity = {identity:?}\nknown_hosts = {known_hosts:?}",
            self.user
        );
        for host in &self.hosts {
            let (name, address, port) = (host.name(), host.address(), host.ssh_port());
            let role = name.rsplit_once('-').map_or(name, |(prefix, _)| prefix);
            let zone = ["a", "b", "c"][(host.number() - 1) % 3];
            let _ = writeln!(text, "\n[hosts.{name}]\naddress = \"{address}:{port}\"");
            let _ = writeln!(text, "labels = {{ role = \"{role}\", zone = \"{zone}\" }}");
        }
        text
    }

    fn write_files(&self) -> Result<(), LabError> {
        let mut known_hosts = String::new();
        let mut config = String::new();
        for host in &self.hosts {
            let (address, port) = (host.address(), host.ssh_port());
            let _ = writeln!(known_hosts, "[{address}]:{port} {}", host.public_key());
            let _ = writeln!(
                config,
                "Host {}\n  HostName {address}\n  Port {port}",
                host.name()
            );
        }
        let _ = write!(
            config,
            "Host *\n  User {}\n  IdentityFile \"{}\"\n  IdentitiesOnly yes\n  UserKnownHostsFile \"{}\"\n  \
             GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n  LogLevel ERROR\n",
            self.user,
            self.identity().display(),
            self.known_hosts().display(),
        );
        write(&self.known_hosts(), &known_hosts)?;
        write(&self.ssh_config(), &config)?;
        write(&self.inventory(), &self.inventory_snippet())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // All at once, then one after the other: so that the slowest counts, not the sum.
        self.hosts.iter().for_each(LabHost::begin_halt);
        self.hosts.iter().for_each(LabHost::stop);
    }
}

pub(crate) fn at(path: &Path, source: io::Error) -> LabError {
    LabError::Io {
        path: path.to_owned(),
        source,
    }
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).map_err(|source| at(path, source))
}

/// Small scripts, so that they work whatever the environment of the caller.
fn make_shims(folder: &Path, program: &Path, socket: &Path) -> Result<(), LabError> {
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    fs::create_dir_all(folder).map_err(|source| at(folder, source))?;
    for tool in tools::NAMES {
        let path = folder.join(tool);
        write(
            &path,
            &format!(
                "#!/bin/sh\nexec {} __lab shim {} {tool} \"$@\"\n",
                quoted(program),
                quoted(socket)
            ),
        )?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(|source| at(&path, source))?;
    }
    Ok(())
}

/// Of the process, whatever the environment says.
fn user_name() -> String {
    let id = rustix::process::getuid().as_raw().to_string();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut entries = passwd.lines().map(|line| line.split(':'));
    let found = entries.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    found
        .or_else(|| std::env::var("USER").ok())
        .unwrap_or_else(|| "lab".to_owned())
}
