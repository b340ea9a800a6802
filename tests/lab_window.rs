//! Windows, on a fleet of the lab: no root, no network, any user.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_support;

use std::fs;

use lab_support::Scene;
use rollctl_lab::Behaviour;

/// Writes the service's window, as TOML.
fn window(scene: &Scene, keys: &str) {
    scene.inventory(1);
    let path = scene.controller.path("inventory/test.toml");
    let inventory = fs::read_to_string(path).unwrap();
    let window = format!("\n[services.web.window]\n{keys}\n");
    scene
        .controller
        .write("inventory/test.toml", inventory + &window);
}

const SHUT: &str = "freeze = [\"2020-01-01..2099-12-31 UTC\"]";
const OPEN: &str = "allow = [\"00:00-24:00 UTC\"]";

#[test]
fn outside_its_window_a_service_is_only_rolled_back() {
    let scene = Scene::fresh(1, 1);
    let usual = Behaviour::default();
    window(&scene, OPEN);
    scene.release("v1", &usual).exits(0);
    scene.release("v2", &usual).exits(0);
    window(&scene, SHUT);
    let build = scene.controller.version("v3", &usual);
    let build = build.to_str().unwrap();
    let journal = scene.host_journal(0);
    scene
        .release("v3", &usual)
        .exits(5)
        .says("`web` is frozen, and none opens within 400 days")
        .says("nothing was touched")
        .says("--outside-window");
    scene.controller.rollctl(&["restart", "web"]).exits(5);
    scene
        .controller
        .rollctl(&["plan", "web", build])
        .exits(0)
        .says("warning: `web` is frozen");
    // A cron line that has nothing to do sends no mail.
    scene.release("v2", &usual).exits(0).says("nothing to do");
    assert_eq!(scene.host_journal(0), journal);
    scene.controller.rollctl(&["rollback", "web"]).exits(0);
    scene.all_run("v1");
    scene
        .controller
        .rollctl(&["release", "web", build, "--name", "v3", "--outside-window"])
        .exits(0)
        .says("whatever its window says");
    scene.all_run("v3");
    // In eleven hours, by the clock of somebody far away.
    #[expect(clippy::disallowed_methods, reason = "windows are by the clock")]
    let later = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(11))
        .in_tz("Asia/Tokyo")
        .unwrap();
    let hours = later.strftime("%H:%M");
    let end = (&later + jiff::SignedDuration::from_hours(1))
        .strftime("%H:%M")
        .to_string();
    window(&scene, &format!("allow = [\"{hours}-{end} Asia/Tokyo\"]"));
    let opens = later.strftime("%a %Y-%m-%d %H:%M JST").to_string();
    scene
        .release("v2", &usual)
        .exits(5)
        .says("is outside its window")
        .says(&format!("which opens {opens}"));
    let error = scene.controller.json(&["restart", "web"]);
    assert_eq!(error["error"]["code"], 5);
    assert!(error["error"]["retry_at"].is_string(), "{error}");
}

#[test]
fn a_rollout_that_was_paused_is_not_gone_on_with_outside_its_window() {
    let scene = Scene::on_v1(3, 1);
    let mut running = scene.begin("v2", &Behaviour::default());
    running.until_action("action_started", "activate");
    scene.elsewhere(&["pause", "web"]).exits(0);
    running.end().0.exits(5);
    window(&scene, SHUT);
    scene
        .controller
        .rollctl(&["resume", "web"])
        .exits(5)
        .says("is frozen")
        .says("--outside-window");
    assert_eq!(scene.outcome(), "paused");
    // Whose rollctl died may have something in flight: that is finished, and no more.
    window(&scene, OPEN);
    let mut running = scene.start(&["resume", "web", "--output", "json"]);
    running.until_action("action_started", "activate");
    running.signal("KILL");
    running.end();
    window(&scene, SHUT);
    scene
        .controller
        .rollctl(&["resume", "web"])
        .exits(5)
        .says("its window has closed")
        .says("--wait");
    assert_eq!(scene.outcome(), "paused");
    assert!(scene.versions().contains(&"v1".to_owned()));
    scene.is_consistent(&["v1", "v2"]);
    scene
        .controller
        .rollctl(&["resume", "web", "--outside-window"])
        .exits(0);
    scene.all_run("v2");
}
