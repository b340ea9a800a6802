//! A service from nothing over two releases and back, step by step, each step twice.

use super::bench::*;
use crate::core::event::Runs;
use crate::core::ids::{Epoch, LedgerId, RevisionName};
use crate::ports::*;

fn switch_of(from: Runs, to: Runs, hash: &str) -> Switch {
    Switch {
        from,
        to,
        event_hash: hash.into(),
        guarded: false,
    }
}

fn v(n: u32) -> Recipe {
    match n {
        1 => Recipe {
            program: "#!/bin/sh\necho one\n",
            unit: Some(UNIT),
            environment: Some("A=\"1\"\n"),
            files: vec![("etc/-x $(touch pwned)", 0o640, "x"), ("etc/b", 0o644, "b")],
        },
        _ => Recipe {
            program: "#!/bin/sh\necho two\n",
            unit: Some("[Service]\nExecStart=%h/web/current/web --two\n"),
            environment: None,
            files: Vec::new(),
        },
    }
}

#[tokio::test]
async fn a_service_from_nothing_over_two_releases_and_back() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let hosts = bench.hosts(service());
        let me = controller(1);
        let (one, two) = (
            bench.store.add("v1", 1, &v(1)),
            bench.store.add("v2", 2, &v(2)),
        );

        let facts = hosts.observe(&host()).await.unwrap();
        assert_eq!(facts.runs, Runs::Nothing);
        assert_eq!(facts.unadopted, None);
        assert_eq!((facts.owner, facts.epoch), (None, None));
        assert_eq!(facts.units[0].load, "not-found");

        for _ in 0..2 {
            hosts.claim(&host(), &me).await.unwrap();
        }
        let facts = hosts.observe(&host()).await.unwrap();
        assert_eq!(facts.owner.unwrap().ledger, me.owner.ledger);
        assert_eq!(facts.epoch, Some(Epoch(1)));

        let staged = hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
        assert!(staged.bytes_sent > 0);
        assert_eq!(staged.adopted, None);
        let again = hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
        assert_eq!(again.bytes_sent, 0, "{shell}: it was there");
        assert_eq!(bench.current(), None, "nothing was switched");
        assert_eq!(bench.calls(), Vec::<String>::new(), "nothing was started");
        let mode = |name: &str| {
            use std::os::unix::fs::PermissionsExt;
            bench.path(name).metadata().unwrap().permissions().mode() & 0o7777
        };
        assert_eq!(mode("web/revisions/v1/web"), 0o755);
        assert_eq!(mode("web/revisions/v1/etc/-x $(touch pwned)"), 0o640);
        assert_eq!(mode("web/revisions/v1/.rollctl/environment"), 0o600);
        assert_eq!(mode("web/revisions/v1"), 0o755);

        let first = switch_of(Runs::Nothing, runs(&one), "h1");
        let started = hosts.switch(&host(), &me, &first).await.unwrap();
        assert_eq!(bench.running(), v(1).program);
        assert_eq!(bench.installed_unit(), UNIT);
        assert_eq!(
            bench.calls(),
            ["daemon-reload", "enable web.service", "restart web.service"]
        );
        let again = hosts.switch(&host(), &me, &first).await.unwrap();
        assert_eq!(again, started, "{shell}: done twice, the same answer");
        assert_eq!(bench.calls().len(), 3, "{shell}: and nothing done");
        assert_eq!(
            bench.read(".config/systemd/user/web.service.d/50-rollctl.conf"),
            format!(
                "[Service]\nEnvironmentFile={}/web/current/.rollctl/environment\n",
                bench.home.path().display()
            )
        );
        let confirmed = hosts.confirm(&host(), &me, &first, &started).await.unwrap();
        assert_eq!(confirmed.attestation, Attestation::FilesAndRestart);
        hosts.confirm(&host(), &me, &first, &started).await.unwrap();
        let journal = bench.read("web/.rollctl/journal");
        assert_eq!(journal.lines().count(), 2, "switched, confirmed: {journal}");
        let line: Vec<&str> = journal.lines().last().unwrap().split('\t').collect();
        assert_eq!(
            &line[1..],
            ["7", "1", "ann@ops box", "-", "v1", "confirmed", "h1"]
        );

        hosts.stage(&host(), &me, &two, &no_progress).await.unwrap();
        let second = switch_of(runs(&one), runs(&two), "h2");
        let started = hosts.switch(&host(), &me, &second).await.unwrap();
        hosts
            .confirm(&host(), &me, &second, &started)
            .await
            .unwrap();
        assert_eq!(bench.running(), v(2).program);
        assert_eq!(bench.installed_unit(), v(2).unit.unwrap());
        let environment = bench.read("web/current/.rollctl/environment");
        assert_eq!(environment, "ROLLCTL_REVISION=\"v2\"\n", "{shell}");
        assert_eq!(hosts.observe(&host()).await.unwrap().runs, runs(&two));

        let back = switch_of(runs(&two), runs(&one), "h3");
        let started = hosts.switch(&host(), &me, &back).await.unwrap();
        assert_eq!(bench.running(), v(1).program);
        assert_eq!(bench.installed_unit(), UNIT);
        assert!(
            bench
                .path(".config/systemd/user/web.service.d/50-rollctl.conf")
                .exists()
        );
        hosts.confirm(&host(), &me, &back, &started).await.unwrap();

        let gone = switch_of(runs(&one), Runs::Nothing, "h4");
        let started = hosts.switch(&host(), &me, &gone).await.unwrap();
        hosts.confirm(&host(), &me, &gone, &started).await.unwrap();
        assert_eq!(bench.current(), None);
        assert_eq!(bench.installed_unit(), "");
        assert_eq!(bench.calls().last().unwrap(), "daemon-reload");
        assert!(bench.calls().contains(&"disable web.service".to_owned()));
        let facts = hosts.observe(&host()).await.unwrap();
        assert_eq!(facts.runs, Runs::Nothing);
        assert_eq!(facts.revisions.len(), 2, "revisions stay");

        let keep = [RevisionName::parse("v2").unwrap()];
        let pruned = hosts.prune(&host(), &me, &keep).await.unwrap();
        assert!(
            pruned.iter().all(|name| name.as_str() == "v1"),
            "{pruned:?}"
        );
        assert!(bench.path("web/revisions/v2/web").exists());
        assert!(!bench.path("pwned").exists());
        let (boot, units) = hosts.units(&host()).await.unwrap();
        assert_eq!((boot, units[0].active.as_str()), (facts.boot, "inactive"));
    }
}

