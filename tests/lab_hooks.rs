//! The operator's hooks, as real programs, here and on hosts. No root, no network, any user.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_support;

use std::os::unix::fs::PermissionsExt;

use lab_support::{Scene, ready_after, wait_until};
use rollctl_lab::Behaviour;
use serde_json::Value;

/// Four letters and more: shorter ones are not masked.
const SECRET: &str = "correct-horse";

/// Each hook writes a line into `hooks.log` beside the inventory (or into the home of its host), then does what the
/// test wants of it.
const SCRIPT: &str = r#"#!/bin/sh
echo "$ROLLCTL_HOOK $ROLLCTL_KIND ${ROLLCTL_FROM:--} $ROLLCTL_TO $ROLLCTL_HOST${ROLLCTL_OUTCOME:+ $ROLLCTL_OUTCOME}" >>"$LOG"
echo "$ROLLCTL_HOOK was here, token $TOKEN"
. ./then
"#;

/// A fleet on v1 whose service has all five hooks; `before_instance` runs on the hosts.
fn hooked(hosts: usize) -> Scene {
    let scene = Scene::on_v1(hosts, 1);
    program(&scene, "hook", &SCRIPT.replace("$LOG", "hooks.log"));
    does(&scene, "");
    for host in 0..hosts {
        let path = scene.on_host(host, "hook");
        let here = scene.on_host(host, "");
        let script = SCRIPT
            .replace("$LOG", &here.join("hooks.log").display().to_string())
            .replace("./then", &here.join("then").display().to_string());
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(scene.on_host(host, "then"), "").unwrap();
    }
    with_hooks(&scene, "pause");
    scene
}

