//! `history`: revisions and rollouts, newest first. Contract, section 6.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json::{moment, remark};
use super::signers::{signed_by, signers_json};
use super::table::table;
use super::time::{age, age_of, clock, span};
use crate::core::hold::Hold;
use crate::core::ids::{Digest, RevisionName, ServiceName};
use crate::core::revision::{Adopted, Revision};
use crate::core::time::Timestamp;
use crate::ports::RolloutRecord;

/// What the ledger has of a service. Pure data.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryView {
    /// The service.
    pub service: ServiceName,
    /// Its revisions, newest first.
    pub revisions: Vec<Revision>,
    /// Its rollouts, newest first.
    pub rollouts: Vec<RolloutRecord>,
    /// When it was held, newest first.
    pub holds: Vec<Hold>,
    /// Now.
    pub now: Timestamp,
}

impl HistoryView {
    fn names(&self) -> BTreeMap<&Digest, RevisionName> {
        self.revisions
            .iter()
            .map(|one| (&one.digest, one.reference().name))
            .collect()
    }
}

/// The tables for people.
pub fn history_table(view: &HistoryView) -> String {
    if view.revisions.is_empty() && view.rollouts.is_empty() {
        let holds = holds_table(view);
        return format!("nothing was released of `{}` yet\n{holds}", view.service);
    }
    let is_signed = view.revisions.iter().any(|one| !one.signers.is_empty());
    let revisions: Vec<_> = view
        .revisions
        .iter()
        .map(|one| {
            let kept = if one.kept { " (kept)" } else { "" };
            let mut row = vec![
                one.number.to_string(),
                format!("{}{kept}", names(one)),
                short(&one.digest).to_owned(),
                age(view.now.since(one.created_at)),
                one.created_by.clone(),
            ];
            row.extend(is_signed.then(|| principals(one)));
            row.push(one.cause.clone().unwrap_or_else(|| "-".to_owned()));
            row
        })
        .collect();
    let mut header = vec!["REVISION", "NAME", "DIGEST", "AGE", "BY"];
    header.extend(is_signed.then_some("SIGNED-BY"));
    header.push("CHANGE-CAUSE");
    let mut text = table(0, &header, &revisions);
    let known = view.names();
    let name = |digest: Option<&Digest>| match digest {
        Some(digest) => known
            .get(digest)
            .map_or_else(|| short(digest).to_owned(), |name| name.as_str().to_owned()),
        None => "-".to_owned(),
    };
    let rollouts: Vec<_> = view
        .rollouts
        .iter()
        .map(|one| {
            let partial = if one.partial { " (some hosts)" } else { "" };
            vec![
                one.id.to_string(),
                one.kind.to_string(),
                name(one.from.as_ref()),
                name(Some(&one.to)),
                format!("{}{partial}", outcome(one)),
                age_of(one.started_at, view.now),
                one.ended_at
                    .map_or_else(|| "-".to_owned(), |end| span(end.since(one.started_at))),
                one.by.clone(),
            ]
        })
        .collect();
    if !rollouts.is_empty() {
        text.push('\n');
        let header = [
            "ROLLOUT", "KIND", "FROM", "TO", "OUTCOME", "STARTED", "TOOK", "BY",
        ];
        text.push_str(&table(0, &header, &rollouts));
    }
    text.push_str(&holds_table(view));
    text
}

