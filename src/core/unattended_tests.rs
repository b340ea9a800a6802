//! Who did what before, a sentence each, and what a run that nobody watches then does.

use super::*;
use crate::core::ids::RevisionName;
use Standing::*;

const NIGHT: i64 = 7_200_000;

fn revision(name: &str) -> RevisionRef {
    RevisionRef {
        name: RevisionName::parse(name).unwrap(),
        digest: Digest::new(name),
    }
}

/// A rollout that a timer began.
fn timer(kind: RolloutKind, target: &str, standing: Standing) -> Attempt {
    Attempt {
        id: RolloutId(0),
        kind,
        target: revision(target),
        begun: Hand {
            by: "root@ctl".to_owned(),
            at: Timestamp::from_millis(NIGHT),
        },
        unattended: true,
        standing,
    }
}

/// The same of a person.
fn ann(kind: RolloutKind, target: &str, standing: Standing) -> Attempt {
    Attempt {
        unattended: false,
        begun: Hand {
            by: "ann@desk".to_owned(),
            at: Timestamp::from_millis(NIGHT),
        },
        ..timer(kind, target, standing)
    }
}

fn by_bob() -> Hand {
    Hand {
        by: "bob@desk".to_owned(),
        at: Timestamp::from_millis(NIGHT + 1),
    }
}

const DONE: Standing = Completed { failed: 0 };
use RolloutKind::{Release, Restart, Rollback};

/// Oldest first, numbered from 1; what the run for `v2` does, in short.
fn answer(target: Option<&str>, hold: Option<&Remark>, oldest_first: Vec<Attempt>) -> String {
    let mut past: Vec<Attempt> = (1..)
        .zip(oldest_first)
        .map(|(id, attempt)| Attempt {
            id: RolloutId(id),
            ..attempt
        })
        .collect();
    past.reverse();
    let digest = target.map(Digest::new);
    match ruling(digest.as_ref(), hold, &past) {
        Ruling::Begin => "begins".to_owned(),
        Ruling::GoOn(id) => format!("goes on with {id}"),
        Ruling::Leave(Objection::Held(_)) => "held".to_owned(),
        Ruling::Leave(Objection::Unfinished(one)) => format!("{} is unfinished", one.id),
        Ruling::Leave(Objection::Failed(one)) => format!("{} failed", one.id),
        Ruling::Leave(Objection::Replaced(one)) => format!("replaced by {}", one.id),
    }
}

