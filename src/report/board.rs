//! What the live display shows, as plain values: told by events and progress, drawn by [`super::live`].

use std::collections::BTreeMap;

use super::ending::{Diagnoses, Ending};
use super::escape::printable;
use super::table::cut;
use super::time::{left, stopwatch};
use super::waits::wait_in_words;
use super::words::sentence;
use crate::core::budget::Budget;
use crate::core::counts::Counts;
use crate::core::decision::{Decision, WaitReason};
use crate::core::event::{ActionKind, ActionOutcome, Event, RecordedEvent, Sight};
use crate::core::health::Health;
use crate::core::ids::HostName;
use crate::core::rollout::{Instance, RolloutState, Stage};
use crate::core::time::Timestamp;
use crate::ports::{ProbeAnswer, Progress};

/// Hosts in work that are shown at once; a screen is not a log.
const HOSTS_SHOWN: usize = 10;

/// Of so many hosts each is told once it is confirmed; of more, the total line counts them, and only what went wrong is
/// told.
const TOLD_ONE_BY_ONE: usize = 1000;

/// The state of the display.
#[derive(Default)]
pub(crate) struct Board {
    total: Option<Total>,
    in_work: BTreeMap<HostName, Line>,
    waits_for: Option<(WaitReason, Budget)>,
    diagnoses: Diagnoses,
    above: Vec<String>,
    ending: Option<Ending>,
}

struct Total {
    counts: Counts,
    started_at: Timestamp,
}

/// A host in work.
struct Line {
    /// What is nearest to its end comes first, then inventory order.
    rank: (u8, usize),
    doing: Doing,
    upload: Option<Upload>,
    probe: Option<ProbeAnswer>,
}

enum Doing {
    Shipping,
    Switching {
        since: Timestamp,
    },
    Settling {
        ready_until: Option<Timestamp>,
        fails_at: Timestamp,
    },
    ReadingBack,
    PuttingBack,
    /// Side by side: the old one goes.
    Leaving {
        drains: bool,
    },
    ComingBack {
        ready_until: Option<Timestamp>,
        gives_up_at: Timestamp,
    },
}

struct Upload {
    sent: u64,
    total: u64,
    began: Timestamp,
}

/// What is to be on the screen now.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Frame {
    /// Printed once, above everything that changes.
    pub(crate) above: Vec<String>,
    /// Drawn anew each time.
    pub(crate) lines: Vec<String>,
}

impl Board {
    pub(crate) fn events(
        &mut self,
        recorded: &[RecordedEvent],
        state: &RolloutState,
        now: Timestamp,
    ) {
        self.count(state, now);
        for recorded in recorded {
            self.event(recorded, state);
        }
    }

    fn event(&mut self, recorded: &RecordedEvent, state: &RolloutState) {
        if let Some(host) = recorded.event.host() {
            self.update(host, state);
        }
        if is_told(&recorded.event, state.instances.len()) {
            self.above.push(sentence(recorded, state));
        }
        if let Some(ending) = self.diagnoses.ending(recorded, state) {
            self.ending = Some(ending);
            self.in_work.clear();
        }
    }

    pub(crate) fn waiting(&mut self, state: &RolloutState, decision: &Decision, now: Timestamp) {
        self.count(state, now);
        // What single hosts do stands in their lines.
        self.waits_for = decision
            .waiting_on
            .iter()
            .find(|reason| {
                !matches!(
                    reason,
                    WaitReason::Working { .. } | WaitReason::Settling { .. }
                )
            })
            .map(|reason| (reason.clone(), state.spec.budget));
    }

    pub(crate) fn progress(&mut self, progress: &Progress, now: Timestamp) {
        self.diagnoses.hear(progress);
        match progress {
            Progress::Upload { host, sent, total } => {
                if let Some(line) = self.in_work.get_mut(host) {
                    let began = line.upload.as_ref().map_or(now, |upload| upload.began);
                    line.upload = Some(Upload {
                        sent: *sent,
                        total: *total,
                        began,
                    });
                }
            }
            Progress::Polled { host, answer } => {
                if let Some(line) = self.in_work.get_mut(host) {
                    line.probe = Some(answer.clone());
                }
            }
            Progress::Diagnosis { .. } => {}
            Progress::Warning { host, text } => {
                self.above
                    .push(format!("{host}: warning: {}", printable(text)));
            }
        }
    }

