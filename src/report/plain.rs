//! One line per event, for cron, pipes and logs: `2026-11-22T10:41:07Z web-03: switching from `v1.4.1` to `v1.4.2``.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::ending::Diagnoses;
use super::escape::printable;
use super::sink::{Sink, To};
use super::time::clock;
use super::waits::wait_in_words;
use super::words::sentence;
use crate::core::decision::{Decision, WaitReason};
use crate::core::event::RecordedEvent;
use crate::core::rollout::RolloutState;
use crate::core::time::Timestamp;
use crate::ports::{Progress, Reporter};

/// Progress goes to stderr; the last words to stdout when the rollout completed, else to stderr as an error.
pub struct PlainReporter {
    inner: Mutex<Inner>,
}

struct Inner {
    out: Sink,
    diagnoses: Diagnoses,
    colour: bool,
    now: Timestamp,
    waits_for: Option<WaitReason>,
}

impl PlainReporter {
    /// Onto these streams.
    pub fn new(stdout: Box<dyn Write + Send>, stderr: Box<dyn Write + Send>, colour: bool) -> Self {
        Self {
            inner: Mutex::new(Inner {
                out: Sink::new(stdout, stderr),
                diagnoses: Diagnoses::default(),
                colour,
                now: Timestamp::LONG_AGO,
                waits_for: None,
            }),
        }
    }

    fn with(&self, act: impl FnOnce(&mut Inner)) {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Reporter for PlainReporter {
    fn events(&self, recorded: &[RecordedEvent], state: &RolloutState) {
        self.with(|inner| {
            for recorded in recorded {
                inner.now = recorded.at;
                let line = format!("{} {}", clock(recorded.at), sentence(recorded, state));
                inner.out.line(To::Stderr, line);
                if let Some(ending) = inner.diagnoses.ending(recorded, state) {
                    inner.out.text(ending.stream(), ending.text(inner.colour));
                }
            }
        });
    }

    fn waiting(&self, state: &RolloutState, decision: &Decision) {
        self.with(|inner| {
            let waits_for = stuck(&decision.waiting_on);
            if waits_for != inner.waits_for.as_ref()
                && let Some(reason) = waits_for
            {
                let words = wait_in_words(reason, &state.spec.budget, inner.now);
                let line = format!("{} waiting: {words}", clock(inner.now));
                inner.out.line(To::Stderr, line);
            }
            inner.waits_for = waits_for.cloned();
        });
    }

    fn progress(&self, progress: &Progress) {
        self.with(|inner| {
            inner.diagnoses.hear(progress);
            if let Progress::Warning { host, text } = progress {
                let (now, text) = (clock(inner.now), printable(text));
                inner
                    .out
                    .line(To::Stderr, format!("{now} {host}: warning: {text}"));
            }
        });
    }
}

/// What stands in the way when nothing that we do ourselves is going to change it; the rest shows in the events.
fn stuck(waiting_on: &[WaitReason]) -> Option<&WaitReason> {
    let ours = |reason: &&WaitReason| {
        matches!(
            reason,
            WaitReason::Working { .. } | WaitReason::Settling { .. } | WaitReason::FirstLook { .. }
        )
    };
    if waiting_on.iter().any(|reason| ours(&reason)) {
        return None;
    }
    waiting_on
        .iter()
        .find(|reason| matches!(reason, WaitReason::NoHeadroom { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{Sample, diagnosis, host};
    use crate::report::sink::Shared;

    fn play(sample: &Sample) -> (String, String) {
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let reporter =
            PlainReporter::new(Box::new(stdout.clone()), Box::new(stderr.clone()), false);
        reporter.progress(&diagnosis("web-01"));
        sample.play(|recorded, state| reporter.events(std::slice::from_ref(recorded), state));
        drop(reporter);
        (stdout.text(), stderr.text())
    }

    #[test]
    fn a_line_per_event_and_the_result_on_stdout() {
        let mut sample = Sample::new(2, 1);
        sample
            .sees_old(100, "web-01")
            .sees_old(100, "web-02")
            .updates(200, "web-01")
            .updates(14_000, "web-02")
            .completes(28_000);
        let (stdout, stderr) = play(&sample);
        assert_eq!(
            stdout,
            "rollout 12 of `web` completed: 2 of 2 on `v1.4.2` in 28s\n"
        );
        assert_eq!(stderr.lines().count(), sample.events.len());
        insta::assert_snapshot!(stderr);
    }

    #[test]
    fn a_failure_ends_on_stderr_and_what_a_host_wrote_is_escaped() {
        use crate::core::event::{Event, PauseCause};
        let mut sample = Sample::new(1, 1);
        sample
            .sees_old(100, "web-01")
            .fails(200, "web-01")
            .push(
                73_000,
                Event::PauseRequested {
                    cause: PauseCause::Failures { failed: 1 },
                },
            )
            .push(73_000, Event::RolloutPaused);
        let (stdout, stderr) = play(&sample);
        assert_eq!(stdout, "");
        assert!(
            stderr.contains("\nerror: rollout 12 of `web` paused: 1 of 1"),
            "{stderr}"
        );
        assert!(stderr.contains("\\x1b]0;owned\\x07no database"), "{stderr}");
        assert!(!stderr.contains('\x1b') && !stderr.contains('\x07'));
    }

    #[test]
    fn a_wait_is_told_once_and_only_when_nobody_works_on_it() {
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let reporter = PlainReporter::new(Box::new(stdout), Box::new(stderr.clone()), false);
        let mut sample = Sample::new(2, 1);
        sample.sees_old(100, "web-01").unreachable(100, "web-02");
        let no_headroom = WaitReason::NoHeadroom {
            available: 1,
            min_available: 1,
            unavailable: vec![host("web-02")],
        };
        let mut decision = Decision {
            waiting_on: vec![
                WaitReason::Working {
                    host: host("web-01"),
                    action: crate::core::event::ActionKind::Stage,
                },
                no_headroom.clone(),
            ],
            ..Decision::default()
        };
        reporter.waiting(&sample.state, &decision);
        decision.waiting_on.remove(0);
        reporter.waiting(&sample.state, &decision);
        reporter.waiting(&sample.state, &decision);
        drop(reporter);
        assert_eq!(
            stderr.text(),
            "1970-01-01T00:00:00Z waiting: 1 of 2 available, at least 1 must be: waiting for web-02\n"
        );
    }
}
