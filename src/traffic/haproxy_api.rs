//! HAProxy's runtime API: one command, one answer. What its answers mean is in its management guide.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::haproxy_answers::{Found, ServerState, find_state, stat_row, streams_to};
use super::retry::retried;
use crate::core::traffic::{HaproxyEndpoint, RemoteFile};
use crate::ports::{HostError, Machines, Stream, TrafficError};

/// For a connection and for a whole answer; it is a balancer at work, which answers in milliseconds or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// `show stat` of a balancer with thousands of servers.
const ANSWER_MAX: u64 = 64 << 20;

/// One HAProxy.
pub(crate) struct Balancer {
    pub(crate) name: String,
    endpoint: HaproxyEndpoint,
    pub(crate) backend: String,
    machines: Arc<dyn Machines>,
}

impl Balancer {
    pub(crate) fn new(
        endpoint: &HaproxyEndpoint,
        backend: &str,
        machines: &Arc<dyn Machines>,
    ) -> Self {
        Self {
            name: endpoint.to_string(),
            endpoint: endpoint.clone(),
            backend: backend.to_owned(),
            machines: Arc::clone(machines),
        }
    }

    /// Its socket, where that is on a host of the inventory.
    pub(crate) fn socket(&self) -> Option<&RemoteFile> {
        match &self.endpoint {
            HaproxyEndpoint::Ssh(file) => Some(file),
            HaproxyEndpoint::Tcp { .. } | HaproxyEndpoint::Unix(_) => None,
        }
    }

    /// Asks one thing; again when the connection fails, since everything that is asked here may be asked twice.
    pub(crate) async fn ask(&self, command: &str) -> Result<String, TrafficError> {
        retried(|| self.once(command)).await
    }

    async fn once(&self, command: &str) -> Result<String, TrafficError> {
        let cannot = |what: &str, why: &dyn std::fmt::Display| {
            TrafficError::passing(format!("{}: {what}: {why}", self.name))
        };
        let mut stream = match timeout(PATIENCE, self.connect()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(Trouble::Host(error))) => return Err(TrafficError::of_host(&self.name, error)),
            Ok(Err(Trouble::Socket(error))) => {
                let mut trouble = cannot("cannot connect to HAProxy", &error);
                trouble.hint = Some(
                    "does HAProxy run there, and has it a `stats socket` of that name?".into(),
                );
                trouble.is_passing = error.kind() != std::io::ErrorKind::PermissionDenied;
                return Err(trouble);
            }
            Err(_) => return Err(cannot("cannot connect to HAProxy", &"timed out")),
        };
        let mut answer = Vec::new();
        let exchange = async {
            stream.write_all(format!("{command}\n").as_bytes()).await?;
            stream.flush().await?;
            (&mut stream)
                .take(ANSWER_MAX)
                .read_to_end(&mut answer)
                .await
        };
        match timeout(PATIENCE, exchange).await {
            Ok(Ok(length)) if length > 0 => {}
            Ok(Ok(_)) => {
                return Err(cannot(
                    "no answer from HAProxy",
                    &"it closed the connection",
                ));
            }
            Ok(Err(error)) => return Err(cannot("no answer from HAProxy", &error)),
            Err(_) => return Err(cannot("no answer from HAProxy", &"timed out")),
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        // It ends every answer with an empty line.
        if answer != "\n" && !answer.ends_with("\n\n") {
            return Err(cannot("no answer from HAProxy", &"it was cut off"));
        }
        self.understood(command, answer)
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Trouble> {
        Ok(match &self.endpoint {
            HaproxyEndpoint::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                Box::new(stream.map_err(Trouble::Socket)?)
            }
            HaproxyEndpoint::Unix(path) => {
                Box::new(UnixStream::connect(path).await.map_err(Trouble::Socket)?)
            }
            HaproxyEndpoint::Ssh(file) => self
                .machines
                .dial_unix(&file.host, &file.path)
                .await
                .map_err(Trouble::Host)?,
        })
    }

