//! What was uploaded, and when.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// What came of each revision, by its name.
pub(crate) type Received = BTreeMap<String, Upload>;

/// One revision on all hosts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) bytes: u64,
    /// From the first byte to the last.
    pub(crate) seconds: f64,
}

/// Counts while they come.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<BTreeMap<String, Span>>);

#[derive(Debug)]
struct Span {
    bytes: u64,
    first: Instant,
    last: Instant,
}

impl Uploads {
    /// Bytes of a revision came in.
    pub(super) fn came(&self, revision: &str, bytes: u64) {
        let now = Instant::now();
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match spans.get_mut(revision) {
            Some(span) => {
                span.bytes += bytes;
                span.last = now;
            }
            None => {
                let span = Span {
                    bytes,
                    first: now,
                    last: now,
                };
                spans.insert(revision.to_owned(), span);
            }
        }
    }

    pub(super) fn received(&self) -> Received {
        let spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let upload = |span: &Span| Upload {
            bytes: span.bytes,
            seconds: (span.last - span.first).as_secs_f64(),
        };
        spans
            .iter()
            .map(|(revision, span)| (revision.clone(), upload(span)))
            .collect()
    }
}
