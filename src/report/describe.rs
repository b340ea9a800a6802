//! `describe`: everything that happened in one rollout.

use serde_json::Value;

use super::json;
use super::time::{age, clock, span};
use super::words::{Story, sentence};
use crate::core::event::RecordedEvent;
use crate::core::time::Timestamp;
use crate::ports::RolloutRecord;

/// A rollout and its events. Pure data.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeView {
    /// As it is listed.
    pub rollout: RolloutRecord,
    /// In order.
    pub events: Vec<RecordedEvent>,
    /// Now.
    pub now: Timestamp,
}

/// The text for people: a head, then a line per event, each with its time since the start.
pub fn describe_text(view: &DescribeView) -> String {
    let rollout = &view.rollout;
    let took = match rollout.ended_at {
        Some(end) => format!("took {}", span(end.since(rollout.started_at))),
        None => format!("since {}", age(view.now.since(rollout.started_at))),
    };
    let mut text = format!(
        "rollout {} of `{}`: {}, {}, {took}\nstarted {} ({} ago) by {}\n\n",
        rollout.id,
        rollout.service,
        rollout.kind,
        rollout.outcome,
        clock(rollout.started_at),
        age(view.now.since(rollout.started_at)),
        super::printable(&rollout.by),
    );
    let mut story = Story::default();
    for recorded in &view.events {
        story.hear(&recorded.event);
        let passed = recorded.at.since(rollout.started_at).as_millis();
        text.push_str(&format!(
            "{:>9}  {}\n",
            format!("+{}.{:01}s", passed / 1000, passed % 1000 / 100),
            sentence(recorded, &story)
        ));
    }
    text
}

/// For programs: the events, one object each.
pub fn describe_json(view: &DescribeView) -> Vec<Value> {
    view.events.iter().map(json::event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::{RolloutId, ServiceName};
    use crate::core::spec::RolloutKind;
    use crate::report::sample::{Sample, at, revision};

    fn view() -> DescribeView {
        let mut sample = Sample::new(1, 1);
        sample
            .sees_old(100, "web-01")
            .updates(200, "web-01")
            .completes(14_000);
        DescribeView {
            rollout: RolloutRecord {
                id: RolloutId(12),
                service: ServiceName::new("web"),
                kind: RolloutKind::Release,
                from: Some(revision("v1.4.1").digest),
                to: revision("v1.4.2").digest,
                outcome: "completed".to_owned(),
                started_at: at(0),
                ended_at: Some(at(14_000)),
                by: "ann@desk".to_owned(),
                partial: false,
            },
            events: sample.events,
            now: at(3_600_000),
        }
    }

    #[test]
    fn a_line_per_event() {
        insta::assert_snapshot!(describe_text(&view()));
    }

    #[test]
    fn programs_get_the_events() {
        let lines = describe_json(&view());
        assert_eq!(lines.len(), view().events.len());
        assert_eq!(lines[0]["kind"], "rollout_started");
        assert_eq!(lines.last().unwrap()["outcome"], "completed");
    }
}