    /// What is on the screen of that width; what was to be printed above is handed over.
    pub(crate) fn frame(&mut self, width: usize, now: Timestamp) -> Frame {
        let mut lines: Vec<String> = Vec::new();
        if let Some(total) = self.total.as_ref().filter(|_| self.ending.is_none()) {
            lines.push(total_line(total, now));
            let mut in_work: Vec<_> = self.in_work.iter().collect();
            in_work.sort_by_key(|(_, line)| line.rank);
            let name_width = in_work
                .iter()
                .take(HOSTS_SHOWN)
                .map(|(host, _)| host.as_str().chars().count())
                .max()
                .unwrap_or(0);
            lines.extend(
                in_work
                    .iter()
                    .take(HOSTS_SHOWN)
                    .map(|(host, line)| format!("  {host:name_width$}  {}", line.text(now))),
            );
            if let Some(more) = more(&in_work) {
                lines.push(more);
            }
            if let Some((reason, budget)) = &self.waits_for {
                lines.push(format!("  waiting: {}", wait_in_words(reason, budget, now)));
            }
        }
        for line in &mut lines {
            *line = cut(line, width);
        }
        Frame {
            above: std::mem::take(&mut self.above),
            lines,
        }
    }

    /// The last words, once.
    pub(crate) fn take_ending(&mut self) -> Option<Ending> {
        self.ending.take()
    }

    fn count(&mut self, state: &RolloutState, now: Timestamp) {
        self.total = Some(Total {
            counts: Counts::of(state, now),
            started_at: state.started_at,
        });
    }

    fn update(&mut self, host: &HostName, state: &RolloutState) {
        let doing = state
            .instance(host)
            .and_then(|instance| doing(instance, state));
        let Some((rank, doing)) = doing else {
            self.in_work.remove(host);
            return;
        };
        match self.in_work.get_mut(host) {
            Some(line) => {
                if std::mem::discriminant(&line.doing) != std::mem::discriminant(&doing) {
                    line.probe = None;
                }
                line.rank.0 = rank;
                line.doing = doing;
            }
            None => {
                let place = state.place(host).unwrap_or(usize::MAX);
                let line = Line {
                    rank: (rank, place),
                    doing,
                    upload: None,
                    probe: None,
                };
                self.in_work.insert(host.clone(), line);
            }
        }
    }
}

impl Line {
    fn text(&self, now: Timestamp) -> String {
        match &self.doing {
            Doing::Shipping => match &self.upload {
                Some(upload) => format!("stage     {}", upload.text(now)),
                None => "stage".to_owned(),
            },
            Doing::Switching { since } => {
                format!("activate  {}", stopwatch(now.since(*since)))
            }
            Doing::Settling {
                ready_until,
                fails_at,
            } => self.proving("settle   ", *ready_until, "fails", *fails_at, now),
            Doing::ReadingBack => "confirm".to_owned(),
            Doing::PuttingBack => "revert".to_owned(),
            Doing::Leaving { drains: true } => "drain     the other one".to_owned(),
            Doing::Leaving { drains: false } => "stop      the other one".to_owned(),
            Doing::ComingBack {
                ready_until,
                gives_up_at,
            } => self.proving("recover  ", *ready_until, "gives up", *gives_up_at, now),
        }
    }

    fn proving(
        &self,
        stage: &str,
        ready_until: Option<Timestamp>,
        else_what: &str,
        else_at: Timestamp,
        now: Timestamp,
    ) -> String {
        match (ready_until, &self.probe) {
            (Some(until), _) => format!("{stage} ready, for {} more", left(until, now)),
            (None, Some(probe)) => format!(
                "{stage} {else_what} in {}: {}",
                left(else_at, now),
                printable(answer_of(&probe.shown))
            ),
            (None, None) => format!("{stage} {else_what} in {}", left(else_at, now)),
        }
    }
}

/// Without the URL, which is the same each time: on a narrow terminal the answer is what matters.
fn answer_of(shown: &str) -> &str {
    shown
        .find(" answered ")
        .and_then(|place| shown.get(place + 1..))
        .unwrap_or(shown)
}

