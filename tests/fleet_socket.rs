//! A service whose socket systemd holds: what comes during a restart waits, and nobody is refused.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails"
)]

mod support;

#[path = "fleet_traffic/load.rs"]
#[expect(dead_code, reason = "users of balancers do more")]
mod load;

use load::{Habit, Load};
use rollctl_fleet::{Base, Fleet, FleetOptions};
use rollctl_lab::Behaviour;
use support::{Controller, times};

const SOCKET: &str = "[Socket]\nListenStream=8080\n\n[Install]\nWantedBy=sockets.target\n";

const UNIT: &str = "[Unit]\nDescription=demo\nRequires=web.socket\nAfter=web.socket\n\n[Service]\n\
ExecStart=/opt/web/current/web --listen stdin\nStandardInput=socket\nStandardOutput=journal\nStandardError=journal\n\
Restart=on-failure\n\n[Install]\nWantedBy=multi-user.target\n";

#[test]
fn nobody_is_refused_while_systemd_holds_the_socket() {
    if rollctl_fleet::skip() {
        return;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(3, Base::Full).prefix("web")).unwrap();
    let controller = Controller::new();
    let services = controller
        .usual("1")
        .replace("port = 8080", "port = 8080\nsocket = \"web.socket\"");
    controller.inventory(&fleet, "root", &services);
    controller.write("inventory/web.service", UNIT);
    let release = |name: &str| {
        let artifact = controller.version(name, &Behaviour::default());
        let artifact = artifact.to_str().unwrap().to_owned();
        controller.rollctl(&["release", "web", &artifact, "--name", name])
    };
    for host in fleet.hosts() {
        let place = "/etc/systemd/system";
        host.write_file(&format!("{place}/web.service"), UNIT.as_bytes(), 0o644)
            .unwrap();
    }
    controller
        .rollctl(&["check", "--connect"])
        .exits(3)
        .says("no unit of the service is activated by `web.socket` here");
    for host in fleet.hosts() {
        host.write_file("/etc/systemd/system/web.socket", SOCKET.as_bytes(), 0o644)
            .unwrap();
        host.sh("systemctl daemon-reload && systemctl enable --now web.socket")
            .unwrap();
    }
    release("v1").exits(0);
    controller
        .rollctl(&["check", "--connect"])
        .exits(0)
        .says("activated by `web.socket`");
    let addresses: Vec<_> = fleet
        .hosts()
        .iter()
        .map(|host| (host.address(), 8080).into())
        .collect();
    let habits = [
        Habit::Fresh,
        Habit::Fresh,
        Habit::Fresh,
        Habit::Slow { ms: 1_000 },
    ];
    let load = Load::start(&addresses, &habits);
    for round in 0..times("ROLLCTL_TRAFFIC_ROUNDS", 2) {
        release(&format!("v{}", round + 2)).exits(0);
    }
    controller.rollctl(&["rollback", "web"]).exits(0);
    let seen = load.stop();
    eprintln!(
        "{} requests, {} of them of 1 s, {} failures",
        seen.asked,
        seen.slow,
        seen.failures.len()
    );
    assert_eq!(seen.failures, Vec::<String>::new());
    for host in fleet.hosts() {
        let state = host
            .sh("systemctl is-active web.socket web.service")
            .unwrap();
        assert_eq!(state.trim(), "active\nactive");
    }
    fleet.shut_down().unwrap();
}
