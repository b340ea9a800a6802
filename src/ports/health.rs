//! The port to an instance's health.

use std::time::Duration;

use async_trait::async_trait;

use crate::core::ids::{HostName, RevisionName};

/// What one probe said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// Whether it passed; nothing when nobody could say (the way to the host is down, not the service).
    pub passed: Option<bool>,
    /// One line for people: `GET http://192.0.2.13:8080/healthz answered 503 "db: connection refused" in 3 ms`.
    /// It may hold a snippet of the body and is therefore shown, never stored.
    pub shown: String,
    /// The same without the body: `GET http://... answered 503`; may be stored.
    pub stored: String,
    /// How long it took.
    pub latency: Duration,
}

/// Asks an instance whether it is healthy.
#[async_trait]
pub trait Prober: Send + Sync {
    /// One probe, bounded by the check's timeout. `expect` is the revision that should answer; nothing: `expect_*`
    /// with `{revision}` is not asked (adopted or unknown). `port`: side by side, which of the two instances is asked.
    async fn probe(
        &self,
        host: &HostName,
        expect: Option<&RevisionName>,
        port: Option<u16>,
    ) -> ProbeAnswer;
}
