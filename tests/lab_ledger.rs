//! The ledger's books by the real program, on a fleet of the lab: verified, exported, lost and read back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_support;

use std::fs;
use std::process::Command;

use lab_support::{Run, Scene};
use rollctl_lab::Behaviour;
use serde_json::Value;

/// v1, v2, v3, and back to v2; the last only on one host, forth and back.
fn lived() -> Scene {
    let scene = Scene::on_v1(3, 1);
    for version in ["v2", "v3"] {
        scene.release(version, &Behaviour::default()).exits(0);
    }
    let controller = &scene.controller;
    controller
        .rollctl(&["rollback", "web", "--to", "v2"])
        .exits(0);
    controller.rollctl(&["restart", "web"]).exits(0);
    scene
}

/// Takes ledger and store away.
fn lose(scene: &Scene) {
    for end in ["", "-wal", "-shm"] {
        let path = scene.controller.path(&format!("inventory/ledger.db{end}"));
        if path.exists() {
            fs::remove_file(path).unwrap();
        }
    }
    let store = scene.controller.path("inventory/ledger.artifacts");
    assert!(store.exists(), "the store lies beside the ledger");
    fs::remove_dir_all(store).unwrap();
}

/// What `history` says, without what a journal cannot tell: milliseconds, and when a rollout began and ended.
fn history(scene: &Scene) -> Value {
    let mut history = scene.controller.json(&["history", "web"]);
    for one in history["rollouts"].as_array_mut().unwrap() {
        one["started_at"] = Value::Null;
        one["ended_at"] = Value::Null;
    }
    history
}

fn ledger(scene: &Scene, words: &[&str]) -> Run {
    scene.controller.rollctl(&[&["ledger"], words].concat())
}

fn sql(scene: &Scene, text: &str) {
    let script = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()";
    let mut command = Command::new("python3");
    command.args(["-c", script]);
    command
        .arg(scene.controller.path("inventory/ledger.db"))
        .arg(text);
    assert!(command.status().unwrap().success(), "{text}");
}

