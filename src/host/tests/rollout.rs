//! A service from nothing over two releases and back, step by step, each step twice.

use super::bench::*;
use crate::core::event::Runs;
use crate::core::ids::{Epoch, RevisionName};
use crate::ports::*;

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
        let (boot, units) = hosts.units(&host(), None).await.unwrap();
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
