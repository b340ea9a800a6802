//! Bad input that only hosts can tell: what is on them stays as it was.

use std::fs;
use std::time::{Duration, Instant};

use rollctl_lab::{Behaviour, Lab};

use crate::support::Controller;
use crate::world::{files, lab, untouched, well_said};

/// A program for another machine: its header and nothing else.
fn for_arm() -> Vec<u8> {
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(16, 0);
    program.extend(2u16.to_le_bytes());
    program.extend(0xb7u16.to_le_bytes());
    program.resize(4096, 0);
    program
}

/// What is on the hosts.
fn on_hosts(lab: &Lab) -> Vec<std::collections::BTreeMap<String, Vec<u8>>> {
    lab.hosts().iter().map(|host| files(&host.home())).collect()
}

fn path(controller: &Controller, name: &str) -> String {
    controller.path(name).display().to_string()
}

#[test]
fn a_program_for_another_machine_changes_no_host_and_makes_no_revision() {
    let (lab, controller) = lab(2, "");
    let (arm, v1) = (path(&controller, "arm"), path(&controller, "build-v1"));
    controller.write("arm", for_arm());
    let before = on_hosts(&lab);
    let told = "the artifact fits no host of `web`: web-01: the artifact is for aarch64";
    untouched(&controller, &["plan", "web", &arm])
        .exits(2)
        .says(told);
    for words in [
        &["release", "web", &arm][..],
        &["release", "web", &arm, "--hosts", "web-02"],
    ] {
        let run = controller
            .rollctl(words)
            .exits(2)
            .says("the artifact is for aarch64");
        well_said(&run);
        assert_eq!(on_hosts(&lab), before);
        assert!(!controller.path("inventory/ledger.artifacts").exists());
        controller
            .rollctl(&["history", "web"])
            .says("nothing was released of `web` yet");
    }
    // With one for these hosts, too, all is well.
    let text = fs::read_to_string(controller.path("inventory/test.toml")).unwrap();
    let both = format!(
        "port = 8080\nartifact = {{ {} = {v1:?}, aarch64 = {arm:?} }}",
        std::env::consts::ARCH
    );
    controller.write("inventory/test.toml", text.replace("port = 8080", &both));
    if std::env::consts::ARCH != "aarch64" {
        controller.rollctl(&["release", "web"]).exits(0);
    }
}

#[test]
fn names_and_revisions() {
    let (lab, controller) = lab(1, "");
    let (v1, v2) = (path(&controller, "build-v1"), path(&controller, "build-v2"));
    controller
        .rollctl(&["release", "web", &v1, "--name", "first"])
        .exits(0);
    let before = on_hosts(&lab);
    for (sentence, words, told) in [
        (
            "a name of other content",
            &["release", "web", &v2, "--name", "first"][..],
            "`first` of `web` is already used for other content (revision 1)",
        ),
        (
            "no earlier revision",
            &["rollback", "web"],
            "has no earlier revision that completed",
        ),
        (
            "an unknown name",
            &["rollback", "web", "--to", "nope"],
            "`web` has no revision `nope`",
        ),
        (
            "an unknown number",
            &["rollback", "web", "--to", "99"],
            "`web` has no revision `99`",
        ),
        (
            "an unknown revision of history",
            &["history", "web", "--revision", "99"],
            "revision 99 of `web` does not exist",
        ),
        (
            "an unknown rollout",
            &["describe", "99"],
            "rollout 99 does not exist",
        ),
    ] {
        let kept = files(&controller.path("inventory/ledger.artifacts"));
        let run = controller.rollctl(words);
        assert_eq!(run.code, 2, "{sentence}");
        assert!(run.stderr.contains(told), "{sentence}: {}", run.stderr);
        assert!(
            run.stderr.contains("`rollctl history"),
            "{sentence}: {}",
            run.stderr
        );
        well_said(&run);
        assert_eq!(
            files(&controller.path("inventory/ledger.artifacts")),
            kept,
            "{sentence}"
        );
        assert_eq!(on_hosts(&lab), before, "{sentence}");
    }
    // The same content under a second name: one revision with two names, and both lead to it.
    controller
        .rollctl(&["release", "web", &v1, "--name", "again"])
        .exits(0)
        .says(
            "note: this content is revision 1 already, `first`; `again` becomes another name of it",
        )
        .says("nothing to do");
    let names = &controller.json(&["history", "web"])["revisions"][0]["names"];
    assert_eq!(*names, serde_json::json!(["first", "again"]));
    controller
        .rollctl(&["release", "web", &v2, "--name", "second"])
        .exits(0);
    controller
        .rollctl(&["rollback", "web", "--to", "again"])
        .exits(0)
        .says("on `first`");
    controller
        .rollctl(&["rollback", "web", "--to", "2"])
        .exits(0)
        .says("on `second`");
    controller
        .rollctl(&["rollback", "web", "--to", "first"])
        .exits(0)
        .says("on `first`");
}

