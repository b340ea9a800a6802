//! HAProxy: servers are set to `drain` and `ready` by its runtime API, and what it says of them is read back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::runtime_api::{self, ServerState, first_line};
use crate::core::ids::HostName;
use crate::core::traffic::Endpoint;
use crate::core::traffic_state::TrafficSight;
use crate::ports::{Drained, Member, SocketDialer, Stream, Traffic, TrafficError};

/// How often sessions and states are asked for while they are waited for.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How often an endpoint is asked that cannot be reached: a reload takes less than a second.
const ATTEMPTS: u32 = 4;

/// The pause before it is asked again.
const REST: Duration = Duration::from_millis(500);

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long HAProxy's own health check may take to find an instance up that is ready: `inter` and `rise` of a lenient
/// check.
const UP_WITHIN: Duration = Duration::from_secs(60);

/// The HAProxy processes before a service.
pub struct Haproxy {
    endpoints: Vec<Endpoint>,
    backend: String,
    servers: BTreeMap<HostName, String>,
    drain_timeout: Duration,
    sockets: Arc<dyn SocketDialer>,
}

impl Haproxy {
    /// Nothing is connected yet.
    pub fn new(
        endpoints: Vec<Endpoint>,
        backend: String,
        servers: BTreeMap<HostName, String>,
        drain_timeout: Duration,
        sockets: Arc<dyn SocketDialer>,
    ) -> Self {
        Self {
            endpoints,
            backend,
            servers,
            drain_timeout,
            sockets,
        }
    }

    fn server(&self, member: &Member) -> Result<&str, TrafficError> {
        self.servers
            .get(&member.host)
            .map(String::as_str)
            .ok_or_else(|| TrafficError {
                message: format!("no server of backend `{}` belongs to it", self.backend),
                hint: None,
            })
    }

