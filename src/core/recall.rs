//! What hosts remember of a service, put together: the revisions and rollouts of a ledger that was lost (contract,
//! section 4). Pure; what is not in manifests and journals cannot be told.

use std::collections::{BTreeMap, BTreeSet};

use super::budget::Budget;
use super::event::{Event, Outcome};
use super::fleet::OnFailure;
use super::ids::{Digest, Epoch, HostName, RevisionName, RevisionRef, RolloutId, ServiceName};
use super::journal_line::{HIGHEST, JournalLine};
use super::revision::{Manifest, Revision};
use super::spec::{HostSpec, RolloutKind, Spec};
use super::time::Timestamp;

/// What one host remembers of a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// Of every complete revision there.
    pub manifests: Vec<Manifest>,
    /// Oldest first.
    pub journal: Vec<JournalLine>,
    /// What could not be read, in words.
    pub unreadable: Vec<String>,
}

/// The past of a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recalled {
    /// By number.
    pub revisions: Vec<Revision>,
    /// Oldest first.
    pub rollouts: Vec<RecalledRollout>,
    /// What somebody should know of it.
    pub notes: Vec<String>,
}

/// A rollout of the past, as events that a ledger can keep.
#[derive(Debug, Clone, PartialEq)]
pub struct RecalledRollout {
    /// Its number in the ledger that is lost.
    pub id: RolloutId,
    /// The last controller's epoch.
    pub epoch: Epoch,
    /// The first is `rollout_started`, the last `rollout_ended`.
    pub events: Vec<(Timestamp, Event)>,
}

/// Puts together what hosts remember of `service`. The same memories give the same past, in whatever order they came.
pub fn recall(service: &ServiceName, memories: &BTreeMap<HostName, Memory>) -> Recalled {
    let mut notes: Vec<String> = memories
        .iter()
        .flat_map(|(host, memory)| {
            memory
                .unreadable
                .iter()
                .map(move |what| format!("{host}: {what}"))
        })
        .collect();
    let revisions = revisions(service, memories, &mut notes);
    let rollouts = rollouts(service, memories, &revisions, &mut notes);
    Recalled {
        revisions,
        rollouts,
        notes,
    }
}

/// One of each digest. Numbers and names that two digests claim go to the younger one, which the ledger gave last.
fn revisions(
    service: &ServiceName,
    memories: &BTreeMap<HostName, Memory>,
    notes: &mut Vec<String>,
) -> Vec<Revision> {
    let mut known: BTreeMap<Digest, Revision> = BTreeMap::new();
    let manifests = memories.values().flat_map(|memory| &memory.manifests);
    let is_ours = |manifest: &&Manifest| {
        manifest.service == *service && i64::from(manifest.number.0) <= HIGHEST
    };
    for manifest in manifests.filter(is_ours) {
        let one = known
            .entry(manifest.digest.clone())
            .or_insert_with(|| of_manifest(manifest));
        // The host that was staged last knows most names; an adopted one may have been kept before it had a number.
        one.number = one.number.max(manifest.number);
        if manifest.names.len() > one.names.len() {
            one.names.clone_from(&manifest.names);
        }
        one.created_at = one.created_at.min(manifest.created_at);
    }
    let mut youngest_first: Vec<Revision> = known.into_values().collect();
    youngest_first.sort_by(|a, b| {
        (b.number, b.created_at, &b.digest).cmp(&(a.number, a.created_at, &a.digest))
    });
    let mut numbers = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut kept = Vec::new();
    for mut one in youngest_first {
        let first = one.reference().name;
        one.names.retain(|name| !names.contains(name));
        // The folder on the hosts has its first name: without that one it cannot be found there.
        if one.names.first() != Some(&first) {
            notes.push(format!(
                "two revisions are called `{first}`: the older one, {}, is left out",
                one.digest
            ));
            continue;
        }
        names.extend(one.names.iter().cloned());
        kept.push(one);
    }
    kept.reverse();
    let highest = kept.iter().map(|one| one.number.0).max().unwrap_or(0);
    let mut next = highest;
    for one in kept.iter_mut().rev() {
        if one.number.0 == 0 || !numbers.insert(one.number) {
            next += 1;
            notes.push(format!(
                "`{}` had no number of its own and gets {next}",
                one.reference().name
            ));
            one.number.0 = next;
            numbers.insert(one.number);
        }
    }
    kept.sort_by_key(|one| one.number);
    kept
}