#[test]
fn what_the_past_says_of_v2() {
    let v1 = || timer(Release, "v1", DONE);
    let v2 = || timer(Release, "v2", DONE);
    let open = |rest| Open(rest);
    for (situation, past, expected) in [
        ("nothing was ever released", vec![], "begins"),
        ("v2 is new", vec![v1()], "begins"),
        ("v2 runs everywhere", vec![v1(), v2()], "begins"),
        (
            "a person released v2",
            vec![v1(), ann(Release, "v2", DONE)],
            "begins",
        ),
        (
            "v2 is old, and timers brought v3",
            vec![v2(), timer(Release, "v3", DONE)],
            "begins",
        ),
        // What failed.
        (
            "v2 failed and was rolled back",
            vec![v1(), timer(Release, "v2", RolledBack)],
            "2 failed",
        ),
        (
            "v2 failed, and the fleet is mixed",
            vec![v1(), timer(Release, "v2", Failed)],
            "2 failed",
        ),
        (
            "v2 failed when a person released it",
            vec![v1(), ann(Release, "v2", RolledBack)],
            "2 failed",
        ),
        (
            "one instance failed on v2, which was allowed",
            vec![v1(), timer(Release, "v2", Completed { failed: 1 })],
            "2 failed",
        ),
        (
            "v2 stood still with failures",
            vec![v1(), timer(Release, "v2", StoodStill { failed: 2 })],
            "2 failed",
        ),
        (
            "v2 stood still: hosts were away",
            vec![v1(), timer(Release, "v2", StoodStill { failed: 0 })],
            "begins",
        ),
        (
            "somebody ended v2",
            vec![v1(), timer(Release, "v2", Aborted(by_bob()))],
            "2 failed",
        ),
        (
            "v2's hook said no",
            vec![v1(), timer(Release, "v2", Refused)],
            "begins",
        ),
        (
            "v2 failed, then a person released it well",
            vec![timer(Release, "v2", RolledBack), ann(Release, "v2", DONE)],
            "begins",
        ),
        (
            "v2 failed before, and v3 since",
            vec![
                timer(Release, "v2", RolledBack),
                timer(Release, "v3", RolledBack),
            ],
            "1 failed",
        ),
        (
            "v3 failed, and is another build",
            vec![v1(), timer(Release, "v3", RolledBack)],
            "begins",
        ),
        (
            "v3 paused over a failure, and is another build",
            vec![v1(), timer(Release, "v3", open(Rest::Failure))],
            "begins",
        ),
        (
            "v2 paused over a failure",
            vec![v1(), timer(Release, "v2", open(Rest::Failure))],
            "2 is unfinished",
        ),
        // What a person went back from.
        (
            "a person rolled v2 back",
            vec![v1(), v2(), ann(Rollback, "v1", DONE)],
            "replaced by 3",
        ),
        (
            "a person rolled v2 back on some hosts",
            vec![v1(), v2(), ann(Rollback, "v1", StoodStill { failed: 0 })],
            "replaced by 3",
        ),
        (
            "a person's rollback of v2 failed",
            vec![v1(), v2(), ann(Rollback, "v1", Failed)],
            "replaced by 3",
        ),
        (
            "a person's rollback of v2 was itself taken back",
            vec![v1(), v2(), ann(Rollback, "v1", RolledBack)],
            "replaced by 3",
        ),
        (
            "a hook did not let a person roll v2 back",
            vec![v1(), v2(), ann(Rollback, "v1", Refused)],
            "begins",
        ),
        (
            "a person rolled back past v2",
            vec![
                v1(),
                v2(),
                timer(Release, "v3", DONE),
                ann(Rollback, "v1", DONE),
            ],
            "replaced by 4",
        ),
        (
            "a person cut v2 short by a rollback",
            vec![
                v1(),
                timer(Release, "v2", Superseded),
                ann(Rollback, "v1", DONE),
            ],
            "replaced by 3",
        ),
        (
            "v2 was rolled back, then v3 came",
            vec![
                v1(),
                v2(),
                ann(Rollback, "v1", DONE),
                timer(Release, "v3", DONE),
            ],
            "replaced by 3",
        ),
        (
            "v2 was rolled back, then released by a person",
            vec![v2(), ann(Rollback, "v1", DONE), ann(Release, "v2", DONE)],
            "begins",
        ),
        (
            "a person rolled back to v2",
            vec![v2(), timer(Release, "v3", DONE), ann(Rollback, "v2", DONE)],
            "begins",
        ),
        (
            "a rollback to v2 failed",
            vec![
                v2(),
                timer(Release, "v3", DONE),
                ann(Rollback, "v2", Failed),
            ],
            "3 failed",
        ),
        // What a person released over it.
        (
            "a person released v3 over v2",
            vec![v2(), ann(Release, "v3", DONE)],
            "replaced by 2",
        ),
        (
            "a person's v3 failed over v2, and the fleet is mixed",
            vec![v2(), ann(Release, "v3", Failed)],
            "replaced by 2",
        ),
        (
            "a person's v3 failed over v2, which is back",
            vec![v2(), ann(Release, "v3", RolledBack)],
            "begins",
        ),
        (
            "a person cut v2 short by v3, which failed",
            vec![
                v1(),
                timer(Release, "v2", Superseded),
                ann(Release, "v3", RolledBack),
            ],
            "replaced by 3",
        ),
        (
            "a timer cut v2 short by v3",
            vec![
                v1(),
                timer(Release, "v2", Superseded),
                timer(Release, "v3", DONE),
            ],
            "begins",
        ),
        (
            "a person restarted v3 after a timer brought it",
            vec![v2(), timer(Release, "v3", DONE), ann(Restart, "v3", DONE)],
            "begins",
        ),
        // What is not over.
        (
            "somebody is at work: the lease says who",
            vec![v1(), ann(Release, "v3", Driven)],
            "begins",
        ),
        (
            "a timer's v2 was interrupted",
            vec![v1(), timer(Release, "v2", open(Rest::Interrupted))],
            "goes on with 2",
        ),
        (
            "a timer's v2 stopped at the window's end",
            vec![v1(), timer(Release, "v2", open(Rest::Window))],
            "goes on with 2",
        ),
        (
            "a timer's v2 was ended by a shutdown",
            vec![v1(), timer(Release, "v2", open(Rest::Terminated))],
            "goes on with 2",
        ),
        (
            "a person paused a timer's v2",
            vec![v1(), timer(Release, "v2", open(Rest::Asked(by_bob())))],
            "2 is unfinished",
        ),
        (
            "a timer's v3 was interrupted, and v2 is new",
            vec![v1(), timer(Release, "v3", open(Rest::Interrupted))],
            "begins",
        ),
        (
            "a timer's v3 was interrupted, and v2 failed before",
            vec![
                timer(Release, "v2", RolledBack),
                timer(Release, "v3", open(Rest::Interrupted)),
            ],
            "1 failed",
        ),
        (
            "a person paused a timer's v3",
            vec![v1(), timer(Release, "v3", open(Rest::Asked(by_bob())))],
            "2 is unfinished",
        ),
        (
            "a person's v2 was interrupted",
            vec![v1(), ann(Release, "v2", open(Rest::Interrupted))],
            "2 is unfinished",
        ),
        (
            "a person's v3 was interrupted",
            vec![v1(), ann(Release, "v3", open(Rest::Interrupted))],
            "2 is unfinished",
        ),
        (
            "a person's v3 paused over a failure",
            vec![v1(), ann(Release, "v3", open(Rest::Failure))],
            "2 is unfinished",
        ),
        (
            "a person's rollback was interrupted",
            vec![v2(), ann(Rollback, "v1", open(Rest::Interrupted))],
            "2 is unfinished",
        ),
        (
            "a person's rollback was paused",
            vec![v2(), ann(Rollback, "v1", open(Rest::Asked(by_bob())))],
            "2 is unfinished",
        ),
        (
            "a person's release stopped at the window's end",
            vec![v1(), ann(Release, "v3", open(Rest::Window))],
            "goes on with 2",
        ),
    ] {
        assert_eq!(answer(Some("v2"), None, past), expected, "{situation}");
    }
}