    async fn ask(&self, endpoint: &Endpoint, command: &str) -> Result<String, TrafficError> {
        let mut attempt = 1;
        let why = loop {
            let answer = match self.connect(endpoint).await {
                Ok(stream) => runtime_api::ask(stream, command).await,
                Err(why) => Err(why),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(why) if attempt == ATTEMPTS => break why,
                Err(_) => attempt += 1,
            }
            tokio::time::sleep(REST).await;
        };
        Err(TrafficError {
            message: format!("HAProxy at `{endpoint}` does not answer: {why}"),
            hint: Some(match endpoint {
                Endpoint::Tcp { .. } => {
                    "its configuration needs `stats socket ADDRESS:PORT level admin`, reachable from here".to_owned()
                }
                Endpoint::Unix { .. } | Endpoint::Ssh { .. } => {
                    "its configuration needs `stats socket PATH level admin`, and the socket has to let the login user in"
                        .to_owned()
                }
            }),
        })
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Box<dyn Stream>, String> {
        let connecting = async {
            Ok(match endpoint {
                Endpoint::Tcp { address, port } => {
                    let stream = TcpStream::connect((address.as_str(), *port)).await;
                    Box::new(stream.map_err(|error| error.to_string())?) as Box<dyn Stream>
                }
                Endpoint::Unix { path } => {
                    let stream = UnixStream::connect(path).await;
                    Box::new(stream.map_err(|error| error.to_string())?)
                }
                Endpoint::Ssh { host, path } => {
                    let stream = self.sockets.dial_socket(host, path).await;
                    stream.map_err(|error| error.in_words())?
                }
            })
        };
        tokio::time::timeout(CONNECT, connecting)
            .await
            .unwrap_or_else(|_| Err(format!("no connection within {} s", CONNECT.as_secs())))
    }

    async fn state(&self, endpoint: &Endpoint, server: &str) -> Result<ServerState, TrafficError> {
        let backend = &self.backend;
        let answer = self
            .ask(endpoint, &format!("show servers state {backend}"))
            .await?;
        match runtime_api::server_state(&answer, server) {
            Ok(Some(state)) => Ok(state),
            Ok(None) => Err(TrafficError {
                message: format!("HAProxy at `{endpoint}` has no server `{server}` in `{backend}`"),
                hint: Some(
                    "`server` in `[services.*.traffic]` says how servers are called there"
                        .to_owned(),
                ),
            }),
            Err(said) => Err(TrafficError {
                message: format!(
                    "HAProxy at `{endpoint}` does not tell about backend `{backend}`: {said}"
                ),
                hint: Some(format!(
                    "`backend` has to be a backend there, and the socket needs `level admin`: `show servers state {backend}`"
                )),
            }),
        }
    }

    /// Sets a server's state; the API answers nothing when it has done so.
    async fn set(
        &self,
        endpoint: &Endpoint,
        server: &str,
        state: &str,
    ) -> Result<(), TrafficError> {
        let command = format!("set server {}/{server} state {state}", self.backend);
        let said = self.ask(endpoint, &command).await?;
        if said.trim().is_empty() {
            return Ok(());
        }
        Err(TrafficError {
            message: format!(
                "HAProxy at `{endpoint}` refused `{command}`: {}",
                first_line(&said)
            ),
            hint: Some("the socket needs `level admin`".to_owned()),
        })
    }

    async fn sessions(&self, endpoint: &Endpoint, server: &str) -> Result<u64, TrafficError> {
        let answer = self.ask(endpoint, "show stat").await?;
        runtime_api::sessions(&answer, &self.backend, server).map_err(|said| TrafficError {
            message: format!("HAProxy at `{endpoint}` does not say how busy `{server}` is: {said}"),
            hint: None,
        })
    }

    /// Waits until HAProxy's own check lets traffic through.
    async fn until_up(&self, endpoint: &Endpoint, server: &str) -> Result<(), TrafficError> {
        let begun = Instant::now();
        loop {
            let state = self.state(endpoint, server).await?;
            match () {
                () if state.is_ready() && state.is_up() => return Ok(()),
                () if begun.elapsed() < UP_WITHIN => tokio::time::sleep(ASK_AGAIN).await,
                () if state.is_ready() => {
                    return Err(TrafficError {
                        message: format!(
                            "HAProxy at `{endpoint}` finds `{server}` down, {} s after it was set ready",
                            UP_WITHIN.as_secs()
                        ),
                        hint: Some("its own health check asks something else than `[services.*.health]`: compare them".to_owned()),
                    });
                }
                () => {
                    return Err(TrafficError {
                        message: format!(
                            "HAProxy at `{endpoint}` still has `{server}` out of traffic"
                        ),
                        hint: Some(
                            "somebody else sets it, or it tracks another server that is out"
                                .to_owned(),
                        ),
                    });
                }
            }
        }
    }
}

#[async_trait]
impl Traffic for Haproxy {
    async fn observe(&self, member: &Member) -> Result<TrafficSight, TrafficError> {
        let server = self.server(member)?;
        let mut seen = TrafficSight::default();
        for endpoint in &self.endpoints {
            let list = match self.state(endpoint, server).await?.is_ready() {
                true => &mut seen.attached,
                false => &mut seen.detached,
            };
            list.insert(endpoint.to_string());
        }
        Ok(seen)
    }

    async fn drain(&self, member: &Member) -> Result<Drained, TrafficError> {
        let server = self.server(member)?;
        for endpoint in &self.endpoints {
            // What an operator has in maintenance already is left as it is.
            if self.state(endpoint, server).await?.is_ready() {
                self.set(endpoint, server, "drain").await?;
            }
        }
        let begun = Instant::now();
        loop {
            let mut left = 0;
            for endpoint in &self.endpoints {
                left += self.sessions(endpoint, server).await?;
            }
            if left == 0 || begun.elapsed() >= self.drain_timeout {
                break self.still_out(server).await.map(|()| Drained {
                    sessions_left: left,
                });
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn attach(&self, member: &Member, except: &BTreeSet<String>) -> Result<(), TrafficError> {
        let server = self.server(member)?;
        let wanted = || {
            let endpoints = self.endpoints.iter();
            endpoints.filter(|endpoint| !except.contains(&endpoint.to_string()))
        };
        for endpoint in wanted() {
            if !self.state(endpoint, server).await?.is_ready() {
                self.set(endpoint, server, "ready").await?;
            }
        }
        for endpoint in wanted() {
            self.until_up(endpoint, server).await?;
        }
        Ok(())
    }
}

impl Haproxy {
    /// Reads back that a server is out everywhere.
    async fn still_out(&self, server: &str) -> Result<(), TrafficError> {
        for endpoint in &self.endpoints {
            if self.state(endpoint, server).await?.is_ready() {
                return Err(TrafficError {
                    message: format!(
                        "HAProxy at `{endpoint}` has put `{server}` into traffic again"
                    ),
                    hint: Some(
                        "somebody else sets it: an agent check, a reload, or an operator"
                            .to_owned(),
                    ),
                });
            }
        }
        Ok(())
    }
}