fn of_manifest(manifest: &Manifest) -> Revision {
    Revision {
        number: manifest.number,
        names: manifest.names.clone(),
        digest: manifest.digest.clone(),
        created_at: manifest.created_at,
        created_by: manifest.created_by.clone(),
        cause: manifest.cause.clone(),
        adopted: manifest.adopted.clone(),
        signers: manifest.signers.clone(),
        kept: false,
    }
}

/// A line and where it was read.
type Located<'a> = (&'a HostName, &'a JournalLine);

/// Lines of one rollout follow each other once they are in the order of the epochs: whoever drives a service later has a
/// higher one, whatever ledger it works from.
fn rollouts(
    service: &ServiceName,
    memories: &BTreeMap<HostName, Memory>,
    revisions: &[Revision],
    notes: &mut Vec<String>,
) -> Vec<RecalledRollout> {
    let mut lines: Vec<Located<'_>> = memories
        .iter()
        .flat_map(|(host, memory)| memory.journal.iter().map(move |line| (host, line)))
        .collect();
    // Stable: what a host wrote in one second stays in its order.
    lines.sort_by_key(|(_, line)| (line.epoch, line.at));
    let mut runs: BTreeMap<&HostName, Option<&RevisionName>> = BTreeMap::new();
    let mut past = Vec::new();
    let mut current: Option<RevisionName> = None;
    for group in lines.chunk_by(|(_, one), (_, other)| one.rollout == other.rollout) {
        let tale = Tale::of(group, &mut runs, memories);
        let Some(tale) = tale else { continue };
        if let Some(rollout) = tale.rollout(service, current.as_ref(), revisions, notes) {
            past.push(rollout);
        }
        if tale.outcome == Outcome::Completed && !tale.is_partial {
            current = tale.target.cloned();
        }
    }
    past
}

/// What a rollout's lines say together.
struct Tale<'a> {
    lines: &'a [Located<'a>],
    /// What its first switch went for; nothing: it stopped something.
    target: Option<&'a RevisionName>,
    outcome: Outcome,
    /// Whether other hosts ran something else when it was over.
    is_partial: bool,
    hosts: Vec<HostSpec>,
}

