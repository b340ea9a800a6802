//! Events as JSON lines. A contract: the shape is written out here and not taken from how events are stored.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::escape::printable;
use super::signers::signers_json;
use super::sink::{Sink, To};
use super::time::rfc3339;
use crate::core::budget::Budget;
use crate::core::decision::Decision;
use crate::core::event::{ActionOutcome, Event, Mark, PauseCause, RecordedEvent, Runs, Sight};
use crate::core::health::Health;
use crate::core::hold::Remark;
use crate::core::hooks::{HookEnd, HookKind, HookResult};
use crate::core::rollout::RolloutState;
use crate::core::spec::Spec;
use crate::core::time::Timestamp;
use crate::core::traffic_state::TrafficSight;
use crate::core::window::Windowed;
use crate::ports::{Progress, Reporter};

/// One event: `{"version":1,"seq","at","rollout","kind","instance"?, ...}`. Digests and names stand apart, times are
/// RFC 3339.
pub fn event(recorded: &RecordedEvent) -> Value {
    let (kind, fields) = fields(&recorded.event);
    let mut object = json!({
        "version": 1,
        "seq": recorded.seq,
        "at": rfc3339(recorded.at),
        "rollout": recorded.rollout,
        "kind": kind,
    });
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        if let Some(host) = recorded.event.host() {
            object.insert("instance".to_owned(), json!(host));
        }
        object.extend(fields);
    }
    object
}

/// Resolved budgets, as `plan` and events have them.
pub fn budget(budget: &Budget) -> Value {
    json!({
        "desired": budget.desired,
        "max_surge": budget.max_surge,
        "max_unavailable": budget.max_unavailable,
        "max_total": budget.max_total(),
        "min_available": budget.min_available(),
    })
}

/// A moment, or null for what was so before anybody looked.
pub(crate) fn moment(at: Timestamp) -> Value {
    if at == Timestamp::LONG_AGO {
        Value::Null
    } else {
        json!(rfc3339(at))
    }
}

/// Who held a service, or lifted that.
pub(crate) fn remark(said: &Remark) -> Value {
    json!({"by": said.by, "at": rfc3339(said.at), "cause": said.cause})
}

fn fields(event: &Event) -> (&'static str, Value) {
    match event {
        Event::RolloutStarted { spec, by, cause } => {
            ("rollout_started", start(spec, by, cause.as_deref()))
        }
        Event::HostObserved {
            sight,
            traffic,
            sibling,
            ..
        } => {
            let mut fields = with_traffic(seen(sight), traffic.as_ref());
            if let Some(other) = sibling {
                let other = json!({"revision": name(&other.runs), "unproven": other.unproven});
                fields["sibling"] = other;
            }
            ("host_observed", fields)
        }
        Event::HealthChanged {
            health, sibling, ..
        } => {
            let mut fields = health_fields(*health);
            if *sibling {
                fields["sibling"] = json!(true);
            }
            ("health_changed", fields)
        }
        Event::HostRebooted { .. } => ("host_rebooted", json!({})),
        Event::DrainCutShort { sessions, .. } => ("drain_cut_short", json!({"sessions": sessions})),
        Event::ActionStarted { action, .. } => ("action_started", json!({"action": action})),
        Event::ActionEnded {
            action, outcome, ..
        } => {
            let (word, reason) = match outcome {
                ActionOutcome::Done { .. } => ("done", None),
                ActionOutcome::Declined { reason } => ("declined", Some(reason)),
                ActionOutcome::Refused { reason } => ("refused", Some(reason)),
                ActionOutcome::Failed { reason } => ("failed", Some(reason)),
                ActionOutcome::Lost { reason } => ("lost", Some(reason)),
            };
            let fields = json!({"action": action, "outcome": word, "reason": reason});
            ("action_ended", without_null(fields, "reason"))
        }
        Event::InstanceMarked { mark, .. } => {
            let (word, reason) = match mark {
                Mark::Failed { reason } => ("failed", Some(reason)),
                Mark::Reverted => ("reverted", None),
                Mark::Broken { reason } => ("broken", Some(reason)),
            };
            let fields = json!({"mark": word, "reason": reason});
            ("instance_marked", without_null(fields, "reason"))
        }
        Event::PauseRequested { cause } => (
            "pause_requested",
            match cause {
                PauseCause::Failures { failed } => json!({"cause": "failures", "failed": failed}),
                PauseCause::Asked { by } => json!({"cause": "asked", "by": by}),
                PauseCause::Stalled => json!({"cause": "stalled"}),
                PauseCause::WindowClosed { opens_at } => {
                    json!({"cause": "window_closed", "opens_at": opens_at.map(moment)})
                }
            },
        ),
        Event::RolloutResumed {
            by,
            retry,
            window,
            unattended,
        } => (
            "rollout_resumed",
            json!({
                "by": by,
                "retry": retry,
                "window": window.map(windowed),
                "unattended": unattended,
            }),
        ),
        Event::StepReached { step } => ("step_reached", json!({"step": step + 1})),
        Event::StepApproved { step, by } => ("step_approved", json!({"step": step + 1, "by": by})),
        Event::StepOpened { step } => ("step_opened", json!({"step": step + 1})),
        Event::RollbackStarted { cause } => ("rollback_started", json!(cause)),
        Event::AbortRequested { by } => ("abort_requested", json!({"by": by})),
        Event::HookStarted { hook, rest } => {
            let fields = json!({"hook": hook, "outcome": rest.map(|rest| rest.to_string())});
            ("hook_started", without_null(fields, "outcome"))
        }
        Event::HookEnded { hook, end, .. } => ("hook_ended", hook_fields(*hook, end)),
        Event::ReadBack { line, .. } => {
            let fields = json!({
                "from": line.from,
                "to": line.to,
                "outcome": line.outcome,
                "by": line.by,
                "epoch": line.epoch,
                "hash": line.hash,
            });
            ("read_back", fields)
        }
        Event::RolloutPaused => ("rollout_paused", json!({})),
        Event::RolloutSuperseded { by } => ("rollout_superseded", json!({"by": by})),
        Event::RolloutEnded { outcome } => ("rollout_ended", json!({"outcome": outcome})),
    }
}

