//! One word for how an instance is, as `status` prints it and the ledger keeps it.

use crate::core::event::ActionKind;
use crate::core::health::Health;
use crate::core::rollout::{Instance, Reach, RolloutPhase, RolloutState, Stage};
use crate::core::time::Timestamp;

/// Its host is out of service: listed, never touched.
pub const OUT_OF_SERVICE: &str = "out-of-service";

/// All words that [`word`] and `status` use, with what they mean.
pub const WORDS: [(&str, &str); 23] = [
    ("available", "ready without a break for min_ready"),
    ("ready", "its health check passes, not for min_ready yet"),
    ("not-ready", "its health check fails"),
    ("unknown", "nobody could say"),
    ("absent", "no instance"),
    (
        "detached",
        "ready, and out of traffic: by an operator, or until it is put back",
    ),
    ("unreachable", "SSH cannot reach the host"),
    ("refused", "the host cannot take part; nothing was changed"),
    (
        "staging",
        "the new revision is being shipped; the old one runs",
    ),
    (
        "draining",
        "being taken out of traffic, to be switched or stopped next",
    ),
    (
        "preparing",
        "the before_instance hook runs; it is switched next",
    ),
    ("activating", "being switched"),
    ("settling", "started, has to prove itself"),
    ("confirming", "proved itself; that is being read back"),
    ("failed", "failed by us, to be put back"),
    ("reverting", "being put back"),
    ("recovering", "put back, has to become available"),
    ("reverted", "failed by us; what ran before is back"),
    ("returned", "the rollout goes back; what ran before is back"),
    (
        "stopping",
        "not needed any more, on a spare host or beside the new one: out of traffic, and stopped",
    ),
    (
        "lost",
        "its host was lost while it was in work; its dead-man's switch puts it back",
    ),
    (
        "broken",
        "could not be put back, or stopped: somebody must look",
    ),
    (OUT_OF_SERVICE, "not in desired, never touched"),
];

/// The word for an instance of a rollout.
pub fn word(instance: &Instance, state: &RolloutState, now: Timestamp) -> &'static str {
    match (&instance.stage, &instance.reach) {
        (Stage::Staging, _) => "staging",
        (Stage::Preparing { .. }, _) => "preparing",
        (Stage::Draining { .. }, _) => "draining",
        (Stage::Activating { .. }, _) => "activating",
        (Stage::Settling { .. }, _) => "settling",
        (Stage::Confirming { .. }, _) => "confirming",
        (Stage::Failed { .. }, _) => "failed",
        (Stage::Reverting { .. }, _) => "reverting",
        (Stage::Recovering { .. }, _) => "recovering",
        (Stage::Reverted { failure: Some(_) }, _) => "reverted",
        (Stage::Reverted { failure: None }, _) => "returned",
        (Stage::Retiring, _) => "stopping",
        (Stage::Retired, _) => "absent",
        (Stage::Lost { .. }, _) => "lost",
        (Stage::Broken { .. }, _) => "broken",
        (_, Some(Reach::Unreachable { .. })) => "unreachable",
        (_, Some(Reach::Refused { .. })) => "refused",
        (Stage::Pending | Stage::Staged | Stage::Updated { .. }, _) => {
            by_health(instance, state, now)
        }
    }
}

fn by_health(instance: &Instance, state: &RolloutState, now: Timestamp) -> &'static str {
    if instance.is_absent() {
        return "absent";
    }
    let is_available = instance.is_available(now, state.spec.min_ready);
    of_health(instance.health, is_available, instance.is_attached())
}

/// The word for the other instance on a host, side by side; nothing where there is none.
pub fn word_of_sibling(
    instance: &Instance,
    state: &RolloutState,
    now: Timestamp,
) -> Option<&'static str> {
    let sibling = instance.sibling.as_ref()?;
    Some(match &instance.reach {
        Some(Reach::Unreachable { .. }) => "unreachable",
        _ if sibling.leaving && sibling.stuck.is_some() => "broken",
        _ if sibling.leaving && instance.open == Some(ActionKind::DrainSibling) => "draining",
        _ if sibling.leaving => "stopping",
        _ => {
            let is_available = sibling.is_available(now, state.spec.min_ready);
            of_health(sibling.health, is_available, sibling.is_attached())
        }
    })
}

