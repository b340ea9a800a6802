//! Whether a service's chain is whole, and whether the journals of its hosts agree with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::error::CliError;
use super::exit::ExitCode;
use super::read_back::Answers;
use crate::core::action::{ActionKind, ActionOutcome};
use crate::core::event::{Event, RecordedEvent};
use crate::core::ids::{HostName, LedgerId, RolloutId, ServiceName};
use crate::core::journal_line::{JournalLine, TAKEN_OVER};
use crate::core::time::Timestamp;
use crate::ledger::{Chain, Chained};
use crate::ports::{HostError, Remembered};
use crate::report::ledger::{AuditView, AuditedHost, AuditedService, BrokenEvent};

/// What hosts answered.
pub(crate) struct Asked {
    /// When they were asked. What is confirmed from then on they may not have known yet.
    pub(crate) at: Timestamp,
    /// Their answers.
    pub(crate) answers: Answers,
}

/// So long before the hosts were asked a confirmation must be in the ledger to be missed: it ends there before that is
/// written, and clocks differ.
const UNDER_WAY: Duration = Duration::from_secs(15);

/// Looks a service over; with what its hosts remember, them too.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) async fn audit(
    ledger: &dyn Chained,
    service: &ServiceName,
    asked: Option<&Asked>,
) -> Result<AuditedService, CliError> {
    let mut known = Known::default();
    let mut events = 0;
    let chain = ledger
        .audit(service, &mut |event| {
            events += 1;
            known.take(event);
        })
        .await?;
    let hosts = asked.iter().flat_map(|asked| &asked.answers);
    let since = asked.map_or(Timestamp::LONG_AGO, |asked| asked.at);
    Ok(AuditedService {
        service: service.clone(),
        events,
        broken: match chain {
            Chain::Whole { .. } => None,
            Chain::Broken {
                rollout,
                seq,
                problem,
            } => Some(BrokenEvent {
                rollout,
                seq,
                problem,
            }),
        },
        hosts: hosts
            .map(|(host, answer)| known.host(&ledger.id(), since, host, answer))
            .collect(),
    })
}

/// The exit code that goes with it: 11 where something differs, 3 where a host was not compared.
pub(crate) fn verdict(view: &AuditView) -> ExitCode {
    let differs = |one: &AuditedService| {
        one.broken.is_some() || one.hosts.iter().any(|host| !host.differences.is_empty())
    };
    let is_unread = |one: &AuditedService| one.hosts.iter().any(|host| host.compared.is_err());
    match view.gap.is_some() || view.services.iter().any(differs) {
        true => ExitCode::Mixed,
        false if view.services.iter().any(is_unread) => ExitCode::Skipped,
        false => ExitCode::Done,
    }
}

/// What the ledger says of hosts.
#[derive(Debug, Default)]
struct Known {
    /// The hashes that a line of that host's journal may name, each with its rollout.
    hashes: BTreeMap<HostName, BTreeMap<String, RolloutId>>,
    /// Confirmations that were begun, by host: the hash and when.
    confirming: BTreeMap<HostName, (String, Timestamp)>,
    /// Confirmations that ended well.
    confirmed: BTreeMap<HostName, Vec<Confirmed>>,
}

#[derive(Debug)]
struct Confirmed {
    hash: String,
    rollout: RolloutId,
    at: Timestamp,
}

impl Known {
    fn take(&mut self, recorded: &RecordedEvent) {
        let mut knows = |host: &HostName, hash: &str| {
            let hashes = self.hashes.entry(host.clone()).or_default();
            hashes.insert(hash.to_owned(), recorded.rollout);
        };
        match &recorded.event {
            Event::ActionStarted { host, action } => {
                knows(host, &recorded.hash);
                if *action == ActionKind::Confirm {
                    let begun = (recorded.hash.clone(), recorded.at);
                    self.confirming.insert(host.clone(), begun);
                }
            }
            Event::ReadBack { host, line } => {
                if let Some(hash) = &line.hash {
                    knows(host, hash);
                }
            }
            Event::ActionEnded {
                host,
                action: ActionKind::Confirm,
                outcome,
            } => {
                let begun = self.confirming.remove(host);
                if let (ActionOutcome::Done { .. }, Some((hash, at))) = (outcome, begun) {
                    self.confirmed
                        .entry(host.clone())
                        .or_default()
                        .push(Confirmed {
                            hash,
                            rollout: recorded.rollout,
                            at,
                        });
                }
            }
            _ => {}
        }
    }

    fn host(
        &self,
        ledger: &LedgerId,
        asked: Timestamp,
        host: &HostName,
        answer: &Result<Remembered, HostError>,
    ) -> AuditedHost {
        let not_compared = |why: String| AuditedHost {
            host: host.clone(),
            compared: Err(why),
            differences: Vec::new(),
        };
        let remembered = match answer {
            Ok(remembered) => remembered,
            Err(error) => return not_compared(error.in_words()),
        };
        match &remembered.owner {
            None => return not_compared("no ledger manages the service there".to_owned()),
            Some(owner) if owner.ledger != *ledger => {
                return not_compared(format!(
                    "the ledger {} on {} manages the service there",
                    owner.ledger, owner.machine
                ));
            }
            Some(_) => {}
        }
        let lines = ours(&remembered.memory.journal);
        let unreadable = remembered.memory.unreadable.iter().cloned();
        AuditedHost {
            host: host.clone(),
            compared: Ok(lines.len()),
            differences: unreadable
                .chain(self.unknown(host, lines))
                .chain(self.missing(host, asked, &remembered.memory.journal))
                .collect(),
        }
    }

    /// Lines of which the ledger knows nothing.
    fn unknown(&self, host: &HostName, lines: &[JournalLine]) -> Vec<String> {
        let hashes = self.hashes.get(host);
        let is_known = |hash: &String| hashes.is_some_and(|known| known.contains_key(hash));
        let unknown = lines
            .iter()
            .filter(|line| !line.hash.as_ref().is_none_or(is_known));
        unknown
            .map(|line| {
                format!(
                    "its journal has a change that is not in the ledger: rollout {} by {}, {} (event {})",
                    line.rollout,
                    line.by,
                    line.outcome,
                    line.hash.as_deref().unwrap_or("-")
                )
            })
            .collect()
    }

    /// Confirmations that the ledger has and the journal has not. What is older than the journal is nothing of which that host
    /// could know: it was reinstalled since.
    fn missing(&self, host: &HostName, asked: Timestamp, lines: &[JournalLine]) -> Vec<String> {
        let Some(first) = lines.first() else {
            return Vec::new();
        };
        let seen: BTreeSet<&str> = lines
            .iter()
            .filter_map(|line| line.hash.as_deref())
            .collect();
        let confirmed = self.confirmed.get(host).into_iter().flatten();
        confirmed
            .filter(|one| one.at >= first.at && one.at + UNDER_WAY < asked)
            .filter(|one| !seen.contains(one.hash.as_str()))
            .map(|one| {
                format!(
                    "the ledger has it confirmed in rollout {} ({}), its journal has not (event {})",
                    one.rollout,
                    crate::report::time::rfc3339(one.at),
                    one.hash
                )
            })
            .collect()
    }
}

/// The lines since this ledger manages the host.
fn ours(journal: &[JournalLine]) -> &[JournalLine] {
    let taken = journal
        .iter()
        .rposition(|line| line.outcome.starts_with(TAKEN_OVER));
    taken.map_or(journal, |place| {
        journal.get(place + 1..).unwrap_or_default()
    })
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