fn holds_table(view: &HistoryView) -> String {
    let rows: Vec<_> = view
        .holds
        .iter()
        .map(|one| {
            let dash = || "-".to_owned();
            let (lifted, by) = match &one.lifted {
                Some(lifted) => (age_of(lifted.at, view.now), lifted.by.clone()),
                None => (dash(), dash()),
            };
            vec![
                age_of(one.placed.at, view.now),
                one.placed.by.clone(),
                one.placed.cause.clone().unwrap_or_else(dash),
                lifted,
                by,
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let header = ["HELD", "BY", "CAUSE", "LIFTED", "LIFTED-BY"];
    format!("\n{}", table(0, &header, &rows))
}

/// Everything that is known of one revision (`--revision N`); nothing when there is none of that number.
pub fn revision_details(view: &HistoryView, number: u32) -> Option<String> {
    let one = view.revisions.iter().find(|one| one.number.0 == number)?;
    let dash = || "-".to_owned();
    let adopted = match &one.adopted {
        None => "no".to_owned(),
        Some(Adopted::File { origin }) => format!("yes, the file {origin}"),
        Some(Adopted::Folder { target }) => format!("yes, the folder {target}"),
    };
    let rollouts: Vec<String> = view
        .rollouts
        .iter()
        .filter(|rollout| rollout.to == one.digest)
        .map(|rollout| format!("{} ({}, {})", rollout.id, rollout.kind, outcome(rollout)))
        .collect();
    let lines = [
        ("Service", view.service.as_str().to_owned()),
        ("Revision", one.number.to_string()),
        ("Names", names(one)),
        ("Digest", one.digest.as_str().to_owned()),
        (
            "Created",
            format!(
                "{} ({} ago) by {}",
                clock(one.created_at),
                age(view.now.since(one.created_at)),
                one.created_by
            ),
        ),
        ("Cause", one.cause.clone().unwrap_or_else(dash)),
        ("Adopted", adopted),
        ("Kept", if one.kept { "yes" } else { "no" }.to_owned()),
        (
            "Signed",
            match one.signers.is_empty() {
                true => "no".to_owned(),
                false => format!("by {}", signed_by(&one.signers)),
            },
        ),
        (
            "Rollouts",
            if rollouts.is_empty() {
                dash()
            } else {
                rollouts.join(", ")
            },
        ),
    ];
    Some(
        lines
            .iter()
            .map(|(key, value)| format!("{:<10}{}\n", format!("{key}:"), super::printable(value)))
            .collect(),
    )
}

/// The object for programs. `from` and `to` are names.
pub fn history_json(view: &HistoryView) -> Value {
    let known = view.names();
    let name = |digest: &Digest| match known.get(digest) {
        Some(name) => json!(name),
        None => json!(digest),
    };
    let revisions: Vec<Value> = view.revisions.iter().map(revision_json).collect();
    let rollouts: Vec<Value> = view
        .rollouts
        .iter()
        .map(|one| {
            json!({
                "id": one.id,
                "kind": one.kind,
                "from": one.from.as_ref().map(name),
                "to": name(&one.to),
                "outcome": one.outcome,
                "started_at": moment(one.started_at),
                "ended_at": one.ended_at.map(moment),
                "by": one.by,
            })
        })
        .collect();
    let holds = view.holds.iter();
    let holds: Vec<Value> = holds
        .map(|one| {
            let mut hold = remark(&one.placed);
            hold["lifted"] = one.lifted.as_ref().map_or(Value::Null, remark);
            hold
        })
        .collect();
    json!({
        "version": 1,
        "service": view.service,
        "revisions": revisions,
        "rollouts": rollouts,
        "holds": holds,
    })
}

fn revision_json(one: &Revision) -> Value {
    json!({
        "number": one.number,
        "names": one.names,
        "digest": one.digest,
        "created_at": moment(one.created_at),
        "created_by": one.created_by,
        "cause": one.cause,
        "signed_by": signers_json(&one.signers),
        "kept": one.kept,
    })
}

/// Who signed it, without their keys: `-` where nobody did.
fn principals(revision: &Revision) -> String {
    let told: Vec<_> = (revision.signers.iter().map(|one| one.principal.as_str())).collect();
    match told.is_empty() {
        true => "-".to_owned(),
        false => told.join(", "),
    }
}

fn names(revision: &Revision) -> String {
    revision
        .names
        .iter()
        .map(RevisionName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

/// For people: `rolled back`.
fn outcome(rollout: &RolloutRecord) -> String {
    rollout.outcome.replace('_', " ")
}

fn short(digest: &Digest) -> &str {
    digest.as_str().get(..12).unwrap_or(digest.as_str())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::core::hold::Remark;
    use crate::core::ids::RolloutId;
    use crate::core::revision::Signer;
    use crate::core::spec::RolloutKind;
    use crate::report::sample::{at, revision};
    use crate::report::status::tests::release;

    pub(crate) fn view() -> HistoryView {
        let record = |id, kind, from: Option<&str>, to: &str, outcome: &str| RolloutRecord {
            id: RolloutId(id),
            service: ServiceName::new("web"),
            kind,
            from: from.map(|name| revision(name).digest),
            to: revision(to).digest,
            outcome: outcome.to_owned(),
            started_at: at(-7_500_000 + id * 1_000_000),
            ended_at: (outcome != "running").then(|| at(-7_500_000 + id * 1_000_000 + 48_000)),
            by: "ann@desk".to_owned(),
            partial: id == 2,
        };
        HistoryView {
            service: ServiceName::new("web"),
            revisions: vec![
                Revision {
                    cause: Some("fixes the login \x1b[31m".to_owned()),
                    signers: vec![Signer {
                        principal: "ann@example.net".to_owned(),
                        fingerprint: "SHA256:2JOs".to_owned(),
                        key: "ssh-ed25519 AAAA".to_owned(),
                    }],
                    kept: true,
                    ..release(3, &["v1.4.2", "stable"])
                },
                release(2, &["v1.4.1"]),
                Revision {
                    adopted: Some(Adopted::File {
                        origin: "/usr/local/bin/web".to_owned(),
                    }),
                    ..release(1, &["adopted-0123456789ab"])
                },
            ],
            rollouts: vec![
                record(
                    3,
                    RolloutKind::Rollback,
                    Some("v1.4.2"),
                    "v1.4.1",
                    "running",
                ),
                record(
                    2,
                    RolloutKind::Release,
                    Some("v1.4.1"),
                    "v1.4.2",
                    "completed",
                ),
                record(1, RolloutKind::Release, None, "v1.4.1", "completed"),
            ],
            holds: vec![Hold {
                placed: Remark {
                    by: "ann@desk".to_owned(),
                    at: at(-7_200_000),
                    cause: Some("the database moves".to_owned()),
                },
                lifted: Some(Remark {
                    by: "bob@desk".to_owned(),
                    at: at(-3_600_000),
                    cause: None,
                }),
            }],
            now: at(0),
        }
    }

    #[test]
    fn newest_first_as_kubectl_has_it() {
        insta::assert_snapshot!(history_table(&view()));
    }

    #[test]
    fn one_revision_whole() {
        insta::assert_snapshot!(revision_details(&view(), 1).unwrap());
        assert_eq!(revision_details(&view(), 9), None);
    }

    #[test]
    fn an_empty_history_says_so() {
        let empty = HistoryView {
            revisions: vec![],
            rollouts: vec![],
            holds: vec![],
            ..view()
        };
        assert_eq!(history_table(&empty), "nothing was released of `web` yet\n");
    }

    #[test]
    fn programs_get_the_contracts_keys() {
        let json = history_json(&view());
        assert_eq!(json["version"], 1);
        assert_eq!(json["service"], "web");
        assert_eq!(
            json["revisions"][0],
            json!({
                "number": 3,
                "names": ["v1.4.2", "stable"],
                "digest": revision("v1.4.2").digest,
                "created_at": "2026-11-22T08:36:00.000Z",
                "created_by": "ann@desk",
                "cause": "fixes the login \x1b[31m",
                "signed_by": [{"principal": "ann@example.net", "fingerprint": "SHA256:2JOs"}],
                "kept": true,
            })
        );
        assert_eq!(
            json["rollouts"][0],
            json!({
                "id": 3,
                "kind": "rollback",
                "from": "v1.4.2",
                "to": "v1.4.1",
                "outcome": "running",
                "started_at": "2026-11-22T09:26:00.000Z",
                "ended_at": null,
                "by": "ann@desk",
            })
        );
        assert_eq!(json["rollouts"][2]["from"], Value::Null);
        assert_eq!(json["holds"][0]["cause"], "the database moves");
        assert_eq!(json["holds"][0]["lifted"]["by"], "bob@desk");
    }
}