#[tokio::test]
async fn an_unconfirmed_switch_is_reverted_by_renames() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let hosts = bench.hosts(service());
        let me = controller(1);
        let (one, two) = (
            bench.store.add("v1", 1, &v(1)),
            bench.store.add("v2", 2, &v(2)),
        );
        hosts.claim(&host(), &me).await.unwrap();
        for revision in [&one, &two] {
            hosts
                .stage(&host(), &me, revision, &no_progress)
                .await
                .unwrap();
        }
        let first = switch_of(Runs::Nothing, runs(&one), "h1");
        let started = hosts.switch(&host(), &me, &first).await.unwrap();
        hosts.confirm(&host(), &me, &first, &started).await.unwrap();

        bench.write("fake/refuse", "");
        let bad = switch_of(runs(&one), runs(&two), "h2");
        let error = hosts.switch(&host(), &me, &bad).await.unwrap_err();
        assert_eq!(error.kind, HostErrorKind::Failed);
        assert!(
            error.message.contains("Job for web.service failed"),
            "{error}"
        );
        assert!(error.message.contains("exit-code"), "{error}");
        assert_eq!(
            hosts.observe(&host()).await.unwrap().runs,
            runs(&two),
            "in place, down"
        );

        std::fs::remove_file(bench.path("fake/refuse")).unwrap();
        let revert = switch_of(runs(&two), runs(&one), "h3");
        let started = hosts.switch(&host(), &me, &revert).await.unwrap();
        assert_eq!(bench.running(), v(1).program);
        assert_eq!(bench.installed_unit(), UNIT);
        assert_eq!(bench.current().as_deref(), Some("revisions/v1"));
        assert!(
            bench
                .path(".config/systemd/user/web.service.d/50-rollctl.conf")
                .exists()
        );
        assert!(!bench.path("web/.rollctl/previous").exists());
        assert_eq!(hosts.switch(&host(), &me, &revert).await.unwrap(), started);
        hosts
            .confirm(&host(), &me, &revert, &started)
            .await
            .unwrap();
        // And what failed can be tried again.
        let again = switch_of(runs(&one), runs(&two), "h4");
        hosts.switch(&host(), &me, &again).await.unwrap();
        assert_eq!(bench.running(), v(2).program);
    }
}

