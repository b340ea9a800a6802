//! What people ask of a rollout at work: pause, approve, abort, go on. No root, no network, any user.

mod lab_support;

use std::time::Duration;

use lab_support::{Scene, ready_after, wait_until};
use rollctl_lab::Behaviour;
use serde_json::Value;

fn slow() -> Behaviour {
    ready_after(Duration::from_millis(500))
}

/// Whether the rollout waits for that, and stands there.
fn waits_for(rollout: &Value, phase: &str, reason: &str) -> bool {
    let mut reasons = rollout["waiting_on"].as_array().into_iter().flatten();
    rollout["phase"] == phase && reasons.any(|one| one["reason"] == reason)
}

#[test]
fn paused_from_another_terminal_and_gone_on_with_from_another_machine() {
    let scene = Scene::on_v1(3, 1);
    let mut running = scene.begin("v2", &slow());
    running.until_action("action_started", "activate");
    scene
        .elsewhere(&["pause", "web"])
        .exits(0)
        .says("finishes what is in flight, then pauses")
        .says("`rollctl resume web`");
    let (run, events) = running.end();
    run.exits(5);
    let asked = events
        .iter()
        .find(|event| event["kind"] == "pause_requested")
        .unwrap();
    assert!(asked["by"].as_str().unwrap().starts_with("bob@"), "{asked}");
    assert_eq!(scene.rollout()["phase"], "paused");
    assert_eq!(scene.outcome(), "paused");
    scene
        .elsewhere(&["status", "web"])
        .exits(0)
        .says("is paused")
        .says("asked by bob@")
        .says("`rollctl resume web` goes on")
        .says("`rollctl rollback web --to v1` returns to `v1`");
    scene
        .elsewhere(&["pause", "web"])
        .exits(0)
        .says("is paused already");
    scene
        .elsewhere(&["approve", "web"])
        .exits(2)
        .says("nobody works on `web`")
        .says("`rollctl resume web` goes on");
    scene
        .elsewhere(&["resume", "web"])
        .exits(0)
        .says("goes on, by bob@")
        .says("completed: 3 of 3 on `v2`");
    scene.all_run("v2");
    assert_eq!(scene.outcome(), "completed");
    for verb in ["pause", "approve", "abort", "resume"] {
        scene
            .elsewhere(&[verb, "web"])
            .exits(2)
            .says("is over (completed)")
            .says("hint:");
    }
}

#[test]
fn a_step_waits_for_somebody_and_says_so() {
    let scene = Scene::on_v1(3, 2);
    scene.strategy(2, "steps = [{ to = 1, approve = true }, \"100%\"]");
    let mut running = scene.begin("v2", &slow());
    running.until_action("action_started", "activate");
    scene
        .elsewhere(&["approve", "web"])
        .exits(5)
        .says("step 1 is not reached yet");
    running.until(|event| event["kind"] == "step_reached");
    let rollout = scene.rollout();
    assert!(waits_for(&rollout, "at-step", "approval"), "{rollout}");
    scene
        .elsewhere(&["status", "web"])
        .exits(0)
        .says("is at a step")
        .says("`rollctl approve web`");
    let mut watching = scene.start(&["status", "web", "--watch", "-o", "json"]);
    let seen = watching.until(|status| !status["rollout"].is_null());
    assert!(waits_for(&seen["rollout"], "at-step", "approval"), "{seen}");
    let mut versions = scene.versions();
    versions.sort();
    assert_eq!(versions, ["v1", "v1", "v2"], "no more than the step allows");
    scene
        .elsewhere(&["approve", "web"])
        .exits(0)
        .says("approved");
    watching.until(|status| status["rollout"]["phase"] != "at-step");
    watching.until(|status| status["rollout"].is_null());
    watching.signal("INT");
    watching.end().0.exits(0);
    let (run, events) = running.end();
    run.exits(0);
    let approved = events.iter().find(|event| event["kind"] == "step_approved");
    let by = approved.unwrap()["by"].as_str().unwrap();
    assert!(by.starts_with("bob@"), "{by}");
    scene.all_run("v2");
}