impl<'a> Tale<'a> {
    /// Also keeps the books on what every host runs.
    fn of(
        lines: &'a [Located<'a>],
        runs: &mut BTreeMap<&'a HostName, Option<&'a RevisionName>>,
        memories: &'a BTreeMap<HostName, Memory>,
    ) -> Option<Self> {
        let (_, first) = lines
            .iter()
            .find(|(_, line)| line.leaves().is_some() || line.outcome == "failed")?;
        let target = first.to.as_ref();
        let mut before: BTreeMap<&HostName, Option<&RevisionName>> = BTreeMap::new();
        let mut proven: BTreeMap<&HostName, bool> = BTreeMap::new();
        for (host, line) in lines {
            before.entry(host).or_insert(line.from.as_ref());
            if let Some(left) = line.leaves() {
                runs.insert(host, left);
                proven.insert(host, line.is_proof());
            }
        }
        let now = |host: &HostName| runs.get(host).copied().flatten();
        let all = |test: &dyn Fn(&HostName) -> bool| before.keys().all(|host| test(host));
        // A spare host ran nothing before, and runs nothing after it.
        let is_spare = |host: &HostName| {
            target.is_some() && before.get(host) == Some(&None) && now(host).is_none()
        };
        let is_there = |host: &HostName| now(host) == target && proven.get(host) == Some(&true);
        let outcome = if all(&|host| is_there(host) || is_spare(host)) && !all(&is_spare) {
            Outcome::Completed
        } else if all(&|host| Some(now(host)) == before.get(host).copied()) {
            Outcome::RolledBack
        } else {
            Outcome::Failed
        };
        let remember = memories
            .iter()
            .filter(|(_, memory)| !memory.journal.is_empty());
        let runs_other = |host: &HostName| now(host).is_some_and(|one| Some(one) != target);
        let is_partial = outcome == Outcome::Completed
            && remember
                .clone()
                .any(|(host, _)| !before.contains_key(host) && runs_other(host));
        let hosts = remember
            .map(|(host, _)| HostSpec::new(host.clone(), !is_partial || before.contains_key(host)))
            .collect();
        Some(Self {
            lines,
            target,
            outcome,
            is_partial,
            hosts,
        })
    }

    /// As events; nothing where it went for a revision of which no host has anything any more.
    fn rollout(
        &self,
        service: &ServiceName,
        current: Option<&RevisionName>,
        revisions: &[Revision],
        notes: &mut Vec<String>,
    ) -> Option<RecalledRollout> {
        let (first, last) = (self.lines.first()?.1, self.lines.last()?.1);
        let find = |name: &RevisionName| revisions.iter().find(|one| one.names.contains(name));
        let from = current.or(first.from.as_ref());
        let target = self.target.or(from)?;
        let Some(to) = find(target) else {
            notes.push(format!(
                "rollout {} went for `{target}`, which no host has any more: it is left out",
                first.rollout
            ));
            return None;
        };
        let before = from.and_then(find);
        let kind = match before {
            Some(before) if before.digest == to.digest => RolloutKind::Restart,
            Some(before) if before.number > to.number => RolloutKind::Rollback,
            _ => RolloutKind::Release,
        };
        let desired = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        let started = Event::RolloutStarted {
            spec: Box::new(spec(
                service,
                kind,
                to.reference(),
                before.map(Revision::reference),
                desired,
                self.hosts.clone(),
            )),
            by: first.by.clone(),
            cause: Some("read back from the hosts".to_owned()),
        };
        let read = self.lines.iter().map(|(host, line)| {
            let read = Event::ReadBack {
                host: (*host).clone(),
                line: Box::new((*line).clone()),
            };
            (line.at, read)
        });
        let ended = Event::RolloutEnded {
            outcome: self.outcome,
        };
        Some(RecalledRollout {
            id: first.rollout,
            epoch: last.epoch,
            events: std::iter::once((first.at, started))
                .chain(read)
                .chain([(last.at, ended)])
                .collect(),
        })
    }
}

/// Of what bounded it nothing is known but the hosts.
pub(super) fn spec(
    service: &ServiceName,
    kind: RolloutKind,
    target: RevisionRef,
    from: Option<RevisionRef>,
    desired: u32,
    hosts: Vec<HostSpec>,
) -> Spec {
    Spec {
        service: service.clone(),
        kind,
        target,
        from,
        budget: Budget {
            desired,
            max_surge: 0,
            max_unavailable: desired,
        },
        hosts,
        min_ready: std::time::Duration::ZERO,
        deadline: std::time::Duration::ZERO,
        progress_deadline: std::time::Duration::ZERO,
        max_failures: 0,
        on_failure: OnFailure::Continue,
        max_uploads: 1,
        steps: Vec::new(),
        domains: Vec::new(),
        side_by_side: false,
        balanced: false,
        hooks: BTreeSet::new(),
        signed_by: Vec::new(),
        window: None,
        unattended: false,
    }
}

#[cfg(test)]
#[path = "recall_tests.rs"]
mod tests;
