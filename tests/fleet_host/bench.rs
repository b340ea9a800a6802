//! One real host, one service on it, one login.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rollctl::core::budget::Quantity;
use rollctl::core::event::Runs;
use rollctl::core::fleet::{
    Become, Fleet, HealthCheck, Host, OnFailure, Probe, Scope, Service, SshSettings, Strategy,
    Through,
};
use rollctl::core::ids::{
    Digest, Epoch, FleetName, HostName, LedgerId, RevisionName, RevisionNumber, RolloutId,
    ServiceName, UnitName,
};
use rollctl::core::revision::{Architecture, FileContent, Manifest, ManifestFile, Revision};
use rollctl::core::time::Timestamp;
use rollctl::host::ServiceHosts;
use rollctl::ports::{
    ArtifactError, Artifacts, Clock, Controller, Owner, Package, PackageContents,
};
use rollctl::ssh::{Connector, SshConfig, Tuning};
use rollctl_fleet::{Base, FleetOptions};
use sha2::{Digest as _, Sha256};

/// Who logs in, and what they roll.
#[derive(Clone, Copy)]
pub(crate) struct Login {
    user: &'static str,
    acting: Become,
    scope: Scope,
    unit: &'static str,
    install_dir: &'static str,
    link: Option<&'static str>,
}

impl Login {
    pub(crate) const ROOT: Self = Self {
        user: "root",
        acting: Become::LoginUser,
        scope: Scope::System,
        unit: "api.service",
        install_dir: "/opt/api",
        link: Some("/usr/local/bin/api"),
    };
    pub(crate) const DEPLOY: Self = Self {
        user: "deploy",
        acting: Become::Sudo,
        install_dir: "~/my app",
        link: None,
        ..Self::ROOT
    };
    pub(crate) const LOCKED: Self = Self {
        user: "locked",
        ..Self::DEPLOY
    };
    pub(crate) const LIMITED: Self = Self {
        user: "limited",
        unit: "web.service",
        install_dir: "/srv/web",
        link: None,
        ..Self::ROOT
    };
    pub(crate) const SVC: Self = Self {
        user: "svc",
        scope: Scope::User,
        install_dir: "~/api",
        link: None,
        ..Self::ROOT
    };
}

pub(crate) struct Bench {
    fleet: Arc<rollctl_fleet::Fleet>,
    store: Arc<Store>,
    service: Service,
    hosts: ServiceHosts,
    login: Login,
}

impl Bench {
    /// Nothing where there can be no real hosts.
    pub(crate) async fn boot(login: Login) -> Option<Self> {
        Self::boot_with(login, Base::Full).await
    }

    /// The same with another base system.
    pub(crate) async fn boot_with(login: Login, base: Base) -> Option<Self> {
        if rollctl_fleet::skip() {
            return None;
        }
        let options = FleetOptions::hosts(1, base).prefix("web");
        let fleet = tokio::task::spawn_blocking(|| rollctl_fleet::Fleet::boot(options))
            .await
            .unwrap()
            .unwrap();
        Some(Self::of(Arc::new(fleet), Arc::default(), login, |_| ()))
    }

    pub(crate) fn other(&self, login: Login) -> Self {
        Self::of(
            Arc::clone(&self.fleet),
            Arc::clone(&self.store),
            login,
            |_| (),
        )
    }

    pub(crate) fn with_unit_file(self) -> Self {
        Self::of(self.fleet, self.store, self.login, |service| {
            service
                .unit_files
                .insert(UnitName::new("web.service"), "web.service".into());
        })
    }

    fn of(
        fleet: Arc<rollctl_fleet::Fleet>,
        store: Arc<Store>,
        login: Login,
        change: impl FnOnce(&mut Service),
    ) -> Self {
        let mut service = service(login);
        change(&mut service);
        let inventory = inventory(&fleet, login, &service);
        let connector = Arc::new(Connector::new(
            SshConfig::own_reader(Vec::new()),
            Tuning::default(),
        ));
        let artifacts: Arc<dyn Artifacts> = Arc::<Store>::clone(&store);
        let hosts = ServiceHosts::new(&service, &inventory, &connector, artifacts, Arc::new(Now));
        Self {
            fleet,
            store,
            service,
            hosts,
            login,
        }
    }