#[test]
fn a_step_bakes_and_goes_on_by_itself_also_after_a_death() {
    let scene = Scene::on_v1(2, 1);
    scene.strategy(1, "steps = [{ to = 1, bake = \"3s\" }]");
    let mut running = scene.begin("v2", &slow());
    running.until(|event| event["kind"] == "step_reached");
    let rollout = scene.rollout();
    assert!(waits_for(&rollout, "at-step", "baking"), "{rollout}");
    running.signal("KILL");
    assert_eq!(running.end().0.code, -1);
    assert_eq!(scene.rollout()["phase"], "interrupted");
    let run = scene.elsewhere(&["resume", "web"]).exits(0);
    assert!(run.text().contains("stays shut for 3s"), "it bakes anew");
    scene.all_run("v2");
}

#[test]
fn aborted_at_a_step_hosts_stay_on_what_they_run() {
    let scene = Scene::on_v1(3, 1);
    scene.strategy(1, "steps = [{ to = 1, approve = true }]");
    let mut running = scene.begin("v2", &slow());
    running.until(|event| event["kind"] == "step_reached");
    scene
        .elsewhere(&["abort", "web"])
        .exits(0)
        .says("`rollctl rollback web` goes back");
    let (run, events) = running.end();
    run.exits(11);
    assert_eq!(events.last().unwrap()["outcome"], "aborted");
    assert_eq!(scene.versions(), ["v2", "v1", "v1"]);
    assert_eq!(scene.outcome(), "aborted");
    scene.elsewhere(&["resume", "web"]).exits(2).says("is over");
    scene.elsewhere(&["rollback", "web"]).exits(0);
    scene.all_run("v1");
}

#[test]
fn aborted_in_the_middle_it_finishes_what_is_in_flight() {
    let scene = Scene::on_v1(3, 1);
    let mut running = scene.begin("v2", &slow());
    running.until_action("action_started", "activate");
    scene
        .elsewhere(&["abort", "web"])
        .exits(0)
        .says("finishes what is in flight, then ends");
    running.end().0.exits(11);
    assert_eq!(scene.versions(), ["v2", "v1", "v1"]);
    scene.is_consistent(&["v1", "v2"]);
    scene.release("v2", &slow()).exits(0);
    scene.all_run("v2");
}

#[test]
fn a_paused_rollout_is_aborted_by_who_asks() {
    let scene = Scene::on_v1(3, 1);
    let mut running = scene.begin("v2", &slow());
    running.until_action("action_started", "activate");
    running.signal("INT");
    running.end().0.exits(5);
    let before = scene.versions();
    scene
        .elsewhere(&["abort", "web"])
        .exits(11)
        .says("was aborted where it stood: 1 of 3 on `v2`")
        .says("fleet: 1 on `v2`, 2 on `v1`")
        .says("`rollctl rollback web --to v1` returns to `v1`");
    assert_eq!(scene.versions(), before, "nothing was touched");
    assert_eq!(scene.outcome(), "aborted");
}

#[test]
fn a_pause_while_it_goes_back_is_gone_on_with() {
    let scene = Scene::on_v1(4, 1);
    scene.strategy(1, "max_failures = 0");
    std::fs::write(scene.on_host(2, "refuses"), "").unwrap();
    let bad = scene.touchy("v2");
    let mut running = scene.start(&["release", "web", &bad, "--name", "v2", "-o", "json"]);
    running.until(|event| event["kind"] == "rollback_started");
    let phase = || scene.rollout()["phase"].clone();
    wait_until("it shows that it goes back", || phase() == "rolling-back");
    scene.elsewhere(&["pause", "web"]).exits(0);
    running.end().0.exits(5);
    scene
        .elsewhere(&["status", "web"])
        .says("is paused (asked by bob@")
        .says("on its way back, since 1 instance failed")
        .says("`rollctl resume web` goes on going back");
    scene
        .elsewhere(&["resume", "web"])
        .exits(10)
        .says("rolled back");
    scene.is_consistent(&["v1"]);
    assert_eq!(scene.outcome(), "rolled_back");
}
