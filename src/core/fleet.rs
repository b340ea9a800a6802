//! What an inventory says, after it was checked: hosts, services, strategies. Contract, section 2.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::budget::Quantity;
use super::channel::Channel;
use super::hooks::HookKind;
use super::ids::{FleetName, HostName, ServiceName, UnitName};
use super::notify::Notify;
use super::program::Program;
use super::source::ArtifactSource;
use super::traffic::Traffic;
use super::window::Window;

/// One inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    /// Its name: the key `fleet`, else the stem of the file or folder.
    pub name: FleetName,
    /// The folder that relative paths are relative to (they are already joined with it).
    pub folder: PathBuf,
    /// `[ledger] url`, when given: `sqlite:` and an absolute path, taken as it is (no options, no percent-encoding).
    pub ledger_url: Option<String>,
    /// `[artifacts] url`, when given: `file:` and an absolute path, taken as it is.
    pub artifacts_url: Option<String>,
    /// How many uploads may run at once.
    pub max_uploads: usize,
    /// Who is told of rollouts without watching them; nothing: nobody.
    pub notify: Option<Notify>,
    /// All hosts in the order in which the inventory names them, ranges expanded.
    pub hosts: Vec<Host>,
    /// All services in the order in which the inventory names them.
    pub services: Vec<Service>,
}

impl Fleet {
    /// The host of that name.
    pub fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.iter().find(|host| &host.name == name)
    }

    /// All hosts by name, for who needs many of them.
    pub fn by_name(&self) -> BTreeMap<&HostName, &Host> {
        self.hosts.iter().map(|host| (&host.name, host)).collect()
    }

    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.name.as_str() == name)
    }
}

/// A machine reached over SSH.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its name in the inventory.
    pub name: HostName,
    /// What to connect to: a name or an IP address, without port.
    pub address: String,
    /// The SSH port, when the inventory gives one.
    pub port: Option<u16>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Not in `desired`, not touched, listed.
    pub out_of_service: bool,
    /// `[ssh]` of the fleet with the host's own keys over it.
    pub ssh: SshSettings,
}

/// The `[ssh]` keys. What is not given is asked of `ssh_config`.
#[derive(Debug, Clone, PartialEq)]
pub struct SshSettings {
    /// The login user.
    pub user: Option<String>,
    /// A private key file.
    pub identity: Option<PathBuf>,
    /// The file with the known host keys.
    pub known_hosts: Option<PathBuf>,
    /// ProxyJump: `[user@]host[:port]`, several separated by commas; `none`: no jump host, whatever `ssh_config` says.
    pub jump: Option<String>,
    /// Who does the work on the host.
    pub r#become: Become,
    /// How long a login may take: TCP, key exchange and authentication.
    pub connect_timeout: Duration,
}

/// Who does the work on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Become {
    /// The login user (root, or the restricted set-up of contract section 4).
    LoginUser,
    /// root, through `sudo -n`.
    Sudo,
}

/// Which systemd manages a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The host's.
    System,
    /// The login user's: `systemctl --user`, lingering required.
    User,
}

/// What is rolled.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// The ordinary hosts in service, in inventory order: `desired` is their number.
    pub hosts: Vec<HostName>,
    /// The hosts that carry it only during a rollout, in inventory order.
    pub spare_hosts: Vec<HostName>,
    /// Hosts that one of the selectors matches and that are out of service: listed, never touched.
    pub out_of_service: Vec<HostName>,
    /// The units, restarted in this order; never empty.
    pub units: Vec<UnitName>,
    /// Which systemd manages them.
    pub scope: Scope,
    /// The socket that systemd holds for them; never stopped by rollctl.
    pub socket: Option<UnitName>,
    /// The unit files that belong to the revision; empty: the host's own are kept.
    pub unit_files: BTreeMap<UnitName, PathBuf>,
    /// Where revisions are kept on the host: absolute, or `~/...` in the login user's home; no trailing slash.
    pub install_dir: String,
    /// The artifact's name inside the revision.
    pub binary: String,
    /// A path that is kept pointing into `install_dir/current`.
    pub link: Option<String>,
    /// What `release` ships when it is given no artifact.
    pub artifact: Option<ArtifactSource>,
    /// Where its newest version is found, and whether it is verified by a digest file.
    pub channel: Channel,
    /// The environment of the units.
    pub environment: BTreeMap<String, EnvironmentValue>,
    /// More files in the revision: path inside it, file on the controller.
    pub files: BTreeMap<String, PathBuf>,
    /// For `{port}`.
    pub port: Option<u16>,
    /// Side by side, the two ports that old and new take turns with.
    pub ports: Option<[u16; 2]>,
    /// How many revisions are kept on hosts and in the store.
    pub revision_history_limit: u32,
    /// How it is rolled.
    pub strategy: Strategy,
    /// How it proves that it is healthy.
    pub health: HealthCheck,
    /// The balancers in front of it; nothing: rollctl moves no traffic.
    pub traffic: Option<Traffic>,
    /// What the operator runs around rollouts and switches.
    pub hooks: BTreeMap<HookKind, Program>,
    /// Whose builds are released; nothing: anybody's.
    pub trust: Option<Trust>,
    /// When it may be rolled; nothing: always.
    pub window: Option<Window>,
}

