//! Releases on a fleet of the lab by the real program: no root, no network, any user.

mod lab_support;

use std::process::Stdio;
use std::time::Duration;

use lab_support::{Scene, ready_after};
use rollctl_lab::Behaviour;
use serde_json::Value;

#[test]
fn a_fleet_is_released_within_its_budget_and_rolled_back_by_name() {
    let scene = Scene::fresh(6, 2);
    let rollctl = |words: &[&str]| scene.controller.rollctl(words);
    let slow = ready_after(Duration::from_millis(300));
    scene.release("v1", &slow).exits(0).says("6 of 6 on `v1`");
    scene.all_run("v1");

    let prober = scene.watch();
    scene.release("v2", &slow).exits(0).says("completed");
    let record = prober.stop();
    assert!(record.lowest() >= 4, "{record}");
    scene.all_run("v2");

    let journals: Vec<_> = (0..6).map(|host| scene.host_journal(host)).collect();
    scene.release("v2", &slow).exits(0).says("nothing to do");
    let after: Vec<_> = (0..6).map(|host| scene.host_journal(host)).collect();
    assert_eq!(journals, after, "nothing was touched");

    let prober = scene.watch();
    rollctl(&["rollback", "web", "--to", "v1"]).exits(0);
    let record = prober.stop();
    assert!(record.lowest() >= 4, "{record}");
    scene.all_run("v1");
    rollctl(&["rollback", "web", "--to", "v1"])
        .exits(0)
        .says("nothing to do");
    rollctl(&["rollback", "web", "--to", "2"]).exits(0);
    scene.all_run("v2");
    rollctl(&["rollback", "web", "--to", "v9"])
        .exits(2)
        .says("v9");
    scene.is_clean();
}

#[test]
fn one_login_per_host_is_enough_for_a_release() {
    let scene = Scene::on_v1(3, 1);
    let logins = || -> Vec<u64> {
        let hosts = scene.lab.hosts().iter();
        hosts.map(|host| host.login_count().unwrap()).collect()
    };
    let before = logins();
    scene.release("v2", &Behaviour::default()).exits(0);
    let made: Vec<u64> = logins()
        .iter()
        .zip(before)
        .map(|(now, then)| now - then)
        .collect();
    assert_eq!(made, [1, 1, 1]);
}

