//! What a rollout does when its new version fails, when its controller dies, and when another one comes. No root, no
//! network, any user.

mod lab_support;

use std::fs;
use std::time::Duration;

use lab_support::{Scene, ready_after};
use rollctl_lab::Behaviour;

fn slow() -> Behaviour {
    ready_after(Duration::from_millis(500))
}

/// How often hosts were switched to a version, as their journals say.
fn switches(scene: &Scene, version: &str) -> usize {
    let hosts = 0..scene.lab.hosts().len();
    let journals: String = hosts.map(|host| scene.host_journal(host)).collect();
    journals.matches(&format!("\t{version}\tswitched")).count()
}

/// Everybody runs what they ran, and everybody is told why.
#[test]
fn a_version_that_one_host_cannot_start_is_taken_back_everywhere() {
    let scene = Scene::on_v1(4, 1);
    scene.strategy(1, "");
    fs::write(scene.on_host(2, "refuses"), "").unwrap();
    let bad = scene.touchy("v2");
    let prober = scene.watch();
    scene
        .controller
        .rollctl(&["release", "web", &bad, "--name", "v2"])
        .exits(10)
        .says("1 of 4 instances failed on `v2`")
        .says("rolled back")
        .says("web-03: ")
        .says("last probe: GET http://")
        .says("no database here")
        .says("fleet: 4 on `v1`")
        .says("`rollctl describe 2`");
    let record = prober.stop();
    assert!(record.lowest() >= 3, "{record}");
    scene.is_consistent(&["v1"]);
    assert_eq!(scene.outcome(), "rolled_back");
    assert_eq!(switches(&scene, "v2"), 3, "the last one was never touched");
    scene
        .controller
        .rollctl(&["history", "web"])
        .says("rolled back");
    scene.elsewhere(&["resume", "web"]).exits(2).says("is over");
    scene.release("v3", &slow()).exits(0);
    scene.all_run("v3");
}

#[test]
fn a_version_that_crashes_while_a_step_bakes_is_taken_back() {
    let scene = Scene::on_v1(3, 1);
    scene.strategy(1, "steps = [{ to = 1, bake = \"1m\" }]");
    let behaviour = Behaviour {
        crash_after: Some(Duration::from_secs(3)),
        ..Behaviour::default()
    };
    scene
        .release("v2", &behaviour)
        .exits(10)
        .says("step 1 reached")
        .says("a unit restarted by itself");
    scene.is_consistent(&["v1"]);
    assert_eq!(switches(&scene, "v2"), 1);
}

#[test]
fn on_failure_continue_brings_the_others() {
    let scene = Scene::on_v1(3, 1);
    scene.strategy(1, "on_failure = \"continue\"");
    fs::write(scene.on_host(1, "refuses"), "").unwrap();
    let bad = scene.touchy("v2");
    scene
        .controller
        .rollctl(&["release", "web", &bad, "--name", "v2"])
        .exits(11)
        .says("1 of 3 instances failed on `v2`")
        .says("no database here")
        .says("fleet: 2 on `v2`, 1 on `v1`")
        .says("hint:");
    assert_eq!(scene.versions(), ["v2", "v1", "v2"]);
    fs::remove_file(scene.on_host(1, "refuses")).unwrap();
    scene
        .controller
        .rollctl(&["release", "web", "--same"])
        .exits(0);
    scene.all_run("v2");
}

#[test]
fn on_failure_pause_waits_and_resume_tries_again() {
    let scene = Scene::on_v1(3, 1);
    fs::write(scene.on_host(0, "refuses"), "").unwrap();
    let bad = scene.touchy("v2");
    scene
        .controller
        .rollctl(&["release", "web", &bad, "--name", "v2"])
        .exits(5)
        .says("paused: 1 of 3 instances failed on `v2`")
        .says("`rollctl resume web` retries the failed instance");
    scene
        .controller
        .rollctl(&["status", "web"])
        .says("1 instance failed")
        .says("`rollctl resume web`");
    scene
        .controller
        .rollctl(&["resume", "web"])
        .exits(5)
        .says("1 of 3 instances failed");
    fs::remove_file(scene.on_host(0, "refuses")).unwrap();
    scene.elsewhere(&["resume", "web"]).exits(0);
    scene.all_run("v2");
}

#[test]
fn killed_while_an_instance_settles_and_gone_on_with_elsewhere() {
    let scene = Scene::on_v1(3, 1);
    let prober = scene.watch();
    let mut running = scene.begin("v2", &slow());
    running.until_action("action_ended", "activate");
    running.signal("KILL");
    assert_eq!(running.end().0.code, -1);
    scene
        .elsewhere(&["status", "web"])
        .exits(0)
        .says("is interrupted")
        .says("`rollctl resume web`");
    scene
        .elsewhere(&["resume", "web"])
        .exits(0)
        .says("goes on, by bob@")
        .says("completed: 3 of 3 on `v2`");
    let record = prober.stop();
    assert!(record.lowest() >= 2, "{record}");
    scene.all_run("v2");
    assert_eq!(switches(&scene, "v2"), 3, "nothing is switched twice");
    assert_eq!(scene.outcome(), "completed");
}

