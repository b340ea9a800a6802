//! A "host" in a temporary folder: the user's systemd is a fake, all else is real.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::super::hosts::ServiceHosts;
use super::super::layout::sha256;
use super::super::machine::Machine;
use super::super::script::{Manner, refused};
use super::super::shell::{Ending, Input, Output, Shell, Wire};
use crate::core::budget::Quantity;
use crate::core::event::Runs;
use crate::core::fleet::*;
use crate::core::ids::*;
use crate::core::revision::*;
use crate::core::time::Timestamp;
use crate::ports::*;

pub(super) const SHELLS: [&str; 2] = ["dash", "bash"];

/// A host in a folder.
pub(super) struct Bench {
    pub(super) home: tempfile::TempDir,
    pub(super) shell: &'static str,
    pub(super) store: Arc<Store>,
}

impl Bench {
    pub(super) fn new(shell: &'static str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let bench = Self {
            home,
            shell,
            store: Arc::default(),
        };
        for folder in ["bin", "fake", ".config/systemd/user"] {
            std::fs::create_dir_all(bench.path(folder)).unwrap();
        }
        for (name, text) in [
            ("systemctl", include_str!("fake/systemctl")),
            ("journalctl", include_str!("fake/journalctl")),
            ("loginctl", include_str!("fake/loginctl")),
        ] {
            bench.program(&format!("bin/{name}"), text);
        }
        // What a login shell may say before it does what it is asked.
        bench.write(".profile-noise", "hello from .bashrc\n");
        bench
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn program(&self, name: &str, text: &str) {
        self.write(name, text);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path(name), mode).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(super) fn current(&self) -> Option<String> {
        std::fs::read_link(self.path("web/current"))
            .ok()
            .map(|target| target.display().to_string())
    }

    /// What the fake systemd started last: the bytes of the program.
    pub(super) fn running(&self) -> String {
        self.read("fake/web.service.content")
    }

    /// The calls of the fake systemctl that change something.
    pub(super) fn calls(&self) -> Vec<String> {
        self.read("fake/log").lines().map(str::to_owned).collect()
    }

    pub(super) fn machine(&self) -> Machine {
        let shell = LocalShell {
            home: self.home.path().to_owned(),
            shell: self.shell,
        };
        let manner = Manner {
            scope: Scope::User,
            acting: Become::LoginUser,
        };
        Machine::new(host(), Box::new(shell), manner)
    }

    pub(super) fn hosts(&self, service: Service) -> ServiceHosts {
        let store: Arc<dyn Artifacts> = Arc::<Store>::clone(&self.store);
        ServiceHosts::with_machines(service, [self.machine()], store, Arc::new(Stopped), 4)
    }

    pub(super) fn unit_file(&self, text: &str) {
        self.write(".config/systemd/user/web.service", text);
    }

    pub(super) fn installed_unit(&self) -> String {
        self.read(".config/systemd/user/web.service")
    }
}

pub(super) fn host() -> HostName {
    HostName::new("web-01")
}

pub(super) fn unit() -> UnitName {
    UnitName::new("web.service")
}

pub(super) fn controller(epoch: i64) -> Controller {
    Controller {
        rollout: RolloutId(7),
        epoch: Epoch(epoch),
        owner: Owner {
            ledger: LedgerId::new("11111111-2222-3333-4444-555555555555"),
            machine: "ops box".into(),
        },
        by: "ann@ops box".into(),
        takes_hosts: false,
    }
}

