//! The hash chain over a service's events.
//!
//! Recipe: an event's hash is the SHA-256, as 64 lower-case hex digits, of these five joined by a line feed, without
//! one at the end:
//!
//! ```text
//! <hash of the service's event before, or 64 zeros for its very first>
//! <rollout, decimal>
//! <seq, decimal>
//! <at, milliseconds since 1970, decimal>
//! <body: the event as JSON without white space, the keys of every object in ascending order>
//! ```
//!
//! None of the first four can hold a line feed, so no two different events hash the same text.
//!
//! "Before" means: in the order in which the ledger wrote the service's events, not in the rollout's own order. The
//! two differ only where a rollout begins: first the unfinished rollouts before it get their `rollout_superseded`,
//! oldest first, each appended to its own rollout but linked to whatever the service wrote last; then comes the new
//! one's `rollout_started`, linked to the last of these. So a service has one chain without forks, a rollout's first
//! event carries the service's last hash, and dropping the end of an old rollout is noticed by the next. What no
//! chain can show is that its own end was cut off.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::core::event::Event;
use crate::core::ids::{RolloutId, ServiceName};
use crate::core::time::Timestamp;
use crate::ports::{Ledger, LedgerError};

/// What a service's first event names as the hash before it.
pub const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The text of an event that is stored and hashed.
///
/// # Errors
/// When the event cannot be written as JSON, which no event that is made of core's types can cause.
pub fn canonical_body(event: &Event) -> Result<String, serde_json::Error> {
    let mut body = String::new();
    write_sorted(&serde_json::to_value(event)?, &mut body);
    Ok(body)
}

/// The hash of an event; the recipe is in the module's text.
pub fn hash(previous: &str, rollout: RolloutId, seq: u64, at: Timestamp, body: &str) -> String {
    let at = at.as_millis();
    hex::encode(Sha256::digest(format!(
        "{previous}\n{rollout}\n{seq}\n{at}\n{body}"
    )))
}

/// JSON with sorted keys, whatever order serde_json keeps (its feature `preserve_order` may come with a dependency).
fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            out.push('{');
            for (place, (key, value)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_sorted(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_sorted(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// What a walk along a service's chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Every event is as it was written.
    Whole {
        /// How many there are.
        events: u64,
    },
    /// Something was changed, removed or inserted; the first place where it shows.
    Broken {
        /// In which rollout.
        rollout: RolloutId,
        /// At which event of it.
        seq: u64,
        /// What is wrong with it.
        problem: String,
    },
}

/// A ledger that can walk along its chains.
#[async_trait]
pub trait Chained: Ledger {
    /// Computes the hashes of all events of a service anew and compares.
    async fn verify_chain(&self, service: &ServiceName) -> Result<Chain, LedgerError>;
}

/// An event as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) rollout: RolloutId,
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) body: String,
    pub(crate) hash: String,
}

/// A walk along a chain, one event after the other in the ledger's order.
#[derive(Debug)]
pub(crate) struct Walk {
    previous: String,
    last_seq: BTreeMap<RolloutId, u64>,
    events: u64,
}

impl Walk {
    pub(crate) fn new() -> Self {
        Self {
            previous: NOTHING_BEFORE.to_owned(),
            last_seq: BTreeMap::new(),
            events: 0,
        }
    }

    /// Checks the next event; the break that shows there, if any.
    pub(crate) fn step(&mut self, link: &Link) -> Option<Chain> {
        let seq = self.last_seq.entry(link.rollout).or_insert(0);
        *seq += 1;
        let problem = if link.seq != *seq {
            format!("event {seq} of the rollout is missing")
        } else if hash(&self.previous, link.rollout, link.seq, link.at, &link.body) != link.hash {
            "its hash does not fit to what it holds and to the event before".to_owned()
        } else if !is_canonical(&link.body) {
            "it is not an event in the form in which events are stored".to_owned()
        } else {
            self.previous.clone_from(&link.hash);
            self.events += 1;
            return None;
        };
        Some(Chain::Broken {
            rollout: link.rollout,
            seq: link.seq,
            problem,
        })
    }

    /// The result when no step found a break.
    pub(crate) fn end(self) -> Chain {
        Chain::Whole {
            events: self.events,
        }
    }
}

fn is_canonical(body: &str) -> bool {
    serde_json::from_str::<Event>(body)
        .and_then(|event| canonical_body(&event))
        .is_ok_and(|canonical| canonical == body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Outcome;

    #[test]
    fn the_recipe_does_not_change() {
        let ended = Event::RolloutEnded {
            outcome: Outcome::StoodStill,
        };
        let body = canonical_body(&ended).unwrap();
        assert_eq!(body, r#"{"kind":"rollout_ended","outcome":"stood_still"}"#);
        // printf '%064d\n%s\n%s\n%s\n%s' 0 7 2 1700000000123 "$body" | sha256sum
        assert_eq!(
            hash(
                NOTHING_BEFORE,
                RolloutId(7),
                2,
                Timestamp::from_millis(1_700_000_000_123),
                &body
            ),
            "5b0b13dbb02bf0378fa6b741f753a1e4eb8d0945b51cd06f0f6666c5137cab0c"
        );
    }

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value: Value =
            serde_json::from_str(r#" {"b": [ {"z": 1, "a": "\n\""} ], "a": null, "B": true} "#)
                .unwrap();
        let mut text = String::new();
        write_sorted(&value, &mut text);
        assert_eq!(text, r#"{"B":true,"a":null,"b":[{"a":"\n\"","z":1}]}"#);
    }
}
