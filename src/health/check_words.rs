//! The sentences of probes.

use std::time::Duration;

use crate::ports::ProbeAnswer;

use super::judge::{Expectation, Reply, body_snippet};

/// Why there is no answer to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The instance did not answer in time.
    TimedOut,
    /// The instance refused or broke the connection; in lower-case words.
    Broken(String),
    /// The way to the instance is down, so nobody can say; in lower-case words.
    WayDown(String),
}

/// The answer to a GET of `url` (without credentials).
pub(super) fn of_http(
    url: &str,
    expectation: &Expectation,
    outcome: &Result<Reply, Failure>,
    latency: Duration,
) -> ProbeAnswer {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(failure) => {
            return of_failure(
                &format!("GET {url}"),
                "answer",
                failure,
                &expectation.timeout,
                latency,
            );
        }
    };
    let answered = format!("GET {url} answered {}", reply.status);
    let took = in_words(latency);
    match expectation.fault(reply) {
        None => ProbeAnswer {
            passed: Some(true),
            shown: format!("{answered} in {took}"),
            stored: answered,
            latency,
        },
        Some(fault) => ProbeAnswer {
            passed: Some(false),
            shown: format!(
                "{answered}{} in {took}{}",
                body_snippet(&reply.body),
                fault.shown
            ),
            stored: format!("{answered}{}", fault.stored),
            latency,
        },
    }
}

/// The answer when nothing was answered: `subject` did not `verb` within `timeout`, or broke.
pub(super) fn of_failure(
    subject: &str,
    verb: &str,
    failure: &Failure,
    timeout: &str,
    latency: Duration,
) -> ProbeAnswer {
    let (passed, text) = match failure {
        Failure::TimedOut => (
            Some(false),
            format!("{subject} did not {verb} within {timeout}"),
        ),
        Failure::Broken(problem) => (Some(false), format!("{subject}: {problem}")),
        Failure::WayDown(problem) => (None, format!("{subject} could not be asked: {problem}")),
    };
    plain(passed, text, latency)
}

/// An answer whose text holds nothing of a body.
pub(super) fn plain(passed: Option<bool>, text: String, latency: Duration) -> ProbeAnswer {
    ProbeAnswer {
        passed,
        shown: text.clone(),
        stored: text,
        latency,
    }
}

/// `3 ms`, `1.2 s`.
pub(super) fn in_words(latency: Duration) -> String {
    let millis = latency.as_millis();
    if millis < 1_000 {
        format!("{} ms", millis.max(1))
    } else {
        format!("{:.1} s", latency.as_secs_f64())
    }
}

/// A timeout as it is written in an inventory: `2s`, `500ms`, `1.5s`.
pub(super) fn timeout_words(timeout: Duration) -> String {
    let millis = timeout.as_millis();
    if millis < 1_000 {
        format!("{millis}ms")
    } else {
        format!("{}s", timeout.as_millis() as f64 / 1_000.0)
    }
}

/// The innermost cause of an error, without the number of the system's error: `connection refused`.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string();
    let text = text
        .split_once(" (os error")
        .map_or(text.as_str(), |(text, _)| text);
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        // `DNS ...`, `TLS ...` keep their capitals.
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