pub(super) fn service() -> Service {
    Service {
        name: ServiceName::new("web"),
        hosts: vec![host()],
        spare_hosts: Vec::new(),
        out_of_service: Vec::new(),
        units: vec![unit()],
        scope: Scope::User,
        socket: None,
        unit_files: BTreeMap::new(),
        install_dir: "~/web".into(),
        binary: "web".into(),
        link: None,
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

pub(super) const UNIT: &str =
    "[Service]\nExecStart=%h/web/current/web\n[Install]\nWantedBy=default.target\n";

/// A revision in the store: a program with that text, its unit file, its environment.
#[derive(Default, Clone)]
pub(super) struct Recipe {
    pub(super) program: &'static str,
    pub(super) unit: Option<&'static str>,
    pub(super) environment: Option<&'static str>,
    pub(super) files: Vec<(&'static str, u32, &'static str)>,
}

/// The controller's artifacts in memory.
#[derive(Default)]
pub(super) struct Store {
    packages: Mutex<BTreeMap<Digest, Arc<Package>>>,
    files: Mutex<Vec<tempfile::NamedTempFile>>,
    pub(super) kept: Mutex<Vec<(Digest, PackageContents, Vec<u8>)>>,
    /// What hosts are told to fetch.
    pub(super) pull: Mutex<Option<Pull>>,
}

impl Store {
    pub(super) fn add(&self, name: &str, number: u32, recipe: &Recipe) -> Revision {
        let mut all = vec![("web", 0o755, recipe.program)];
        all.extend(recipe.files.iter().copied());
        // As the store has them.
        all.sort_unstable_by_key(|(path, ..)| *path);
        let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        let mut files = Vec::new();
        let mut unpacked_size = 0;
        for (path, mode, text) in &all {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            // Not the mode that is wanted: the manifest's counts.
            header.set_mode(0o600);
            archive
                .append_data(&mut header, path, text.as_bytes())
                .unwrap();
            unpacked_size += text.len() as u64;
            files.push(ManifestFile {
                path: (*path).to_owned(),
                mode: *mode,
                content: FileContent::File {
                    sha256: sha256(text.as_bytes()),
                    size: text.len() as u64,
                },
            });
        }
        files.sort();
        let bytes = archive.into_inner().unwrap().finish().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let digest = Digest::new(sha256(
            format!("{all:?}{:?}{:?}", recipe.unit, recipe.environment).as_bytes(),
        ));
        let package = Package {
            path: file.path().to_owned(),
            size: bytes.len() as u64,
            unpacked_size,
            sha256: sha256(&bytes),
            contents: PackageContents {
                files,
                units: recipe
                    .unit
                    .iter()
                    .map(|text| (unit(), (*text).to_owned()))
                    .collect(),
                environment: recipe.environment.map(str::to_owned),
                elf: None,
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
            cause: Some("it's $(time)".into()),
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

    async fn pull(&self, _: &Digest, _: &Architecture) -> Result<Option<Pull>, ArtifactError> {
        Ok(self.pull.lock().unwrap().clone())
    }

    async fn keep_adopted(
        &self,
        digest: &Digest,
        contents: &PackageContents,
        file: &Path,
    ) -> Result<(), ArtifactError> {
        let bytes = std::fs::read(file).unwrap();
        self.kept
            .lock()
            .unwrap()
            .push((digest.clone(), contents.clone(), bytes));
        Ok(())
    }
}

pub(super) fn runs(revision: &Revision) -> Runs {
    Runs::Revision {
        revision: revision.reference(),
    }
}

pub(super) fn no_progress(_: u64, _: u64) {}

/// A login shell on this machine.
struct LocalShell {
    home: PathBuf,
    shell: &'static str,
}

#[async_trait]
impl Shell for LocalShell {
    async fn open(&self, command: &str) -> Result<Box<dyn Wire>, HostError> {
        let noisy = format!("cat \"$HOME/.profile-noise\"; {command}");
        // `sh` on the host is the shell under test.
        let sh = self.home.join("bin/sh");
        if !sh.exists() {
            let _ = std::os::unix::fs::symlink(format!("/bin/{}", self.shell), &sh);
        }
        let mut child = Command::new(format!("/bin/{}", self.shell))
            .args(["-c", &noisy])
            .env_clear()
            .env("HOME", &self.home)
            .env(
                "PATH",
                format!(
                    "{0}/kill:{0}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    self.home.display()
                ),
            )
            .env("FAKE", self.home.join("fake"))
            .current_dir(&self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .map_err(|error| refused(error.to_string(), None))?;
        let stdin = child.stdin.take().unwrap();
        let stdout = child.stdout.take().unwrap();
        Ok(Box::new(LocalWire {
            child,
            stdin,
            stdout,
        }))
    }

    async fn dial(&self, _: &str, _: u16) -> Result<Box<dyn Stream>, HostError> {
        Err(refused("no tunnel here", None))
    }

    async fn close(&self) {}
}

struct LocalWire {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

#[async_trait]
impl Wire for LocalWire {
    fn pipes(&mut self) -> (Input<'_>, Output<'_>) {
        (&mut self.stdin, &mut self.stdout)
    }

    async fn ending(&mut self) -> Ending {
        use tokio::io::AsyncReadExt;
        let mut stderr = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            let _ = pipe.read_to_string(&mut stderr).await;
        }
        Ending {
            how: self
                .child
                .wait()
                .await
                .map_or_else(|e| e.to_string(), |s| s.to_string()),
            stderr,
            is_lost: false,
        }
    }
}

/// A clock that stands still.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }
}

pub(super) fn switch_of(from: Runs, to: Runs, hash: &str) -> Switch {
    Switch {
        from,
        to,
        event_hash: hash.into(),
        guarded: false,
        side: None,
    }
}

pub(super) fn v(n: u32) -> Recipe {
    match n {
        1 => Recipe {
            program: "#!/bin/sh\necho one\n",
            unit: Some(UNIT),
            environment: Some("A=\"1\"\n"),
            files: vec![("etc/-x $(touch pwned)", 0o640, "x"), ("etc/b", 0o644, "b")],
        },
        _ => Recipe {
            program: "#!/bin/sh\necho two\n",
            unit: Some("[Service]\nExecStart=%h/web/current/web --two\n"),
            environment: None,
            files: Vec::new(),
        },
    }
}
