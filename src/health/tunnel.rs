//! Asking from the host itself, through its SSH connection.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::core::ids::HostName;
use crate::ports::{HostError, HostErrorKind, Hosts, Stream};

use super::check_words::{Failure, innermost};
use super::direct::{USER_AGENT, take};
use super::judge::{BodyEnd, Reply};

/// HTTP over streams from the hosts. One stream per host is kept between probes.
pub(super) struct Tunnel {
    hosts: Arc<dyn Hosts>,
    kept: Mutex<HashMap<HostName, Connection>>,
}

struct Connection {
    /// Where it leads: a URL may name another port after a release.
    target: (String, u16),
    sender: SendRequest<Empty<Bytes>>,
    /// Moves the bytes; ends with the connection.
    _driver: AbortOnDropHandle<()>,
}

impl Tunnel {
    pub(super) fn new(hosts: Arc<dyn Hosts>) -> Self {
        Self {
            hosts,
            kept: Mutex::default(),
        }
    }

    /// One GET, ended by the deadline.
    pub(super) async fn get(
        &self,
        host: &HostName,
        url: &Url,
        started: Instant,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let asked = self.get_until(host, url, deadline);
        self.tell_apart(host, started, deadline, asked).await
    }

    /// One stream, closed at once.
    pub(super) async fn connect(
        &self,
        host: &HostName,
        address: &str,
        port: u16,
        started: Instant,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let dialled = async {
            let dialled = timeout_at(deadline, self.hosts.dial(host, address, port)).await;
            dialled.map_err(|_| Failure::TimedOut)?.map_err(of_host)?;
            Ok(())
        };
        self.tell_apart(host, started, deadline, dialled).await
    }

    /// Tells an instance that does not answer from a host that cannot be reached: when half of the time is over, the
    /// host is asked for its units. Without an answer to that, nobody can say anything about the instance.
    pub(super) async fn tell_apart<T>(
        &self,
        host: &HostName,
        started: Instant,
        deadline: Instant,
        asked: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut asked = pin!(asked);
        let mut checked = pin!(async {
            sleep_until(started + (deadline - started) / 2).await;
            let units = timeout_at(deadline, self.hosts.units(host, None)).await;
            units.map(|units| units.err().filter(is_way_down).is_none())
        });
        let mut is_up = None;
        let outcome = loop {
            tokio::select! {
                biased;
                up = &mut checked, if is_up.is_none() => is_up = Some(up.unwrap_or(false)),
                outcome = &mut asked => break outcome,
            }
        };
        match outcome {
            Err(Failure::TimedOut) if is_up != Some(true) => Err(Failure::WayDown(
                "neither it nor the host answered through SSH".to_owned(),
            )),
            other => other,
        }
    }

    async fn get_until(
        &self,
        host: &HostName,
        url: &Url,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let target = (
            url.host_str()
                .unwrap_or_default()
                .trim_matches(['[', ']'])
                .to_owned(),
            url.port_or_known_default().unwrap_or(80),
        );
        if let Some(mut kept) = self.take_kept(host, &target) {
            match timeout_at(deadline, kept.send(url)).await {
                Ok(Ok(response)) => return Ok(self.finish(host, kept, response, deadline).await),
                // The server closed it between the probes; a new one tells.
                Ok(Err(_)) => {}
                Err(_) => return Err(Failure::TimedOut),
            }
        }
        let opened = async {
            let stream = self
                .hosts
                .dial(host, &target.0, target.1)
                .await
                .map_err(of_host)?;
            let broken = |error: hyper::Error| Failure::Broken(innermost(&error));
            let mut connection = Connection::open(stream, target).await.map_err(broken)?;
            let response = connection.send(url).await.map_err(broken)?;
            Ok((connection, response))
        };
        let (connection, response) = timeout_at(deadline, opened)
            .await
            .map_err(|_| Failure::TimedOut)??;
        Ok(self.finish(host, connection, response, deadline).await)
    }

    /// Reads the body, and keeps the connection when it can be used again.
    async fn finish(
        &self,
        host: &HostName,
        connection: Connection,
        response: hyper::Response<Incoming>,
        deadline: Instant,
    ) -> Reply {
        let (parts, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        let end = loop {
            match timeout_at(deadline, incoming.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let chunk = frame.into_data().unwrap_or_default();
                    if !take(&mut body, &chunk) {
                        break BodyEnd::TooLong;
                    }
                }
                Ok(Some(Err(error))) => break BodyEnd::Broken(innermost(&error)),
                Ok(None) => break BodyEnd::Whole,
                Err(_) => break BodyEnd::TimedOut,
            }
        };
        if end == BodyEnd::Whole && !connection.sender.is_closed() {
            self.lock().insert(host.clone(), connection);
        }
        Reply {
            status: parts.status.as_u16(),
            location: parts
                .headers
                .get("location")
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            body,
            end,
        }
    }

    /// The host's connection, taken out: two probes at a time never share one.
    fn take_kept(&self, host: &HostName, target: &(String, u16)) -> Option<Connection> {
        let kept = self.lock().remove(host)?;
        (kept.target == *target && !kept.sender.is_closed()).then_some(kept)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<HostName, Connection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    async fn open(stream: Box<dyn Stream>, target: (String, u16)) -> hyper::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "probe connection ended");
            }
        });
        Ok(Self {
            target,
            sender,
            _driver: AbortOnDropHandle::new(driver),
        })
    }

    async fn send(&mut self, url: &Url) -> hyper::Result<hyper::Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(request(url)).await
    }
}

/// A GET in the form that goes to a server, not to a proxy.
fn request(url: &Url) -> Request<Empty<Bytes>> {
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let authority = &url[url::Position::BeforeHost..url::Position::BeforePath];
    let mut builder = Request::get(path)
        .header("host", authority)
        .header("user-agent", USER_AGENT)
        .header("accept", "*/*");
    if !url.username().is_empty() || url.password().is_some() {
        let mut pair = percent_decoded(url.username());
        pair.push(b':');
        pair.extend(percent_decoded(url.password().unwrap_or_default()));
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        builder = builder.header("authorization", format!("Basic {pair}"));
    }
    // A parsed URL has only characters that a request may have.
    builder
        .body(Empty::new())
        .unwrap_or_else(|_| Request::new(Empty::new()))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let escaped = after.get(..2).filter(|_| *first == b'%');
        match escaped.and_then(|digits| hex::decode(digits).ok()) {
            Some(byte) => {
                decoded.extend(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => decoded.push(*first),
        }
    }
    decoded
}

fn is_way_down(error: &HostError) -> bool {
    match error.kind {
        HostErrorKind::Unreachable | HostErrorKind::Lost | HostErrorKind::Refused => true,
        HostErrorKind::Failed => false,
    }
}

/// What a host's error says about the instance.
pub(super) fn of_host(error: HostError) -> Failure {
    if is_way_down(&error) {
        Failure::WayDown(error.message)
    } else {
        Failure::Broken(error.message)
    }
}