#[test]
fn killed_while_it_goes_back_it_goes_on_going_back() {
    let scene = Scene::on_v1(4, 1);
    scene.strategy(1, "");
    fs::write(scene.on_host(2, "refuses"), "").unwrap();
    let bad = scene.touchy("v2");
    let prober = scene.watch();
    let mut running = scene.start(&["release", "web", &bad, "--name", "v2", "-o", "json"]);
    running.until(|event| event["kind"] == "rollback_started");
    running.until_action("action_started", "revert");
    running.signal("KILL");
    assert_eq!(running.end().0.code, -1);
    scene
        .elsewhere(&["resume", "web"])
        .exits(10)
        .says("rolled back");
    let record = prober.stop();
    assert!(record.lowest() >= 3, "{record}");
    scene.is_consistent(&["v1"]);
}

#[test]
fn stopped_twice_and_gone_on_with() {
    let scene = Scene::on_v1(3, 1);
    let prober = scene.watch();
    let mut running = scene.begin("v2", &ready_after(Duration::from_secs(3)));
    running.until_action("action_ended", "activate");
    running.signal("INT");
    running.until(|event| event["kind"] == "pause_requested");
    running.signal("INT");
    let (run, _) = running.end();
    run.exits(130).says("`rollctl resume web`");
    assert_eq!(scene.outcome(), "interrupted");
    scene.elsewhere(&["resume", "web"]).exits(0);
    let record = prober.stop();
    assert!(record.lowest() >= 2, "{record}");
    scene.all_run("v2");
}

/// The one that is displaced says so, and acts nowhere.
#[test]
fn a_live_controller_is_displaced_by_a_release_that_takes_over() {
    let scene = Scene::on_v1(4, 1);
    let prober = scene.watch();
    let mut running = scene.begin("v2", &ready_after(Duration::from_secs(4)));
    running.until_action("action_ended", "activate");
    let mut words = scene.words("v3", &slow());
    words.push("--take-over".to_owned());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    scene.elsewhere(&words).exits(0);
    let (run, _) = running.end();
    run.exits(4).says("rollctl status web");
    let record = prober.stop();
    assert!(record.lowest() >= 3, "{record}");
    scene.all_run("v3");
    assert_eq!(switches(&scene, "v2"), 1, "it started nothing more");
    let history = scene.controller.json(&["history", "web"]);
    assert_eq!(history["rollouts"][1]["outcome"], "superseded");
}

#[test]
fn a_live_controller_is_displaced_by_who_goes_on_in_its_place() {
    let scene = Scene::on_v1(3, 1);
    let prober = scene.watch();
    let mut running = scene.begin("v2", &ready_after(Duration::from_secs(4)));
    running.until_action("action_ended", "activate");
    let holder = format!("(pid {})", running.pid());
    scene
        .elsewhere(&["resume", "web"])
        .exits(4)
        .says("ann@")
        .says(&holder)
        .says("since 20")
        .says("hint:");
    scene
        .elsewhere(&["resume", "web", "--take-over"])
        .exits(0)
        .says("completed: 3 of 3 on `v2`");
    running.end().0.exits(4);
    let record = prober.stop();
    assert!(record.lowest() >= 2, "{record}");
    scene.all_run("v2");
    assert_eq!(switches(&scene, "v2"), 3, "nothing is switched twice");
}

/// Which processes answer, as the lab's systemd knows them.
fn invocations(scene: &Scene) -> Vec<Vec<i32>> {
    let hosts = scene.lab.hosts().iter();
    hosts.map(rollctl_lab::LabHost::processes).collect()
}

