//! What is concluded about single instances: that one failed, is back, or cannot be put back.

use std::time::Duration;

use super::decide::Draft;
use super::decision::Action;
use super::event::{ActionKind, Mark};
use super::health::Health;
use super::instance::{Instance, Stage};
use super::time::Timestamp;

impl Draft<'_> {
    /// Draws conclusions about single instances. They change the counts, so they are recorded before anything else.
    pub(super) fn conclude(&mut self) -> bool {
        for instance in &self.state.instances {
            if instance.open.is_some_and(|open| open != ActionKind::Prune) {
                continue;
            }
            if let Some(mark) = self.conclusion(instance) {
                self.decision.actions.push(Action::Mark {
                    host: instance.host.clone(),
                    mark,
                });
            }
        }
        !self.decision.actions.is_empty()
    }

    fn conclusion(&mut self, instance: &Instance) -> Option<Mark> {
        let spec = &self.state.spec;
        match &instance.stage {
            // On the way back nobody waits for a new one to prove itself.
            Stage::Settling { .. } if self.state.goes_back() => None,
            Stage::Settling { since, .. } => self
                .misses_deadline(instance, *since)
                .map(|reason| Mark::Failed { reason }),
            Stage::Updated { started: Some(_) } if instance.health.is_some_and(Health::is_lost) => {
                Some(Mark::Failed {
                    reason: lost_in_words(instance).to_owned(),
                })
            }
            Stage::Recovering { since, .. } => match instance.health {
                Some(Health::Ready { since: ready }) if self.now.since(ready) >= spec.min_ready => {
                    Some(Mark::Reverted)
                }
                _ => self
                    .misses_deadline(instance, *since)
                    .map(|reason| Mark::Broken { reason }),
            },
            _ => None,
        }
    }

    /// Why an instance started at `since` cannot become available within `deadline` any more; else notes when it could.
    fn misses_deadline(&mut self, instance: &Instance, since: Timestamp) -> Option<String> {
        let spec = &self.state.spec;
        let deadline = since + spec.deadline;
        let seconds = spec.deadline.as_secs_f64();
        match instance.health {
            Some(Health::Restarted) => Some(lost_in_words(instance).to_owned()),
            Some(Health::Ready { since: ready }) => {
                self.wake(ready + spec.min_ready);
                (ready + spec.min_ready > deadline)
                    .then(|| format!("ready too late to be available within {seconds}s"))
            }
            _ => {
                // Ready at this moment would still be in time; a moment later not.
                let last_chance = Timestamp::from_millis(
                    deadline.as_millis()
                        - i64::try_from(spec.min_ready.as_millis()).unwrap_or(i64::MAX),
                );
                if self.now > last_chance {
                    return Some(format!("not ready within {seconds}s"));
                }
                self.wake(last_chance + Duration::from_millis(1));
                None
            }
        }
    }
}

fn lost_in_words(instance: &Instance) -> &'static str {
    match instance.health {
        Some(Health::Restarted) => "a unit restarted by itself after rollctl had started it",
        _ => "it became unready after it had been available",
    }
}
