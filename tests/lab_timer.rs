//! `rollctl timer`: what it prints is understood by those that it is for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_support;

use std::fs;
use std::process::Command;

use lab_support::Scene;

/// Gives the service something to release.
fn with_artifact(scene: &Scene) {
    let path = scene.controller.path("inventory/test.toml");
    let inventory = fs::read_to_string(path).unwrap();
    let more = "port = 8080\nartifact = \"web\"\nenvironment = { A = { env = \"DB_URL\" } }\n";
    let inventory = inventory.replace("port = 8080\n", more);
    scene.controller.write("inventory/test.toml", inventory);
}

#[test]
fn units_and_a_cron_line_are_printed_and_systemd_takes_them() {
    let scene = Scene::fresh(1, 1);
    let timer = |more: &[&str]| {
        let words = [&["timer", "web", "--on-calendar", "Mon..Fri 02:30"], more].concat();
        scene.controller.rollctl(&words)
    };
    timer(&[])
        .exits(2)
        .says("`web` has no `artifact`: a timer would find nothing to release");
    with_artifact(&scene);
    timer(&[])
        .exits(0)
        .says("# /etc/systemd/system/rollctl-release-test-web.service\n[Unit]\n")
        .says("# /etc/systemd/system/rollctl-release-test-web.timer\n[Unit]\n")
        .says(
            "# systemctl daemon-reload && systemctl enable --now rollctl-release-test-web.timer\n",
        )
        .says("\nUser=ann\n")
        .says("# Has to set DB_URL:")
        .says("# 30 2 * * 1-5 /")
        .says("release web --unattended\n");
    timer(&["--scope", "user"])
        .exits(0)
        .says("# ~/.config/systemd/user/rollctl-release-test-web.timer\n")
        .says("loginctl enable-linger")
        .says("systemctl --user enable --now");
    let json = scene
        .controller
        .json(&["timer", "web", "--on-calendar", "hourly"]);
    assert_eq!(json["files"][0]["name"], "rollctl-release-test-web.service");
    assert!(json["cron"].as_str().unwrap().starts_with("0 * * * * /"));
    timer(&["--only", "cron"]).exits(0);
    scene
        .controller
        .rollctl(&[
            "timer",
            "web",
            "--on-calendar",
            "*-*-01 00:00",
            "--only",
            "cron",
        ])
        .exits(2)
        .says("cron has no way to say `*-*-01 00:00`");
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        return;
    }
    scene
        .controller
        .rollctl(&["timer", "web", "--on-calendar", "every now and then"])
        .exits(2)
        .says("`every now and then` is not a time that systemd understands");
    // Where paths are as hard as they can be.
    let folder = "inventory/it's 50% \"of\" $HOME; x";
    let text = fs::read_to_string(scene.controller.path("inventory/test.toml")).unwrap();
    scene.controller.write(&format!("{folder}/test.toml"), text);
    scene.controller.write(&format!("{folder}/web.service"), "");
    let inventory = scene.controller.path(&format!("{folder}/test.toml"));
    let inventory = inventory.to_str().unwrap();
    for part in ["service", "timer"] {
        let run = timer(&["--only", part, "--user", "root", "--inventory", inventory]).exits(0);
        let name = format!("units/rollctl-release-test-web.{part}");
        scene.controller.write(&name, run.stdout);
    }
    let unit = scene
        .controller
        .path("units/rollctl-release-test-web.timer");
    let service = scene
        .controller
        .path("units/rollctl-release-test-web.service");
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args([&unit, &service])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(
        verified.status.success() && !said.contains("rollctl-release"),
        "{said}"
    );
    // The shell takes the line apart as it was meant.
    let cron = timer(&["--only", "cron", "--inventory", inventory])
        .exits(0)
        .stdout;
    let command = cron
        .trim_end()
        .splitn(6, ' ')
        .last()
        .unwrap()
        .replace("\\%", "%");
    let split = Command::new("sh")
        .args(["-c", &format!("printf '%s\\n' {command}")])
        .output()
        .unwrap();
    let words = String::from_utf8(split.stdout).unwrap();
    assert_eq!(words.lines().nth(2), Some(inventory));
}
