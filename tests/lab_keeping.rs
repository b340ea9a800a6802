//! What is removed once it is old, and what stays: on a fleet of the lab, by the real program.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lab_support::Scene;
use rollctl_lab::Behaviour;

fn entries(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

fn on_hosts(scene: &Scene) -> Vec<String> {
    let hosts = scene.lab.hosts().iter();
    hosts
        .map(|host| {
            let names = entries(&host.home().join("web/revisions"));
            names.into_iter().collect::<Vec<_>>().join(" ")
        })
        .collect()
}

/// The names of the revisions of which the controller has the packages.
fn in_store(scene: &Scene) -> String {
    let there = entries(&scene.controller.path("inventory/ledger.artifacts"));
    let history = scene.controller.json(&["history", "web"]);
    let revisions = history["revisions"].as_array().unwrap().iter().rev();
    let kept = revisions.filter(|one| there.contains(one["digest"].as_str().unwrap()));
    let names: Vec<_> = kept.map(|one| one["names"][0].as_str().unwrap()).collect();
    names.join(" ")
}

#[test]
fn old_revisions_go_and_kept_ones_stay() {
    let scene = Scene::fresh(2, 1);
    let inventory = fs::read_to_string(scene.controller.path("inventory/test.toml")).unwrap();
    let short = inventory.replace("port = 8080", "port = 8080\nrevision_history_limit = 1");
    scene.controller.write("inventory/test.toml", short);
    let release = |version: &str, more: &[&str]| {
        let words = scene.words(version, &Behaviour::default());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        scene
            .controller
            .rollctl(&[&words[..], more].concat())
            .exits(0);
    };
    release("v1", &["--keep"]);
    release("v2", &[]);
    release("v3", &[]);
    assert_eq!(on_hosts(&scene), ["v1 v2 v3"; 2]);
    // Only one host goes on: the other still runs v3, and has v2 to go back to.
    release("v4", &["--hosts", "web-01"]);
    release("v5", &["--hosts", "web-01"]);
    assert_eq!(on_hosts(&scene), ["v1 v4 v5", "v1 v2 v3"]);
    assert_eq!(in_store(&scene), "v1 v2 v3 v4 v5", "somebody may need them");
    release("v6", &[]);
    assert_eq!(on_hosts(&scene), ["v1 v5 v6", "v1 v3 v6"]);
    assert_eq!(in_store(&scene), "v1 v3 v5 v6");
    release("v7", &[]);
    assert_eq!(on_hosts(&scene), ["v1 v6 v7"; 2]);
    assert_eq!(in_store(&scene), "v1 v6 v7");

    scene
        .controller
        .rollctl(&["history", "web"])
        .exits(0)
        .says("v1 (kept)");
    scene
        .controller
        .rollctl(&["rollback", "web", "--to", "v1"])
        .exits(0);
    scene.all_run("v1");
    scene
        .controller
        .rollctl(&["rollback", "web", "--to", "v2"])
        .exits(5)
        .says("release it again from its artifact");
}
