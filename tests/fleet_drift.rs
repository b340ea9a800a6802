//! Hosts that somebody changed by hand: `status --verify` and `check --connect` tell it, and change nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use rollctl_fleet::{Base, Fleet, FleetOptions, Host};
use rollctl_lab::Behaviour;
use serde_json::{Value, json};
use support::Controller;

/// Something without a binary of its own: the shell runs it.
const SCRIPT: &str = "#!/bin/sh\nwhile :; do sleep 1; done\n";
const SCRIPT_UNIT: &str = "[Service]\nExecStart=/opt/job/current/job\n";

fn boot() -> Option<(Fleet, Controller)> {
    if rollctl_fleet::skip() {
        return None;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(3, Base::Full).prefix("web")).unwrap();
    let controller = Controller::new();
    inventory(&controller, &fleet);
    Some((fleet, controller))
}

fn inventory(controller: &Controller, fleet: &Fleet) {
    controller.write("inventory/config.toml", "x = 1\n");
    controller.write("inventory/job.service", SCRIPT_UNIT);
    let web = controller.usual("3").replace(
        "port = 8080",
        "port = 8080\nlink = \"/usr/local/bin/web\"\nfiles = { \"config.toml\" = \"config.toml\" }",
    );
    let job = r#"
[services.job]
hosts = "*"
unit = "job.service"
unit_file = "job.service"
install_dir = "/opt/job"
[services.job.strategy]
max_unavailable = 3
min_ready = "1s"
[services.job.health]
unit = true
interval = "200ms"
"#;
    controller.inventory(fleet, "root", &format!("{web}{job}"));
}

/// What `status --verify` has on each host: `verified` and `drift`.
fn verified(controller: &Controller, service: &str) -> Vec<(Value, Value)> {
    let status = controller.json(&["status", service, "--verify"]);
    let instances = status["instances"].as_array().unwrap();
    instances
        .iter()
        .map(|one| (one["verified"].clone(), one["drift"].clone()))
        .collect()
}

fn sh(host: &Host, command: &str) {
    host.sh(command).unwrap();
}

#[test]
fn what_was_changed_by_hand_is_told_host_by_host() {
    let Some((fleet, controller)) = boot() else {
        return;
    };
    let v1 = controller.version("v1", &Behaviour::default());
    let job = controller.write("build-job", SCRIPT);
    sh_local(&["chmod", "755", job.to_str().unwrap()]);
    for (service, artifact) in [("web", &v1), ("job", &job)] {
        controller
            .rollctl(&[
                "release",
                service,
                artifact.to_str().unwrap(),
                "--name",
                "v1",
            ])
            .exits(0);
    }
    let whole = |word: &str| (json!(word), json!([]));
    assert_eq!(verified(&controller, "web"), vec![whole("running_file"); 3]);
    assert_eq!(
        verified(&controller, "job"),
        vec![whole("files_and_restart"); 3]
    );
    controller
        .rollctl(&["status", "--verify"])
        .exits(0)
        .says("running file")
        .says("files + restart");
    controller.rollctl(&["check", "--connect"]).exits(0);

    let other = "cp /opt/web/current/web /root/kept && cp /root/kept /root/other && printf x >>/root/other && \
        mv /root/other /opt/web/revisions/v1/web";
    sh(fleet.host(0), other);
    sh(fleet.host(1), &format!("{other} && systemctl restart web"));
    sh(
        fleet.host(2),
        "echo 'x = 2' >/opt/web/current/config.toml && cd /etc/systemd/system && \
         sed -i 's/demo/mine/' web.service && echo Environment=X=1 >>web.service.d/50-rollctl.conf && \
         systemctl daemon-reload && ln -sfn /bin/true /usr/local/bin/web",
    );
    let changed = "`web` of `v1` was changed on disk";
    assert_eq!(
        verified(&controller, "web"),
        [
            (Value::Null, json!([changed])),
            (
                Value::Null,
                json!([
                    "`web.service` runs `/opt/web/revisions/v1/web`, whose SHA-256 is not the manifest's",
                    changed
                ])
            ),
            (
                Value::Null,
                json!([
                    "the unit file of `web.service` differs from the revision's",
                    "drop-in `50-rollctl.conf` of `web.service` was changed",
                    "link `/usr/local/bin/web` does not lead into `current`",
                    "`config.toml` of `v1` was changed on disk"
                ])
            ),
        ]
    );
    controller
        .rollctl(&["status", "web", "--verify"])
        .exits(11)
        .says("DRIFT")
        .says(&format!("drift on web-01: {changed}"))
        .says("`rollctl restart web --hosts '{web-01,web-02,web-03}'` puts it right");
    controller
        .rollctl(&["check", "--connect"])
        .exits(11)
        .says(&format!("drift: {changed}"));

    // A script is no running file: edited it is drift, restarted by hand it is none.
    sh(fleet.host(0), "echo '# x' >>/opt/job/current/job");
    sh(fleet.host(1), "systemctl restart job");
    assert_eq!(
        verified(&controller, "job"),
        [
            (Value::Null, json!(["`job` of `v1` was changed on disk"])),
            whole("files_and_restart"),
            whole("files_and_restart"),
        ]
    );

    // The same bytes again are the revision again, though the file that runs was deleted meanwhile.
    sh(
        fleet.host(0),
        "cp -p /root/kept /root/same && mv /root/same /opt/web/revisions/v1/web",
    );
    assert_eq!(verified(&controller, "web")[0], whole("running_file"));

    // A host that is down cannot be verified; the others are.
    fleet.host(2).partition(true).unwrap();
    sh(
        fleet.host(1),
        "cp -p /root/kept /root/same && mv /root/same /opt/web/revisions/v1/web && systemctl restart web",
    );
    controller
        .rollctl(&["status", "web", "--verify"])
        .exits(3)
        .says("web-03 not verified: ");
    fleet.shut_down().unwrap();
}

#[test]
fn a_host_that_another_ledger_manages_is_told_by_check() {
    let Some((fleet, controller)) = boot() else {
        return;
    };
    let v1 = controller.version("v1", &Behaviour::default());
    controller
        .rollctl(&["release", "web", v1.to_str().unwrap(), "--hosts", "web-01"])
        .exits(0);
    let stranger = Controller::new();
    inventory(&stranger, &fleet);
    let check = stranger.rollctl(&["check", "--connect"]).exits(3);
    let text = check.text();
    assert!(
        text.contains("`/opt/web` is managed by the ledger"),
        "{text}"
    );
    assert!(text.contains("2 of 3 hosts can take part"), "{text}");
    controller.rollctl(&["check", "--connect"]).exits(0);
    fleet.shut_down().unwrap();
}

fn sh_local(words: &[&str]) {
    let status = std::process::Command::new(words[0])
        .args(&words[1..])
        .status();
    assert!(status.unwrap().success());
}
