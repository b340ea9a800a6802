//! Driver `http`: requests to an admin endpoint of the operator's own.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Method, redirect};
use url::Url;

use super::levers::Lever;
use super::retry::retried;
use super::site::Site;
use crate::core::traffic::{Moves, TrafficRequest};
use crate::ports::{Member, TrafficError};

const USER_AGENT: &str = concat!("rollctl/", env!("CARGO_PKG_VERSION"), " (traffic)");
/// Body that is read to look for `expect_body`.
const BODY_MAX: usize = 1 << 20;
/// Body that is told.
const TOLD: usize = 160;

/// What an operator wrote to move instances.
pub(crate) struct Requests {
    client: Client,
    site: Site,
    moves: Moves<TrafficRequest>,
}

/// A client for these URLs. Root certificates are loaded only where one of them is https.
pub(crate) fn client<'u>(urls: impl IntoIterator<Item = &'u str>) -> Result<Client, TrafficError> {
    let is_tls = urls.into_iter().any(|url| url.starts_with("https:"));
    // The second and later calls say that there is one already.
    let installed = rustls::crypto::ring::default_provider().install_default();
    tracing::trace!(first = installed.is_ok(), "TLS provider");
    let builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        // Kept connections go stale between two moves.
        .pool_max_idle_per_host(0)
        .user_agent(USER_AGENT);
    let built = match is_tls {
        true => builder.build(),
        false => builder.tls_certs_only([]).build(),
    };
    built.map_err(|error| {
        TrafficError::lasting(
            format!("requests to balancers cannot be sent: {error}"),
            "install the root certificates (`ca-certificates`)",
        )
    })
}

/// What was answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    body: String,
}

/// Sends one request; again when there is no answer.
pub(crate) async fn send(
    client: &Client,
    method: &Method,
    url: &Url,
    body: Option<&str>,
    timeout: Duration,
) -> Result<Reply, TrafficError> {
    retried(|| async {
        let mut request = client.request(method.clone(), url.clone()).timeout(timeout);
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let no_answer = |error: reqwest::Error| {
            TrafficError::passing(format!(
                "{method} {} was not answered: {}",
                presentable(url),
                innermost(&error)
            ))
        };
        let mut response = request.send().await.map_err(no_answer)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_MAX {
                break;
            }
        }
        Ok(Reply {
            status: response.status().as_u16(),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    })
    .await
}

/// Without the password.
pub(crate) fn presentable(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() {
        // A URL with a password has a host, so that this cannot fail.
        let _ = shown.set_password(Some("***"));
    }
    shown.to_string()
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A text that the inventory has checked with placeholders filled in.
pub(crate) fn parsed(text: &str) -> Result<Url, TrafficError> {
    Url::parse(text).map_err(|error| {
        TrafficError::lasting(
            format!("`{text}` is not a URL: {error}"),
            "look at what its placeholders stand for",
        )
    })
}

impl Reply {
    /// The end of a sentence.
    pub(crate) fn shown(&self) -> String {
        let body: String = self.body.trim().chars().take(TOLD).collect();
        match body.is_empty() {
            true => format!("answered {}", self.status),
            false => format!("answered {} {body:?}", self.status),
        }
    }
}

impl Requests {
    pub(crate) fn new(site: Site, moves: &Moves<TrafficRequest>) -> Result<Self, TrafficError> {
        let urls =
            [&moves.attach, &moves.drain, &moves.observe].map(|request| request.url.as_str());
        Ok(Self {
            client: client(urls)?,
            site,
            moves: moves.clone(),
        })
    }

    async fn ask(
        &self,
        request: &TrafficRequest,
        member: &Member,
    ) -> Result<(Reply, bool, String), TrafficError> {
        let url = parsed(&self.site.fill(&request.url, member)?)?;
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| {
            TrafficError::lasting(
                format!("`{}` is not a method", request.method),
                "write `method = \"POST\"`",
            )
        })?;
        let fill = |text: &Option<String>| {
            let filled = text.as_ref().map(|text| self.site.fill(text, member));
            filled.transpose()
        };
        let (body, expected) = (fill(&request.body)?, fill(&request.expect_body)?);
        let reply = send(
            &self.client,
            &method,
            &url,
            body.as_deref(),
            request.timeout,
        )
        .await?;
        let is_yes = reply.status == request.expect_status
            && expected.is_none_or(|text| reply.body.contains(&text));
        let name = format!("{method} {}", presentable(&url));
        Ok((reply, is_yes, name))
    }

    async fn must(&self, request: &TrafficRequest, member: &Member) -> Result<(), TrafficError> {
        let (reply, is_yes, name) = self.ask(request, member).await?;
        if is_yes {
            return Ok(());
        }
        Err(TrafficError {
            hint: Some("`expect_status` and `expect_body` say which answer is right".into()),
            message: format!("{name} {}", reply.shown()),
            is_passing: reply.status >= 500 || reply.status == 429,
        })
    }
}

#[async_trait]
impl Lever for Requests {
    async fn attach(&self, member: &Member) -> Result<(), TrafficError> {
        self.must(&self.moves.attach, member).await
    }

    async fn drain(&self, member: &Member) -> Result<(), TrafficError> {
        self.must(&self.moves.drain, member).await
    }

    async fn is_attached(&self, member: &Member) -> Result<bool, TrafficError> {
        let (reply, is_yes, name) = self.ask(&self.moves.observe, member).await?;
        match reply.status {
            // Nobody was asked who would know.
            401 | 403 => Err(TrafficError::lasting(
                format!("{name} {}", reply.shown()),
                "a user and a password may stand in the URL",
            )),
            _ => Ok(is_yes),
        }
    }
}
