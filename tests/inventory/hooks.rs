//! `[services.*.hooks]`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rollctl::core::hooks::HookKind;
use rollctl::core::program::{Program, RunsOn};
use rollctl::inventory::{check_files, load};

fn inventory(hooks: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.toml");
    let text = format!(
        "[hosts.web-01]\n[services.web]\nhosts = \"*\"\nunit = \"web.service\"\ninstall_dir = \"/opt/web\"\n\
         health.unit = true\n[services.web.hooks]\n{hooks}\n"
    );
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn a_hook_and_its_defaults() {
    let (dir, path) = inventory(
        "before_rollout = { run = [\"./check-freeze\", \"./as-written\"] }\n\
         before_instance = { on = \"host\", run = [\"./silence\", \"\"], timeout = \"2m\" }\n\
         on_failure = { run = [\"mail\"] }",
    );
    let hooks = load(&path).unwrap().fleet.services[0].hooks.clone();
    let hook = |on, run: &[&str], seconds| Program {
        on,
        run: run.iter().map(|word| (*word).to_owned()).collect(),
        timeout: Duration::from_secs(seconds),
    };
    let beside = dir.path().join("check-freeze");
    let beside = beside.to_str().unwrap();
    assert_eq!(
        hooks.into_iter().collect::<Vec<_>>(),
        [
            (
                HookKind::BeforeRollout,
                hook(RunsOn::Controller, &[beside, "./as-written"], 30)
            ),
            (HookKind::OnFailure, hook(RunsOn::Controller, &["mail"], 30)),
            (
                HookKind::BeforeInstance,
                hook(RunsOn::Host, &["./silence", ""], 120)
            ),
        ]
    );
}

#[test]
fn a_program_that_cannot_be_run_is_found_beforehand() {
    let (dir, path) = inventory(
        "before_rollout = { run = [\"./missing\"] }\n\
         after_rollout = { run = [\"./plain\"] }\n\
         on_failure = { run = [\"no-such-program-anywhere\"] }\n\
         before_instance = { on = \"host\", run = [\"no-such-program-anywhere\"] }\n\
         after_instance = { run = [\"sh\", \"-c\", \"exit\"] }",
    );
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    let found = |path: &Path| -> Vec<_> {
        check_files(&load(path).unwrap())
            .iter()
            .map(|one| one.render(false).replace(dir.path().to_str().unwrap(), "."))
            .collect()
    };
    insta::assert_snapshot!(found(&path).join("\n\n"));
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o711)).unwrap();
    assert_eq!(found(&path).len(), 2, "what can be run need not be read");
}