#[test]
fn a_bad_release_is_put_back_and_the_next_one_goes_on() {
    let scene = Scene::on_v1(4, 2);
    for (version, behaviour, words) in [
        (
            "never-ready",
            ready_after(Duration::from_secs(3600)),
            "not ready within 10s",
        ),
        (
            "exits",
            Behaviour {
                exit_at_once: Some(3),
                ..Behaviour::default()
            },
            "giving up at once with exit code 3",
        ),
    ] {
        let untouched = scene.host_journal(3);
        scene
            .release(version, &behaviour)
            .exits(5)
            .says("paused")
            .says("web-01")
            .says(words)
            .says("hint:");
        scene.is_consistent(&["v1"]);
        assert_eq!(scene.host_journal(3), untouched);
        let history = scene.controller.json(&["history", "web"]);
        assert_eq!(history["rollouts"][0]["outcome"], "paused");
    }
    scene.release("v2", &Behaviour::default()).exits(0);
    scene.all_run("v2");
    let history = scene.controller.json(&["history", "web"]);
    let outcomes: Vec<_> = history["rollouts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["outcome"].clone())
        .collect();
    assert_eq!(
        outcomes,
        ["completed", "superseded", "superseded", "completed"]
    );
    scene.controller.rollctl(&["rollback", "web"]).exits(0);
    scene.all_run("v1");
}

#[test]
fn a_host_that_is_down_is_skipped_and_catches_up_later() {
    let scene = Scene::on_v1(4, 2);
    scene.lab.hosts()[1].stop();
    scene
        .release("v2", &Behaviour::default())
        .exits(3)
        .says("web-02")
        .says("cannot reach");
    assert_eq!(scene.versions(), ["v2", "down", "v2", "v2"]);
    scene.lab.hosts()[1].start().unwrap();
    scene.release("v2", &Behaviour::default()).exits(0);
    scene.all_run("v2");

    // Cut off from SSH, it goes on serving, and counts as available.
    scene.lab.hosts()[0].close_ssh().unwrap();
    scene
        .release("v3", &Behaviour::default())
        .exits(3)
        .says("web-01");
    assert_eq!(scene.versions(), ["v2", "v3", "v3", "v3"]);
    scene.lab.hosts()[0].open_ssh().unwrap();
    scene.release("v3", &Behaviour::default()).exits(0);
    scene.all_run("v3");
}

#[test]
fn every_line_of_json_says_its_version() {
    let scene = Scene::fresh(2, 1);
    let check = |words: &[&str], code: i32| -> Vec<Value> {
        let words: Vec<_> = words.iter().copied().chain(["--output", "json"]).collect();
        let run = scene.controller.rollctl(&words).exits(code);
        let lines: Vec<Value> = run
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(!lines.is_empty(), "{words:?} said nothing");
        for line in &lines {
            assert_eq!(line["version"], 1, "{words:?}: {line}");
        }
        assert_eq!(run.stderr, "", "{words:?}");
        lines
    };
    let words = scene.words("v1", &Behaviour::default());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let artifact = words[2];
    assert_eq!(
        check(&["plan", "web", artifact], 0)[0]["instances"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let events = check(&words, 0);
    let seqs: Vec<u64> = events
        .iter()
        .filter_map(|event| event["seq"].as_u64())
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!(events[0]["kind"], "rollout_started");
    assert_eq!(events.last().unwrap()["outcome"], "completed");
    check(&words, 0);
    let status = &check(&["status", "web"], 0)[0];
    assert_eq!(
        (&status["desired"], &status["available"]),
        (&2.into(), &2.into())
    );
    let history = &check(&["history", "web"], 0)[0];
    assert_eq!(history["revisions"][0]["names"][0], "v1");
    let id = history["rollouts"][0]["id"].to_string();
    let told = check(&["describe", &id], 0);
    assert!(
        told.len() >= seqs.len() || told[0]["events"].is_array(),
        "{told:?}"
    );
    check(&["check"], 0);
    check(&["check", "--connect"], 0);
    check(&["rollback", "web", "--to", "v9"], 2);
    check(&["status", "nothing"], 2);
    check(&["release", "web", "/nowhere"], 2);
    check(&["describe", "99"], 2);
}

#[test]
fn text_for_people_has_no_colour_unless_it_is_wanted() {
    let scene = Scene::fresh(2, 1);
    // A terminal, from which `NO_COLOR` takes the colours; cursor movements stay.
    let on_terminal = |no_color: Option<&str>| {
        let rollctl = env!("CARGO_BIN_EXE_rollctl");
        let mut command = std::process::Command::new("script");
        command
            .args(["-qec", &format!("{rollctl} status nothing"), "/dev/null"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm")
            .env("HOME", scene.controller.path("."))
            .env(
                "ROLLCTL_INVENTORY",
                scene.controller.path("inventory/test.toml"),
            )
            .stdin(Stdio::null());
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let colours = |text: &str| {
        text.split("\u{1b}[").skip(1).any(|rest| {
            rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                .starts_with('m')
        })
    };
    assert!(colours(&on_terminal(None)), "{:?}", on_terminal(None));
    assert!(
        !colours(&on_terminal(Some("1"))),
        "{:?}",
        on_terminal(Some("1"))
    );
    // An empty variable is none, as no-color.org has it.
    assert!(colours(&on_terminal(Some(""))));
    let run = scene.release("v1", &Behaviour::default()).exits(0);
    assert!(!run.text().contains('\u{1b}'), "{:?}", run.text());
}

#[test]
fn a_reader_that_goes_away_does_not_stop_a_release() {
    let scene = Scene::on_v1(3, 1);
    let words = scene.words("v2", &Behaviour::default());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = scene
        .controller
        .command(&words)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    scene.all_run("v2");

    // Closed from the beginning.
    let command = scene.controller.command(&[]);
    let program = command.get_program().to_owned();
    let words = scene.words("v3", &Behaviour::default());
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "exec \"$0\" \"$@\" >&- 2>&-"])
        .arg(program)
        .args(words)
        .env_clear();
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    assert_eq!(shell.stdin(Stdio::null()).status().unwrap().code(), Some(0));
    scene.all_run("v3");
}

#[test]
fn what_ran_is_told_afterwards() {
    let scene = Scene::on_v1(2, 1);
    let rollctl = |words: &[&str]| scene.controller.rollctl(words);
    scene.release("v2", &Behaviour::default()).exits(0);
    rollctl(&["status", "web"])
        .exits(0)
        .says("DESIRED")
        .says("web-01")
        .says("v2");
    rollctl(&["status"]).exits(0).says("web");
    rollctl(&["history", "web"])
        .exits(0)
        .says("v1")
        .says("v2")
        .says("ann@");
    let history = scene.controller.json(&["history", "web"]);
    let id = history["rollouts"][0]["id"].to_string();
    rollctl(&["describe", &id])
        .exits(0)
        .says("web-01")
        .says("v2")
        .says("completed");
    rollctl(&["describe", "99"]).exits(2).says("99");
    rollctl(&["history", "nothing"]).exits(2).says("nothing");
}
