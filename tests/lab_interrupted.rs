//! What comes in between: signals, a killed controller, a second one, a lost ledger. No root, no network, any user.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod lab_support;

use std::fs;
use std::time::{Duration, Instant};

use lab_support::{Running, Scene, padded, ready_after, wait_until};
use rollctl_lab::Behaviour;
use serde_json::Value;

fn slow() -> Behaviour {
    ready_after(Duration::from_millis(500))
}

fn outcome(scene: &Scene) -> Value {
    scene.controller.json(&["history", "web"])["rollouts"][0]["outcome"].clone()
}

/// A lost terminal ends nothing.
#[test]
fn a_lost_terminal_does_not_stop_a_rollout() {
    let scene = Scene::on_v1(2, 1);
    let mut running = scene.begin("v2", &slow());
    running.until_action("action_started", "activate");
    running.signal("HUP");
    let (run, _) = running.end();
    run.exits(0);
    scene.all_run("v2");
    scene.is_clean();
}

/// Neither does one that is gone for good, with the live display on it.
#[test]
fn a_terminal_that_is_closed_does_not_stop_a_rollout() {
    let scene = Scene::on_v1(3, 1);
    let mut words = scene.words("v2", &slow());
    words.push("--yes".to_owned());
    let rollctl = scene.controller.command(&[]);
    let line = format!("{} {}", env!("CARGO_BIN_EXE_rollctl"), words.join(" "));
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).env_clear();
    for (name, value) in rollctl.get_envs() {
        terminal.env(name, value.unwrap());
    }
    let mut terminal = terminal
        .env("TERM", "xterm")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the first switch", || {
        (0..3).any(|host| scene.host_journal(host).contains("v2"))
    });
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    wait_until("it goes on to its end", || outcome(&scene) == "completed");
    scene.all_run("v2");
}

/// Which actions were begun on the hosts, and which ended.
fn actions(events: &[Value], kind: &str) -> Vec<(String, String)> {
    let of_kind = events.iter().filter(|event| event["kind"] == kind);
    let mut found: Vec<_> = of_kind
        .map(|event| (event["instance"].to_string(), event["action"].to_string()))
        .collect();
    found.sort();
    found
}

#[test]
fn asked_once_it_finishes_what_is_in_flight_and_pauses() {
    for signal in ["INT", "TERM"] {
        let scene = Scene::on_v1(3, 1);
        let mut running = scene.begin("v2", &slow());
        running.until_action("action_started", "activate");
        running.signal(signal);
        let (run, events) = running.end();
        run.exits(5);
        assert_eq!(
            actions(&events, "action_started"),
            actions(&events, "action_ended"),
            "what was begun came to an end"
        );
        assert_eq!(events.last().unwrap()["kind"], "rollout_paused", "{signal}");
        let mut versions = scene.versions();
        versions.sort();
        assert_eq!(versions, ["v1", "v1", "v2"], "{signal}");
        scene.is_consistent(&["v1", "v2"]);
        assert_eq!(outcome(&scene), "paused");
        match signal {
            "TERM" => scene.controller.rollctl(&["resume", "web"]).exits(0),
            _ => scene.release("v2", &slow()).exits(0),
        };
        scene.all_run("v2");
        scene.is_clean();
    }
}

#[test]
fn people_are_told_what_became_of_it() {
    let scene = Scene::on_v1(3, 1);
    let words = scene.words("v2", &slow());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let child = scene
        .controller
        .command(&words)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let hosts = 0..3;
    wait_until("the first switch", || {
        let mut journals = hosts.clone().map(|host| scene.host_journal(host));
        journals.any(|journal| journal.contains("v2"))
    });
    let pid = child.id().to_string();
    std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "{said}");
    for words in [
        "paused",
        "ctrl-c",
        "1 of 3 on `v2`",
        "fleet: 1 on `v2`, 2 on `v1`",
        "hint: `rollctl resume web` goes on",
        "rollctl rollback web --to v1",
    ] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
}

#[test]
fn asked_twice_it_stops_at_once_and_leaves_consistent_hosts() {
    let scene = Scene::on_v1(4, 2);
    let mut running = scene.begin("v2", &ready_after(Duration::from_secs(6)));
    running.until_action("action_ended", "activate");
    running.signal("INT");
    running.until(|event| event["kind"] == "pause_requested");
    let begun = Instant::now();
    running.signal("INT");
    let (run, _) = running.end();
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    run.exits(130);
    assert_eq!(outcome(&scene), "interrupted");
    scene.is_consistent(&["v1", "v2"]);
    scene.release("v3", &slow()).exits(0);
    scene.all_run("v3");
    assert_eq!(
        scene.controller.json(&["history", "web"])["rollouts"][1]["outcome"],
        "superseded"
    );
}

