//! HAProxy's runtime API: one command, one answer. What its answers mean is in its management guide.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::retry::retried;
use crate::core::traffic::HaproxyEndpoint;
use crate::ports::{HostError, Machines, Stream, TrafficError};

/// For a connection and for a whole answer; it is a balancer at work, which answers in milliseconds or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// `show stat` of a balancer with thousands of servers.
const ANSWER_MAX: u64 = 64 << 20;

/// `srv_admin_state`: forced, inherited by `track`, no address by DNS, no address by name.
const FORCED_MAINT: u32 = 0x01;
const INHERITED_MAINT: u32 = 0x02;
const FORCED_DRAIN: u32 = 0x08;
const INHERITED_DRAIN: u32 = 0x10;
const UNRESOLVED: u32 = 0x20 | 0x40;

/// `srv_op_state`: stopped is 0, soft-stopped is 3.
const STARTING: u32 = 1;
const RUNNING: u32 = 2;

/// A server of a backend as `show servers state` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerState {
    pub(crate) address: String,
    pub(crate) port: u16,
    /// 0: checks ask the server's own port.
    pub(crate) check_port: u16,
    operational: u32,
    admin: u32,
    pub(crate) weight: u32,
}

impl ServerState {
    /// Nothing new goes to it, not even to those who were there before.
    pub(crate) fn is_in_maintenance(&self) -> bool {
        self.admin & (FORCED_MAINT | INHERITED_MAINT | UNRESOLVED) != 0
    }

    /// An operator's word, or ours: it is to get requests, should its checks pass.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_in_maintenance()
            && self.admin & (FORCED_DRAIN | INHERITED_DRAIN) == 0
            && self.weight > 0
    }

    /// Its checks pass, or it has none. A server in slow start gets requests too.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.operational, STARTING | RUNNING)
    }

    /// What `ready` does not end.
    pub(crate) fn obstacle(&self) -> Option<(&'static str, &'static str)> {
        if self.admin & (INHERITED_MAINT | INHERITED_DRAIN) != 0 {
            Some((
                "follows another server by `track`, which is out",
                "name the server that is tracked",
            ))
        } else if self.admin & UNRESOLVED != 0 {
            Some((
                "has no address: its name does not resolve there",
                "look at `resolvers` in haproxy.cfg, or write an address",
            ))
        } else if self.weight == 0 {
            Some((
                "has the weight 0",
                "give it a weight: `set server BACKEND/SERVER weight 100%`",
            ))
        } else {
            None
        }
    }

    /// What `ready` ends.
    pub(crate) fn is_forced_out(&self) -> bool {
        self.admin & (FORCED_MAINT | FORCED_DRAIN) != 0
    }
}

/// One HAProxy.
pub(crate) struct Balancer {
    pub(crate) name: String,
    endpoint: HaproxyEndpoint,
    backend: String,
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
            // HAProxy ends every answer with an empty line; without it the connection was cut off.
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

enum Found {
    State(ServerState),
    Others(Vec<String>),
    Nothing,
}

fn find_state(answer: &str, server: &str) -> Found {
    let mut lines = answer.lines().skip_while(|line| !line.starts_with('#'));
    let Some(header) = lines.next() else {
        return Found::Nothing;
    };
    let names: Vec<&str> = header.trim_start_matches('#').split_whitespace().collect();
    let mut others = Vec::new();
    for line in lines {
        let values: Vec<&str> = line.split_whitespace().collect();
        let value = |name: &str| {
            let at = names.iter().position(|known| *known == name)?;
            values.get(at).copied()
        };
        match value("srv_name") {
            Some(name) if name == server => {
                let number = |name: &str| value(name).and_then(|text| text.parse::<u32>().ok());
                let port = |name: &str| {
                    number(name)
                        .and_then(|port| u16::try_from(port).ok())
                        .unwrap_or(0)
                };
                let (Some(operational), Some(admin)) =
                    (number("srv_op_state"), number("srv_admin_state"))
                else {
                    return Found::Nothing;
                };
                return Found::State(ServerState {
                    address: value("srv_addr").unwrap_or("-").to_owned(),
                    port: port("srv_port"),
                    check_port: port("srv_check_port"),
                    operational,
                    admin,
                    weight: number("srv_uweight").unwrap_or(1),
                });
            }
            Some(name) => others.push(name.to_owned()),
            None => {}
        }
    }
    Found::Others(others)
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

/// A line of `show stat` with the names of its columns.
fn stat_row<'t>(answer: &'t str, backend: &str, server: &str) -> Option<Vec<(&'t str, &'t str)>> {
    let mut lines = answer.lines().skip_while(|line| !line.starts_with('#'));
    let names: Vec<&str> = lines
        .next()?
        .trim_start_matches('#')
        .trim()
        .split(',')
        .collect();
    let prefix = format!("{backend},{server},");
    let line = lines.find(|line| line.starts_with(&prefix))?;
    // Quoted texts may hold commas, but they come behind the columns that are counted.
    Some(names.into_iter().zip(line.split(',')).collect())
}

/// Streams in `show sess all` whose server has that name and, at that time, had that port.
fn streams_to(answer: &str, backend: &str, server: &str, port: u16) -> u64 {
    let backend_line = format!("backend={backend} (");
    let server_line = format!("server={server} (");
    let address_end = format!(":{port}");
    let (mut count, mut is_ours) = (0, false);
    for line in answer.lines().map(str::trim_start) {
        if line.starts_with("backend=") {
            is_ours = line.starts_with(&backend_line);
        } else if is_ours && line.starts_with(&server_line) {
            let address = line.split("addr=").nth(1).unwrap_or_default();
            let address = address.split_whitespace().next().unwrap_or_default();
            count += u64::from(address.ends_with(&address_end));
        }
    }
    count
}