    pub(crate) fn hosts(&self) -> &ServiceHosts {
        &self.hosts
    }

    pub(crate) fn host(&self) -> &rollctl_fleet::Host {
        self.fleet.host(0)
    }

    pub(crate) fn name(&self) -> HostName {
        HostName::new("web-01")
    }

    pub(crate) fn controller(&self) -> Controller {
        Controller {
            rollout: RolloutId(1),
            epoch: Epoch(1),
            owner: Owner {
                ledger: LedgerId::new("11111111-2222-3333-4444-555555555555"),
                machine: "ops".into(),
            },
            by: "ann@ops".into(),
            takes_hosts: false,
        }
    }

    pub(crate) fn add(&self, name: &str, number: u32, recipe: &Recipe) -> Revision {
        self.store.add(&self.service, name, number, recipe)
    }

    /// How many adopted files came to the controller.
    pub(crate) fn kept(&self) -> usize {
        *self.store.kept.lock().unwrap()
    }
}

fn inventory(fleet: &rollctl_fleet::Fleet, login: Login, service: &Service) -> Fleet {
    let host = fleet.host(0);
    Fleet {
        name: FleetName::new("test"),
        folder: "/".into(),
        ledger_url: None,
        artifacts_url: None,
        notify: None,
        max_uploads: 4,
        hosts: vec![Host {
            name: HostName::new("web-01"),
            address: host.address().to_string(),
            port: None,
            labels: BTreeMap::new(),
            out_of_service: false,
            ssh: SshSettings {
                user: Some(login.user.to_owned()),
                identity: Some(fleet.identity()),
                known_hosts: Some(fleet.known_hosts()),
                jump: None,
                r#become: login.acting,
                connect_timeout: Duration::from_secs(10),
            },
        }],
        services: vec![service.clone()],
    }
}

fn service(login: Login) -> Service {
    let name = login.unit.trim_end_matches(".service");
    Service {
        name: ServiceName::new(name),
        hosts: vec![HostName::new("web-01")],
        spare_hosts: Vec::new(),
        out_of_service: Vec::new(),
        units: vec![UnitName::new(login.unit)],
        scope: login.scope,
        socket: None,
        unit_files: BTreeMap::new(),
        install_dir: login.install_dir.to_owned(),
        binary: name.to_owned(),
        link: login.link.map(str::to_owned),
        artifact: None,
        environment: BTreeMap::new(),
        files: BTreeMap::new(),
        port: None,
        ports: None,
        revision_history_limit: 10,
        strategy: Strategy {
            max_surge: Quantity::Count(0),
            max_unavailable: Quantity::Count(1),
            min_ready: Duration::from_secs(1),
            progress_deadline: Duration::from_secs(60),
            max_failures: 0,
            on_failure: OnFailure::Rollback,
            steps: Vec::new(),
            order: BTreeMap::new(),
            domains: Vec::new(),
        },
        health: HealthCheck {
            probe: Probe::Unit,
            through: Through::Direct,
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            successes: 2,
            deadline: Duration::from_secs(20),
        },
        traffic: None,
        hooks: Default::default(),
        trust: None,
        channel: Default::default(),
        window: None,
    }
}

/// A program that runs until it is stopped, different for each text.
pub(crate) fn elf(text: &str) -> Vec<u8> {
    let mut bytes = std::fs::read("/usr/bin/sleep").unwrap();
    bytes.extend(text.as_bytes());
    bytes
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut block = sha(b"seed");
    let mut bytes = Vec::with_capacity(length + 32);
    while bytes.len() < length {
        block = sha(block.as_bytes());
        bytes.extend(hex::decode(&block).unwrap());
    }
    bytes
}

