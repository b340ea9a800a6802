//! Hosts that somebody changed by hand since rollctl left them.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::bench::*;
use crate::core::event::Runs;
use crate::core::revision::Revision;
use crate::ports::*;

const DROP_IN: &str = ".config/systemd/user/web.service.d/50-rollctl.conf";

fn v(program: &'static str) -> Recipe {
    Recipe {
        program,
        unit: Some(UNIT),
        environment: Some("A=\"1\"\n"),
        files: vec![("config.toml", 0o640, "x = 1\n"), ("etc/it's", 0o644, "b")],
    }
}

async fn release(bench: &Bench, link: Option<&str>) -> (super::super::ServiceHosts, Revision) {
    let mut service = service();
    service.link = link.map(|link| bench.path(link).display().to_string());
    let hosts = bench.hosts(service);
    let me = controller(1);
    let one = bench.store.add("v1", 1, &v("#!/bin/sh\necho one\n"));
    hosts.claim(&host(), &me).await.unwrap();
    hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
    let switch = Switch {
        from: Runs::Nothing,
        to: runs(&one),
        event_hash: "h1".into(),
        guarded: false,
        side: None,
    };
    let started = hosts.switch(&host(), &me, &switch).await.unwrap();
    hosts
        .confirm(&host(), &me, &switch, &started)
        .await
        .unwrap();
    (hosts, one)
}

