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
    /// All that the line carried meanwhile.
    pub(crate) line_bytes: u64,
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
    /// What the line had carried at the first byte, and at the last.
    carried: [u64; 2],
}

impl Uploads {
    /// Bytes of a revision came in; all in all the line has carried so many.
    pub(super) fn came(&self, revision: &str, bytes: u64, carried: u64) {
        let now = Instant::now();
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match spans.get_mut(revision) {
            Some(span) => {
                span.bytes += bytes;
                span.last = now;
                span.carried[1] = carried;
            }
            None => {
                let span = Span {
                    bytes,
                    first: now,
                    last: now,
                    carried: [carried; 2],
                };
                spans.insert(revision.to_owned(), span);
            }
        }
    }

    pub(super) fn received(&self) -> Received {
        let spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let upload = |span: &Span| Upload {
            bytes: span.bytes,
            line_bytes: span.carried[1] - span.carried[0],
            seconds: (span.last - span.first).as_secs_f64(),
        };
        spans
            .iter()
            .map(|(revision, span)| (revision.clone(), upload(span)))
            .collect()
    }
}
