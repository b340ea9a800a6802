//! Probes against small servers on 127.0.0.1 that answer byte by byte as they are told.

mod answers;
mod asking;
mod templates;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::core::budget::Quantity;
use crate::core::event::Started;
use crate::core::fleet::{
    Become, HealthCheck, Host, OnFailure, Probe, Scope, Service, SshSettings, Strategy, Through,
};
use crate::core::ids::{BootId, HostName, RevisionName, ServiceName, UnitName};
use crate::core::revision::Revision;
use crate::ports::{
    Attested, Confirmed, Controller, HostError, HostErrorKind, HostFacts, Hosts, JournalExcerpt,
    Remembered, Staged, Stop, Stream, Switch, UnitState, UploadProgress,
};

/// What a server does with a request.
#[derive(Debug, Clone)]
enum Act {
    /// Writes this and waits for the next request.
    Answer(Vec<u8>),
    /// Writes this and closes the connection.
    AnswerAndClose(Vec<u8>),
    /// Writes this and then nothing more, with the connection open.
    AnswerAndHang(Vec<u8>),
}

/// A server that does one act after the other, the last one for ever.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (counted, seen) = (Arc::clone(&connections), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, acts.clone(), Arc::clone(&seen)));
            }
        });
        Self {
            address,
            connections,
            requests,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, acts: Vec<Act>, seen: Arc<Mutex<Vec<String>>>) {
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(String::from_utf8(request).unwrap());
            seen.len() - 1
        };
        match acts.get(number).or(acts.last()).unwrap() {
            Act::Answer(bytes) => stream.write_all(bytes).await.unwrap(),
            Act::AnswerAndClose(bytes) => {
                // The client may hang up first, as on a body that is longer than it wants.
                drop(stream.write_all(bytes).await);
                return;
            }
            Act::AnswerAndHang(bytes) => {
                stream.write_all(bytes).await.unwrap();
                std::future::pending::<()>().await;
            }
        }
    }
}

/// A whole answer.
fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// Hosts whose streams are plain connections.
#[derive(Default)]
struct FakeHosts {
    /// What `dial` says instead.
    dial_error: Mutex<Option<HostErrorKind>>,
    /// `dial` never ends.
    dial_hangs: bool,
    /// `units` never ends: the SSH connection is dead.
    is_cut: bool,
    /// What `run_check` says; nothing: it never ends.
    check: Option<Result<(i32, String), HostErrorKind>>,
    commands: Mutex<Vec<String>>,
}

fn host_error(kind: HostErrorKind, message: &str) -> HostError {
    HostError {
        kind,
        message: message.to_owned(),
        hint: None,
    }
}

#[async_trait]
impl Hosts for FakeHosts {
    async fn remembered(&self, _: &HostName) -> Result<Remembered, HostError> {
        panic!("not asked by probes")
    }

    async fn stop(&self, _: &HostName, _: &Controller, _: &Stop) -> Result<(), HostError> {
        panic!("not asked by probes")
    }

    async fn units(
        &self,
        _: &HostName,
        _: Option<&RevisionName>,
    ) -> Result<(BootId, Vec<UnitState>), HostError> {
        if self.is_cut {
            std::future::pending::<()>().await;
        }
        Ok((BootId::new("boot"), Vec::new()))
    }

    async fn run_check(
        &self,
        _: &HostName,
        command: &str,
        _: Duration,
    ) -> Result<(i32, String), HostError> {
        self.commands.lock().unwrap().push(command.to_owned());
        match &self.check {
            None => std::future::pending().await,
            Some(said) => said.clone().map_err(|kind| host_error(kind, "it said so")),
        }
    }

    async fn dial(
        &self,
        _: &HostName,
        address: &str,
        port: u16,
    ) -> Result<Box<dyn Stream>, HostError> {
        if self.dial_hangs {
            std::future::pending::<()>().await;
        }
        if let Some(kind) = *self.dial_error.lock().unwrap() {
            return Err(host_error(kind, "connection lost"));
        }
        let stream = TcpStream::connect((address, port)).await;
        stream
            .map(|stream| Box::new(stream) as Box<dyn Stream>)
            .map_err(|_| host_error(HostErrorKind::Failed, "connection refused"))
    }

    async fn observe(&self, _: &HostName) -> Result<HostFacts, HostError> {
        panic!("not asked by probes")
    }
    async fn check(&self, _: &HostName) -> Result<String, HostError> {
        Ok(String::new())
    }

    async fn attest(&self, _: &HostName) -> Result<Attested, HostError> {
        Ok(Attested {
            runs: crate::core::event::Runs::Nothing,
            attestation: None,
            drift: Vec::new(),
        })
    }

    async fn claim(&self, _: &HostName, _: &Controller) -> Result<(), HostError> {
        panic!("not asked by probes")
    }
    async fn stage(
        &self,
        _: &HostName,
        _: &Controller,
        _: &Revision,
        _: UploadProgress<'_>,
    ) -> Result<Staged, HostError> {
        panic!("not asked by probes")
    }
    async fn switch(&self, _: &HostName, _: &Controller, _: &Switch) -> Result<Started, HostError> {
        panic!("not asked by probes")
    }
    async fn confirm(
        &self,
        _: &HostName,
        _: &Controller,
        _: &Switch,
        _: &Started,
    ) -> Result<Confirmed, HostError> {
        panic!("not asked by probes")
    }
    async fn prune(
        &self,
        _: &HostName,
        _: &Controller,
        _: &[RevisionName],
    ) -> Result<Vec<RevisionName>, HostError> {
        panic!("not asked by probes")
    }
    async fn journal(
        &self,
        _: &HostName,
        _: Option<&RevisionName>,
        _: usize,
    ) -> Result<JournalExcerpt, HostError> {
        panic!("not asked by probes")
    }
    async fn rest(&self, _: &HostName) {}

    async fn close(&self, _: &HostName) {}
}

fn host(address: &str) -> Host {
    Host {
        name: HostName::new("web-01"),
        address: address.to_owned(),
        port: None,
        labels: BTreeMap::from([
            ("zone".into(), "a".into()),
            ("owner".into(), "o'neil $(id)".into()),
        ]),
        out_of_service: false,
        ssh: SshSettings {
            user: None,
            identity: None,
            known_hosts: None,
            jump: None,
            r#become: Become::LoginUser,
            connect_timeout: Duration::from_secs(1),
        },
    }
}

fn service(probe: Probe, through: Through, timeout: Duration) -> Service {
    Service {
        name: ServiceName::new("web"),
        hosts: vec![HostName::new("web-01")],
        spare_hosts: Vec::new(),
        out_of_service: Vec::new(),
        units: vec![UnitName::new("web.service")],
        scope: Scope::System,
        socket: None,
        unit_files: BTreeMap::new(),
        install_dir: "/opt/web".into(),
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
            min_ready: Duration::ZERO,
            progress_deadline: Duration::ZERO,
            max_failures: 0,
            on_failure: OnFailure::Rollback,
            steps: Vec::new(),
            order: BTreeMap::new(),
            domains: Vec::new(),
        },
        health: HealthCheck {
            probe,
            through,
            interval: Duration::ZERO,
            timeout,
            successes: 1,
            deadline: Duration::ZERO,
        },
        traffic: None,
        hooks: Default::default(),
        trust: None,
        channel: Default::default(),
        window: None,
    }
}

fn http(url: &str) -> Probe {
    Probe::Http {
        url: url.to_owned(),
        expect_status: 200,
        expect_body: None,
        expect_json: BTreeMap::new(),
    }
}
