//! What ran on one host, and when, as a service's events tell it. Pure.

use super::event::{ActionKind, ActionOutcome, Event, RecordedEvent, Runs, Sight};
use super::ids::{HostName, RevisionName, RevisionRef, RolloutId};
use super::time::Timestamp;

/// What a host ran for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Which revision; nothing: no instance.
    pub revision: Option<RevisionName>,
    /// From when on. Where it was only seen there, when that was.
    pub since: Timestamp,
    /// Until when; nothing: it is the last that is known.
    pub until: Option<Timestamp>,
    /// By which rollout and by whom; nothing: it was seen there, and no rollout had brought it.
    pub brought_by: Option<(RolloutId, String)>,
}

/// From the events of a service that are about `host`, or about no host, in the ledger's order; oldest first.
pub fn timeline(host: &HostName, events: &[RecordedEvent]) -> Vec<Ran> {
    let mut line = Timeline::default();
    for recorded in events {
        if recorded.event.host().is_none_or(|of| of == host) {
            line.take(recorded);
        }
    }
    line.ran
}

/// What ran at a moment; nothing: the ledger knows of nothing then.
pub fn at(ran: &[Ran], moment: Timestamp) -> Option<&Ran> {
    ran.iter().rev().find(|one| one.since <= moment)
}

#[derive(Debug, Default)]
struct Timeline {
    ran: Vec<Ran>,
    /// Of the rollout that is told of.
    target: Option<RevisionRef>,
    by: String,
    goes_back: bool,
    /// What it ran when the rollout came to it.
    before: Option<Option<RevisionName>>,
}

impl Timeline {
    fn take(&mut self, recorded: &RecordedEvent) {
        match &recorded.event {
            Event::RolloutStarted { spec, by, .. } => {
                *self = Self {
                    ran: std::mem::take(&mut self.ran),
                    target: Some(spec.target.clone()),
                    by: by.clone(),
                    ..Self::default()
                };
            }
            Event::RolloutResumed { by, .. } => self.by.clone_from(by),
            Event::RollbackStarted { .. } => self.goes_back = true,
            Event::HostObserved {
                sight: Sight::Reachable { runs, .. },
                ..
            } => self.seen(recorded.at, runs),
            Event::ActionEnded {
                action,
                outcome: ActionOutcome::Done { .. },
                ..
            } => self.done(*action, recorded),
            Event::ReadBack { line, .. } => {
                if let Some(left) = line.leaves() {
                    let by = (recorded.rollout, line.by.clone());
                    self.runs(left.cloned(), line.at, Some(by));
                }
            }
            _ => {}
        }
    }

    fn seen(&mut self, at: Timestamp, runs: &Runs) {
        let revision = runs.revision().map(|one| one.name.clone());
        self.before.get_or_insert_with(|| revision.clone());
        self.runs(revision, at, None);
    }

    fn done(&mut self, action: ActionKind, recorded: &RecordedEvent) {
        let target = self.target.as_ref().map(|target| target.name.clone());
        let before = self.before.clone().flatten();
        let runs = match action {
            ActionKind::Activate => target,
            ActionKind::Start if self.goes_back => before,
            ActionKind::Start => target,
            ActionKind::Revert => before,
            ActionKind::Stop => None,
            _ => return,
        };
        let by = (recorded.rollout, self.by.clone());
        self.runs(runs, recorded.at, Some(by));
    }