/// Everything on the host, with modes and times.
fn all_files(bench: &Bench) -> String {
    let output = std::process::Command::new("sh")
        .args(["-c", "find . -printf '%p %m %T@ %l\\n' | sort"])
        .current_dir(bench.home.path())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn each_difference_is_told_and_nothing_is_changed() {
    type Change = (&'static str, fn(&Bench), &'static [&'static str]);
    let changes: [Change; 12] = [
        ("nothing", |_| (), &[]),
        (
            "a file",
            |bench| bench.write("web/revisions/v1/config.toml", "x = 2\n"),
            &["`config.toml` of `v1` was changed on disk"],
        ),
        (
            "a file is gone",
            |bench| std::fs::remove_file(bench.path("web/revisions/v1/etc/it's")).unwrap(),
            &["`etc/it's` of `v1` is gone or cannot be read"],
        ),
        (
            "a mode",
            |bench| {
                let mode = std::fs::Permissions::from_mode(0o666);
                std::fs::set_permissions(bench.path("web/revisions/v1/config.toml"), mode).unwrap();
            },
            &["the mode of `config.toml` of `v1` was changed"],
        ),
        (
            "a file more; an interpreter's cache is none",
            |bench| {
                bench.write("web/revisions/v1/etc/more $(x)", "");
                bench.write("web/revisions/v1/etc/__pycache__/a.pyc", "");
            },
            &["`etc/more $(x)` was added to `v1`"],
        ),
        (
            "the unit file",
            |bench| bench.unit_file("[Service]\nExecStart=%h/web/current/web --debug\n"),
            &["the unit file of `web.service` differs from the revision's"],
        ),
        (
            "the drop-in",
            |bench| bench.write(DROP_IN, "[Service]\nEnvironment=X=1\n"),
            &["drop-in `50-rollctl.conf` of `web.service` was changed"],
        ),
        (
            "no drop-in",
            |bench| std::fs::remove_file(bench.path(DROP_IN)).unwrap(),
            &["drop-in `50-rollctl.conf` of `web.service` is gone"],
        ),
        (
            "the environment",
            |bench| bench.write("web/revisions/v1/.rollctl/environment", "A=2\n"),
            &["`.rollctl/environment` of `v1` was changed on disk"],
        ),
        (
            "the link",
            |bench| {
                std::fs::remove_file(bench.path("link/web")).unwrap();
                bench.program("link/web", "#!/bin/sh\n");
            },
            &["link `HOME/link/web` does not lead into `current`"],
        ),
        (
            "the manifest",
            |bench| bench.write("web/revisions/v1/.rollctl/manifest.json", "{"),
            &["the manifest of `v1` cannot be read"],
        ),
        (
            "no revision",
            |bench| std::fs::remove_dir_all(bench.path("web/revisions/v1")).unwrap(),
            &[
                "`web.service` is active, but `HOME/web/current` leads to `revisions/v1`, which is not whole",
            ],
        ),
    ];
    for shell in SHELLS {
        for (what, change, expected) in changes {
            let bench = Bench::new(shell);
            let (hosts, one) = release(&bench, Some("link/web")).await;
            change(&bench);
            let before = all_files(&bench);
            let seen = hosts.attest(&host()).await.unwrap();
            assert_eq!(all_files(&bench), before, "{shell}: {what}");
            let home = bench.home.path().display().to_string();
            let told: Vec<String> = seen
                .drift
                .iter()
                .map(|line| line.replace(&home, "HOME"))
                .collect();
            assert_eq!(told, expected, "{shell}: {what}");
            let whole = expected.is_empty().then_some(Attestation::FilesAndRestart);
            assert_eq!(seen.attestation, whole, "{shell}: {what}");
            if what != "no revision" {
                assert_eq!(seen.runs, runs(&one), "{shell}: {what}");
            }
        }
    }
}

#[tokio::test]
async fn a_later_start_is_no_drift_and_an_earlier_one_is() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let (hosts, _) = release(&bench, None).await;
        bench.write("fake/web.service.invocation", "abc\n");
        let seen = hosts.attest(&host()).await.unwrap();
        assert_eq!(seen.drift, [""; 0], "{shell}: started again by hand");
        assert_eq!(seen.attestation, Some(Attestation::FilesAndRestart));

        bench.write("fake/web.service.entered", "Sun 2023-01-01 00:00:00 UTC\n");
        let seen = hosts.attest(&host()).await.unwrap();
        let expected = ["`web.service` was not restarted since the switch"];
        assert_eq!(seen.drift, expected, "{shell}");
        assert_eq!(seen.attestation, None);

        // Stopped: what does not run is not attested, and is no drift.
        bench.write("fake/web.service.active", "inactive\n");
        let seen = hosts.attest(&host()).await.unwrap();
        assert_eq!((seen.attestation, seen.drift), (None, vec![]), "{shell}");
    }
}

#[tokio::test]
async fn current_moved_by_hand_is_told() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let (hosts, _) = release(&bench, None).await;
        let me = controller(1);
        let two = bench.store.add("v2", 2, &v("#!/bin/sh\necho two\n"));
        hosts.stage(&host(), &me, &two, &no_progress).await.unwrap();
        let moved = |target: &str| {
            std::fs::remove_file(bench.path("web/current")).unwrap();
            symlink(target, bench.path("web/current")).unwrap();
        };
        moved("revisions/v2");
        bench.write("fake/web.service.entered", "Sun 2023-01-01 00:00:00 UTC\n");
        let seen = hosts.attest(&host()).await.unwrap();
        assert_eq!(seen.runs, runs(&two), "{shell}");
        assert_eq!(
            seen.drift,
            [
                "`current` points to `revisions/v2`, not to `revisions/v1`, where rollctl left it",
                "`web.service` was not restarted since the switch",
            ],
            "{shell}"
        );
        // Another spelling of the same.
        moved(&bench.path("web/revisions/v1").display().to_string());
        let seen = hosts.attest(&host()).await.unwrap();
        assert!(
            !seen.drift.iter().any(|line| line.contains("points")),
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn what_was_there_before_rollctl_is_compared_once_it_was_put_back() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        bench.program("bin-old/web", "#!/bin/sh\necho old\n");
        bench.unit_file("[Service]\nExecStart=%h/bin-old/web\n");
        bench.write("fake/web.service.active", "active\n");
        let mut service = service();
        service.link = Some(bench.path("bin-old/web").display().to_string());
        let hosts = bench.hosts(service);
        let me = controller(1);
        let seen = hosts.attest(&host()).await.unwrap();
        assert_eq!(seen.drift, [""; 0], "{shell}");
        assert_eq!(seen.attestation, None, "nobody knows what it should be");

        let old = seen.runs;
        hosts.claim(&host(), &me).await.unwrap();
        let one = bench.store.add("v1", 1, &v("#!/bin/sh\necho one\n"));
        hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
        for (from, to, hash) in [(&old, &runs(&one), "h1"), (&runs(&one), &old, "h2")] {
            let step = Switch {
                from: from.clone(),
                to: to.clone(),
                event_hash: hash.into(),
                guarded: false,
                side: None,
            };
            hosts.switch(&host(), &me, &step).await.unwrap();
        }
        let seen = hosts.attest(&host()).await.unwrap();
        assert_eq!(
            seen.attestation,
            Some(Attestation::FilesAndRestart),
            "{seen:?}"
        );
        assert_eq!(seen.runs, old, "{shell}");

        bench.program("bin-old/web", "#!/bin/sh\necho changed\n");
        let seen = hosts.attest(&host()).await.unwrap();
        assert_eq!(seen.drift.len(), 1, "{seen:?}");
        assert!(seen.drift[0].contains("as rollctl left it"), "{seen:?}");
    }
}