#[test]
fn a_lost_ledger_is_read_back_from_the_hosts() {
    let scene = lived();
    let controller = &scene.controller;
    let before = history(&scene);
    controller
        .rollctl(&["history", "web", "--host", "web-01"])
        .exits(0)
        .says("ann@");
    ledger(&scene, &["verify", "--connect"])
        .exits(0)
        .says("the chain is whole")
        .says("of its journal");
    ledger(&scene, &["rebuild"]).exits(0).says("has it already");
    lose(&scene);

    let ran = |words: &[&str]| {
        let words = [&["history", "web", "--host", "web-01"], words].concat();
        let ran = controller.json(&words)["ran"].clone();
        let name = |one: &Value| one["revision"].as_str().map(str::to_owned);
        ran.as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    let names = ["v2", "v3", "v2", "v1"].map(|name| Some(name.to_owned()));
    // Looking reads it back, and keeps nothing.
    assert_eq!(ran(&[]), names);
    let now = ran(&["--at", "2100-01-01"]);
    assert_eq!(now, [Some("v2".to_owned())]);
    controller
        .rollctl(&["history", "web", "--host", "web-01", "--at", "400d ago"])
        .exits(2)
        .says("does not know what `web` ran on web-01 before");
    assert_eq!(history(&scene), before);
    let status = controller.json(&["status", "web"]);
    assert_eq!(status["revision"]["name"], "v2");
    assert_eq!(status["up_to_date"], 3);
    assert!(!controller.path("inventory/ledger.db").exists());
    // What belongs to a ledger that may be somewhere is not taken by the way.
    controller
        .rollctl(&["rollback", "web", "--to", "v1"])
        .exits(5)
        .says("is managed by another ledger")
        .says("--take-over")
        .says("nothing was touched");
    scene.all_run("v2");

    ledger(&scene, &["rebuild"])
        .exits(0)
        .says("web: 3 revisions and 5 rollouts, from 3 hosts")
        .says("needs `--take-over`, once");
    assert_eq!(history(&scene), before);
    ledger(&scene, &["verify"])
        .exits(0)
        .says("the chain is whole");
    ledger(&scene, &["verify", "--connect"])
        .exits(3)
        .says("not compared: the ledger");
    controller
        .rollctl(&["rollback", "web", "--to", "v1"])
        .exits(5);
    controller
        .rollctl(&["rollback", "web", "--to", "v1", "--take-over"])
        .exits(0);
    scene.all_run("v1");
    ledger(&scene, &["verify", "--connect"])
        .exits(0)
        .says("of its journal");
    // From now on they are its own, and numbers go on.
    scene.release("v4", &Behaviour::default()).exits(0);
    let history = controller.json(&["history", "web"]);
    assert_eq!(history["revisions"][0]["number"], 4);
    assert_eq!(history["rollouts"][0]["id"], 7);
}

#[test]
fn somebody_with_nothing_but_the_inventory_goes_back_and_the_first_can_act_nowhere() {
    let scene = lived();
    let controller = &scene.controller;
    // Another ledger: as on a machine that never saw this one.
    let text = fs::read_to_string(controller.path("inventory/test.toml")).unwrap();
    let here = text.clone();
    let elsewhere = text.replace("sqlite:ledger.db", "sqlite:elsewhere/ledger.db");
    controller.write("inventory/test.toml", &elsewhere);
    scene
        .release("v9", &Behaviour::default())
        .exits(5)
        .says("is managed by another ledger");
    controller
        .rollctl(&["rollback", "web", "--to", "v1", "--take-over"])
        .exits(0)
        .says("were read back from 3 hosts");
    scene.all_run("v1");
    let history = controller.json(&["history", "web"]);
    assert_eq!(history["rollouts"][0]["from"], "v2");
    assert_eq!(history["rollouts"][0]["to"], "v1");
    ledger(&scene, &["verify", "--connect"]).exits(0);

    controller.write("inventory/test.toml", &here);
    for words in [
        &["rollback", "web", "--to", "v3"][..],
        &["restart", "web"],
        &["release", "web", "--same"],
    ] {
        controller
            .rollctl(words)
            .exits(5)
            .says("is managed by another ledger")
            .says("nothing was touched");
    }
    assert!(scene.versions().iter().all(|version| version == "v1"));
    // What it believes is old by now: taking them back is not enough, somebody has to say what is to run.
    for words in [
        &["restart", "web", "--take-over"][..],
        &["release", "web", "--same", "--take-over"],
    ] {
        controller
            .rollctl(words)
            .exits(5)
            .says("nobody said that it is to run")
            .says("nothing was touched");
    }
    controller
        .rollctl(&["rollback", "web", "--to", "v3", "--take-over"])
        .exits(0);
    scene.all_run("v3");
    ledger(&scene, &["verify", "--connect"]).exits(0);
}

#[test]
fn a_new_host_among_those_of_a_lost_ledger_begins_no_new_one() {
    let scene = lived();
    lose(&scene);
    let host = scene.lab.hosts()[2].home().join("web");
    fs::remove_dir_all(host).unwrap();
    scene
        .release("v9", &Behaviour::default())
        .exits(5)
        .says("is managed by another ledger")
        .says("web-01, web-02");
    ledger(&scene, &["rebuild"])
        .exits(0)
        .says("3 revisions and 5 rollouts");
}

#[test]
fn a_byte_that_was_changed_is_found_and_named() {
    let scene = Scene::on_v1(1, 1);
    const FREE: &str = "DROP TRIGGER events_are_not_changed; DROP TRIGGER events_are_not_deleted;";
    sql(&scene, FREE);
    let path = scene.controller.path("inventory/ledger.db");
    let whole = fs::read(&path).unwrap();
    for (change, words) in [
        (
            "UPDATE events SET body = replace(body, 'confirm', 'Confirm') WHERE seq = 9",
            "BROKEN at event 9 of rollout 1",
        ),
        (
            r#"UPDATE events SET "at" = "at" + 1 WHERE seq = 4"#,
            "BROKEN at event 4 of rollout 1",
        ),
        (
            "UPDATE events SET kind = 'rollout_paused' WHERE seq = 3",
            "BROKEN at event 3 of rollout 1",
        ),
        (
            "UPDATE events SET host = 'web-02' WHERE seq = 2",
            "BROKEN at event 2 of rollout 1",
        ),
        (
            "UPDATE events SET service = 'wex' WHERE seq = 5",
            "BROKEN at event 6 of rollout 1",
        ),
        (
            "UPDATE events SET id = id + 1 WHERE id = (SELECT max(id) FROM events)",
            "of the ledger is missing",
        ),
        (
            "UPDATE events SET body = CAST(x'ff' AS TEXT) || body WHERE seq = 7",
            "BROKEN at event 7 of rollout 1",
        ),
        (
            "UPDATE events SET kind = CAST(x'c3' AS TEXT) WHERE seq = 12",
            "BROKEN at event 12 of rollout 1",
        ),
        (
            "UPDATE events SET hash = upper(hash) WHERE seq = 8",
            "BROKEN at event 8 of rollout 1",
        ),
        (
            "UPDATE rollouts SET outcome = 'failed'",
            "the list of rollouts says something else",
        ),
        ("DELETE FROM rollouts", "rollout 1"),
    ] {
        sql(
            &scene,
            &format!("PRAGMA foreign_keys = off; PRAGMA wal_checkpoint(truncate); {change}"),
        );
        ledger(&scene, &["verify"]).exits(11).says(words);
        let json = scene
            .controller
            .rollctl(&["ledger", "verify", "-o", "json"]);
        json.exits(11).says("\"version\":1");
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(scene.controller.path(&format!("inventory/ledger.db{end}")));
        }
        fs::write(&path, &whole).unwrap();
    }
    ledger(&scene, &["verify"]).exits(0);
    let no_text = "UPDATE events SET service = CAST(x'ff' AS TEXT) WHERE seq = 6";
    sql(&scene, &format!("PRAGMA foreign_keys = off; {no_text}"));
    ledger(&scene, &["verify"])
        .exits(2)
        .says("is damaged: event 6 of rollout 1 cannot be read");
}

#[test]
fn an_export_is_all_of_it_and_always_the_same() {
    let scene = Scene::on_v1(1, 1);
    let export = |scene: &Scene| {
        let mut command = scene.controller.command(&["ledger", "export"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = export(&scene);
    assert_eq!(export(&scene), text);
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |table: &str| rows.iter().filter(|row| row["table"] == table).count();
    assert_eq!((of("meta"), of("revisions"), of("rollouts")), (1, 1, 1));
    assert_eq!(of("instances"), 1);
    let events = rows.iter().filter(|row| row["table"] == "events");
    assert_eq!(
        events.clone().next_back().unwrap()["row"]["kind"],
        "rollout_ended"
    );
    assert!(rows.iter().all(|row| row["version"] == 1));
    // Whoever has it can compute the chain.
    let mut previous = "0".repeat(64);
    for event in events {
        let row = &event["row"];
        let words = [
            previous.as_str(),
            &row["rollout"].to_string(),
            &row["seq"].to_string(),
            &row["at"].to_string(),
            row["body"].as_str().unwrap(),
        ];
        let path = scene.controller.write("event", words.join("\n"));
        let sum = Command::new("sha256sum").arg(path).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        assert_eq!(row["hash"], sum.split(' ').next().unwrap());
        previous = row["hash"].as_str().unwrap().to_owned();
    }
}
