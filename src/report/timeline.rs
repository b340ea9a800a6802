//! `history --host`: what ran on one host, newest first.

use serde_json::{Value, json};

use super::escape::printable;
use super::json::moment;
use super::table::table;
use super::time::{clock, span};
use crate::core::ids::{HostName, RevisionName, ServiceName};
use crate::core::time::Timestamp;
use crate::core::timeline::Ran;

/// What ran on a host. Pure data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineView {
    /// Of which service.
    pub service: ServiceName,
    /// Where.
    pub host: HostName,
    /// Oldest first.
    pub ran: Vec<Ran>,
    /// Now.
    pub now: Timestamp,
}

/// For people.
pub fn timeline_text(view: &TimelineView) -> String {
    let rows: Vec<_> = view
        .ran
        .iter()
        .rev()
        .map(|one| {
            let (rollout, by) = match &one.brought_by {
                Some((rollout, by)) => (rollout.to_string(), printable(by).into_owned()),
                None => ("-".to_owned(), "(seen there)".to_owned()),
            };
            vec![
                one.revision
                    .as_ref()
                    .map_or("-", RevisionName::as_str)
                    .to_owned(),
                clock(one.since),
                one.until.map_or_else(|| "-".to_owned(), clock),
                span(one.until.unwrap_or(view.now).since(one.since)),
                rollout,
                by,
            ]
        })
        .collect();
    let header = ["REVISION", "SINCE", "UNTIL", "FOR", "ROLLOUT", "BY"];
    table(0, &header, &rows)
}

/// For programs.
pub fn timeline_json(view: &TimelineView) -> Value {
    let ran: Vec<_> = view
        .ran
        .iter()
        .rev()
        .map(|one| {
            json!({
                "revision": one.revision,
                "since": moment(one.since),
                "until": one.until.map(moment),
                "rollout": one.brought_by.as_ref().map(|(rollout, _)| rollout),
                "by": one.brought_by.as_ref().map(|(_, by)| by),
            })
        })
        .collect();
    json!({"version": 1, "service": view.service, "host": view.host, "ran": ran})
}
