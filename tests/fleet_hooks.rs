//! Hooks on real hosts: with sudo, ended by their host when they hang.

mod support;

use rollctl_fleet::{Base, Fleet, FleetOptions};
use rollctl_lab::Behaviour;
use support::Controller;

/// Says who runs it and what it was told, then does what a test wants of this host.
const HOOK: &[u8] = b"#!/bin/sh\nfor i in 1 2 3; do echo \"$(id -un): $ROLLCTL_HOOK $ROLLCTL_FROM to $ROLLCTL_TO on \
$ROLLCTL_HOST:$ROLLCTL_PORT '$1'\"; done >&2\n[ ! -e /run/hangs ] || { sleep 8888 & wait; }\n[ ! -e /run/fails ]\n";

#[test]
fn a_hook_on_its_host_has_root_and_an_end() {
    if rollctl_fleet::skip() {
        return;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(2, Base::Full).prefix("web")).unwrap();
    let controller = Controller::new();
    let services = controller.usual("1")
        + "[services.web.hooks]\n\
           before_instance = { on = \"host\", run = [\"/usr/local/sbin/hook\", \"it's $HOME\\n;\"] }\n\
           after_instance = { on = \"host\", run = [\"/usr/local/sbin/hook\", \"\"], timeout = \"1s\" }\n";
    controller.inventory(&fleet, "deploy", &services);
    for host in fleet.hosts() {
        host.write_file("/usr/local/sbin/hook", HOOK, 0o755)
            .unwrap();
    }
    let release = |name: &str| {
        let artifact = controller.version(name, &Behaviour::default());
        let artifact = artifact.to_str().unwrap().to_owned();
        controller.rollctl(&["release", "web", &artifact, "--name", name])
    };
    release("v1").exits(0);
    let (first, second) = (fleet.host(0), fleet.host(1));
    first.sh("touch /run/fails").unwrap();
    release("v2")
        .exits(3)
        .says("web-01: before_instance hook ended with exit status 1 after ")
        .says("root: before_instance v1 to v2 on web-01:8080 'it's $HOME")
        .says("web-02: after_instance hook ended well after ")
        .says("root: after_instance v1 to v2 on web-02:8080 ''");
    first.sh("rm /run/fails && touch /run/hangs").unwrap();
    second.sh("touch /run/hangs").unwrap();
    let inventory = controller.path("inventory/test.toml");
    let text = std::fs::read_to_string(&inventory).unwrap();
    let without = text
        .lines()
        .filter(|line| !line.starts_with("before_instance"));
    std::fs::write(&inventory, without.collect::<Vec<_>>().join("\n")).unwrap();
    release("v3")
        .exits(5)
        .says("its after_instance hook took longer than its timeout and was killed")
        .says("root: after_instance v1 to v3 on web-01:8080 ''");
    for host in fleet.hosts() {
        host.sh("! pgrep -f '[s]leep 8888'").unwrap();
    }
    let runs = |host: &rollctl_fleet::Host| {
        let path = host.sh("readlink /opt/web/current").unwrap();
        path.trim().to_owned()
    };
    assert_eq!(runs(first), "revisions/v1");
    assert_eq!(runs(second), "revisions/v2");
}