#[test]
fn a_damaged_store_is_told_and_takes_nothing_down() {
    let (lab, controller) = lab(2, "");
    let (v1, v2) = (path(&controller, "build-v1"), path(&controller, "build-v2"));
    controller
        .rollctl(&["release", "web", &v1, "--name", "v1"])
        .exits(0);
    controller
        .rollctl(&["release", "web", &v2, "--name", "v2"])
        .exits(0);
    let digest = controller.json(&["history", "web"])["revisions"][1]["digest"].clone();
    let package = format!(
        "inventory/ledger.artifacts/{}/any.tar.zst",
        digest.as_str().unwrap()
    );
    let mut bytes = fs::read(controller.path(&package)).unwrap();
    bytes[1000] ^= 1;
    controller.write(&package, bytes);
    // One host has it still, and needs nothing from the store.
    fs::remove_dir_all(lab.hosts()[1].home().join("web/revisions/v1")).unwrap();
    let run = controller
        .rollctl(&["rollback", "web", "--to", "v1"])
        .exits(3)
        .says("web-02: cannot take part")
        .says("is damaged: its SHA-256 is not the recorded one")
        .says("release the same artifact again, which replaces it");
    well_said(&run);
    let status = controller.json(&["status", "web"]);
    assert_eq!(status["available"], 2);
    assert_eq!(status["instances"][0]["revision"], "v1");
    assert_eq!(status["instances"][1]["revision"], "v2");
    // Gone altogether, from the hosts too: nothing to go back to, and nothing goes down.
    controller.rollctl(&["release", "web", &v2]).exits(0);
    fs::remove_file(controller.path(&package)).unwrap();
    fs::remove_dir_all(lab.hosts()[0].home().join("web/revisions/v1")).unwrap();
    controller
        .rollctl(&["rollback", "web", "--to", "v1"])
        .exits(5)
        .says("cannot be read: No such file");
    assert_eq!(controller.json(&["status", "web"])["available"], 2);
    // What the hint says works.
    controller.rollctl(&["release", "web", &v1]).exits(0);
    assert_eq!(controller.json(&["status", "web"])["up_to_date"], 2);
}

#[test]
fn a_second_controller_is_told_who_works() {
    let (_lab, controller) = lab(1, "");
    let slow = controller.version(
        "slow",
        &Behaviour {
            ready_delay: Duration::from_secs(3),
            ..Behaviour::default()
        },
    );
    let mut first = controller
        .command(&["release", "web", slow.to_str().unwrap()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while controller.json(&["status", "web"])["rollout"].is_null() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(50));
    }
    let v1 = path(&controller, "build-v1");
    let kept = files(&controller.path("inventory/ledger.artifacts"));
    for words in [
        &["release", "web", &v1][..],
        &["rollback", "web", "--to", "1"],
    ] {
        let run = controller
            .rollctl(words)
            .exits(4)
            .says("ann@")
            .says("has been working on `web` since");
        assert!(
            run.stderr.contains(&format!("pid {}", first.id())),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr.contains("`rollctl status web --watch`"),
            "{}",
            run.stderr
        );
        assert_eq!(files(&controller.path("inventory/ledger.artifacts")), kept);
    }
    assert_eq!(first.wait().unwrap().code(), Some(0));
    controller.rollctl(&["release", "web", &v1]).exits(0);
}

#[test]
fn whoever_reads_may_go_away_and_disks_fill_while_the_rollout_goes_on() {
    let (_lab, controller) = lab(1, "");
    let versions = [path(&controller, "build-v1"), path(&controller, "build-v2")];
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for (sentence, format, is_full, told) in [
        (
            "a full disk",
            "human",
            true,
            "warning: stdout: No space left on device",
        ),
        (
            "a full disk, for programs",
            "json",
            true,
            "warning: stdout: No space left on device",
        ),
        ("a reader who went away", "human", false, ""),
        ("a program that went away", "json", false, ""),
    ] {
        let at = usize::from(is_full == (format == "human"));
        let mut command = controller.command(&["release", "web", &versions[at], "-o", format]);
        command.stderr(std::process::Stdio::piped());
        let mut child = match is_full {
            true => command.stdout(full()).spawn().unwrap(),
            false => command
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap(),
        };
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{sentence}: {stderr}");
        assert!(stderr.contains(told), "{sentence}: {stderr}");
        assert_eq!(
            stderr.matches("warning: stdout").count(),
            usize::from(is_full),
            "{sentence}"
        );
        assert_eq!(
            controller.json(&["status", "web"])["available"],
            1,
            "{sentence}"
        );
    }
    let output = controller
        .command(&["status"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .starts_with("error: stdout: No space left")
    );
}
