//! What hosts remember, and the past that is made of it: a situation in one sentence each.

use std::collections::BTreeMap;

use super::*;
use crate::core::ids::RevisionNumber;

fn host(name: &str) -> HostName {
    HostName::new(name)
}

fn web() -> ServiceName {
    ServiceName::new("web")
}

fn manifest(number: u32, names: &[&str], digest: &str) -> Manifest {
    Manifest {
        service: web(),
        number: RevisionNumber(number),
        names: names
            .iter()
            .map(|name| RevisionName::parse(name).unwrap())
            .collect(),
        digest: Digest::new(digest),
        architecture: None,
        files: Vec::new(),
        units: BTreeMap::new(),
        environment: false,
        created_at: Timestamp::from_millis(i64::from(number) * 1_000),
        created_by: "ann@desk".to_owned(),
        cause: Some(format!("cause {number}")),
        adopted: None,
        signers: Vec::new(),
    }
}

/// `at rollout epoch from to outcome`, blanks between them; the outcome may have some.
fn line(text: &str) -> JournalLine {
    let words: Vec<&str> = text.splitn(6, ' ').collect();
    let [at, rollout, epoch, from, to, outcome] = words[..] else {
        panic!("{text}")
    };
    let columns = [at, rollout, epoch, "ann@desk", from, to, outcome, "h"].join("\t");
    let seconds = |text: &str| Some(Timestamp::from_millis(text.parse::<i64>().ok()? * 1_000));
    JournalLine::parse(&columns, seconds).unwrap()
}

fn memory(manifests: &[Manifest], journal: &[&str]) -> Memory {
    Memory {
        manifests: manifests.to_vec(),
        journal: journal.iter().map(|text| line(text)).collect(),
        unreadable: Vec::new(),
    }
}

fn three() -> [Manifest; 3] {
    [
        manifest(1, &["v1"], "d1"),
        manifest(2, &["v2"], "d2"),
        manifest(3, &["v3"], "d3"),
    ]
}

/// `id kind from>to outcome`, and `!` where it was partial.
fn in_short(past: &Recalled) -> Vec<String> {
    past.rollouts
        .iter()
        .map(|rollout| {
            let Event::RolloutStarted { spec, .. } = &rollout.events[0].1 else {
                panic!("{:?}", rollout.events[0])
            };
            let (_, last) = rollout.events.last().unwrap();
            let Event::RolloutEnded { outcome } = last else {
                panic!("{last:?}")
            };
            let from = spec.from.as_ref().map_or("-", |from| from.name.as_str());
            let partial = if spec.hosts.iter().any(|host| !host.selected) {
                "!"
            } else {
                ""
            };
            format!(
                "{} {} {from}>{} {outcome}{partial}",
                rollout.id, spec.kind, spec.target
            )
        })
        .collect()
}