    /// The answers that are refusals.
    fn understood(&self, command: &str, answer: String) -> Result<String, TrafficError> {
        let (name, backend) = (&self.name, &self.backend);
        let text = answer.trim();
        let refusal = if text.starts_with("Permission denied") {
            (
                format!("{name}: HAProxy does not allow `{command}`"),
                "give this `stats socket` the level admin: `stats socket ... level admin`"
                    .to_owned(),
            )
        } else if text.contains("No such backend") || text.starts_with("Can't find backend") {
            (
                format!("{name}: HAProxy has no backend `{backend}`"),
                "`backend` in the inventory is the name behind `backend` (or `listen`) in haproxy.cfg".to_owned(),
            )
        } else if text.contains("No such server") {
            (
                format!(
                    "{name}: backend `{backend}` does not have the server that `{command}` names"
                ),
                "`server` in the inventory is the name behind `server` in haproxy.cfg".to_owned(),
            )
        } else if text.starts_with("Unknown command") {
            (
                format!("{name}: HAProxy does not know `{command}`"),
                "rollctl needs HAProxy 2.0 or newer".to_owned(),
            )
        } else {
            return Ok(answer);
        };
        Err(TrafficError::lasting(refusal.0, refusal.1))
    }

    /// A command that is answered by nothing, or by words that are no error.
    pub(crate) async fn set(&self, server: &str, what: &str) -> Result<(), TrafficError> {
        let command = format!("set server {}/{server} {what}", self.backend);
        let answer = self.ask(&command).await?;
        tracing::debug!(endpoint = %self.name, %command, answer = answer.trim(), "asked HAProxy");
        Ok(())
    }

    /// The server's state.
    pub(crate) async fn state(&self, server: &str) -> Result<ServerState, TrafficError> {
        let answer = self
            .ask(&format!("show servers state {}", self.backend))
            .await?;
        match find_state(&answer, server) {
            Found::State(state) => Ok(state),
            Found::Others(others) => Err(TrafficError::lasting(
                format!(
                    "{}: backend `{}` has no server `{server}`; it has {}",
                    self.name,
                    self.backend,
                    shortened(&others)
                ),
                format!(
                    "add `server {server} ADDRESS:PORT check` to haproxy.cfg, or say with `server = \"...\"` what it is called there"
                ),
            )),
            Found::Nothing => Err(TrafficError::lasting(
                format!(
                    "{}: what came is no answer to `show servers state`: {}",
                    self.name,
                    answer.trim().chars().take(120).collect::<String>()
                ),
                "is it HAProxy's runtime API that listens there?",
            )),
        }
    }

    /// Requests that are with the server, or wait for it.
    pub(crate) async fn sessions(&self, server: &str) -> Result<u64, TrafficError> {
        let answer = self.ask("show stat").await?;
        let row = stat_row(&answer, &self.backend, server);
        let number = |name: &str| -> Option<u64> {
            let row = row.as_ref()?;
            row.iter().find(|(key, _)| *key == name)?.1.parse().ok()
        };
        match (number("scur"), number("qcur")) {
            (Some(current), queued) => Ok(current + queued.unwrap_or(0)),
            (None, _) => Err(TrafficError::lasting(
                format!(
                    "{}: `show stat` does not count the sessions of `{server}`",
                    self.name
                ),
                "is it HAProxy's runtime API that listens there?",
            )),
        }
    }

    /// Why a server is not up, in HAProxy's words.
    pub(crate) async fn condition(&self, server: &str) -> Option<String> {
        let answer = self.ask("show stat").await.ok()?;
        let row = stat_row(&answer, &self.backend, server)?;
        let words: Vec<_> = ["status", "check_status", "last_chk"]
            .iter()
            .filter_map(|name| row.iter().find(|(key, _)| key == name))
            .map(|(_, value)| *value)
            .filter(|value| !value.is_empty())
            .collect();
        Some(words.join(", "))
    }

    /// Requests that are still with an address which the entry had before.
    pub(crate) async fn sessions_with(&self, server: &str, port: u16) -> Result<u64, TrafficError> {
        let answer = self.ask("show sess all").await?;
        Ok(streams_to(&answer, &self.backend, server, port))
    }
}

enum Trouble {
    Socket(std::io::Error),
    Host(HostError),
}

fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 8;
    match names.len() {
        0 => "none".to_owned(),
        length if length > SHOWN => {
            let first = names.get(..SHOWN).unwrap_or_default();
            format!("{} and {} more", first.join(", "), length - SHOWN)
        }
        _ => names.join(", "),
    }
}
