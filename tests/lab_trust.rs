//! Signed builds, on a fleet of the lab by the real program and the real `ssh-keygen`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use lab_support::{Run, Scene};
use rollctl_lab::Behaviour;

/// A fleet of one host that takes only what Ann or Bert signed; nobody's key is revoked.
fn scene() -> Scene {
    let scene = Scene::fresh(1, 1);
    let mut signers = String::new();
    for who in ["ann", "bert", "eve"] {
        let words = ["-q", "-t", "ed25519", "-N", "", "-f"];
        keygen(&scene, &[&words[..], &[who]].concat());
        if who != "eve" {
            let key = fs::read_to_string(scene.controller.path(&format!("{who}.pub"))).unwrap();
            signers.push_str(&format!("{who}@example.net {key}"));
        }
    }
    scene.controller.write("inventory/allowed_signers", signers);
    scene.controller.write("inventory/revoked_keys", "");
    let inventory = fs::read_to_string(scene.controller.path("inventory/test.toml")).unwrap();
    let trust =
        "\n[trust]\nallowed_signers = \"allowed_signers\"\nrevoked_keys = \"revoked_keys\"\n";
    scene
        .controller
        .write("inventory/test.toml", inventory + trust);
    scene
}

fn keygen(scene: &Scene, words: &[&str]) {
    let mut command = Command::new("ssh-keygen");
    command.args(words).current_dir(scene.controller.path(""));
    assert!(command.status().unwrap().success(), "{words:?}");
}

/// Builds a version, signed by somebody.
fn build(scene: &Scene, version: &str, signer: Option<&str>) -> String {
    let path = scene.controller.version(version, &Behaviour::default());
    let path = path.to_str().unwrap().to_owned();
    if let Some(signer) = signer {
        let _ = fs::remove_file(format!("{path}.sig"));
        keygen(
            scene,
            &["-q", "-Y", "sign", "-n", "rollctl", "-f", signer, &path],
        );
    }
    path
}

fn release(scene: &Scene, version: &str, signer: Option<&str>) -> Run {
    let path = build(scene, version, signer);
    let words = ["release", "web", &path, "--name", version];
    scene.controller.rollctl(&words)
}

#[test]
fn only_builds_of_somebody_who_is_trusted_are_released_and_the_ledger_says_whose() {
    let scene = scene();
    let controller = &scene.controller;
    for (signer, words) in [(None, "is not signed"), (Some("eve"), "which is not in")] {
        let path = build(&scene, "v1", signer);
        controller
            .rollctl(&["plan", "web", &path])
            .exits(5)
            .says(words);
        release(&scene, "v1", signer)
            .exits(5)
            .says(words)
            .says("nothing was shipped")
            .says("hint:");
    }
    assert!(!scene.on_host(0, "web").exists(), "the host was touched");
    assert!(
        !controller.path("inventory/ledger.db").exists(),
        "nothing is to be remembered"
    );

    let path = build(&scene, "v1", Some("ann"));
    controller
        .rollctl(&["plan", "web", &path])
        .exits(0)
        .says("signed by `ann@example.net` (SHA256:");
    release(&scene, "v1", Some("ann"))
        .exits(0)
        .says("signed by `ann@example.net`");
    release(&scene, "v2", Some("bert")).exits(0);
    scene.all_run("v2");
    let history = controller.json(&["history", "web"]);
    let principals: Vec<_> = (0..2)
        .map(|at| &history["revisions"][at]["signed_by"][0]["principal"])
        .collect();
    assert_eq!(principals, ["bert@example.net", "ann@example.net"]);
    controller
        .rollctl(&["history", "web"])
        .exits(0)
        .says("SIGNED-BY")
        .says("ann@example.net");
    controller
        .rollctl(&["history", "web", "--revision", "1"])
        .exits(0)
        .says("by `ann@example.net` (SHA256:");
    controller
        .rollctl(&["describe", "2"])
        .exits(0)
        .says("signed by `bert@example.net` (SHA256:");

    // Ann has lost her key: what she signed is not gone back to. Whoever only left the company is no such case.
    fs::copy(
        controller.path("ann.pub"),
        controller.path("inventory/revoked_keys"),
    )
    .unwrap();
    let back = ["rollback", "web", "--to", "v1"];
    controller
        .rollctl(&back)
        .exits(5)
        .says("`ann@example.net`")
        .says("is revoked in")
        .says("nothing was shipped");
    release(&scene, "v1", Some("ann"))
        .exits(5)
        .says("is revoked in");
    scene.all_run("v2");
    controller.rollctl(&["restart", "web"]).exits(0);
    controller.write("inventory/revoked_keys", "");
    controller.write("inventory/allowed_signers", "");
    controller.rollctl(&back).exits(0);
    scene.all_run("v1");
    release(&scene, "v2", Some("bert"))
        .exits(5)
        .says("which is not in");
}

#[test]
fn what_is_shipped_is_what_was_verified() {
    let scene = scene();
    let evil = scene.controller.version("evil", &Behaviour::default());
    let good = build(&scene, "v1", Some("ann"));
    // Somebody who may write there replaces the build the moment it was found good.
    let real = "/usr/bin/ssh-keygen";
    assert!(Path::new(real).exists());
    let script = format!(
        "#!/bin/sh\n{real} \"$@\"\nstatus=$?\ncase $2 in verify) cp '{}' '{good}' ;; esac\nexit $status\n",
        evil.display()
    );
    let wrapper = scene.controller.write("bin/ssh-keygen", script);
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let folder = wrapper.parent().unwrap().to_str().unwrap().to_owned();
    let with_path = |path: &str| {
        let mut command = scene.controller.command(&["release", "web", &good]);
        Run::of(&command.env("PATH", path).output().unwrap())
    };
    with_path(&format!("{folder}:/usr/bin:/bin"))
        .exits(5)
        .says("it changed while its signature was verified");
    assert!(!scene.on_host(0, "web").exists());
    let without = scene.controller.path("empty");
    fs::create_dir(&without).unwrap();
    build(&scene, "v1", Some("ann"));
    with_path(without.to_str().unwrap())
        .exits(5)
        .says("cannot be verified")
        .says("OpenSSH's client");
}

#[test]
fn check_says_beforehand_what_would_be_refused() {
    let scene = scene();
    let path = build(&scene, "v1", None);
    let inventory = fs::read_to_string(scene.controller.path("inventory/test.toml")).unwrap();
    let inventory = inventory.replace(
        "port = 8080\n",
        &format!("port = 8080\nartifact = \"{path}\"\n"),
    );
    scene.controller.write("inventory/test.toml", inventory);
    scene
        .controller
        .rollctl(&["check"])
        .exits(0)
        .says("is not signed")
        .says("warning")
        .says("allowed_signers");
    let checked = scene.controller.json(&["check"]);
    assert_eq!(checked["findings"][0]["severity"], "warning");
    assert_eq!(checked["findings"][0]["key"], "trust.allowed_signers");
    build(&scene, "v1", Some("bert"));
    scene
        .controller
        .rollctl(&["check"])
        .exits(0)
        .says("no mistakes");
    assert_eq!(
        scene.controller.json(&["check"])["findings"],
        serde_json::json!([])
    );
    fs::remove_file(scene.controller.path("inventory/allowed_signers")).unwrap();
    scene
        .controller
        .rollctl(&["check"])
        .exits(2)
        .says("allowed_signers");
    scene
        .controller
        .rollctl(&["release", "web"])
        .exits(2)
        .says("allowed_signers");
}