#[test]
fn what_rollouts_two_hosts_remember() {
    let first = ["10 1 1 - v1 switched", "12 1 1 - v1 confirmed"];
    let second = ["20 2 2 v1 v2 switched", "22 2 2 v1 v2 confirmed"];
    let back_and_again = [
        "30 3 3 v2 v1 switched",
        "31 3 3 v2 v1 confirmed",
        "40 4 4 v1 v1 switched",
        "41 4 4 v1 v1 confirmed",
    ];
    // sentence, the journals of web-01 and of web-02, the rollouts
    type Row<'a> = (&'a str, Vec<&'a str>, Vec<&'a str>, Vec<&'a str>);
    let rows: Vec<Row<'_>> = vec![
        ("nothing happened", vec![], vec![], vec![]),
        (
            "a first release, and another",
            [first, second].concat(),
            [first, second].concat(),
            vec!["1 release ->v1 completed", "2 release v1>v2 completed"],
        ),
        (
            "a rollback is known by its lower number, a restart by its revision",
            [&first[..], &second, &back_and_again].concat(),
            [&first[..], &second, &back_and_again].concat(),
            vec![
                "1 release ->v1 completed",
                "2 release v1>v2 completed",
                "3 rollback v2>v1 completed",
                "4 restart v1>v1 completed",
            ],
        ),
        (
            "only one of two hosts was touched: it does not become the service's revision",
            [&first[..], &second].concat(),
            first.to_vec(),
            vec!["1 release ->v1 completed", "2 release v1>v2 completed!"],
        ),
        (
            "one failed, and both were put back",
            [
                &first[..],
                &["20 2 2 v1 v2 switched", "25 2 2 v2 v1 switched"],
            ]
            .concat(),
            [
                &first[..],
                &["21 2 2 v1 v2 switched", "26 2 2 v2 v1 switched"],
            ]
            .concat(),
            vec!["1 release ->v1 completed", "2 release v1>v2 rolled_back"],
        ),
        (
            "the dead-man's switch put one back, the other stayed",
            [
                &first[..],
                &[
                    "20 2 2 v1 v2 switched",
                    "150 2 2 v2 v1 put back by the dead-man's switch: not confirmed within 90 s",
                ],
            ]
            .concat(),
            [first, second].concat(),
            vec!["1 release ->v1 completed", "2 release v1>v2 failed"],
        ),
        (
            "what was switched and never confirmed has failed",
            [&first[..], &["20 2 2 v1 v2 switched"]].concat(),
            first.to_vec(),
            vec!["1 release ->v1 completed", "2 release v1>v2 failed"],
        ),
        (
            "a later controller went on with it: one rollout, not two",
            [
                &first[..],
                &["20 2 2 v1 v2 switched", "40 2 5 v1 v2 confirmed"],
            ]
            .concat(),
            [
                &first[..],
                &["50 2 5 v1 v2 switched", "52 2 5 v1 v2 confirmed"],
            ]
            .concat(),
            vec!["1 release ->v1 completed", "2 release v1>v2 completed"],
        ),
        (
            "another ledger took the hosts over and counted from 1: by the epochs it came later, whatever the clocks say",
            [
                &first[..],
                &second,
                &[
                    "5 1 3 - - taken over from the ledger x on desk",
                    "6 1 3 v2 v3 switched",
                    "7 1 3 v2 v3 confirmed",
                ],
            ]
            .concat(),
            [first, second].concat(),
            vec![
                "1 release ->v1 completed",
                "2 release v1>v2 completed",
                "1 release v2>v3 completed!",
            ],
        ),
        (
            "side by side, the old one is stopped at the end",
            [&first[..], &second, &["23 2 2 v1 v2 stopped"]].concat(),
            [&first[..], &second, &["24 2 2 v1 v2 stopped"]].concat(),
            vec!["1 release ->v1 completed", "2 release v1>v2 completed"],
        ),
        (
            "a spare host ran it meanwhile, and later rollouts did without",
            [
                &first[..],
                &second,
                &["30 3 3 v2 v1 switched", "31 3 3 v2 v1 confirmed"],
            ]
            .concat(),
            vec![
                "21 2 2 - v2 switched",
                "22 2 2 - v2 confirmed",
                "23 2 2 v2 - switched",
                "24 2 2 v2 - confirmed",
            ],
            vec![
                "1 release ->v1 completed",
                "2 release v1>v2 completed",
                "3 rollback v2>v1 completed",
            ],
        ),
        (
            "a step that was cut off was brought to its end by the next claim",
            [&first[..], &["20 2 2 - - put back"], &second].concat(),
            [&first[..], &["20 2 2 - - finished"], &second].concat(),
            vec!["1 release ->v1 completed", "2 release v1>v2 completed"],
        ),
        (
            "a revision of which nothing is left takes its rollouts with it",
            vec![
                "1 1 1 - v0 switched",
                "2 1 1 - v0 confirmed",
                "10 2 2 v0 v1 switched",
                "11 2 2 v0 v1 confirmed",
            ],
            vec![
                "1 1 1 - v0 switched",
                "2 1 1 - v0 confirmed",
                "10 2 2 v0 v1 switched",
                "11 2 2 v0 v1 confirmed",
            ],
            vec!["2 release ->v1 completed"],
        ),
    ];
    for (sentence, one, other, expected) in rows {
        let memories = BTreeMap::from([
            (host("web-01"), memory(&three(), &one)),
            (host("web-02"), memory(&three()[..2], &other)),
        ]);
        assert_eq!(in_short(&recall(&web(), &memories)), expected, "{sentence}");
    }
}

