//! Hosts that ran the service before rollctl came.

use super::bench::*;
use crate::core::event::Runs;
use crate::core::revision::{Adopted, Manifest, Revision};
use crate::ports::*;

const OLD: &str = "#!/bin/sh\necho old\n";

fn recorded(manifest: Manifest) -> Revision {
    Revision {
        number: crate::core::ids::RevisionNumber(1),
        names: manifest.names,
        digest: manifest.digest,
        created_at: manifest.created_at,
        created_by: manifest.created_by,
        cause: None,
        adopted: manifest.adopted,
        signers: Vec::new(),
        kept: false,
    }
}

#[tokio::test]
async fn a_plain_file_behind_a_link_comes_back_exactly() {
    for shell in SHELLS {
        for brings_unit in [false, true] {
            let bench = Bench::new(shell);
            let old_unit = "# mine\n[Service]\nExecStart=%h/bin-old/web\n";
            bench.program("bin-old/web", OLD);
            bench.unit_file(old_unit);
            bench.write("fake/web.service.active", "active\n");
            let mut service = service();
            let origin = bench.path("bin-old/web").display().to_string();
            service.link = Some(origin.clone());
            let hosts = bench.hosts(service);
            let me = controller(1);

            let facts = hosts.observe(&host()).await.unwrap();
            assert_eq!(
                facts.unadopted,
                Some(Adopted::File {
                    origin: origin.clone()
                })
            );
            let old = facts.runs.revision().unwrap().clone();
            assert!(old.name.is_adopted());
            hosts.claim(&host(), &me).await.unwrap();
            let new = bench.store.add(
                "v1",
                2,
                &Recipe {
                    program: "#!/bin/sh\necho new\n",
                    unit: brings_unit.then_some("[Service]\nExecStart=%h/web/current/web\n"),
                    ..Recipe::default()
                },
            );
            let staged = hosts.stage(&host(), &me, &new, &no_progress).await.unwrap();
            let manifest = staged.adopted.unwrap();
            assert_eq!(manifest.digest, old.digest);
            assert_eq!(bench.read("bin-old/web"), OLD, "nothing was changed");
            let kept = bench.store.kept.lock().unwrap().clone();
            assert_eq!(kept.len(), 1);
            assert_eq!(
                (&kept[0].0, kept[0].2.as_slice()),
                (&old.digest, OLD.as_bytes())
            );
            let facts = hosts.observe(&host()).await.unwrap();
            assert_eq!((facts.unadopted, facts.runs.is(&old)), (None, true));

            let old_runs = Runs::Revision {
                revision: old.clone(),
            };
            let go = Switch {
                from: old_runs.clone(),
                to: runs(&new),
                event_hash: "h1".into(),
                guarded: false,
                side: None,
            };
            let started = hosts.switch(&host(), &me, &go).await.unwrap();
            assert_eq!(
                bench.running(),
                "#!/bin/sh\necho new\n",
                "{shell} {brings_unit}"
            );
            assert_eq!(
                std::fs::read_link(&origin).unwrap(),
                bench.path("web/current/web"),
                "the link is kept"
            );

            // Not confirmed: put back by renames, the plain file too.
            let back = Switch {
                from: runs(&new),
                to: old_runs.clone(),
                event_hash: "h2".into(),
                guarded: false,
                side: None,
            };
            let reverted = hosts.switch(&host(), &me, &back).await.unwrap();
            assert!(!bench.path("bin-old/web").is_symlink());
            assert_eq!(
                (bench.running().as_str(), bench.installed_unit().as_str()),
                (OLD, old_unit)
            );
            assert_eq!(bench.current(), None);
            assert!(
                !bench
                    .path(".config/systemd/user/web.service.d/50-rollctl.conf")
                    .exists()
            );
            assert!(hosts.observe(&host()).await.unwrap().runs.is(&old));
            assert_eq!(hosts.switch(&host(), &me, &back).await.unwrap(), reverted);
            hosts.confirm(&host(), &me, &back, &reverted).await.unwrap();
            assert_ne!(reverted, started);

            // Confirmed, and rolled back to much later: by its revision.
            let go = Switch {
                event_hash: "h3".into(),
                ..go
            };
            let started = hosts.switch(&host(), &me, &go).await.unwrap();
            hosts.confirm(&host(), &me, &go, &started).await.unwrap();
            let staged = hosts
                .stage(&host(), &me, &recorded(manifest), &no_progress)
                .await
                .unwrap();
            assert_eq!(staged.bytes_sent, 0);
            let back = Switch {
                event_hash: "h4".into(),
                ..back
            };
            let started = hosts.switch(&host(), &me, &back).await.unwrap();
            hosts.confirm(&host(), &me, &back, &started).await.unwrap();
            assert_eq!(
                (bench.running().as_str(), bench.installed_unit().as_str()),
                (OLD, old_unit)
            );
            assert!(hosts.observe(&host()).await.unwrap().runs.is(&old));
        }
    }
}