    /// The same as before changes nothing: it goes on running, though it was restarted or seen again.
    fn runs(
        &mut self,
        revision: Option<RevisionName>,
        since: Timestamp,
        brought_by: Option<(RolloutId, String)>,
    ) {
        if let Some(last) = self.ran.last_mut() {
            if last.revision == revision {
                return;
            }
            last.until = Some(since);
        }
        self.ran.push(Ran {
            revision,
            since,
            until: None,
            brought_by,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::RollbackCause;
    use crate::core::ids::ServiceName;
    use crate::core::ids::{Digest, Epoch};
    use crate::core::journal_line::JournalLine;
    use crate::core::recall::spec;
    use crate::core::spec::RolloutKind;

    fn reference(name: &str) -> RevisionRef {
        RevisionRef {
            name: RevisionName::parse(name).unwrap(),
            digest: Digest::new(name),
        }
    }

    /// `start v2`, `sees v1`, `sees -`, `does activate`, `fails activate`, `back`, `resumed`, `read v1>v2 switched`.
    fn event(words: &str) -> Event {
        let host = HostName::new("web-01");
        let name = |text: &str| RevisionName::parse(text).ok();
        let kind = |text: &str| match text {
            "activate" => ActionKind::Activate,
            "start" => ActionKind::Start,
            "revert" => ActionKind::Revert,
            "confirm" => ActionKind::Confirm,
            other => panic!("{other}"),
        };
        match words.split(' ').collect::<Vec<_>>()[..] {
            ["start", target] => {
                let (web, kind) = (ServiceName::new("web"), RolloutKind::Release);
                Event::RolloutStarted {
                    spec: Box::new(spec(&web, kind, reference(target), None, 1, Vec::new())),
                    by: "ann".to_owned(),
                    cause: None,
                }
            }
            ["sees", "-"] => Event::HostObserved {
                host,
                sight: Sight::reachable(Runs::Nothing),
                traffic: None,
                sibling: None,
            },
            ["sees", revision] => Event::HostObserved {
                host,
                sight: Sight::reachable(Runs::Revision {
                    revision: reference(revision),
                }),
                traffic: None,
                sibling: None,
            },
            ["does", action] => Event::ActionEnded {
                host,
                action: kind(action),
                outcome: ActionOutcome::Done { started: None },
            },
            ["fails", action] => Event::ActionEnded {
                host,
                action: kind(action),
                outcome: ActionOutcome::Failed {
                    reason: String::new(),
                },
            },
            ["back"] => Event::RollbackStarted {
                cause: RollbackCause::Stalled,
            },
            ["resumed"] => Event::RolloutResumed {
                by: "bob".to_owned(),
                retry: true,
                window: None,
                unattended: false,
            },
            ["read", from, to, outcome] => Event::ReadBack {
                host,
                line: Box::new(JournalLine {
                    at: Timestamp::from_millis(7),
                    rollout: RolloutId(1),
                    epoch: Epoch(1),
                    by: "eve".to_owned(),
                    from: name(from),
                    to: name(to),
                    outcome: outcome.to_owned(),
                    hash: None,
                }),
            },
            _ => panic!("{words}"),
        }
    }

    #[test]
    fn what_ran_when() {
        for (sentence, events, expected) in [
            ("nothing is known", vec![], vec![]),
            (
                "a first release",
                vec!["start v1", "sees -", "does activate", "does confirm"],
                vec!["- seen 1", "v1 by ann 2"],
            ),
            (
                "what ran before is known from when it was seen",
                vec!["start v2", "sees v1", "does activate"],
                vec!["v1 seen 1", "v2 by ann 2"],
            ),
            (
                "one that failed and was put back",
                vec!["start v2", "sees v1", "does activate", "does revert"],
                vec!["v1 seen 1", "v2 by ann 2", "v1 by ann 3"],
            ),
            (
                "a switch that failed changed nothing",
                vec!["start v2", "sees v1", "fails activate"],
                vec!["v1 seen 1"],
            ),
            (
                "side by side, on the way back what ran before is started again",
                vec!["start v2", "sees v1", "does start", "back", "does start"],
                vec!["v1 seen 1", "v2 by ann 2", "v1 by ann 4"],
            ),
            (
                "somebody changed it in between, by hand",
                vec!["start v1", "sees -", "does activate", "start v3", "sees v2"],
                vec!["- seen 1", "v1 by ann 2", "v2 seen 4"],
            ),
            (
                "who went on with it brought it",
                vec!["start v2", "sees v1", "resumed", "sees v1", "does activate"],
                vec!["v1 seen 1", "v2 by bob 4"],
            ),
            (
                "read back from its journal, at the journal's time",
                vec![
                    "start v2",
                    "read v1 v2 switched",
                    "read v1 v2 confirmed",
                    "read v2 v1 failed",
                ],
                vec!["v2 by eve 7"],
            ),
        ] {
            let recorded: Vec<_> = events
                .iter()
                .zip(0..)
                .map(|(words, at)| RecordedEvent {
                    rollout: RolloutId(1),
                    seq: 1,
                    at: Timestamp::from_millis(at),
                    event: event(words),
                    hash: String::new(),
                })
                .collect();
            let ran = timeline(&HostName::new("web-01"), &recorded);
            let short: Vec<String> = ran
                .iter()
                .map(|one| {
                    let name = one.revision.as_ref().map_or("-", RevisionName::as_str);
                    let how = one
                        .brought_by
                        .as_ref()
                        .map_or("seen".to_owned(), |(_, by)| format!("by {by}"));
                    format!("{name} {how} {}", one.since.as_millis())
                })
                .collect();
            assert_eq!(short, expected, "{sentence}");
            assert_eq!(
                timeline(&HostName::new("web-02"), &recorded),
                [],
                "{sentence}"
            );
            let ends: Vec<_> = ran
                .iter()
                .skip(1)
                .map(|one| Some(one.since))
                .chain(ran.last().map(|_| None))
                .collect();
            assert_eq!(ran.iter().map(|one| one.until).collect::<Vec<_>>(), ends);
        }
    }

    #[test]
    fn a_moment_falls_into_what_ran_then() {
        let ran = |since| Ran {
            revision: None,
            since: Timestamp::from_millis(since),
            until: None,
            brought_by: None,
        };
        let all = [ran(10), ran(20)];
        for (moment, expected) in [(9, None), (10, Some(10)), (19, Some(10)), (25, Some(20))] {
            let found = at(&all, Timestamp::from_millis(moment));
            assert_eq!(found.map(|one| one.since.as_millis()), expected);
        }
    }
}
