//! A host to ask: of the lab, or a real one. Both are reached over SSH, by the same inventory text.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollctl::artifact::{Fetched, FileStore, read};
use rollctl::core::fleet::Fleet;
use rollctl::core::ids::{HostName, RevisionName, RevisionNumber, RolloutId};
use rollctl::core::revision::Revision;
use rollctl::core::source::ArtifactSource;
use rollctl::core::time::Timestamp;
use rollctl::host::ServiceHosts;
use rollctl::ports::{Clock, Controller, Hosts, Owner};
use rollctl::ssh::{Connector, SshConfig, Tuning};
use rollctl_fleet::{Base, FleetOptions};
use rollctl_lab::{Behaviour, Lab, LabOptions, demo_service};
use tempfile::TempDir;

/// What both inventories say of services.
const SERVICES: &str = r#"
[services.web]
hosts = "*"
scope = "user"
unit = "web.service"
unit_file = "web.service"
install_dir = "~/web"
port = 8080
environment = { GREETING = "a \"b\" $c 'd' \\ %h `e`; #", LINES = "one\ntwo\n", EMPTY = "", BLANK = " x " }
health = { unit = true }

[services.old]
hosts = "*"
scope = "user"
unit = "old.service"
unit_file = "old.service"
install_dir = "~/old"
port = 8081
health = { unit = true }

[services.cap]
hosts = "*"
scope = "user"
unit = "cap.service"
install_dir = "~/cap"
health = { unit = true }

[services.pair]
hosts = "*"
scope = "user"
units = ["one.service", "two.service"]
unit_file = { "one.service" = "one.service", "two.service" = "two.service" }
install_dir = "~/pair"
health = { unit = true }
"#;

/// Which services there are.
const NAMES: [&str; 4] = ["web", "old", "cap", "pair"];

/// One host and everything to work on it.
pub(crate) struct Place {
    machine: Machine,
    fleet: Fleet,
    store: Arc<FileStore>,
    services: Vec<(&'static str, ServiceHosts)>,
    folder: TempDir,
    /// The home folder of the user who logs in.
    pub(crate) home: String,
    /// The host's address.
    pub(crate) address: String,
    /// Where its SSH server listens.
    pub(crate) ssh_port: u16,
}

enum Machine {
    Lab { _running: Lab },
    Real(rollctl_fleet::Fleet),
}

impl Place {
    /// A host of the lab.
    pub(crate) fn lab() -> Self {
        let lab = Lab::boot(&LabOptions {
            hosts: 1,
            ..LabOptions::default()
        })
        .unwrap();
        let host = &lab.hosts()[0];
        let (home, address) = (host.home().display().to_string(), host.address().to_owned());
        let (snippet, ssh_port) = (lab.inventory_snippet(), host.ssh_port());
        Self::of(
            Machine::Lab { _running: lab },
            home,
            (address, ssh_port),
            &snippet,
        )
    }

    /// A systemd-nspawn host, where `svc` lingers.
    pub(crate) fn real() -> Self {
        let fleet =
            rollctl_fleet::Fleet::boot(FleetOptions::hosts(1, Base::Full).prefix("web")).unwrap();
        let address = fleet.host(0).address().to_string();
        let snippet = format!(
            "[ssh]\nuser = \"svc\"\nidentity = {:?}\nknown_hosts = {:?}\n\n[hosts.web-01]\naddress = \"{address}\"\n",
            fleet.identity(),
            fleet.known_hosts(),
        );
        Self::of(
            Machine::Real(fleet),
            "/home/svc".into(),
            (address, 22),
            &snippet,
        )
    }

    fn of(
        machine: Machine,
        home: String,
        (address, ssh_port): (String, u16),
        snippet: &str,
    ) -> Self {
        let folder = TempDir::with_prefix("rollctl-conformance-").unwrap();
        let path = folder.path().join("test.toml");
        fs::write(&path, format!("{snippet}{SERVICES}")).unwrap();
        let fleet = rollctl::inventory::load(&path).unwrap().fleet;
        let store = Arc::new(FileStore::new(folder.path().join("artifacts")));
        let connector = Arc::new(Connector::new(
            SshConfig::own_reader(Vec::new()),
            Tuning::default(),
        ));
        let services = NAMES
            .iter()
            .map(|name| {
                let service = fleet.service(name).unwrap();
                let hosts = ServiceHosts::new(
                    service,
                    &fleet,
                    &connector,
                    store.clone(),
                    Arc::new(Standing),
                );
                (*name, hosts)
            })
            .collect();
        Self {
            machine,
            fleet,
            store,
            services,
            folder,
            home,
            address,
            ssh_port,
        }
    }

    /// The host's name in the inventory.
    pub(crate) fn host(&self) -> HostName {
        HostName::new("web-01")
    }

    /// A service on it.
    pub(crate) fn service(&self, name: &str) -> &ServiceHosts {
        let (_, hosts) = self.services.iter().find(|(one, _)| *one == name).unwrap();
        hosts
    }

    /// What a person puts there by hand, below the home folder.
    pub(crate) fn put(&self, path: &str, content: &[u8], mode: u32) {
        let path = format!("{}/{path}", self.home);
        match &self.machine {
            Machine::Lab { .. } => {
                fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            Machine::Real(fleet) => {
                fleet.host(0).write_file(&path, content, mode).unwrap();
                fleet
                    .host(0)
                    .sh(&format!("chown -R svc: {}", self.home))
                    .unwrap();
            }
        }
    }

    /// Runs a command by the login shell of the user, which must succeed.
    pub(crate) async fn sh(&self, command: &str) -> String {
        let (status, said) = self
            .service("web")
            .run_check(&self.host(), command, Duration::from_secs(20))
            .await
            .unwrap();
        assert_eq!(status, 0, "{command}: {said}");
        said
    }

    /// A revision: the demo service, and unit files.
    pub(crate) fn revision(
        &self,
        service: &str,
        name: &str,
        behaviour: &Behaviour,
        units: &[(&str, &str)],
    ) -> Revision {
        self.revision_of(service, name, &demo_service(name, behaviour), units)
    }

    /// The same of any file.
    pub(crate) fn revision_of(
        &self,
        service: &str,
        name: &str,
        program: &[u8],
        units: &[(&str, &str)],
    ) -> Revision {
        let artifact = self.folder.path().join("artifact");
        fs::write(&artifact, program).unwrap();
        fs::set_permissions(&artifact, fs::Permissions::from_mode(0o755)).unwrap();
        for (unit, text) in units {
            fs::write(self.folder.path().join(unit), text).unwrap();
        }
        let service = self.fleet.service(service).unwrap();
        let source = ArtifactSource::Any(artifact.into());
        let content = read(service, Some(&source), &Fetched::default(), &|_| None).unwrap();
        let digest = self.store.put(&content).unwrap();
        Revision {
            number: RevisionNumber(1),
            names: vec![RevisionName::parse(name).unwrap()],
            digest,
            created_at: Standing.now(),
            created_by: "ann@ops".into(),
            cause: None,
            adopted: None,
            signers: Vec::new(),
        }
    }
}

/// Who drives.
pub(crate) fn controller(epoch: i64) -> Controller {
    Controller {
        rollout: RolloutId(1),
        epoch: rollctl::core::ids::Epoch(epoch),
        owner: Owner {
            ledger: rollctl::core::ids::LedgerId::new("11111111-2222-3333-4444-555555555555"),
            machine: "ops".into(),
        },
        by: "ann@ops".into(),
        takes_hosts: false,
    }
}

/// A clock that stands, so that manifests are the same.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }
}
