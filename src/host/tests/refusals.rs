//! What a host refuses before anything goes down, and who may not work there.

use super::bench::*;
use crate::core::event::Runs;
use crate::core::ids::LedgerId;
use crate::ports::*;

#[tokio::test]
async fn who_may_not_work_here() {
    let bench = Bench::new("dash");
    let hosts = bench.hosts(service());
    let me = controller(5);
    let one = bench.store.add("v1", 1, &v(1));
    hosts.claim(&host(), &me).await.unwrap();
    hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
    let older = controller(4);
    let mut other = controller(9);
    other.owner.ledger = LedgerId::new("99999999-0000-0000-0000-000000000000");
    let first = switch_of(Runs::Nothing, runs(&one), "h1");
    for (controller, word) in [(&older, "epoch 5"), (&other, "11111111-2222")] {
        for error in [
            hosts.claim(&host(), controller).await.unwrap_err(),
            hosts
                .stage(&host(), controller, &one, &no_progress)
                .await
                .unwrap_err(),
            hosts.switch(&host(), controller, &first).await.unwrap_err(),
            hosts.prune(&host(), controller, &[]).await.unwrap_err(),
        ] {
            assert_eq!(error.kind, HostErrorKind::Refused, "{error}");
            assert!(error.message.contains(word), "{error}");
        }
    }
    assert!(bench.path("web/revisions/v1").exists());
    assert_eq!(bench.current(), None);
    let mut shared = service();
    shared.name = crate::core::ids::ServiceName::new("api");
    let error = bench.hosts(shared).claim(&host(), &me).await.unwrap_err();
    assert!(
        error.message.contains("belongs to the service `web`"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_refused_before_anything_goes_down() {
    let bench = Bench::new("dash");
    let me = controller(1);
    let hosts = bench.hosts(service());
    hosts.claim(&host(), &me).await.unwrap();
    let plain = Recipe {
        program: "#!/bin/sh\n",
        ..Recipe::default()
    };
    let no_unit = bench.store.add("v1", 1, &plain);
    let table = [
        ("no unit anywhere", None, None, "is not installed"),
        (
            "a oneshot",
            None,
            Some("[Service]\nType=oneshot\nExecStart=%h/web/current/web\n"),
            "oneshot",
        ),
        (
            "past current",
            None,
            Some("[Service]\nExecStart=/usr/bin/true\n"),
            "would not change",
        ),
        (
            "no lingering",
            Some("no"),
            Some(UNIT),
            "end with its last login",
        ),
    ];
    for (why, linger, unit_text, words) in table {
        if let Some(text) = unit_text {
            bench.unit_file(text);
        }
        bench.write("fake/linger", linger.unwrap_or("yes"));
        let error = hosts
            .stage(&host(), &me, &no_unit, &no_progress)
            .await
            .unwrap_err();
        assert_eq!(error.kind, HostErrorKind::Refused, "{why}: {error}");
        assert!(error.message.contains(words), "{why}: {error}");
        assert!(error.hint.is_some(), "{why}");
    }
    bench.write("fake/linger", "yes");
    hosts
        .stage(&host(), &me, &no_unit, &no_progress)
        .await
        .unwrap();
    let other = bench.store.add("v1", 2, &v(2));
    let error = hosts
        .stage(&host(), &me, &other, &no_progress)
        .await
        .unwrap_err();
    assert!(error.message.contains("is another revision"), "{error}");
}

#[tokio::test]
async fn journals_that_may_not_be_read_are_not_empty() {
    let bench = Bench::new("dash");
    let hosts = bench.hosts(service());
    bench.unit_file(UNIT);
    bench.write("fake/web.service.invocation", "00ff\n");
    let hint = "Hint: You are currently not seeing messages from other users and the system.\n      Users in groups ...\n";
    for (lines, hint, expected) in [
        (
            "Nov 22 web[1]: a\nNov 22 web[1]: b\n",
            "",
            JournalExcerpt::Lines(vec!["Nov 22 web[1]: a".into(), "Nov 22 web[1]: b".into()]),
        ),
        (
            "Nov 22 web[1]: a\n",
            hint,
            JournalExcerpt::Lines(vec!["Nov 22 web[1]: a".into()]),
        ),
        ("-- No entries --\n", "", JournalExcerpt::Lines(Vec::new())),
        ("-- No entries --\n", hint, JournalExcerpt::NotReadable),
        (
            "",
            "No journal files were opened due to insufficient permissions.\n",
            JournalExcerpt::NotReadable,
        ),
    ] {
        bench.write("fake/journal", lines);
        bench.write("fake/journal-hint", hint);
        assert_eq!(
            hosts.journal(&host(), None, 20).await.unwrap(),
            expected,
            "{lines:?} {hint:?}"
        );
    }
    assert_eq!(
        bench.read("fake/journal-args").trim(),
        "--user-unit web.service _SYSTEMD_INVOCATION_ID=00ff + USER_INVOCATION_ID=00ff -n 20 --no-pager -o short"
    );
}