#[test]
fn every_line_becomes_an_event_at_its_time() {
    let memories = BTreeMap::from([(
        host("web-01"),
        memory(
            &three(),
            &["10 7 3 v1 v2 switched", "12 7 4 v1 v2 confirmed"],
        ),
    )]);
    let past = recall(&web(), &memories);
    let [rollout] = &past.rollouts[..] else {
        panic!("{past:?}")
    };
    assert_eq!((rollout.id, rollout.epoch), (RolloutId(7), Epoch(4)));
    let seconds: Vec<_> = rollout
        .events
        .iter()
        .map(|(at, _)| at.as_millis() / 1_000)
        .collect();
    assert_eq!(seconds, [10, 10, 12, 12]);
    let read = Event::ReadBack {
        host: host("web-01"),
        line: Box::new(line("10 7 3 v1 v2 switched")),
    };
    assert_eq!(rollout.events[1].1, read);
}

#[test]
fn revisions_are_put_together_from_all_hosts() {
    let renamed = manifest(2, &["v2", "stable"], "d2");
    let of_another = Manifest {
        service: ServiceName::new("api"),
        ..manifest(9, &["v9"], "d9")
    };
    let memories = BTreeMap::from([
        (
            host("web-01"),
            memory(&[manifest(2, &["v2"], "d2"), of_another], &[]),
        ),
        (
            host("web-02"),
            memory(&[renamed, manifest(1, &["v1"], "d1")], &[]),
        ),
    ]);
    let past = recall(&web(), &memories);
    let found: Vec<_> = past
        .revisions
        .iter()
        .map(|one| {
            (
                one.number.0,
                one.names.len(),
                one.digest.as_str(),
                one.cause.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [(1, 1, "d1", Some("cause 1")), (2, 2, "d2", Some("cause 2"))]
    );
    assert_eq!(past.notes, [""; 0]);
}

#[test]
fn two_that_claim_one_number_or_name_do_not_become_one() {
    let younger = Manifest {
        created_at: Timestamp::from_millis(9_000),
        ..manifest(2, &["w2"], "e2")
    };
    let same_name = manifest(1, &["w2"], "f1");
    let unnumbered = manifest(0, &["adopted-0123"], "a0");
    let memories = BTreeMap::from([
        (
            host("web-01"),
            memory(&[manifest(2, &["v2"], "d2"), unnumbered], &[]),
        ),
        (host("web-02"), memory(&[younger], &[])),
        (host("web-03"), memory(&[same_name], &[])),
    ]);
    let past = recall(&web(), &memories);
    let found: Vec<_> = past
        .revisions
        .iter()
        .map(|one| (one.number.0, one.reference().name.to_string()))
        .collect();
    assert_eq!(
        found,
        [
            (2, "w2".to_owned()),
            (3, "v2".to_owned()),
            (4, "adopted-0123".to_owned()),
        ]
    );
    assert_eq!(past.notes.len(), 3, "{:?}", past.notes);
}

#[test]
fn what_a_line_must_look_like() {
    let time = |text: &str| text.parse().ok().map(Timestamp::from_millis);
    for (text, problem) in [
        ("", "eight columns"),
        ("1\t1\t1\tann\tv1\tv2\tswitched", "eight columns"),
        ("1\t1\t1\tann\tv1\tv2\tswitched\th\tx", "eight columns"),
        ("soon\t1\t1\tann\tv1\tv2\tswitched\th", "time"),
        ("1\tx\t1\tann\tv1\tv2\tswitched\th", "rollout"),
        ("1\t1\t\tann\tv1\tv2\tswitched\th", "epoch"),
        ("1\t1\t1\tann\t../v1\tv2\tswitched\th", "revision"),
    ] {
        let error = JournalLine::parse(text, time).unwrap_err();
        assert!(error.contains(problem), "{text}: {error}");
    }
    let whole = JournalLine::parse("1\t2\t3\tann@desk\t-\tv2\tswitched\t-", time).unwrap();
    assert_eq!((whole.from, whole.hash), (None, None));
}