fn hook_fields(hook: HookKind, end: &HookEnd) -> Value {
    let (word, status, reason) = match &end.result {
        HookResult::Exited { status } => ("exited", Some(status), None),
        HookResult::Killed => ("killed", None, None),
        HookResult::TimedOut => ("timed_out", None, None),
        HookResult::NotRun { reason } => ("not_run", None, Some(reason)),
        HookResult::Removed => ("removed", None, None),
    };
    json!({
        "hook": hook,
        "ok": end.is_well(),
        "result": word,
        "status": status,
        "reason": reason,
        "seconds": end.took.as_secs_f64(),
        "output": end.output,
    })
}

fn with_traffic(mut fields: Value, traffic: Option<&TrafficSight>) -> Value {
    if let (Some(object), Some(traffic)) = (fields.as_object_mut(), traffic) {
        object.insert("attached".to_owned(), json!(traffic.attached));
        object.insert("detached".to_owned(), json!(traffic.detached));
    }
    fields
}

fn start(spec: &Spec, by: &str, cause: Option<&str>) -> Value {
    let hosts: Vec<_> = spec
        .hosts
        .iter()
        .filter(|host| host.selected)
        .map(|host| &host.name)
        .collect();
    json!({
        "service": spec.service,
        "rollout_kind": spec.kind,
        "from": spec.from.as_ref().map(|from| &from.name),
        "to": spec.target.name,
        "digest": spec.target.digest,
        "budget": budget(&spec.budget),
        "hosts": hosts,
        "by": by,
        "cause": cause,
        "signed_by": signers_json(&spec.signed_by),
        "window": spec.window.map(windowed),
        "unattended": spec.unattended,
    })
}

fn windowed(window: Windowed) -> Value {
    match window {
        Windowed::Within {
            closes_at,
            opens_at,
        } => json!({
            "begun": "within",
            "closes_at": moment(closes_at),
            "opens_at": opens_at.map(moment),
        }),
        Windowed::Overridden => json!({"begun": "overridden"}),
    }
}

fn seen(sight: &Sight) -> Value {
    match sight {
        Sight::Reachable { runs, .. } => json!({"sight": "reachable", "revision": name(runs)}),
        Sight::Unreachable { reason } => json!({"sight": "unreachable", "reason": reason}),
        Sight::Refused { reason } => json!({"sight": "refused", "reason": reason}),
    }
}

fn name(runs: &Runs) -> Value {
    json!(runs.revision().map(|revision| &revision.name))
}

fn health_fields(health: Health) -> Value {
    match health {
        Health::Unknown => json!({"health": "unknown"}),
        Health::NotReady { failed_polls } => {
            json!({"health": "not_ready", "failed_polls": failed_polls})
        }
        Health::Ready { since } => json!({"health": "ready", "since": moment(since)}),
        Health::Restarted => json!({"health": "restarted"}),
    }
}

fn without_null(mut fields: Value, key: &str) -> Value {
    if let Some(object) = fields
        .as_object_mut()
        .filter(|o| o.get(key) == Some(&Value::Null))
    {
        object.remove(key);
    }
    fields
}

/// Writes each event as a line; progress is not part of it.
pub struct JsonReporter {
    out: Mutex<Sink>,
}

impl JsonReporter {
    /// Onto this stream, which is stdout.
    pub fn new(out: Box<dyn std::io::Write + Send>) -> Self {
        Self {
            out: Mutex::new(Sink::new(out, Box::new(std::io::stderr()))),
        }
    }
}

impl Reporter for JsonReporter {
    fn events(&self, recorded: &[RecordedEvent], _: &RolloutState) {
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        for recorded in recorded {
            out.line(To::Stdout, event(recorded).to_string());
        }
    }

