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

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::fault::Misuse;
use super::row::RolloutRow;
use crate::core::event::{Event, RecordedEvent};
use crate::core::ids::{Epoch, HostName, RolloutId, ServiceName};
use crate::core::recall::Recalled;
use crate::core::time::Timestamp;
use crate::ports::{Lease, Ledger, LedgerError};

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

/// What is done with each event of a walk.
pub type Visit<'a> = &'a mut (dyn FnMut(&RecordedEvent) + Send);

/// A ledger that can be audited, and filled with a past that was read back from hosts.
#[async_trait]
pub trait Chained: Ledger {
    /// Computes the hashes of all events of a service anew and compares; what else is kept of an event and of its rollout
    /// has to fit, too. `visit` sees each event that is as it was written.
    async fn audit(&self, service: &ServiceName, visit: Visit<'_>) -> Result<Chain, LedgerError>;

    /// [`Chained::audit`], for its answer alone.
    async fn verify_chain(&self, service: &ServiceName) -> Result<Chain, LedgerError> {
        self.audit(service, &mut |_| ()).await
    }

    /// The events of a service that are about that host, or about no host, in the order in which they were written.
    async fn host_events(
        &self,
        service: &ServiceName,
        host: &HostName,
    ) -> Result<Vec<RecordedEvent>, LedgerError>;

    /// Every service of which it knows anything, in the order of their names.
    async fn services(&self) -> Result<Vec<ServiceName>, LedgerError>;

    /// Takes in the past of the lease's service, all or nothing; the service must not have one yet. Rollouts keep their
    /// numbers, unless another service's has one of them: from there on they get new ones.
    async fn restore(&self, lease: &Lease, past: &Recalled) -> Result<(), LedgerError>;
}

/// An event as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) rollout: RolloutId,
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) body: String,
    pub(crate) hash: String,
    /// What is kept beside the body for finding it, and follows from it: its kind, and its host.
    pub(crate) columns: Option<(String, Option<String>)>,
}

/// A walk along a chain, one event after the other in the ledger's order.
#[derive(Debug)]
pub(crate) struct Walk {
    service: ServiceName,
    previous: String,
    last_seq: BTreeMap<RolloutId, u64>,
    /// What the list of rollouts has to say.
    rows: BTreeMap<RolloutId, RolloutRow>,
    events: u64,
}

impl Walk {
    pub(crate) fn new(service: &ServiceName) -> Self {
        Self {
            service: service.clone(),
            previous: NOTHING_BEFORE.to_owned(),
            last_seq: BTreeMap::new(),
            rows: BTreeMap::new(),
            events: 0,
        }
    }

    /// Checks the next event, and gives it.
    ///
    /// # Errors
    /// The break that shows there.
    pub(crate) fn step(&mut self, link: &Link) -> Result<RecordedEvent, Chain> {
        let checked = self.check(link).map_err(|problem| Chain::Broken {
            rollout: link.rollout,
            seq: link.seq,
            problem,
        })?;
        self.previous.clone_from(&link.hash);
        self.events += 1;
        Ok(checked)
    }

    fn check(&mut self, link: &Link) -> Result<RecordedEvent, String> {
        let seq = self.last_seq.entry(link.rollout).or_insert(0);
        *seq += 1;
        if link.seq != *seq {
            return Err(format!("event {seq} of the rollout is missing"));
        }
        if hash(&self.previous, link.rollout, link.seq, link.at, &link.body) != link.hash {
            return Err(
                "its hash does not fit to what it holds and to the event before".to_owned(),
            );
        }
        let event = read_canonical(&link.body)
            .ok_or("it is not an event in the form in which events are stored")?;
        if let Some((kind, host)) = &link.columns
            && (kind_of(&link.body).as_ref() != Some(kind)
                || host.as_deref() != event.host().map(HostName::as_str))
        {
            return Err("its kind or its host is listed as another one".to_owned());
        }
        self.fold(link, &event)?;
        Ok(RecordedEvent {
            rollout: link.rollout,
            seq: link.seq,
            at: link.at,
            event,
            hash: link.hash.clone(),
        })
    }

    /// Which lease wrote it does not matter.
    fn fold(&mut self, link: &Link, event: &Event) -> Result<(), Misuse> {
        let lease = Lease {
            service: self.service.clone(),
            epoch: Epoch(0),
        };
        let row = match self.rows.remove(&link.rollout) {
            None => RolloutRow::begun(link.rollout, &lease, link.at, event)?,
            Some(row) => row.after(&lease, link.at, event)?,
        };
        self.rows.insert(link.rollout, row);
        Ok(())
    }

    /// The result when no step found a break, and these are the rollouts that are listed.
    pub(crate) fn end(self, listed: &[RolloutRow]) -> Chain {
        let last_seq = |rollout: &RolloutId| self.last_seq.get(rollout).copied().unwrap_or(0);
        let broken = |rollout: RolloutId, problem: &str| Chain::Broken {
            rollout,
            seq: last_seq(&rollout),
            problem: problem.to_owned(),
        };
        for row in listed {
            match self.rows.get(&row.record.id) {
                None => return broken(row.record.id, "its events are missing"),
                Some(folded) if folded.record != row.record => {
                    return broken(
                        row.record.id,
                        "the list of rollouts says something else of it",
                    );
                }
                Some(_) => {}
            }
        }
        let ids: BTreeSet<RolloutId> = listed.iter().map(|row| row.record.id).collect();
        if let Some(id) = self.rows.keys().find(|id| !ids.contains(id)) {
            return broken(*id, "the list of rollouts does not have it");
        }
        Chain::Whole {
            events: self.events,
        }
    }
}

fn read_canonical(body: &str) -> Option<Event> {
    let event = serde_json::from_str::<Event>(body).ok()?;
    (canonical_body(&event).ok()? == body).then_some(event)
}

/// The event's `kind`, which stands in its body.
pub(crate) fn kind_of(body: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Tag {
        kind: String,
    }
    Some(serde_json::from_str::<Tag>(body).ok()?.kind)
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
