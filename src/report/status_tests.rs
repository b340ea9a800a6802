use super::*;
use crate::core::ids::RevisionNumber;
use crate::ports::Attestation;
use crate::report::sample::{at, host, revision};
use crate::report::verify::Compared;

pub(crate) fn release(number: u32, names: &[&str]) -> Revision {
    Revision {
        number: RevisionNumber(number),
        names: names
            .iter()
            .map(|name| RevisionName::parse(name).unwrap())
            .collect(),
        digest: revision(names[0]).digest,
        created_at: at(-7_500_000),
        created_by: "ann@desk".to_owned(),
        cause: None,
        adopted: None,
        signers: Vec::new(),
        kept: false,
    }
}

fn instance(name: &str, revision: &str, state: &str, age: Option<i64>) -> InstanceView {
    InstanceView {
        host: host(name),
        spare: false,
        revision: RevisionName::parse(revision).ok(),
        state: state.to_owned(),
        since: age.map(|seconds| at(-seconds * 1000)),
    }
}

fn view() -> StatusView {
    StatusView {
        service: ServiceName::new("web"),
        revision: Some(release(7, &["v1.4.1"])),
        rollout: Some(RolloutView {
            id: RolloutId(12),
            kind: RolloutKind::Release,
            phase: "progressing".to_owned(),
            from: RevisionName::parse("v1.4.1").ok(),
            to: RevisionName::parse("v1.4.2").unwrap(),
            by: "ann@desk".to_owned(),
            resumed_by: None,
            started_at: at(-41_000),
            budget: Budget {
                desired: 3,
                max_surge: 0,
                max_unavailable: 1,
            },
            waiting_on: vec![
                WaitReason::Settling {
                    host: host("web-02"),
                    until: Some(at(7_000)),
                    deadline: at(60_000),
                },
                WaitReason::NoHeadroom {
                    available: 2,
                    min_available: 2,
                    unavailable: vec![host("web-02")],
                },
            ],
            why: None,
            failed: 0,
            goes_back: false,
        }),
        desired: 3,
        current: 3,
        up_to_date: 2,
        available: 2,
        instances: vec![
            instance("web-01", "v1.4.2", "available", Some(30)),
            instance("web-02", "v1.4.2", "settling", Some(3)),
            instance("web-03", "v1.4.1", "available", Some(7_400)),
        ],
        live: true,
        out_of_service: vec![host("web-04")],
        hold: None,
        verified: None,
        now: at(0),
    }
}

#[test]
fn a_rollout_on_its_way() {
    insta::assert_snapshot!(status_table(&view()));
}

#[test]
fn a_paused_rollout_says_what_to_do() {
    let mut view = view();
    if let Some(rollout) = &mut view.rollout {
        rollout.phase = "paused".to_owned();
        rollout.waiting_on.clear();
        rollout.why = Some("2 instances failed".to_owned());
        rollout.failed = 2;
    }
    view.live = false;
    insta::assert_snapshot!(status_table(&view));
}

#[test]
fn a_rollout_that_waits_for_somebody_says_what_to_type() {
    let resume = "`rollctl resume web`";
    let back = "; `rollctl rollback web --to v1.4.1` returns to `v1.4.1`";
    let tells = "; `rollctl describe 12` tells all";
    for (phase, waiting_on, failed, goes_back, line, hint) in [
        (
            "paused",
            None,
            0,
            false,
            "is paused (",
            Some(format!("{resume} goes on{back}{tells}")),
        ),
        (
            "paused",
            None,
            1,
            false,
            "is paused (",
            Some(format!("{resume} retries the failed instance{back}{tells}")),
        ),
        (
            "paused",
            None,
            1,
            true,
            "is paused (",
            Some(format!("{resume} goes on going back{tells}")),
        ),
        (
            "interrupted",
            None,
            0,
            false,
            "is interrupted (",
            Some(format!("{resume} looks at the hosts and goes on{back}")),
        ),
        (
            "interrupted",
            None,
            1,
            true,
            "is interrupted (",
            Some(format!(
                "{resume} looks at the hosts and goes on going back"
            )),
        ),
        (
            "at-step",
            Some(WaitReason::Approval { step: 0 }),
            0,
            false,
            "is at a step (",
            Some(
                "`rollctl approve web` lets it go on; `rollctl abort web` ends it where it stands"
                    .to_owned(),
            ),
        ),
        (
            "at-step",
            Some(WaitReason::Baking {
                step: 0,
                until: at(60_000),
            }),
            0,
            false,
            "is at a step (",
            None,
        ),
        ("rolling-back", None, 1, true, "is rolling back (", None),
    ] {
        let mut view = view();
        if let Some(rollout) = &mut view.rollout {
            rollout.phase = phase.to_owned();
            rollout.waiting_on = waiting_on.into_iter().collect();
            rollout.why = Some("that is why".to_owned());
            rollout.resumed_by = Some("bob@lap".to_owned());
            (rollout.failed, rollout.goes_back) = (failed, goes_back);
        }
        let text = status_table(&view);
        assert!(
            text.contains("by ann@desk, gone on with by bob@lap\n"),
            "{text}"
        );
        assert!(text.contains(&format!("{line}that is why)")), "{text}");
        let told = text.split_once("\nhint: ").map(|(_, hint)| hint.trim_end());
        assert_eq!(told, hint.as_deref(), "{phase}: {text}");
    }
}

