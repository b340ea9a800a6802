//! A fleet: some hosts, the keys to them, and the network between them and this machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::accounts::restricted_sudoers;
use crate::base::Base;
use crate::command::{FleetError, Output, io, run, text};
use crate::faults::shape;
use crate::host::Host;
use crate::keys;
use crate::slot::Slot;

/// systemd and journald take several inotify instances on each host; the default of 128 stops after a few hosts.
const INOTIFY_INSTANCES: u32 = 8192;
const INOTIFY_LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";
/// The first host's last number; `.1` is this machine.
const FIRST_ADDRESS: u8 = 11;
const MOST_HOSTS: usize = 200;

/// How many hosts of which kind, and what they are called.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    prefix: String,
    bases: Vec<Base>,
}

impl FleetOptions {
    /// `count` hosts with this base, called `host-01`, `host-02` ...
    #[must_use]
    pub fn hosts(count: usize, base: Base) -> Self {
        Self {
            prefix: "host".to_owned(),
            bases: vec![base; count],
        }
    }

    /// `count` more, with another base.
    #[must_use]
    pub fn and(mut self, count: usize, base: Base) -> Self {
        self.bases.extend(vec![base; count]);
        self
    }

    /// What their names start with: `web` makes `web-01`, `web-02` ...
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }
}

/// Running hosts. Dropping it stops and removes all of them.
#[derive(Debug)]
pub struct Fleet {
    // Dropped first: kills and removes everything. Then the hosts' dead processes are collected.
    slot: Slot,
    hosts: Vec<Host>,
}

impl Fleet {
    /// Why this machine cannot run real hosts; `None` if it can.
    #[must_use]
    pub fn unavailable() -> Option<String> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let is_root = status
            .lines()
            .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"));
        if !is_root {
            return Some("needs root".to_owned());
        }
        let tools = [
            "systemd-nspawn",
            "debootstrap",
            "apt-get",
            "ip",
            "tc",
            "ssh",
            "ssh-keygen",
            "nsenter",
            "unshare",
            "setsid",
        ];
        let missing: Vec<_> = tools.into_iter().filter(|tool| !is_in_path(tool)).collect();
        if !missing.is_empty() {
            return Some(format!(
                "{} not installed (`tests/run` as root installs what is needed)",
                missing.join(", ")
            ));
        }
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let has_cgroup2 = mounts
            .lines()
            .any(|line| line.split(' ').nth(2) == Some("cgroup2"));
        (!has_cgroup2).then(|| "no cgroup v2 is mounted".to_owned())
    }

    /// Boots the hosts, all at once, and waits until systemd on each says `running`. The first time on a machine it also builds their
    /// base, which takes a minute.
    ///
    /// # Errors
    /// If this machine cannot run them, or one does not come up. Nothing is left running then.
    pub fn boot(options: FleetOptions) -> Result<Self, FleetError> {
        if let Some(why) = Self::unavailable() {
            return Err(FleetError::Unavailable { why });
        }
        if options.bases.len() > MOST_HOSTS {
            return Err(FleetError::Unavailable {
                why: format!("a fleet has at most {MOST_HOSTS} hosts"),
            });
        }
        raise_inotify_limit()?;
        let mut fleet = Self {
            hosts: Vec::new(),
            slot: Slot::take()?,
        };
        fleet.hosts = fleet.plan(&options)?;
        fleet.make_keys()?;
        let hosts_file = fleet.hosts_file();
        let client_key =
            fs::read(fleet.identity().with_extension("pub")).map_err(io("identity.pub"))?;
        in_parallel(&fleet.hosts, |host| {
            prepare(host, &hosts_file, &client_key)?;
            host.launch()?;
            host.wait_until_running()
        })?;
        Ok(fleet)
    }

    fn plan(&self, options: &FleetOptions) -> Result<Vec<Host>, FleetError> {
        let mut bases = BTreeMap::new();
        for base in &options.bases {
            if !bases.contains_key(base) {
                bases.insert(base, base.ensure()?);
            }
        }
        let plan = (FIRST_ADDRESS..).zip(options.bases.iter().enumerate());
        let hosts = plan.map(|(last, (index, base))| {
            let name = format!("{}-{:02}", options.prefix, index + 1);
            Host {
                address: self.slot.address(last),
                base: bases[base].clone(),
                folder: self.slot.disk().join(&name),
                machine: self.slot.machine(index),
                cgroup: self.slot.cgroup(index),
                bridge: self.slot.bridge(),
                nspawn: Mutex::new(None),
                name,
            }
        });
        Ok(hosts.collect())
    }

    /// The client's key, one key per host, and known_hosts.
    fn make_keys(&self) -> Result<(), FleetError> {
        keys::make(&self.identity(), "fleet")?;
        in_parallel(&self.hosts, |host| {
            let folder = host.upper().join("etc/ssh");
            fs::create_dir_all(&folder).map_err(io(&folder))?;
            keys::make(&folder.join("ssh_host_ed25519_key"), &host.name)
        })?;
        let mut known_hosts = String::new();
        for host in &self.hosts {
            known_hosts += &keys::known_hosts_line(&host.name, host.address, &host.public_key()?);
        }
        let path = self.known_hosts();
        fs::write(&path, known_hosts).map_err(io(&path))
    }

    fn hosts_file(&self) -> String {
        let lines = self
            .hosts
            .iter()
            .map(|host| format!("{} {}\n", host.address, host.name));
        std::iter::once("127.0.0.1 localhost\n".to_owned())
            .chain(lines)
            .collect()
    }

    /// All hosts, in order.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Host number `index`, from 0.
    ///
    /// # Panics
    /// If there is no such host.
    #[must_use]
    pub fn host(&self, index: usize) -> &Host {
        &self.hosts[index]
    }

    /// The private key that every login of every host accepts.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.slot.state().join("identity")
    }

    /// A known_hosts file with every host's key, under its name and its address.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.slot.state().join("known_hosts")
    }

    /// Runs a command on a host through OpenSSH's own client.
    ///
    /// # Errors
    /// If `ssh` cannot be started; a refused login is an answer with exit code 255.
    pub fn ssh(&self, host: &Host, user: &str, command: &str) -> Result<Output, FleetError> {
        let known_hosts = format!("UserKnownHostsFile={}", self.known_hosts().display());
        let options = [
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            "BatchMode=yes",
            "ConnectTimeout=5",
            &known_hosts,
        ];
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "/dev/null", "-i"])
            .arg(self.identity())
            .args(options.iter().flat_map(|option| ["-o", option]));
        text(ssh.args([&format!("{user}@{}", host.address), command]))
    }

    /// Limits what travels from this machine to all hosts together to so many megabits a second; `None` lifts the limit.
    ///
    /// # Errors
    /// If the network cannot be shaped.
    pub fn uplink_rate(&self, megabits: Option<u32>) -> Result<(), FleetError> {
        shape(&self.slot.bridge(), megabits)
    }

    /// Stops and removes everything; dropping does the same but cannot tell of an error.
    ///
    /// # Errors
    /// If something is left.
    pub fn shut_down(mut self) -> Result<(), FleetError> {
        self.slot.clear()
    }
}