pub(crate) fn sha(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// SHA-256 of the file that a unit's main process runs, read without rollctl.
pub(crate) fn sha_of_running(host: &rollctl_fleet::Host, unit: &str) -> String {
    let sum = host
        .sh(&format!(
            "sha256sum </proc/$(systemctl show -p MainPID --value {unit})/exe"
        ))
        .unwrap();
    sum.split(' ').next().unwrap().to_owned()
}

pub(crate) fn runs(revision: &Revision) -> Runs {
    Runs::Revision {
        revision: revision.reference(),
    }
}

/// What the ledger would make of an adopted manifest.
pub(crate) fn recorded(manifest: Manifest) -> Revision {
    Revision {
        number: RevisionNumber(1),
        names: manifest.names,
        digest: manifest.digest,
        created_at: manifest.created_at,
        created_by: manifest.created_by,
        cause: None,
        adopted: manifest.adopted,
        signers: Vec::new(),
        kept: false,
    }
}

pub(crate) struct Recipe {
    program: Vec<u8>,
    unit: Option<String>,
    environment: Option<String>,
    elf: Option<Architecture>,
}

impl Recipe {
    pub(crate) fn new(program: Vec<u8>) -> Self {
        Self {
            program,
            unit: None,
            environment: None,
            elf: None,
        }
    }

    pub(crate) fn unit(mut self, text: &str) -> Self {
        self.unit = Some(text.to_owned());
        self
    }

    pub(crate) fn environment(mut self, text: &str) -> Self {
        self.environment = Some(text.to_owned());
        self
    }

    pub(crate) fn machine(mut self, name: &str) -> Self {
        self.elf = Some(Architecture(name.to_owned()));
        self
    }
}

#[derive(Default)]
struct Store {
    packages: Mutex<BTreeMap<Digest, Arc<Package>>>,
    files: Mutex<Vec<tempfile::NamedTempFile>>,
    kept: Mutex<usize>,
}

impl Store {
    fn add(&self, service: &Service, name: &str, number: u32, recipe: &Recipe) -> Revision {
        let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(recipe.program.len() as u64);
        header.set_mode(0o755);
        archive
            .append_data(&mut header, &service.binary, recipe.program.as_slice())
            .unwrap();
        let bytes = archive.into_inner().unwrap().finish().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let digest = Digest::new(sha(format!(
            "{}{:?}{:?}",
            sha(&bytes),
            recipe.unit,
            recipe.environment
        )
        .as_bytes()));
        let package = Package {
            path: file.path().to_owned(),
            size: bytes.len() as u64,
            unpacked_size: recipe.program.len() as u64,
            sha256: sha(&bytes),
            contents: PackageContents {
                files: vec![ManifestFile {
                    path: service.binary.clone(),
                    mode: 0o755,
                    content: FileContent::File {
                        sha256: sha(&recipe.program),
                        size: recipe.program.len() as u64,
                    },
                }],
                units: recipe
                    .unit
                    .iter()
                    .map(|text| (service.units[0].clone(), text.clone()))
                    .collect(),
                environment: recipe.environment.clone(),
                elf: recipe.elf.clone(),
                adopted: None,
            },
        };
        self.files.lock().unwrap().push(file);
        self.packages
            .lock()
            .unwrap()
            .insert(digest.clone(), Arc::new(package));
        Revision {
            number: RevisionNumber(number),
            names: vec![RevisionName::parse(name).unwrap()],
            digest,
            created_at: Timestamp::from_millis(1_700_000_000_000),
            created_by: "ann@ops".into(),
            cause: None,
            adopted: None,
            signers: Vec::new(),
            kept: false,
        }
    }
}

#[async_trait]
impl Artifacts for Store {
    async fn package(
        &self,
        digest: &Digest,
        _: &Architecture,
    ) -> Result<Option<Arc<Package>>, ArtifactError> {
        Ok(self.packages.lock().unwrap().get(digest).cloned())
    }

    async fn keep_adopted(
        &self,
        digest: &Digest,
        contents: &PackageContents,
        file: &Path,
    ) -> Result<(), ArtifactError> {
        let FileContent::File { sha256, .. } = &contents.files[0].content else {
            panic!("a file is kept");
        };
        assert_eq!(sha(&std::fs::read(file).unwrap()), *sha256);
        assert!(contents.elf.is_some());
        *self.kept.lock().unwrap() += 1;
        let package = Package {
            path: file.to_owned(),
            size: 0,
            unpacked_size: 0,
            sha256: String::new(),
            contents: contents.clone(),
        };
        self.packages
            .lock()
            .unwrap()
            .insert(digest.clone(), Arc::new(package));
        Ok(())
    }
}

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }
}
