//! What the past says about where to go back to.

use super::ids::Digest;
use super::spec::RolloutKind;

/// A rollout of the past, as far as going back is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Why it ran.
    pub kind: RolloutKind,
    /// The service's revision before it.
    pub from: Option<Digest>,
    /// Its target.
    pub to: Digest,
    /// Whether it reached every host it could.
    pub completed: bool,
    /// Whether it was limited to some hosts: then it does not count as the service's.
    pub partial: bool,
}

/// The service's revision: the target of its newest completed rollout over all hosts. `past` is newest first.
pub fn current(past: &[Past]) -> Option<&Digest> {
    past.iter()
        .find(|rollout| rollout.completed && !rollout.partial)
        .map(|rollout| &rollout.to)
}

/// Where `rollback` without `--to` goes: the target of the newest completed rollout that nobody rolled back from
/// (contract, section 6), other than what the newest attempt went for. `past` is newest first.
///
/// A rollback condemns what came before it, not a later release of the same content. One that ended an attempt which
/// never completed went from the service's revision to that same revision, and condemns neither.
pub fn rollback_target(past: &[Past]) -> Option<&Digest> {
    let mut whole = past.iter().filter(|rollout| !rollout.partial).peekable();
    let newest = &whole.peek()?.to;
    let mut left: Vec<&Digest> = Vec::new();
    for rollout in whole.filter(|rollout| rollout.completed) {
        if rollout.to != *newest && !left.contains(&&rollout.to) {
            return Some(&rollout.to);
        }
        if rollout.kind == RolloutKind::Rollback {
            left.extend(rollout.from.iter().filter(|from| **from != rollout.to));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(kind: RolloutKind, from: &str, to: &str, completed: bool) -> Past {
        let from = (!from.is_empty()).then(|| Digest::new(from));
        Past {
            kind,
            from,
            to: Digest::new(to),
            completed,
            partial: false,
        }
    }

    #[test]
    fn where_a_rollback_without_a_name_goes() {
        use RolloutKind::{Release, Rollback};
        let v1 = past(Release, "", "v1", true);
        let v2 = past(Release, "v1", "v2", true);
        let v3 = past(Release, "v2", "v3", true);
        let v3_paused = past(Release, "v2", "v3", false);
        let back_to_v2 = past(Rollback, "v3", "v2", true);
        let back_to_v1 = past(Rollback, "v2", "v1", true);
        let stayed_on_v2 = past(Rollback, "v2", "v2", true);
        let v4 = past(Release, "v2", "v4", true);
        let v3_again = past(Release, "v2", "v3", true);
        let v4_after_v3 = past(Release, "v3", "v4", true);
        let only_some = Past {
            partial: true,
            ..past(Release, "v2", "v9", true)
        };
        for (sentence, newest_first, expected) in [
            ("nothing ever ran", vec![], None),
            ("there is only one revision", vec![&v1], None),
            ("to the one before", vec![&v2, &v1], Some("v1")),
            (
                "a paused one goes back to the last completed",
                vec![&v3_paused, &v2, &v1],
                Some("v2"),
            ),
            (
                "twice in a row goes further back",
                vec![&back_to_v2, &v3, &v2, &v1],
                Some("v1"),
            ),
            (
                "never to what somebody rolled back from",
                vec![&back_to_v1, &back_to_v2, &v3, &v2, &v1],
                None,
            ),
            (
                "a rollback out of a paused release does not condemn what it went back to",
                vec![&v4, &stayed_on_v2, &v3_paused, &v2, &v1],
                Some("v2"),
            ),
            (
                "what was released again after a rollback counts again",
                vec![&v4_after_v3, &v3_again, &back_to_v2, &v3, &v2, &v1],
                Some("v3"),
            ),
            (
                "a partial rollout does not count",
                vec![&only_some, &v2, &v1],
                Some("v1"),
            ),
            (
                "a release after a rollback goes back to before it",
                vec![&v3, &back_to_v1, &v2, &v1],
                Some("v1"),
            ),
        ] {
            let past: Vec<_> = newest_first.into_iter().cloned().collect();
            assert_eq!(
                rollback_target(&past).map(Digest::as_str),
                expected,
                "{sentence}"
            );
        }
    }
}