fn of_health(health: Option<Health>, is_available: bool, is_attached: bool) -> &'static str {
    match health {
        _ if is_available => "available",
        Some(Health::Ready { .. }) if !is_attached => "detached",
        Some(Health::Ready { .. }) => "ready",
        Some(Health::NotReady { .. } | Health::Restarted) => "not-ready",
        Some(Health::Unknown) | None => "unknown",
    }
}

/// The word for where a rollout stands that has not ended.
pub fn phase(state: &RolloutState) -> &'static str {
    match state.phase {
        RolloutPhase::Observing => "observing",
        RolloutPhase::Progressing if state.abort.is_some() => "aborting",
        RolloutPhase::Progressing if state.pause.is_some() => "pausing",
        RolloutPhase::Progressing if state.goes_back() => "rolling-back",
        RolloutPhase::Progressing if state.gate.reached_at.is_some() => "at-step",
        RolloutPhase::Progressing => "progressing",
        RolloutPhase::Paused => "paused",
        RolloutPhase::Superseded(_) => "superseded",
        RolloutPhase::Ended(_) => "ended",
    }
}

/// How many selected instances failed by us: those that were sick before are not counted.
pub fn failed(state: &RolloutState) -> usize {
    let is_ours = |one: &&Instance| one.selected && one.failure().is_some() && !one.sick_before;
    state.instances.iter().filter(is_ours).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Runs;
    use crate::report::sample::{Sample, at};

    #[test]
    fn the_other_one_has_its_word_as_long_as_it_runs() {
        let mut sample = Sample::side_by_side(2, 0);
        let other = |sample: &Sample| {
            word_of_sibling(&sample.state.instances[0], &sample.state, at(80_000))
        };
        assert_eq!(other(&sample), None);
        sample.starts_beside(200, "web-01");
        assert_eq!(other(&sample), Some("available"));
        let since = at(2_000);
        sample
            .health(2_000, "web-01", Health::Ready { since })
            .begins(12_000, "web-01", ActionKind::Confirm)
            .ends(12_100, "web-01", ActionKind::Confirm)
            .begins(12_100, "web-01", ActionKind::StopSibling);
        assert_eq!(other(&sample), Some("stopping"));
        sample.ends(12_200, "web-01", ActionKind::StopSibling);
        assert_eq!(other(&sample), None);
        sample.starts_beside(12_300, "web-02");
        let word = |health| {
            let mut state = sample.state.clone();
            if let Some(sibling) = &mut state.instances[1].sibling {
                sibling.health = health;
            }
            word_of_sibling(&state.instances[1], &state, at(80_000))
        };
        let since = at(79_000);
        assert_eq!(word(Some(Health::Ready { since })), Some("ready"));
        assert_eq!(word(Some(Health::Restarted)), Some("not-ready"));
        assert_eq!(word(None), Some("unknown"));
    }

    #[test]
    fn every_stage_has_its_word() {
        let mut sample = Sample::new(6, 6);
        sample
            .sees_old(100, "web-01")
            .unreachable(100, "web-02")
            .sees(100, "web-03", Runs::Nothing)
            .sees_old(100, "web-04")
            .sees_old(100, "web-05")
            .sees_old(100, "web-06")
            .begins(200, "web-04", ActionKind::Stage)
            .switches(200, "web-05")
            .fails(200, "web-06");
        let words: Vec<_> = sample
            .state
            .instances
            .iter()
            .map(|one| word(one, &sample.state, at(80_000)))
            .collect();
        assert_eq!(
            words,
            [
                "available",
                "unreachable",
                "absent",
                "staging",
                "settling",
                "reverted"
            ]
        );
        for word in words {
            assert!(WORDS.iter().any(|(listed, _)| *listed == word), "{word}");
        }
        assert_eq!(phase(&sample.state), "progressing");
    }
}