/// Whose builds are released (`[trust]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Keys and their owners, in the form of `ssh-keygen(1)`, ALLOWED SIGNERS.
    pub allowed_signers: PathBuf,
    /// Keys that are not trusted any more: a list of public keys, or a KRL of `ssh-keygen -k`.
    pub revoked_keys: Option<PathBuf>,
}

impl Service {
    /// All hosts that may carry it: the ordinary ones, then the spare ones.
    pub fn carriers(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.iter().chain(&self.spare_hosts)
    }

    /// Its port; side by side, the first of the two, which the first instance on a host gets.
    pub fn first_port(&self) -> Option<u16> {
        self.port.or(self.ports.map(|[first, _]| first))
    }

    /// The template of a service whose revisions run side by side.
    pub fn template(&self) -> Option<&UnitName> {
        match self.units.as_slice() {
            [unit] if unit.is_template() => Some(unit),
            _ => None,
        }
    }

    /// Those of the hosts that may carry it, in their order.
    pub fn carriers_among<'a>(&self, hosts: &'a [Host]) -> impl Iterator<Item = &'a Host> {
        let carriers: BTreeSet<&HostName> = self.carriers().collect();
        hosts
            .iter()
            .filter(move |host| carriers.contains(&host.name))
    }
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvironmentValue {
    /// Written in the inventory.
    Plain(String),
    /// Taken from the controller's environment; a secret.
    Secret {
        /// The variable's name on the controller.
        env: String,
    },
}

/// How a service is rolled.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    /// How many instances more than desired may run.
    pub max_surge: Quantity,
    /// How many of the desired instances may be unavailable.
    pub max_unavailable: Quantity,
    /// How long an instance must be ready without a break before it is available.
    pub min_ready: Duration,
    /// How long the rollout may stand without any phase ending well.
    pub progress_deadline: Duration,
    /// Instances failed by us before `on_failure` applies.
    pub max_failures: u32,
    /// What happens over `max_failures`.
    pub on_failure: OnFailure,
    /// The gates, in order; empty: none. The last one to all of them is implied.
    pub steps: Vec<Step>,
    /// For each host that a selector of `order` matches, the place of the first that does, from 0. Others come last.
    pub order: BTreeMap<HostName, u32>,
    /// Quorums, zones, racks: budgets of their own.
    pub domains: Vec<Domain>,
}

/// A gate in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How many instances may be new before it opens; a share is of `desired`.
    pub to: Quantity,
    /// How long it stays shut after so many are available.
    pub bake: Duration,
    /// Whether somebody has to approve before it opens.
    pub approve: bool,
}

/// A failure domain: hosts that share the value of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The label; every host of the service has it.
    pub label: String,
    /// At most so many of its values are in work at once, at least 1; nothing: any number.
    pub at_once: Option<u32>,
    /// How many instances may be unavailable inside each value; nothing: as many as in the service.
    pub max_unavailable: Option<Quantity>,
}

/// What happens when more than `max_failures` instances failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Every host goes back to what it ran before.
    Rollback,
    /// The rollout holds.
    Pause,
    /// The rollout goes on.
    Continue,
}

/// How an instance proves that it is healthy.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// From where.
    pub through: Through,
    /// Time between two polls of one instance.
    pub interval: Duration,
    /// How long one poll may take.
    pub timeout: Duration,
    /// Polls in a row that must pass.
    pub successes: u32,
    /// From start to available, else the instance has failed.
    pub deadline: Duration,
}

/// What is asked of an instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A GET request. The texts may hold `{host}`, `{address}`, `{port}`, `{revision}`, `{label.NAME}`.
    Http {
        /// The URL.
        url: String,
        /// The status that passes.
        expect_status: u16,
        /// A text that the body must contain.
        expect_body: Option<String>,
        /// JSON pointers and the text (or the JSON value's text) each must have.
        expect_json: BTreeMap<String, String>,
    },
    /// A TCP connection that is accepted: `{address}:{port}`.
    Tcp {
        /// Host and port.
        address: String,
    },
    /// A command on the host; exit status 0 passes.
    Command {
        /// Run by `sh -c`.
        command: String,
    },
    /// The units' state alone.
    Unit,
}

/// From where a probe is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// From the controller.
    Direct,
    /// From the host itself, through the SSH connection.
    Ssh,
}
