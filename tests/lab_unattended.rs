//! Runs that nobody watches, against what people did: on a fleet of the lab, no root, no network, any user.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_support;

use lab_support::{Run, Running, Scene};
use rollctl_lab::Behaviour;

/// A release as a timer does it: without a name, without a question.
fn timer(scene: &Scene, build: &str) -> Run {
    let path = scene.controller.path(&format!("build-{build}"));
    let path = path.to_str().unwrap();
    scene
        .controller
        .rollctl(&["release", "web", path, "--unattended"])
}

/// A release that has begun to switch a host.
fn at_work(scene: &Scene, build: &str, more: &[&str]) -> Running {
    let path = scene.controller.path(&format!("build-{build}"));
    let path = path.to_str().unwrap();
    let words = ["release", "web", path, "--output", "json"];
    let mut running = scene.start(&[&words[..], more].concat());
    running.until_action("action_started", "activate");
    running
}

/// One whose machine dies then.
fn killed_at_work(scene: &Scene, build: &str, more: &[&str]) {
    let running = at_work(scene, build, more);
    running.signal("KILL");
    running.end();
}

fn build(scene: &Scene, version: &str) {
    scene.controller.version(version, &Behaviour::default());
}

#[track_caller]
fn all_run(scene: &Scene, version: &str) {
    let versions = scene.versions();
    assert!(versions.iter().all(|one| one == version), "{versions:?}");
}

fn says_nothing(run: Run) {
    let run = run.exits(0);
    assert_eq!(run.text(), "", "cron would mail that");
}

fn touched_nothing(scene: &Scene, before: &(String, usize)) {
    assert_eq!(*before, state(scene), "nothing was to be touched");
}

fn state(scene: &Scene) -> (String, usize) {
    let history = scene.controller.json(&["history", "web"]);
    let rollouts = history["rollouts"].as_array().unwrap().len();
    (scene.host_journal(0), rollouts)
}

#[test]
fn a_timer_undoes_no_rollback_and_takes_the_next_build() {
    let scene = Scene::fresh(2, 1);
    for version in ["v1", "v2", "v3"] {
        build(&scene, version);
    }
    timer(&scene, "v1")
        .exits(0)
        .says("by ann@")
        .says(", unattended");
    says_nothing(timer(&scene, "v1"));
    timer(&scene, "v2").exits(0);
    all_run(&scene, "v2");
    scene.elsewhere(&["rollback", "web"]).exits(0);
    let before = state(&scene);
    timer(&scene, "v2")
        .exits(5)
        .says("this build of `web` is not released: bob@")
        .says("rolled back to `r1` (rollout 3, 2")
        .says("nothing was touched")
        .says("the next build goes out by itself");
    let error = scene.controller.json(&[
        "release",
        "web",
        scene.controller.path("build-v2").to_str().unwrap(),
        "--unattended",
    ]);
    assert_eq!(error["error"]["code"], 5);
    touched_nothing(&scene, &before);
    // What it went back to is there.
    says_nothing(timer(&scene, "v1"));
    says_nothing(
        scene
            .controller
            .rollctl(&["release", "web", "--same", "--unattended"]),
    );
    timer(&scene, "v3").exits(0);
    all_run(&scene, "v3");
    // The rollback still stands against v2, until a person wants it.
    timer(&scene, "v2").exits(5).says("rolled back to `r1`");
    scene.release("v2", &Behaviour::default()).exits(0);
    timer(&scene, "v3").exits(5).says("released `r2` after it");
    says_nothing(timer(&scene, "v2"));
}

