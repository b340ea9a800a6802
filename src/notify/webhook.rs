//! A JSON object by HTTP. Its `text` is what Slack, and what understands Slack's webhooks, shows.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Client, redirect};
use serde_json::{Value, json};
use url::Url;

use crate::core::notify::Webhook;
use crate::ports::Message;

const TIMEOUT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("rollctl/", env!("CARGO_PKG_VERSION"));
/// How much of an answer is told, in characters.
const TOLD: usize = 160;

/// Posts it. No error names the URL: whoever knows it can post.
pub(super) async fn post(webhook: &Webhook, message: &Message) -> Result<(), String> {
    let url = match webhook {
        Webhook::Url(url) => url.clone(),
        Webhook::Env(name) => {
            std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"))?
        }
    };
    let url = Url::parse(&url).map_err(|error| format!("its URL is none: {error}"))?;
    let answer = client(&url)?
        .post(url.clone())
        .json(&body(message))
        .send()
        .await;
    let answer = answer.map_err(|error| innermost(&error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let said = answer.text().await.unwrap_or_default();
    // A server may repeat no more of it than what it was asked for.
    let secret = [Some(url.as_str()), Some(url.path()), url.query()];
    let secret = secret.into_iter().flatten().filter(|part| part.len() > 1);
    let said: String = secret
        .fold(said, |said, part| said.replace(part, "***"))
        .trim()
        .chars()
        .take(TOLD)
        .collect();
    Err(format!("it answered {} {said:?}", status.as_u16()))
}

/// Unlike what is asked of balancers and instances, this may have to go through the proxy that the environment names.
fn client(url: &Url) -> Result<Client, String> {
    // The second and later calls say that there is one already.
    let installed = rustls::crypto::ring::default_provider().install_default();
    tracing::trace!(first = installed.is_ok(), "TLS provider");
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(TIMEOUT)
        .user_agent(USER_AGENT);
    let built = match url.scheme() {
        "https" => builder.build(),
        // Root certificates may be missing where nothing needs them.
        _ => builder.tls_certs_only([]).build(),
    };
    built.map_err(|error| innermost(&error))
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause = match error.source() {
        Some(cause) => cause,
        None if error.is_timeout() => return format!("no answer within {TIMEOUT:?}"),
        None => return "the request could not be sent".to_owned(),
    };
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn body(message: &Message) -> Value {
    let rollout = message.rollout.as_ref();
    json!({
        "version": 1,
        "text": escaped(&message.text()),
        "moment": message.moment.as_str(),
        "at": jiff::Timestamp::from_millisecond(message.at.as_millis()).ok().map(|at| format!("{at:.3}")),
        "fleet": message.fleet,
        "service": message.service,
        "rollout": rollout.map(|one| one.id),
        "rollout_kind": rollout.map(|one| one.kind),
        "from": rollout.and_then(|one| one.from.as_ref()),
        "to": rollout.map(|one| &one.to),
        "summary": message.summary,
        "details": message.details,
        "next": message.next,
    })
}

/// Slack's three characters: what somebody wrote as a cause must not call a whole channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
