//! Revisions on a host: damaged, half shipped, or gone from under what runs.

use super::bench::*;
use crate::core::event::Runs;
use crate::ports::*;

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
        side: None,
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