impl Upload {
    fn text(&self, now: Timestamp) -> String {
        let millis = u64::try_from(now.since(self.began).as_millis()).unwrap_or(u64::MAX);
        let shipped = format!("{} of {}", size(self.sent), size(self.total));
        match self.sent.saturating_mul(1000).checked_div(millis) {
            Some(rate) if millis >= 500 => format!("{shipped}  {}/s", size(rate)),
            _ => shipped,
        }
    }
}

fn size(bytes: u64) -> String {
    let tenth = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", tenth(1_000_000)),
        _ => format!("{} GB", tenth(1_000_000_000)),
    }
}

fn total_line(total: &Total, now: Timestamp) -> String {
    let counts = &total.counts;
    format!(
        "DESIRED {}  CURRENT {}  UP-TO-DATE {}  AVAILABLE {}  {}",
        counts.desired,
        counts.running,
        counts.up_to_date,
        counts.available,
        stopwatch(now.since(total.started_at))
    )
}

fn more(in_work: &[(&HostName, &Line)]) -> Option<String> {
    let hidden = in_work.get(HOSTS_SHOWN..).filter(|rest| !rest.is_empty())?;
    let shipping = hidden
        .iter()
        .filter(|(_, line)| matches!(line.doing, Doing::Shipping))
        .count();
    let what = match shipping {
        0 => String::new(),
        all if all == hidden.len() => " in stage".to_owned(),
        shipping => format!(", {shipping} of them in stage"),
    };
    Some(format!("  ... and {} more{what}", hidden.len()))
}

/// What is done with an instance, and how near that is to its end.
fn doing(instance: &Instance, state: &RolloutState) -> Option<(u8, Doing)> {
    let ready_until = match instance.health {
        Some(Health::Ready { since }) => Some(since + state.spec.min_ready),
        _ => None,
    };
    Some(match &instance.stage {
        Stage::Failed { .. } | Stage::Reverting { .. } => (0, Doing::PuttingBack),
        Stage::Recovering { since, .. } => (
            1,
            Doing::ComingBack {
                ready_until,
                gives_up_at: *since + state.spec.deadline,
            },
        ),
        Stage::Confirming { .. } => (2, Doing::ReadingBack),
        Stage::Settling { since, .. } => (
            3,
            Doing::Settling {
                ready_until,
                fails_at: *since + state.spec.deadline,
            },
        ),
        Stage::Activating { since, .. } => (4, Doing::Switching { since: *since }),
        Stage::Staging if instance.open == Some(ActionKind::Stage) => (5, Doing::Shipping),
        _ if instance.open == Some(ActionKind::DrainSibling) => {
            (2, Doing::Leaving { drains: true })
        }
        _ if instance.open == Some(ActionKind::StopSibling) => {
            (2, Doing::Leaving { drains: false })
        }
        _ => return None,
    })
}

/// Whether an event is worth a line that stays: what a host came to, not each step of it.
fn is_told(event: &Event, instances: usize) -> bool {
    match event {
        Event::RolloutStarted { .. }
        | Event::HostRebooted { .. }
        | Event::DrainCutShort { .. }
        | Event::InstanceMarked { .. }
        | Event::RolloutResumed { .. }
        | Event::StepReached { .. }
        | Event::StepApproved { .. }
        | Event::StepOpened { .. }
        | Event::RollbackStarted { .. }
        | Event::AbortRequested { .. }
        | Event::ReadBack { .. }
        | Event::PauseRequested { .. } => true,
        Event::HookEnded { end, .. } => !end.is_well(),
        Event::HostObserved { sight, .. } => !matches!(sight, Sight::Reachable { .. }),
        Event::ActionEnded {
            action, outcome, ..
        } => match outcome {
            ActionOutcome::Done { .. } => {
                *action == ActionKind::Confirm && instances <= TOLD_ONE_BY_ONE
            }
            _ => true,
        },
        // The last words say it.
        Event::RolloutPaused | Event::RolloutSuperseded { .. } | Event::RolloutEnded { .. } => {
            false
        }
        Event::HealthChanged { .. } | Event::ActionStarted { .. } | Event::HookStarted { .. } => {
            false
        }
    }
}