#[test]
fn nothing_was_released_yet() {
    let view = StatusView {
        revision: None,
        rollout: None,
        instances: vec![
            instance("web-01", "", "absent", None),
            instance("web-02", "", "unreachable", None),
        ],
        desired: 2,
        current: 1,
        up_to_date: 0,
        available: 0,
        out_of_service: vec![],
        ..view()
    };
    insta::assert_snapshot!(status_table(&view));
    let json = status_json(&view);
    assert_eq!(json["revision"], Value::Null);
    assert_eq!(json["rollout"], Value::Null);
    assert_eq!(json["instances"][0]["revision"], Value::Null);
    assert_eq!(json["instances"][0]["since"], Value::Null);
}

#[test]
fn a_held_service_says_by_whom_and_how_it_is_lifted() {
    let held = StatusView {
        hold: Some(Remark {
            by: "ann@desk".to_owned(),
            at: at(-600_000),
            cause: Some("the database moves \x1b[31m".to_owned()),
        }),
        ..view()
    };
    let text = status_table(&held);
    let line = "held (the database moves \\x1b[31m) for 10m by ann@desk: unattended runs leave it alone; \
`rollctl unhold web` lifts it\n";
    assert!(text.contains(line), "{text}");
    assert_eq!(status_json(&held)["hold"]["by"], "ann@desk");
    assert_eq!(status_json(&view())["hold"], Value::Null);
}

#[test]
fn programs_get_the_contracts_keys_and_no_other() {
    let json = status_json(&view());
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "available",
            "current",
            "desired",
            "hold",
            "instances",
            "revision",
            "rollout",
            "service",
            "up_to_date",
            "version"
        ]
    );
    assert_eq!(json["version"], 1);
    assert_eq!(json["service"], "web");
    assert_eq!(json["revision"]["number"], 7);
    assert_eq!(json["revision"]["name"], "v1.4.1");
    assert_eq!(json["desired"], 3);
    assert_eq!(json["up_to_date"], 2);
    assert_eq!(json["rollout"]["id"], 12);
    assert_eq!(json["rollout"]["kind"], "release");
    assert_eq!(json["rollout"]["phase"], "progressing");
    assert_eq!(json["rollout"]["from"], "v1.4.1");
    assert_eq!(json["rollout"]["to"], "v1.4.2");
    assert_eq!(json["rollout"]["waiting_on"][1]["reason"], "no_headroom");
    assert_eq!(json["rollout"]["waiting_on"][1]["hosts"][0], "web-02");
    assert_eq!(
        json["instances"][1],
        json!({"host": "web-02", "revision": "v1.4.2", "state": "settling", "since": "2026-11-22T10:40:57.000Z"})
    );
}

#[test]
fn what_is_seen_now_counts_and_what_did_not_change_keeps_its_age() {
    let view = StatusView {
        rollout: None,
        live: false,
        ..view()
    }
    .looked_at(vec![
        instance("web-01", "v1.4.1", "available", None),
        instance("web-02", "v1.4.2", "not-ready", None),
        instance("web-03", "", "unreachable", None),
    ]);
    assert!(view.live);
    let counts = (view.desired, view.current, view.up_to_date, view.available);
    assert_eq!(counts, (3, 3, 1, 1));
    assert_eq!(view.instances[0].since, None, "it runs something else now");
    assert_eq!(view.instances[1].since, Some(at(-3_000)), "as before");
}