#[test]
fn before_the_build_is_known_only_what_holds_for_any_is_said() {
    let hold = Remark {
        by: "ann@desk".to_owned(),
        at: Timestamp::from_millis(NIGHT),
        cause: None,
    };
    for (situation, hold, past, expected) in [
        ("nothing was ever released", None, vec![], "begins"),
        ("it is held", Some(&hold), vec![], "held"),
        (
            "it is held, and a timer's rollout is open",
            Some(&hold),
            vec![timer(Release, "v2", Open(Rest::Interrupted))],
            "held",
        ),
        (
            "a person's rollback is open",
            None,
            vec![ann(Rollback, "v1", Open(Rest::Interrupted))],
            "1 is unfinished",
        ),
        (
            "a timer's rollout is open: for which build?",
            None,
            vec![timer(Release, "v2", Open(Rest::Interrupted))],
            "begins",
        ),
        (
            "a build failed: this one?",
            None,
            vec![timer(Release, "v2", RolledBack)],
            "begins",
        ),
    ] {
        assert_eq!(answer(None, hold, past), expected, "{situation}");
    }
}

#[test]
fn one_that_a_person_ever_drove_is_theirs() {
    use crate::core::ids::ServiceName;
    let recorded = |(seq, event)| RecordedEvent {
        rollout: RolloutId(1),
        seq,
        at: Timestamp::from_millis(NIGHT),
        event,
        hash: String::new(),
    };
    for (begun_by_timer, gone_on_by_timer, expected) in [
        (true, vec![], true),
        (false, vec![], false),
        (true, vec![true], true),
        (true, vec![false], false),
        (true, vec![false, true], false),
        // Its window had closed, and the next run of the timer went on with it.
        (false, vec![true], false),
    ] {
        let web = ServiceName::new("web");
        let mut spec =
            crate::core::recall::spec(&web, Release, revision("v2"), None, 1, Vec::new());
        spec.unattended = begun_by_timer;
        let started = Event::RolloutStarted {
            spec: Box::new(spec),
            by: "ann@desk".to_owned(),
            cause: None,
        };
        let resumed = gone_on_by_timer.iter().flat_map(|unattended| {
            let resumed = Event::RolloutResumed {
                by: "root@ctl".to_owned(),
                retry: false,
                window: None,
                unattended: *unattended,
            };
            [Event::RolloutPaused, resumed]
        });
        let events: Vec<_> = (1..)
            .zip(std::iter::once(started).chain(resumed))
            .map(recorded)
            .collect();
        let attempt = Attempt::read(&events, false).unwrap();
        assert_eq!(
            attempt.unattended, expected,
            "{begun_by_timer} {gone_on_by_timer:?}"
        );
    }
}
