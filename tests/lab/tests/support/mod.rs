//! What the lab's tests share: a client, and waiting.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses its part"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollctl_lab::{Lab, LabHost, LabOptions};
use russh::client::{self, Handle};
use russh::keys::PublicKeyOrCertificate;
use russh::keys::{PrivateKeyWithHashAlg, PublicKey, load_secret_key};
use russh::{ChannelMsg, Sig};
use tokio::runtime::Runtime;

/// Nothing on this machine takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn lab(hosts: usize) -> Lab {
    Lab::boot(&LabOptions {
        hosts,
        ..LabOptions::default()
    })
    .expect("a lab")
}

/// Returns when it is so; fails if it never is.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is dead, whoever forgets to bury it.
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<u32>,
    pub(crate) signal: Option<String>,
}

pub(crate) struct Login {
    runtime: Runtime,
    handle: Handle<Trusting>,
}

pub(crate) struct Trusting(PublicKey);

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(
            matches!(shown, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.0.key_data()),
        )
    }
}

impl Login {
    pub(crate) fn new(lab: &Lab, host: &LabHost) -> Self {
        Self::with_key(host, lab.user(), &lab.identity()).expect("a login")
    }

    /// `None` if the host refuses.
    pub(crate) fn with_key(host: &LabHost, user: &str, key: &Path) -> Option<Self> {
        let key_line = host.public_key();
        Self::at((host.address(), host.ssh_port()), key_line, user, key)
    }

    pub(crate) fn at(address: (&str, u16), host_key: &str, user: &str, key: &Path) -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let config = Arc::new(client::Config {
            nodelay: true,
            ..client::Config::default()
        });
        let trusting = Trusting(PublicKey::from_openssh(host_key).expect("a host key"));
        let handle = runtime.block_on(async {
            let mut handle = client::connect(config, address, trusting).await.ok()?;
            let key = Arc::new(load_secret_key(key, None).expect("a key"));
            let result = handle
                .authenticate_publickey(user, PrivateKeyWithHashAlg::new(key, None))
                .await
                .ok()?;
            result.success().then_some(handle)
        })?;
        Some(Self { runtime, handle })
    }

    pub(crate) fn run(&self, command: &str) -> Answer {
        self.run_with_input(command, b"").expect("a session")
    }

    /// Standard output, trimmed; the command must end well.
    pub(crate) fn ask(&self, command: &str) -> String {
        let answer = self.run(command);
        assert_eq!(answer.code, Some(0), "{command}: {answer:?}");
        answer.out.trim().to_owned()
    }

    /// `None` if the channel is refused or breaks.
    pub(crate) fn run_with_input(&self, command: &str, input: &'static [u8]) -> Option<Answer> {
        self.runtime.block_on(async {
            let mut channel = self.handle.channel_open_session().await.ok()?;
            channel.exec(true, command).await.ok()?;
            let writer = channel.make_writer();
            let (mut answer, mut done) = (Answer::default(), false);
            let feeding = tokio::spawn(async move {
                tokio::pin!(writer);
                let _ = tokio::io::AsyncWriteExt::write_all(&mut writer, input).await;
                let _ = tokio::io::AsyncWriteExt::shutdown(&mut writer).await;
            });
            while let Some(message) = channel.wait().await {
                match message {
                    ChannelMsg::Data { data } => {
                        answer.out.push_str(&String::from_utf8_lossy(&data))
                    }
                    ChannelMsg::ExtendedData { data, .. } => {
                        answer.err.push_str(&String::from_utf8_lossy(&data))
                    }
                    ChannelMsg::ExitStatus { exit_status } => answer.code = Some(exit_status),
                    ChannelMsg::ExitSignal { signal_name, .. } => {
                        answer.signal = Some(name_of(&signal_name))
                    }
                    ChannelMsg::Close => done = true,
                    _ => {}
                }
            }
            feeding.abort();
            done.then_some(answer)
        })
    }

    /// Bytes that come back through a forwarded connection.
    pub(crate) fn forward(&self, host: &str, port: u16, request: &str) -> Option<String> {
        self.runtime.block_on(async {
            let channel = self
                .handle
                .channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 1)
                .await
                .ok()?;
            let mut stream = channel.into_stream();
            tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
                .await
                .ok()?;
            let mut answer = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer)
                .await
                .ok()?;
            Some(answer)
        })
    }

    /// Opens so many idle sessions, and says how many were let in.
    pub(crate) fn sessions(&self, wanted: usize) -> usize {
        self.runtime.block_on(async {
            let mut open = Vec::new();
            for _ in 0..wanted {
                open.extend(self.handle.channel_open_session().await);
            }
            open.len()
        })
    }
}

fn name_of(signal: &Sig) -> String {
    format!("{signal:?}")
}