#[test]
fn a_restart_gives_every_instance_a_new_process_within_the_budget() {
    let scene = Scene::on_v1(4, 1);
    let before = invocations(&scene);
    let prober = scene.watch();
    scene
        .controller
        .rollctl(&["restart", "web", "--cause", "new certificates"])
        .exits(0)
        .says("restart of `v1`")
        .says("4 of 4");
    let record = prober.stop();
    assert!(record.lowest() >= 3, "{record}");
    for (old, new) in before.iter().zip(invocations(&scene)) {
        assert!(
            new.iter().all(|pid| !old.contains(pid)),
            "old {old:?}, new {new:?}"
        );
    }
    scene.all_run("v1");
    let history = scene.controller.json(&["history", "web"]);
    assert_eq!(history["rollouts"][0]["kind"], "restart");
    assert_eq!(history["revisions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_host_that_was_emptied_is_brought_back() {
    let scene = Scene::on_v1(3, 1);
    let host = &scene.lab.hosts()[1];
    host.stop();
    fs::remove_dir_all(host.home().join("web")).unwrap();
    fs::remove_dir_all(host.home().join(".config/systemd")).unwrap();
    host.start().unwrap();
    scene
        .controller
        .rollctl(&["status", "web"])
        .exits(0)
        .says("absent");
    let run = scene.controller.rollctl(&["release", "web", "--same"]);
    run.exits(0).says("3 of 3 on `v1`");
    scene.all_run("v1");
    assert_eq!(switches(&scene, "v1"), 3, "the others were left alone");
    scene
        .controller
        .rollctl(&["release", "web", "--same"])
        .exits(0)
        .says("nothing to do");
}

#[test]
fn an_excluded_host_is_left_alone_and_the_service_keeps_its_revision() {
    let scene = Scene::on_v1(3, 1);
    let mut words = scene.words("v2", &slow());
    words.extend(["--exclude", "web-03"].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    scene.controller.rollctl(&words).exits(0).says("2 of 2");
    assert_eq!(scene.versions(), ["v2", "v2", "v1"]);
    let status = scene.controller.json(&["status", "web"]);
    assert_eq!(status["revision"]["name"], "v1");
    scene.release("v2", &slow()).exits(0);
    scene.all_run("v2");
}

/// Nobody knows what became of it: it is named, and the others go back.
#[test]
fn a_host_that_is_lost_in_the_middle_is_named_and_a_rollback_brings_it_back() {
    let scene = Scene::on_v1(3, 1);
    scene.strategy(1, "");
    let mut running = scene.begin("v2", &ready_after(Duration::from_secs(2)));
    let event = running.until_action("action_ended", "activate");
    let name = event["instance"].as_str().unwrap().to_owned();
    let host = scene.lab.host(&name).unwrap();
    host.close_ssh().unwrap();
    host.cut_connections().unwrap();
    running.end().0.exits(11);
    assert_eq!(scene.outcome(), "failed");
    let lost = scene.controller.json(&["status", "web"])["instances"][0]["state"].clone();
    assert_eq!(lost, "unreachable");
    host.open_ssh().unwrap();
    scene.elsewhere(&["rollback", "web", "--to", "v1"]).exits(0);
    scene.all_run("v1");
    scene.is_consistent(&["v1"]);
}

/// Somebody mends the inventory while a rollout is paused: what is gone from it is left alone and named.
#[test]
fn a_host_that_left_the_inventory_is_left_alone_when_it_is_gone_on_with() {
    for gone in ["out of service", "not there"] {
        let scene = Scene::on_v1(3, 2);
        let mut running = scene.begin("v2", &slow());
        running.until_action("action_started", "activate");
        scene.elsewhere(&["pause", "web"]).exits(0);
        running.end().0.exits(5);
        let path = scene.controller.path("inventory/test.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = match gone {
            "out of service" => text.replace(
                "[hosts.web-03]\n",
                "[hosts.web-03]\nout_of_service = true\n",
            ),
            _ => {
                let (before, rest) = text.split_once("[hosts.web-03]").unwrap();
                let (_, after) = rest.split_once("\n\n").unwrap();
                format!("{before}{after}")
            }
        };
        fs::write(&path, text).unwrap();
        scene.elsewhere(&["status", "web"]).exits(0).says("paused");
        scene
            .elsewhere(&["resume", "web"])
            .exits(3)
            .says("web-03: cannot take part, left alone")
            .says("gone from the inventory, or out of service");
        assert_eq!(scene.versions(), ["v2", "v2", "v1"], "{gone}");
    }
}

/// With `pause`, the same rollout goes on once the host is back; what it had begun there has to prove itself.
#[test]
fn a_host_that_is_lost_in_the_middle_comes_back_and_goes_on() {
    let scene = Scene::on_v1(3, 1);
    let mut running = scene.begin("v2", &ready_after(Duration::from_secs(2)));
    let event = running.until_action("action_ended", "activate");
    let name = event["instance"].as_str().unwrap().to_owned();
    let host = scene.lab.host(&name).unwrap();
    host.close_ssh().unwrap();
    host.cut_connections().unwrap();
    running.end().0.exits(11);
    assert_eq!(scene.outcome(), "paused");
    host.open_ssh().unwrap();
    scene.elsewhere(&["resume", "web"]).exits(0);
    scene.all_run("v2");
    scene.is_consistent(&["v2"]);
    assert_eq!(switches(&scene, "v2"), 3, "nothing is switched twice");
}

/// What drifted is put right by a restart, which ships and switches anew; the others are left alone.
#[test]
fn what_somebody_changed_by_hand_is_undone_by_a_restart() {
    let scene = Scene::on_v1(3, 1);
    let unit = scene.on_host(0, ".config/systemd/user/web.service");
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace("demo", "changed by hand")).unwrap();
    let added = scene.on_host(1, "web/revisions/v1/left-here");
    fs::write(&added, "by hand").unwrap();
    let run = scene
        .controller
        .rollctl(&["status", "web", "--verify"])
        .exits(11)
        .says("drift on web-01")
        .says("drift on web-02");
    let text = run.text();
    let (_, hint) = text.split_once("hint: `rollctl ").unwrap();
    let words = hint.split('`').next().unwrap().replace('\'', "");
    let words: Vec<&str> = words.split(' ').collect();
    let untouched = scene.host_journal(2);
    scene.controller.rollctl(&words).exits(0);
    scene
        .controller
        .rollctl(&["status", "web", "--verify"])
        .exits(0);
    assert_eq!(untouched, scene.host_journal(2));
    scene.all_run("v1");
}