#[test]
fn a_second_controller_is_told_who_is_at_work() {
    let scene = Scene::on_v1(3, 1);
    let mut running = scene.begin("v2", &slow());
    running.until_action("action_started", "activate");
    let pid = format!("(pid {})", running.pid());
    let machine = String::from_utf8(
        std::process::Command::new("uname")
            .arg("-n")
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    for words in [
        &["release", "web", "build-v1"] as &[&str],
        &["rollback", "web", "--to", "v1"],
        &["restart", "web"],
        &["resume", "web"],
    ] {
        let words: Vec<String> = words
            .iter()
            .map(|word| {
                word.replace(
                    "build-v1",
                    scene.controller.path("build-v1").to_str().unwrap(),
                )
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        scene
            .controller
            .rollctl(&words)
            .exits(4)
            .says(&format!("ann@{}", machine.trim()))
            .says(&pid)
            .says("since 20")
            .says("hint:");
    }
    // Looking is free.
    scene.controller.rollctl(&["status", "web"]).exits(0);
    let (run, _) = running.end();
    run.exits(0);
    scene.all_run("v2");
}

/// When a controller is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Uploading,
    Begun(&'static str),
    Switched,
    Ended(&'static str),
}

/// Returns when it is there.
fn wait_for(moment: Moment, scene: &Scene, running: &mut Running) {
    let on_a_host = |is_so: &dyn Fn(usize) -> bool| (0..3).any(is_so);
    match moment {
        Moment::Uploading => wait_until("an upload", || {
            on_a_host(&|host| {
                let folder = scene.on_host(host, "web/revisions");
                let mut names = fs::read_dir(folder).into_iter().flatten().flatten();
                names.any(|entry| entry.file_name().to_string_lossy().starts_with(".incoming"))
            })
        }),
        Moment::Switched => wait_until("the switch", || {
            on_a_host(&|host| {
                let current = fs::read_link(scene.on_host(host, "web/current"));
                current.is_ok_and(|target| target.ends_with("v2"))
            })
        }),
        Moment::Begun(action) => drop(running.until_action("action_started", action)),
        Moment::Ended(action) => drop(running.until_action("action_ended", action)),
    }
}

/// The controller is killed, and what comes next brings the whole fleet to `expected`, though its lease has not run out.
#[track_caller]
fn killed(moment: Moment, behaviour: &Behaviour, next: &[&str], expected: &str) {
    let scene = Scene::on_v1(3, 1);
    let mut running = scene.begin("v2", behaviour);
    wait_for(moment, &scene, &mut running);
    running.signal("KILL");
    let (run, _) = running.end();
    assert_eq!(run.code, -1, "{moment:?}: it was killed");
    assert_eq!(outcome(&scene), "interrupted", "{moment:?}");
    scene.controller.rollctl(&["status", "web"]).exits(0);
    let artifact = scene.controller.version("v3", &Behaviour::default());
    let words: Vec<&str> = next
        .iter()
        .map(|word| match *word {
            "ARTIFACT" => artifact.to_str().unwrap(),
            other => other,
        })
        .collect();
    // A live lease would end it at once, with 4.
    let run = scene.controller.rollctl(&words).exits(0);
    scene.all_run(expected);
    scene.is_consistent(&[expected]);
    scene.is_clean();
    // Where nothing was left to do, no rollout took its place.
    let expected = ["superseded", "interrupted"][usize::from(run.text().contains("nothing to do"))];
    let history = scene.controller.json(&["history", "web"]);
    let mut rollouts = history["rollouts"].as_array().unwrap().iter();
    let killed = rollouts.find(|rollout| rollout["id"] == 2).unwrap();
    assert_eq!(killed["outcome"], expected, "{moment:?}");
}

const NEW: &[&str] = &["release", "web", "ARTIFACT", "--name", "v3"];
const BACK: &[&str] = &["rollback", "web", "--to", "v1"];

#[test]
fn killed_while_an_artifact_travels() {
    killed(Moment::Uploading, &padded(30_000_000), NEW, "v3");
}

#[test]
fn killed_right_after_a_switch_was_decided() {
    killed(Moment::Begun("activate"), &slow(), NEW, "v3");
    killed(Moment::Begun("activate"), &slow(), BACK, "v1");
}

#[test]
fn killed_right_after_the_switch() {
    killed(Moment::Switched, &slow(), NEW, "v3");
    killed(Moment::Switched, &slow(), BACK, "v1");
}

#[test]
fn killed_while_an_instance_settles_or_is_confirmed() {
    killed(Moment::Ended("activate"), &slow(), BACK, "v1");
    killed(Moment::Begun("confirm"), &slow(), NEW, "v3");
    killed(Moment::Ended("confirm"), &slow(), BACK, "v1");
}

#[test]
fn killed_while_a_bad_revision_is_put_back() {
    let bad = Behaviour {
        exit_at_once: Some(3),
        ..Behaviour::default()
    };
    killed(Moment::Begun("revert"), &bad, NEW, "v3");
    killed(Moment::Ended("revert"), &bad, BACK, "v1");
}

#[test]
fn the_same_release_goes_on_where_a_killed_one_was() {
    let scene = Scene::on_v1(3, 1);
    let mut running = scene.begin("v2", &slow());
    running.until_action("action_ended", "activate");
    running.signal("KILL");
    drop(running.end());
    wait_until("the new one is ready", || {
        scene.versions().contains(&"v2".to_owned())
    });
    let journals = || -> String { (0..3).map(|host| scene.host_journal(host)).collect() };
    let switches = |text: &str| text.matches("\tv2\tswitched").count();
    assert_eq!(switches(&journals()), 1);
    scene.release("v2", &slow()).exits(0);
    scene.all_run("v2");
    assert_eq!(
        switches(&journals()),
        3,
        "what was switched is not switched again:\n{}",
        journals()
    );
}

#[test]
fn another_ledger_is_refused_by_the_hosts() {
    let scene = Scene::on_v1(2, 1);
    let machine = String::from_utf8(
        std::process::Command::new("uname")
            .arg("-n")
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    for entry in fs::read_dir(scene.controller.path("inventory"))
        .unwrap()
        .flatten()
    {
        if entry.file_name().to_string_lossy().starts_with("ledger.db") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let journals = [scene.host_journal(0), scene.host_journal(1)];
    scene
        .release("v2", &Behaviour::default())
        .exits(5)
        .says("is managed by another ledger")
        .says(&format!("on {}", machine.trim()))
        .says("`--take-over` makes this one the owner");
    assert_eq!(scene.versions(), ["v1", "v1"]);
    assert_eq!(
        journals,
        [scene.host_journal(0), scene.host_journal(1)],
        "nothing was changed"
    );
}
