//! Asking from the controller.

use std::time::Duration;

use reqwest::{Client, redirect};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::check_words::{Failure, innermost};
use super::judge::{BODY_MAX, BodyEnd, Reply};
use crate::ports::KEPT_CONNECTIONS;

/// How the probes call themselves in the servers' logs.
pub(super) const USER_AGENT: &str = concat!("rollctl/", env!("CARGO_PKG_VERSION"), " (health)");

/// HTTP clients that are shared by all hosts of a service.
#[derive(Debug)]
pub(super) struct DirectHttp {
    /// Keeps connections between probes.
    pooled: Client,
    /// Keeps none: for a second try when a kept connection had gone stale.
    fresh: Client,
}

impl DirectHttp {
    /// `is_tls`: root certificates are loaded, which takes some milliseconds and fails where there are none. Of very many
    /// hosts no connection is kept, 30 KB each, unless it would cost a handshake.
    pub(super) fn new(timeout: Duration, is_tls: bool, hosts: usize) -> reqwest::Result<Self> {
        // The second and later calls say that there is one already.
        let installed = rustls::crypto::ring::default_provider().install_default();
        tracing::trace!(first = installed.is_ok(), "TLS provider");
        let client = |kept: usize| {
            // HTTP/1.1 only: a dead HTTP/2 connection stays in the pool when a probe on it times out.
            let builder = Client::builder()
                .http1_only()
                .no_proxy()
                .redirect(redirect::Policy::none())
                .referer(false)
                .tcp_nodelay(true)
                .connect_timeout(timeout)
                .pool_max_idle_per_host(kept)
                .user_agent(USER_AGENT);
            if is_tls {
                builder.build()
            } else {
                builder.tls_certs_only([]).build()
            }
        };
        Ok(Self {
            pooled: client(usize::from(is_tls || hosts <= KEPT_CONNECTIONS))?,
            fresh: client(0)?,
        })
    }

    /// One GET, ended by the deadline.
    pub(super) async fn get(&self, url: &Url, deadline: Instant) -> Result<Reply, Failure> {
        let send = |client: &Client| timeout_at(deadline, client.get(url.clone()).send());
        let sent = match send(&self.pooled).await {
            // The server may have closed a kept connection just before; a new one tells.
            Ok(Err(error)) if !error.is_connect() && !error.is_timeout() => send(&self.fresh).await,
            other => other,
        };
        let mut response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_timeout() => return Err(Failure::TimedOut),
            Ok(Err(error)) => return Err(Failure::Broken(innermost(&error))),
            Err(_) => return Err(Failure::TimedOut),
        };
        let location = response
            .headers()
            .get("location")
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let status = response.status().as_u16();
        let mut body = Vec::new();
        let end = loop {
            match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    if !take(&mut body, &chunk) {
                        break BodyEnd::TooLong;
                    }
                }
                Ok(Ok(None)) => break BodyEnd::Whole,
                Ok(Err(error)) => break BodyEnd::Broken(innermost(&error)),
                Err(_) => break BodyEnd::TimedOut,
            }
        };
        Ok(Reply {
            status,
            location,
            body,
            end,
        })
    }
}

/// Adds as much of a chunk as is kept; whether all of it was.
pub(super) fn take(body: &mut Vec<u8>, chunk: &[u8]) -> bool {
    let room = BODY_MAX.saturating_sub(body.len());
    body.extend(chunk.iter().take(room));
    chunk.len() <= room
}

/// One TCP connection, closed at once.
pub(super) async fn connect(address: &str, port: u16, deadline: Instant) -> Result<(), Failure> {
    match timeout_at(deadline, TcpStream::connect((address, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Failure::Broken(innermost(&error))),
        Err(_) => Err(Failure::TimedOut),
    }
}
