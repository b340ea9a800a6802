//! Journals and ledger, compared: a situation in one sentence each.

use super::*;
use crate::core::ids::{Epoch, RevisionName};
use crate::core::recall::Memory;
use crate::ports::{HostErrorKind, Owner};

fn host() -> HostName {
    HostName::new("web-01")
}

fn recorded(hash: &str, event: Event) -> RecordedEvent {
    RecordedEvent {
        rollout: RolloutId(7),
        seq: 1,
        at: Timestamp::from_millis(0),
        event,
        hash: hash.to_owned(),
    }
}

fn begun(hash: &str, action: ActionKind) -> RecordedEvent {
    let host = host();
    recorded(hash, Event::ActionStarted { host, action })
}

fn done(action: ActionKind) -> RecordedEvent {
    let (host, outcome) = (host(), ActionOutcome::Done { started: None });
    recorded(
        "end",
        Event::ActionEnded {
            host,
            action,
            outcome,
        },
    )
}

fn line(outcome: &str, hash: &str) -> JournalLine {
    JournalLine {
        at: Timestamp::from_millis(0),
        rollout: RolloutId(7),
        epoch: Epoch(1),
        by: "ann@desk".to_owned(),
        from: None,
        to: RevisionName::parse("v1").ok(),
        outcome: outcome.to_owned(),
        hash: Some(hash.to_owned()).filter(|hash| hash != "-"),
    }
}

fn remembered(owner: &str, journal: &[(&str, &str)]) -> Remembered {
    Remembered {
        owner: Some(Owner {
            ledger: LedgerId::new(owner),
            machine: "desk".to_owned(),
        }),
        memory: Memory {
            journal: journal
                .iter()
                .map(|(outcome, hash)| line(outcome, hash))
                .collect(),
            ..Memory::default()
        },
    }
}

#[test]
fn what_agrees_and_what_differs() {
    let mut known = Known::default();
    for event in [
        begun("a", ActionKind::Activate),
        done(ActionKind::Activate),
        begun("c", ActionKind::Confirm),
        done(ActionKind::Confirm),
    ] {
        known.take(&event);
    }
    let ledger = LedgerId::new("ours");
    let later = Timestamp::from_millis(60_000);
    for (sentence, owner, journal, compared, differs) in [
        (
            "all of it is there",
            "ours",
            vec![("switched", "a"), ("confirmed", "c")],
            Ok(2),
            vec![],
        ),
        (
            "what was there before the host was taken over is another ledger's",
            "ours",
            vec![
                ("switched", "x"),
                ("taken over from the ledger x on desk", "-"),
                ("switched", "a"),
                ("confirmed", "c"),
            ],
            Ok(2),
            vec![],
        ),
        (
            "somebody changed the host of whom the ledger does not know",
            "ours",
            vec![("switched", "a"), ("confirmed", "c"), ("switched", "z")],
            Ok(3),
            vec!["not in the ledger: rollout 7 by ann@desk, switched (event z)"],
        ),
        (
            "the end of the journal is gone",
            "ours",
            vec![("switched", "a")],
            Ok(1),
            vec!["its journal has not (event c)"],
        ),
        (
            "what it confirmed before another ledger had the host, and gave it back",
            "ours",
            vec![
                ("switched", "a"),
                ("confirmed", "c"),
                ("taken over from the ledger ours on desk", "-"),
                ("switched", "x"),
                ("taken over from the ledger x on desk", "-"),
            ],
            Ok(0),
            vec![],
        ),
        (
            "another ledger has taken it",
            "theirs",
            vec![("switched", "z")],
            Err("the ledger theirs on desk"),
            vec![],
        ),
    ] {
        let found = known.host(&ledger, later, &host(), &Ok(remembered(owner, &journal)));
        match (&found.compared, compared) {
            (Ok(lines), Ok(expected)) => assert_eq!(*lines, expected, "{sentence}"),
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{sentence}: {why}"),
            (found, _) => panic!("{sentence}: {found:?}"),
        }
        assert_eq!(
            found.differences.len(),
            differs.len(),
            "{sentence}: {found:?}"
        );
        for (found, expected) in found.differences.iter().zip(differs) {
            assert!(found.contains(expected), "{sentence}: {found}");
        }
    }
    // A confirmation that ended while the hosts were asked.
    let now = Timestamp::from_millis(0);
    let answer = Ok(remembered("ours", &[("switched", "a")]));
    assert_eq!(
        known.host(&ledger, now, &host(), &answer).differences,
        [""; 0]
    );
    let away = HostError {
        kind: HostErrorKind::Unreachable,
        message: "connection refused".to_owned(),
        hint: None,
    };
    let found = known.host(&ledger, later, &host(), &Err(away));
    assert_eq!(found.compared, Err("connection refused".to_owned()));
}