#[tokio::test]
async fn a_first_release_that_fails_leaves_nothing() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let hosts = bench.hosts(service());
        let me = controller(1);
        let one = bench.store.add("v1", 1, &v(1));
        hosts.claim(&host(), &me).await.unwrap();
        hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
        bench.write("fake/refuse", "");
        let first = switch_of(Runs::Nothing, runs(&one), "h1");
        hosts.switch(&host(), &me, &first).await.unwrap_err();
        let revert = switch_of(runs(&one), Runs::Nothing, "h2");
        let started = hosts.switch(&host(), &me, &revert).await.unwrap();
        hosts
            .confirm(&host(), &me, &revert, &started)
            .await
            .unwrap();
        assert_eq!(
            (bench.current(), bench.installed_unit().as_str()),
            (None, "")
        );
        assert_eq!(
            bench
                .calls()
                .iter()
                .filter(|call| call.starts_with("stop"))
                .count(),
            1
        );
        assert_eq!(hosts.observe(&host()).await.unwrap().runs, Runs::Nothing);
    }
}

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
async fn what_runs_without_its_files_is_not_taken_for_absent() {
    let bench = Bench::new("dash");
    let me = controller(1);
    let hosts = bench.hosts(service());
    hosts.claim(&host(), &me).await.unwrap();
    let one = bench.store.add("v1", 1, &v(1));
    hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
    let first = Switch {
        from: Runs::Nothing,
        to: runs(&one),
        event_hash: "first".into(),
        guarded: false,
    };
    hosts.switch(&host(), &me, &first).await.unwrap();
    std::fs::remove_dir_all(bench.path("web/revisions/v1")).unwrap();
    let error = hosts.observe(&host()).await.unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Refused);
    assert!(error.message.contains("`web.service` is active"), "{error}");
    bench.write("fake/web.service.active", "inactive");
    assert_eq!(hosts.observe(&host()).await.unwrap().runs, Runs::Nothing);
}

#[tokio::test]
async fn a_damaged_revision_is_replaced() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let me = controller(1);
        let hosts = bench.hosts(service());
        hosts.claim(&host(), &me).await.unwrap();
        let one = bench.store.add("v1", 1, &v(1));
        hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
        let damages: [(&str, &dyn Fn()); 4] = [
            ("other content", &|| {
                bench.write("web/revisions/v1/web", "#!/bin/sh\nrm -rf /\n")
            }),
            ("a file too many", &|| {
                bench.write("web/revisions/v1/etc/.extra", "")
            }),
            ("a file too few", &|| {
                std::fs::remove_file(bench.path("web/revisions/v1/etc/b")).unwrap()
            }),
            ("another list", &|| {
                bench.write("web/revisions/v1/.rollctl/SHA256SUMS", "")
            }),
        ];
        for (why, damage) in damages {
            damage();
            let staged = hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
            assert!(staged.bytes_sent > 0, "{shell}: {why}");
            assert_eq!(bench.read("web/revisions/v1/web"), v(1).program, "{why}");
            assert_eq!(
                std::fs::read_dir(bench.path("web/revisions"))
                    .unwrap()
                    .count(),
                1,
                "{why}: nothing is left over"
            );
        }
    }
}

#[tokio::test]
async fn an_interrupted_upload_leaves_no_revision_and_is_cleaned() {
    let bench = Bench::new("dash");
    let me = controller(1);
    let hosts = bench.hosts(service());
    hosts.claim(&host(), &me).await.unwrap();
    bench.write("web/revisions/.incoming-dead/web", "half");
    let mut one = bench.store.add("v1", 1, &v(1));
    one.digest = crate::core::ids::Digest::new("0".repeat(64));
    hosts
        .stage(&host(), &me, &one, &no_progress)
        .await
        .unwrap_err();
    assert!(!bench.path("web/revisions/.incoming-dead").exists());
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
            hosts.journal(&host(), 20).await.unwrap(),
            expected,
            "{lines:?} {hint:?}"
        );
    }
    assert_eq!(
        bench.read("fake/journal-args").trim(),
        "--user-unit web.service _SYSTEMD_INVOCATION_ID=00ff + USER_INVOCATION_ID=00ff -n 20 --no-pager -o short"
    );
}

#[tokio::test]
async fn a_pair_of_units_is_switched_and_confirmed_together() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let worker = crate::core::ids::UnitName::new("worker.service");
        let mut service = service();
        service.units.push(worker);
        let hosts = bench.hosts(service);
        let me = controller(1);
        bench.unit_file(UNIT);
        bench.write(".config/systemd/user/worker.service", UNIT);
        hosts.claim(&host(), &me).await.unwrap();
        let plain = Recipe { unit: None, ..v(2) };
        let one = bench.store.add("v1", 1, &plain);
        hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
        let step = switch_of(Runs::Nothing, runs(&one), "h1");
        let started = hosts.switch(&host(), &me, &step).await.unwrap();
        assert_eq!(started.units.len(), 2);
        assert_eq!(
            bench.calls(),
            [
                "daemon-reload",
                "restart web.service",
                "restart worker.service"
            ]
        );
        hosts.confirm(&host(), &me, &step, &started).await.unwrap();
        bench.write("fake/worker.service.invocation", "ffff\n");
        let error = hosts
            .confirm(&host(), &me, &step, &started)
            .await
            .unwrap_err();
        assert!(
            error.message.contains("`worker.service` was started again"),
            "{error}"
        );
        bench.write("fake/worker.service.active", "failed\n");
        let error = hosts
            .confirm(&host(), &me, &step, &started)
            .await
            .unwrap_err();
        assert!(
            error.message.contains("`worker.service` is failed"),
            "{error}"
        );
    }
}