impl Host {
    /// The public half of its host key, as a line.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn public_key(&self) -> Result<String, FleetError> {
        let path = self.upper().join("etc/ssh/ssh_host_ed25519_key.pub");
        fs::read_to_string(&path).map_err(io(&path))
    }
}

/// True if a test of real hosts should end here because they cannot run, after saying why. Where `CI=true`, tests may not be skipped.
///
/// # Panics
/// If they cannot run and the environment has `CI=true`.
#[must_use]
#[expect(
    clippy::print_stderr,
    reason = "for the first line of a test, where it is shown if the test is"
)]
pub fn skip() -> bool {
    let Some(why) = Fleet::unavailable() else {
        return false;
    };
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "real hosts must run in CI: {why}"
    );
    eprintln!("skipped: {why}");
    true
}

/// Writes what differs from host to host over its base.
fn prepare(host: &Host, hosts_file: &str, client_key: &[u8]) -> Result<(), FleetError> {
    for folder in ["work", "root", "upper/etc/sudoers.d"] {
        let folder = host.folder.join(folder);
        fs::create_dir_all(&folder).map_err(io(&folder))?;
    }
    let write = |path: &str, content: &[u8], mode: u32| {
        let path = host.upper().join(path);
        fs::write(&path, content).map_err(io(&path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(io(&path))
    };
    write("etc/hostname", format!("{}\n", host.name).as_bytes(), 0o644)?;
    write("etc/hosts", hosts_file.as_bytes(), 0o644)?;
    write(
        "etc/fleet-address",
        format!("ADDRESS={}/24\n", host.address).as_bytes(),
        0o644,
    )?;
    write("etc/ssh/fleet_key.pub", client_key, 0o644)?;
    let machine_id = fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map_err(io("/proc/sys/kernel/random/uuid"))?;
    write(
        "etc/machine-id",
        machine_id.replace('-', "").as_bytes(),
        0o444,
    )?;
    let sudoers = restricted_sudoers("limited", &["web.service", "web-worker.service"]);
    write("etc/sudoers.d/limited", sudoers.as_bytes(), 0o440)?;
    let folder = host.upper().join("etc/sudoers.d");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).map_err(io(&folder))
}

/// Does the same with every host at once; the first error, in the order of the hosts.
fn in_parallel(
    hosts: &[Host],
    work: impl Fn(&Host) -> Result<(), FleetError> + Sync,
) -> Result<(), FleetError> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = hosts
            .iter()
            .map(|host| scope.spawn(move || work(host)))
            .collect();
        let results = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        results.collect()
    })
}

fn raise_inotify_limit() -> Result<(), FleetError> {
    let limit = fs::read_to_string(INOTIFY_LIMIT).map_err(io(INOTIFY_LIMIT))?;
    if limit
        .trim()
        .parse::<u32>()
        .is_ok_and(|limit| limit >= INOTIFY_INSTANCES)
    {
        return Ok(());
    }
    run(
        "sysctl",
        &[
            "-q",
            &format!("fs.inotify.max_user_instances={INOTIFY_INSTANCES}"),
        ],
    )
    .map(drop)
}

fn is_in_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(tool).is_file())
}