#[tokio::test]
async fn a_folder_that_current_points_to_is_adopted_by_reference() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        bench.program("web/releases/20260101/web", OLD);
        bench.write("web/releases/20260101/a b/c", "x");
        std::os::unix::fs::symlink("releases/20260101", bench.path("web/current")).unwrap();
        bench.unit_file(UNIT);
        let hosts = bench.hosts(service());
        let me = controller(1);
        let facts = hosts.observe(&host()).await.unwrap();
        assert_eq!(
            facts.unadopted,
            Some(Adopted::Folder {
                target: "releases/20260101".into()
            })
        );
        let old = facts.runs.revision().unwrap().clone();
        hosts.claim(&host(), &me).await.unwrap();
        let new = bench.store.add(
            "v1",
            2,
            &Recipe {
                program: "#!/bin/sh\necho new\n",
                ..Recipe::default()
            },
        );
        let adopted = hosts
            .stage(&host(), &me, &new, &no_progress)
            .await
            .unwrap()
            .adopted
            .unwrap();
        assert!(
            bench.store.kept.lock().unwrap().is_empty(),
            "a folder is not fetched"
        );
        let old_runs = Runs::Revision {
            revision: old.clone(),
        };
        let go = Switch {
            from: old_runs.clone(),
            to: runs(&new),
            event_hash: "h1".into(),
            guarded: false,
            side: None,
        };
        let started = hosts.switch(&host(), &me, &go).await.unwrap();
        hosts.confirm(&host(), &me, &go, &started).await.unwrap();
        hosts
            .stage(&host(), &me, &recorded(adopted.clone()), &no_progress)
            .await
            .unwrap();
        let back = Switch {
            from: runs(&new),
            to: old_runs,
            event_hash: "h2".into(),
            guarded: false,
            side: None,
        };
        let started = hosts.switch(&host(), &me, &back).await.unwrap();
        hosts.confirm(&host(), &me, &back, &started).await.unwrap();
        assert_eq!(bench.current().as_deref(), Some("releases/20260101"));
        assert_eq!(bench.running(), OLD);
        assert!(hosts.observe(&host()).await.unwrap().runs.is(&old));

        let elsewhere = Bench::new(shell);
        elsewhere.unit_file(UNIT);
        let hosts = elsewhere.hosts(service());
        hosts.claim(&host(), &me).await.unwrap();
        let error = hosts
            .stage(&host(), &me, &recorded(adopted), &no_progress)
            .await
            .unwrap_err();
        assert!(error.message.contains("is not on this host"), "{error}");
    }
}

#[tokio::test]
async fn the_same_content_has_the_same_digest_and_other_content_another() {
    let digest = async |program: &str, mode: u32, unit: &str| {
        use std::os::unix::fs::PermissionsExt;
        let bench = Bench::new("dash");
        let path = std::env::temp_dir().join(format!("rollctl-adopt-{}", std::process::id()));
        std::fs::write(&path, program).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        bench.unit_file(&format!("[Service]\nExecStart={} {unit}\n", path.display()));
        let facts = bench.hosts(service()).observe(&host()).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        facts.runs.revision().unwrap().digest.clone()
    };
    let first = digest(OLD, 0o755, "").await;
    assert_eq!(digest(OLD, 0o755, "").await, first);
    assert_ne!(digest("#!/bin/sh\n", 0o755, "").await, first);
    assert_ne!(digest(OLD, 0o700, "").await, first);
    assert_ne!(digest(OLD, 0o755, "--flag").await, first);
}

#[tokio::test]
async fn what_is_taken_for_the_instance() {
    let bench = Bench::new("dash");
    bench.program("app/main.py", "#!/usr/bin/python3\n");
    bench.program("app/server", OLD);
    let at = |name: &str| bench.path(name).display().to_string();
    for (exec, expected) in [
        (
            format!("/usr/bin/env {} --port 80", at("app/main.py")),
            Some(at("app/main.py")),
        ),
        (
            format!("{} --config {}", at("app/server"), at("app/main.py")),
            Some(at("app/server")),
        ),
        // A package's program; what it is given is its configuration.
        (
            format!("/usr/bin/tail -f {}", at("app/main.py")),
            Some("/usr/bin/tail".to_owned()),
        ),
        // An interpreter without a file of its own is nothing that could be put back.
        ("/usr/bin/env x".to_owned(), None),
        (at("web/current/web"), None),
        ("/nonexistent/web".to_owned(), None),
    ] {
        bench.unit_file(&format!("[Service]\nExecStart={exec}\n"));
        let facts = bench.hosts(service()).observe(&host()).await.unwrap();
        assert_eq!(
            facts.unadopted,
            expected.map(|origin| Adopted::File { origin }),
            "{exec}"
        );
    }
}