#[test]
fn what_failed_is_not_tried_again_by_a_timer() {
    let scene = Scene::fresh(2, 1);
    scene.strategy(1, "on_failure = \"rollback\"");
    for version in ["v1", "v3"] {
        build(&scene, version);
    }
    let broken = Behaviour {
        exit_at_once: Some(3),
        ..Behaviour::default()
    };
    scene.controller.version("v2", &broken);
    timer(&scene, "v1").exits(0);
    timer(&scene, "v2").exits(10);
    let before = state(&scene);
    timer(&scene, "v2")
        .exits(5)
        .says("`r2` is not tried again: its rollout 2 (release by ann@")
        .says("failed and was rolled back")
        .says("`rollctl describe 2` tells why");
    touched_nothing(&scene, &before);
    scene.release("v2", &broken).exits(10);
    timer(&scene, "v2").exits(5).says("rollout 3");
    timer(&scene, "v3").exits(0);
    // Paused over a failure, it waits for somebody; another build does not.
    scene.inventory(1);
    let other = Behaviour {
        padding: 10,
        ..broken
    };
    scene.controller.version("v4", &other);
    timer(&scene, "v4").exits(5).says("paused");
    let before = state(&scene);
    timer(&scene, "v4")
        .exits(5)
        .says("`web` is left alone: rollout 5")
        .says("paused over a failure");
    touched_nothing(&scene, &before);
    build(&scene, "v5");
    timer(&scene, "v5").exits(0);
}

#[test]
fn a_held_service_is_left_alone_and_a_person_is_not_held_up() {
    let scene = Scene::fresh(1, 1);
    for version in ["v1", "v2"] {
        build(&scene, version);
    }
    scene
        .controller
        .rollctl(&["unhold", "web"])
        .exits(0)
        .says("`web` is not held");
    timer(&scene, "v1").exits(0);
    scene
        .elsewhere(&["hold", "web", "--cause", "the database moves"])
        .exits(0)
        .says("unattended runs leave it alone until `rollctl unhold web`");
    scene
        .controller
        .rollctl(&["hold", "web"])
        .exits(0)
        .says("is held already, by bob@");
    let before = state(&scene);
    timer(&scene, "v2")
        .exits(5)
        .says("`web` is held by bob@")
        .says(": the database moves")
        .says("nothing was touched")
        .says("`rollctl unhold web` lifts it");
    for words in [
        ["restart", "web", "--unattended"].as_slice(),
        &["release", "web", "--same", "--unattended"],
    ] {
        scene
            .controller
            .rollctl(words)
            .exits(5)
            .says("is held by bob@");
    }
    // Not even what is to be released is looked for.
    timer(&scene, "v9").exits(5).says("is held by bob@");
    touched_nothing(&scene, &before);
    scene
        .controller
        .rollctl(&["status", "web"])
        .exits(0)
        .says("held (the database moves) for ")
        .says("by bob@");
    let status = scene.controller.json(&["status", "web"]);
    assert_eq!(status["hold"]["cause"], "the database moves");
    scene
        .release("v2", &Behaviour::default())
        .exits(0)
        .says("warning: `web` is held by bob@");
    scene
        .controller
        .rollctl(&["rollback", "web"])
        .exits(0)
        .says("is held by bob@");
    let lifted = scene
        .controller
        .json(&["unhold", "web", "--cause", "it moved"]);
    assert_eq!(
        (&lifted["hold"], &lifted["changed"]),
        (&serde_json::Value::Null, &true.into())
    );
    let history = scene.controller.json(&["history", "web"]);
    assert_eq!(history["holds"][0]["lifted"]["cause"], "it moved");
    scene
        .controller
        .rollctl(&["history", "web"])
        .exits(0)
        .says("LIFTED-BY");
    assert_eq!(
        scene.controller.json(&["status", "web"])["hold"],
        serde_json::Value::Null
    );
    timer(&scene, "v2").exits(5).says("rolled back");
}