fn program(scene: &Scene, name: &str, content: &str) {
    let path = scene
        .controller
        .write(&format!("inventory/{name}"), content);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the hooks of the controller do after they have written their line.
fn does(scene: &Scene, then: &str) {
    scene.controller.write("inventory/then", then);
}

fn with_hooks(scene: &Scene, on_failure: &str) {
    scene.strategy(1, &format!("on_failure = \"{on_failure}\""));
    let path = scene.controller.path("inventory/test.toml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str(
        r#"
[services.web.environment]
TOKEN = { env = "TOKEN" }
[services.web.hooks]
before_rollout = { run = ["./hook"], timeout = "5s" }
after_rollout = { run = ["./hook"] }
on_failure = { run = ["./hook"] }
before_instance = { on = "host", run = ["sh", "-c", "exec \"$HOME/hook\""] }
after_instance = { run = ["./hook"], timeout = "700ms" }
"#,
    );
    std::fs::write(path, text).unwrap();
}

fn command(scene: &Scene, words: &[&str]) -> lab_support::Run {
    let mut command = scene.controller.command(words);
    command.env("TOKEN", SECRET);
    lab_support::Run::of(&command.output().unwrap())
}

fn release(scene: &Scene, version: &str) -> lab_support::Run {
    let words = scene.words(version, &Behaviour::default());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    command(scene, &words)
}

fn log(scene: &Scene) -> Vec<String> {
    let text = std::fs::read_to_string(scene.controller.path("inventory/hooks.log"));
    let lines = text.unwrap_or_default();
    lines.lines().map(|line| line.trim().to_owned()).collect()
}

fn name(scene: &Scene, host: usize) -> String {
    scene.lab.hosts()[host].name().to_owned()
}

/// The events of the newest rollout that are about hooks.
fn hook_events(scene: &Scene) -> Vec<Value> {
    let rollout = scene.controller.json(&["history", "web"])["rollouts"][0]["id"].to_string();
    let run = command(scene, &["describe", &rollout, "-o", "json"]);
    let events = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    events
        .filter(|event: &Value| event["kind"] == "hook_ended" || event["kind"] == "hook_started")
        .collect()
}

#[test]
fn all_five_run_and_their_secrets_do_not_show() {
    let scene = hooked(2);
    let plan = command(
        &scene,
        &[
            "plan",
            "web",
            scene.words("v2", &Behaviour::default())[2].as_str(),
        ],
    );
    let plan = plan
        .exits(0)
        .says("hooks: before_rollout `")
        .says("before_instance `sh` on the host");
    assert!(!plan.text().contains(SECRET));
    assert_eq!(log(&scene), Vec::<String>::new(), "a plan runs nothing");
    let run = release(&scene, "v2")
        .exits(0)
        .says("completed: 2 of 2 on `v2`");
    let (h0, h1) = (name(&scene, 0), name(&scene, 1));
    assert_eq!(
        log(&scene),
        [
            "before_rollout release v1 v2".to_owned(),
            format!("after_instance release v1 v2 {h0}"),
            format!("after_instance release v1 v2 {h1}"),
            "after_rollout release v1 v2  completed".to_owned(),
        ]
    );
    for (host, name) in [(0, h0), (1, h1)] {
        let there = std::fs::read_to_string(scene.on_host(host, "hooks.log")).unwrap();
        assert_eq!(there, format!("before_instance release v1 v2 {name}\n"));
    }
    let ended = hook_events(&scene);
    let of_controller =
        |event: &&Value| event["kind"] == "hook_ended" && event["hook"] != "before_instance";
    assert_eq!(ended.iter().filter(of_controller).count(), 4);
    for event in ended.iter().filter(of_controller) {
        assert_eq!(event["status"], 0, "{event}");
        let hook = event["hook"].as_str().unwrap();
        assert_eq!(event["output"], format!("{hook} was here, token ***"));
    }
    assert!(!run.text().contains(SECRET), "{}", run.text());
    let ledger = std::fs::read(scene.controller.path("inventory/ledger.db")).unwrap();
    let found = ledger
        .windows(SECRET.len())
        .any(|piece| piece == SECRET.as_bytes());
    assert!(!found, "it is in the ledger");
}

#[test]
fn a_freeze_touches_nothing_and_the_next_one_goes() {
    let scene = hooked(2);
    does(
        &scene,
        "[ $ROLLCTL_HOOK = before_rollout ] || exit 0; echo frozen until Monday; exit 7",
    );
    let run = release(&scene, "v2")
        .exits(5)
        .says(
            "did not begin, nothing was touched: its before_rollout hook ended with exit status 7",
        )
        .says("frozen until Monday");
    assert!(!run.text().contains(SECRET));
    assert_eq!(
        log(&scene).last().unwrap(),
        "on_failure release v1 v2  refused"
    );
    assert_eq!(scene.outcome(), "refused");
    assert_eq!(scene.versions(), ["v1", "v1"]);
    assert!(
        !scene.on_host(0, "web/revisions/v2").exists(),
        "not even shipped"
    );
    does(&scene, "");
    release(&scene, "v2").exits(0);
}

#[test]
fn a_host_whose_hook_says_no_is_left_alone() {
    let scene = hooked(2);
    std::fs::write(scene.on_host(0, "then"), "echo backup is running; exit 1").unwrap();
    release(&scene, "v2")
        .exits(3)
        .says("its before_instance hook ended with exit status 1: before_instance was here")
        .says("backup is running");
    assert_eq!(scene.versions(), ["v1", "v2"]);
    std::fs::write(scene.on_host(0, "then"), "").unwrap();
    release(&scene, "v2").exits(0);
    assert_eq!(scene.versions(), ["v2", "v2"]);
}

#[test]
fn one_that_hangs_is_ended_and_its_instance_put_back() {
    let scene = hooked(2);
    with_hooks(&scene, "rollback");
    does(
        &scene,
        "[ $ROLLCTL_HOOK = after_instance ] || exit 0; sleep 7777 & echo $! >>hangs; wait",
    );
    release(&scene, "v2")
        .exits(10)
        .says("its after_instance hook took longer than its timeout");
    assert_eq!(scene.versions(), ["v1", "v1"]);
    assert_eq!(
        log(&scene).last().unwrap(),
        "on_failure release v1 v2  rolled_back"
    );
    let pids = std::fs::read_to_string(scene.controller.path("inventory/hangs")).unwrap();
    for pid in pids.lines() {
        let state = format!("/proc/{pid}/stat");
        wait_until("its children are gone", || {
            std::fs::read_to_string(&state).map_or(true, |stat| stat.contains(") Z "))
        });
    }
}

#[test]
fn the_last_one_changes_nothing() {
    let scene = hooked(1);
    does(
        &scene,
        "[ $ROLLCTL_HOOK != after_rollout ] || { echo no such channel; exit 4; }",
    );
    release(&scene, "v2")
        .exits(1)
        .says("is complete, 1 of 1 on `v2`; its after_rollout hook failed")
        .says("no such channel");
    assert_eq!(scene.versions(), ["v2"]);
    assert_eq!(scene.outcome(), "completed");
}

#[test]
fn a_controller_that_dies_in_a_hook_leaves_it_to_be_seen_and_run_again() {
    let scene = hooked(1);
    does(
        &scene,
        "[ $ROLLCTL_HOOK = before_rollout ] || exit 0; [ -e goes ] || { >waits; sleep 3; }",
    );
    let words = scene.words("v2", &ready_after(std::time::Duration::ZERO));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = scene
        .controller
        .command(&words)
        .env("TOKEN", SECRET)
        .spawn()
        .unwrap();
    let waits = scene.controller.path("inventory/waits");
    wait_until("the hook runs", || waits.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(scene.outcome(), "interrupted");
    let events = hook_events(&scene);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["kind"], "hook_started");
    scene.controller.write("inventory/goes", "");
    command(&scene, &["resume", "web"]).exits(0);
    assert_eq!(scene.versions(), ["v2"]);
    let begun = log(&scene)
        .iter()
        .filter(|line| line.starts_with("before_rollout"))
        .count();
    assert_eq!(begun, 2);
}

#[test]
fn check_finds_a_hook_that_is_not_there() {
    let scene = hooked(1);
    command(&scene, &["check"]).exits(0);
    std::fs::remove_file(scene.controller.path("inventory/hook")).unwrap();
    command(&scene, &["check"])
        .exits(2)
        .says("cannot be run: No such file")
        .says("services.web.hooks.before_rollout.run");
    release(&scene, "v2").exits(2);
    assert_eq!(scene.versions(), ["v1"]);
}