#[test]
fn a_host_on_which_two_run_stands_there_twice_and_is_available_once() {
    let view = StatusView {
        rollout: None,
        out_of_service: vec![],
        ..view()
    }
    .looked_at(vec![
        instance("web-01", "v1.4.2", "available", None),
        instance("web-01", "v1.4.1", "available", None),
        instance("web-02", "v1.4.1", "available", None),
        instance("web-02", "v1.4.2", "ready", None),
    ]);
    insta::assert_snapshot!(status_table(&view), @r"
    SERVICE   REVISION   DESIRED   CURRENT   UP-TO-DATE   AVAILABLE   AGE
    web       v1.4.1     3         5         3            3           125m

    HOST     REVISION   STATE       SINCE
    web-01   v1.4.2     available   30s
    web-01   v1.4.1     available   -
    web-02   v1.4.1     available   -
    web-02   v1.4.2     ready       3s
    web-03   v1.4.1     available   123m
    ");
    let json = status_json(&view);
    let of = |at: usize| {
        (
            &json["instances"][at]["host"],
            &json["instances"][at]["revision"],
        )
    };
    assert_eq!(of(0), (&json!("web-01"), &json!("v1.4.2")));
    assert_eq!(of(1), (&json!("web-01"), &json!("v1.4.1")));

    // The next look shows that one of them is gone.
    let view = view.looked_at(vec![instance("web-01", "v1.4.2", "available", None)]);
    let counts = (view.desired, view.current, view.up_to_date, view.available);
    assert_eq!(counts, (3, 4, 2, 3));
    assert_eq!(view.instances[0].since, Some(at(-30_000)), "as before");
    assert_eq!(view.instances[1].host, host("web-02"));
}

#[test]
fn of_two_on_a_host_the_one_that_was_compared_says_so() {
    let view = StatusView {
        rollout: None,
        out_of_service: vec![],
        instances: vec![
            instance("web-01", "v1.4.2", "settling", Some(3)),
            instance("web-01", "v1.4.1", "available", Some(30)),
        ],
        verified: Some(vec![Verified {
            host: host("web-01"),
            seen: Ok(Compared {
                revision: RevisionName::parse("v1.4.1").ok(),
                attestation: Some(Attestation::RunningFile),
                drift: vec![],
            }),
        }]),
        ..view()
    };
    let json = status_json(&view);
    assert_eq!(json["instances"][0]["verified"], Value::Null);
    assert_eq!(json["instances"][1]["verified"], "running_file");
    let table = status_table(&view);
    let cell = |revision: &str| {
        let line = table
            .lines()
            .find(|line| line.contains(&format!("web-01   {revision}")));
        line.is_some_and(|line| line.ends_with("running file"))
    };
    assert!(!cell("v1.4.2") && cell("v1.4.1"), "{table}");
}

#[test]
fn what_was_verified_and_what_differs() {
    let compared = |name: &str, attestation, drift: &[&str]| Verified {
        host: host(name),
        seen: Ok(Compared {
            revision: None,
            attestation,
            drift: drift.iter().map(|&line| line.to_owned()).collect(),
        }),
    };
    let view = StatusView {
        rollout: None,
        instances: vec![
            instance("web-01", "v1.4.2", "available", Some(30)),
            instance("web-02", "v1.4.2", "available", Some(30)),
            instance("web-03", "v1.4.2", "available", Some(30)),
            instance("web-05", "", "unreachable", None),
            instance("web-06", "", "absent", None),
        ],
        verified: Some(vec![
            compared("web-01", Some(Attestation::RunningFile), &[]),
            compared("web-02", Some(Attestation::FilesAndRestart), &[]),
            compared(
                "web-03",
                None,
                &[
                    "`web` of `v1.4.2` was changed on disk",
                    "the unit file of `web.service` differs from the revision's \x1b[2J",
                ],
            ),
            Verified {
                host: host("web-05"),
                seen: Err("connection refused (192.0.2.15:22)".to_owned()),
            },
            compared("web-06", None, &[]),
        ]),
        ..view()
    };
    insta::assert_snapshot!(status_table(&view));
    let json = status_json(&view);
    let of = |at: usize| {
        (
            &json["instances"][at]["verified"],
            &json["instances"][at]["drift"],
        )
    };
    assert_eq!(of(0), (&json!("running_file"), &json!([])));
    assert_eq!(of(1), (&json!("files_and_restart"), &json!([])));
    assert_eq!(of(2).0, &Value::Null);
    assert_eq!(of(2).1[0], "`web` of `v1.4.2` was changed on disk");
    assert_eq!(of(3), (&Value::Null, &json!([])));
}