#[test]
fn a_timer_goes_on_with_its_own_rollout_and_with_no_persons() {
    let scene = Scene::fresh(3, 1);
    for version in ["v1", "v2", "v3"] {
        build(&scene, version);
    }
    timer(&scene, "v1").exits(0);
    // Its machine dies.
    killed_at_work(&scene, "v2", &["--unattended"]);
    timer(&scene, "v2").exits(0).says("goes on, by ann@");
    all_run(&scene, "v2");
    // Somebody pauses it.
    let running = at_work(&scene, "v3", &["--unattended"]);
    scene.elsewhere(&["pause", "web"]).exits(0);
    running.end().0.exits(5);
    let before = state(&scene);
    for version in ["v3", "v2", "v1"] {
        timer(&scene, version)
            .exits(5)
            .says("`web` is left alone: rollout 3")
            .says("was paused by bob@");
    }
    touched_nothing(&scene, &before);
    // Whoever goes on with it makes it theirs.
    let mut running = scene.start(&["resume", "web", "--output", "json"]);
    running.until_action("action_started", "activate");
    running.signal("KILL");
    running.end();
    timer(&scene, "v3")
        .exits(5)
        .says("was interrupted: its rollctl died");
    // The night's rollback is not over.
    let mut running = scene.start(&["rollback", "web", "--output", "json"]);
    running.until_action("action_started", "activate");
    running.signal("TERM");
    running.end().0.exits(5);
    let before = state(&scene);
    for version in ["v3", "v2", "v1"] {
        timer(&scene, version)
            .exits(5)
            .says("`web` is left alone: rollout 4 (rollback by ann@")
            .says("is paused");
    }
    touched_nothing(&scene, &before);
    scene.controller.rollctl(&["resume", "web"]).exits(0);
    timer(&scene, "v3").exits(5).says("rolled back to");
}

#[test]
fn a_timer_that_is_told_to_end_goes_on_at_its_next_run() {
    let scene = Scene::fresh(3, 1);
    for version in ["v1", "v2"] {
        build(&scene, version);
    }
    timer(&scene, "v1").exits(0);
    let path = scene.controller.path("build-v2");
    let path = path.to_str().unwrap();
    let mut running = scene.start(&["release", "web", path, "--unattended", "--output", "json"]);
    running.until_action("action_started", "activate");
    running.signal("TERM");
    running.end().0.exits(5);
    assert_eq!(scene.outcome(), "paused");
    // The lease is free: nothing is in the way of the next.
    timer(&scene, "v2")
        .exits(0)
        .says("rollout 2 of `web` goes on");
    all_run(&scene, "v2");
}

/// Writes the service's window, as TOML.
fn window(scene: &Scene, keys: &str) {
    scene.inventory(1);
    let path = scene.controller.path("inventory/test.toml");
    let inventory = std::fs::read_to_string(path).unwrap();
    let window = format!("\n[services.web.window]\n{keys}\n");
    scene
        .controller
        .write("inventory/test.toml", inventory + &window);
}

#[test]
fn what_the_windows_end_paused_goes_on_by_itself_once_it_is_open() {
    let scene = Scene::fresh(3, 1);
    let (shut, open) = (
        "freeze = [\"2020-01-01..2099-12-31 UTC\"]",
        "allow = [\"00:00-24:00 UTC\"]",
    );
    for version in ["v1", "v2", "v3", "v4"] {
        build(&scene, version);
    }
    window(&scene, open);
    timer(&scene, "v1").exits(0);
    // What is in flight is finished at any hour, and no more.
    killed_at_work(&scene, "v2", &["--unattended"]);
    window(&scene, shut);
    timer(&scene, "v2").exits(5).says("its window has closed");
    timer(&scene, "v2").exits(5).says("`web` is frozen");
    window(&scene, open);
    timer(&scene, "v2")
        .exits(0)
        .says("rollout 2 of `web` goes on");
    all_run(&scene, "v2");
    // A person's goes on too, whatever build the run is for.
    killed_at_work(&scene, "v3", &["--name", "v3"]);
    window(&scene, shut);
    scene.controller.rollctl(&["resume", "web"]).exits(5);
    timer(&scene, "v4").exits(5).says("`web` is frozen");
    window(&scene, open);
    timer(&scene, "v4")
        .exits(0)
        .says("rollout 3 of `web` goes on");
    scene.all_run("v3");
    timer(&scene, "v4").exits(0);
    all_run(&scene, "v4");
}