    fn waiting(&self, _: &RolloutState, _: &Decision) {}

    fn progress(&self, progress: &Progress) {
        if let Progress::Warning { host, text } = progress {
            let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            out.line(To::Stderr, format!("{host}: warning: {}", printable(text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    use crate::core::event::ActionKind;
    use crate::report::sample::{Sample, at, host, started};
    use crate::report::sink::Shared;

    fn all_kinds() -> Sample {
        let mut sample = Sample::new(2, 1);
        sample
            .sees_old(100, "web-01")
            .unreachable(100, "web-02")
            .switches(200, "web-01")
            .push(
                3_000,
                Event::HostRebooted {
                    host: host("web-01"),
                    started: started(),
                },
            )
            .health(4_000, "web-01", Health::Ready { since: at(4_000) })
            .push(
                5_000,
                Event::InstanceMarked {
                    host: host("web-01"),
                    mark: Mark::Failed {
                        reason: "restarted by itself".to_owned(),
                    },
                },
            )
            .push(
                5_000,
                Event::PauseRequested {
                    cause: PauseCause::Failures { failed: 1 },
                },
            )
            .begins(5_000, "web-01", ActionKind::Revert)
            .push(
                6_000,
                Event::ActionEnded {
                    host: host("web-01"),
                    action: ActionKind::Revert,
                    outcome: ActionOutcome::Lost {
                        reason: "connection reset".to_owned(),
                    },
                },
            )
            .push(7_000, Event::RolloutPaused)
            .push(
                8_000,
                Event::RolloutSuperseded {
                    by: crate::core::ids::RolloutId(13),
                },
            );
        sample
    }

    #[test]
    fn every_event_has_what_the_contract_says() {
        for recorded in &all_kinds().events {
            let line = event(recorded);
            assert_eq!(line["version"], 1);
            assert_eq!(line["seq"], recorded.seq);
            assert_eq!(line["rollout"], 12);
            let at = line["at"].as_str().unwrap();
            assert_eq!(
                at.parse::<jiff::Timestamp>().unwrap().as_millisecond(),
                recorded.at.as_millis()
            );
            let stored = serde_json::to_value(&recorded.event).unwrap();
            assert_eq!(line["kind"], stored["kind"], "one word per thing");
            assert_eq!(line.get("instance"), stored.get("host"));
            assert_eq!(line.get("host"), None);
        }
    }

    #[test]
    fn the_shape_of_each_kind() {
        let lines: Vec<String> = all_kinds()
            .events
            .iter()
            .map(|recorded| {
                let mut fields: Map<String, Value> =
                    event(recorded).as_object().cloned().unwrap_or_default();
                for key in ["version", "seq", "rollout"] {
                    fields.remove(key);
                }
                Value::Object(fields).to_string()
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_is_said_of_the_other_one_on_a_host() {
        let sight = crate::core::event::Sight::reachable(Runs::Nothing);
        let revision = crate::report::sample::revision("v1.4.2");
        let observed = |sibling| Event::HostObserved {
            host: host("web-01"),
            sight: sight.clone(),
            traffic: None,
            sibling,
        };
        let other = crate::core::event::SiblingSight {
            runs: Runs::Revision { revision },
            started: None,
            unproven: true,
            traffic: None,
        };
        let seen = fields(&observed(Some(Box::new(other)))).1;
        assert_eq!(
            seen["sibling"],
            json!({"revision": "v1.4.2", "unproven": true})
        );
        assert_eq!(fields(&observed(None)).1.get("sibling"), None);
        for sibling in [false, true] {
            let changed = Event::HealthChanged {
                host: host("web-01"),
                health: Health::Unknown,
                sibling,
            };
            let told = fields(&changed).1.get("sibling").cloned();
            assert_eq!(told, sibling.then_some(json!(true)));
        }
    }

    #[test]
    fn the_shape_of_hooks() {
        let sample = Sample::with_hooks();
        let of_hooks = |recorded: &&RecordedEvent| {
            let kind = fields(&recorded.event).0;
            kind.starts_with("hook_") || kind == "rollout_ended"
        };
        let lines: Vec<_> = sample
            .events
            .iter()
            .filter(of_hooks)
            .map(|recorded| event(recorded).to_string())
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_stream_is_one_object_a_line_and_progress_is_not_in_it() {
        let written = Shared::default();
        let reporter = JsonReporter::new(Box::new(written.clone()));
        let sample = all_kinds();
        sample.play(|recorded, state| {
            reporter.events(std::slice::from_ref(recorded), state);
            reporter.progress(&crate::report::sample::diagnosis("web-01"));
        });
        drop(reporter);
        let text = written.text();
        let seqs: Vec<u64> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["seq"]
                    .as_u64()
                    .unwrap()
            })
            .collect();
        let expected: Vec<u64> = (1..=sample.events.len() as u64).collect();
        assert_eq!(seqs, expected);
    }
}
