//! What goes wrong on real hosts, and what rollctl makes of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use rollctl_fleet::{Base, Fleet, FleetOptions, Prober, Target};
use rollctl_lab::Behaviour;
use support::{Controller, Run, file_hash, running_hash};

struct Scene {
    fleet: Fleet,
    controller: Controller,
}

/// Hosts that run v1, released by root.
fn on_v1(hosts: usize, max_unavailable: &str) -> Option<Scene> {
    let scene = fresh(hosts)?;
    scene.controller.inventory(
        &scene.fleet,
        "root",
        &scene.controller.usual(max_unavailable),
    );
    scene.release("v1", &Behaviour::default()).exits(0);
    Some(scene)
}

/// Hosts on which nothing runs yet, without an inventory.
fn fresh(hosts: usize) -> Option<Scene> {
    if rollctl_fleet::skip() {
        return None;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(hosts, Base::Full).prefix("web")).unwrap();
    Some(Scene {
        fleet,
        controller: Controller::new(),
    })
}

impl Scene {
    fn release(&self, version: &str, behaviour: &Behaviour) -> Run {
        let path = self.controller.version(version, behaviour);
        self.controller
            .rollctl(&["release", "web", path.to_str().unwrap(), "--name", version])
    }

    /// What hosts say that they run, asked past rollctl.
    fn versions(&self) -> Vec<String> {
        let ask = "curl -s -m 2 http://127.0.0.1:8080/healthz || echo down";
        self.fleet
            .hosts()
            .iter()
            .map(|host| host.sh(ask).unwrap().trim().to_owned())
            .collect()
    }

    fn host(&self, n: usize) -> &rollctl_fleet::Host {
        self.fleet.host(n)
    }
}

fn padded(bytes: usize) -> Behaviour {
    Behaviour {
        padding: bytes,
        ..Behaviour::default()
    }
}

/// Nothing of rollctl is left where nothing was to be done.
#[track_caller]
fn untouched(host: &rollctl_fleet::Host) {
    let found = host
        .sh("ls -A /opt/web /etc/systemd/system/web.service 2>/dev/null || true")
        .unwrap();
    assert_eq!(found, "", "{} was touched", host.name());
}

/// No half of an upload is left.
#[track_caller]
fn nothing_half_done(host: &rollctl_fleet::Host) {
    let found = host
        .sh("find /opt/web -name '.incoming*' -o -name '*.tmp*'")
        .unwrap();
    assert_eq!(found, "", "left on {}", host.name());
}

#[test]
fn a_changed_and_an_unknown_host_key_stop_those_hosts_alone() {
    let Some(scene) = fresh(3) else { return };
    let (fleet, controller) = (&scene.fleet, &scene.controller);
    let known = fs::read_to_string(fleet.known_hosts()).unwrap();
    let key_of = |n: usize| fleet.host(n).public_key().unwrap();
    let line_of = |n: usize| {
        let address = fleet.host(n).address().to_string();
        known
            .lines()
            .find(|line| line.split([' ', ',']).any(|word| word == address))
            .unwrap()
            .to_owned()
    };
    let swapped = format!(
        "{} {}",
        line_of(0).split(' ').next().unwrap(),
        key_of(2).trim()
    );
    let file = controller.write("known_hosts", format!("{swapped}\n{}\n", line_of(2)));
    controller.inventory_of(
        fleet.hosts(),
        &fleet.identity(),
        &file,
        "root",
        &controller.usual("3"),
    );
    let run = scene.release("v1", &Behaviour::default()).exits(3);
    let run = run
        .says("web-01")
        .says("web-02")
        .says("SHA256:")
        .says("rollctl trust web-02");
    assert!(run.text().contains("changed"), "{}", run.text());
    untouched(scene.host(0));
    untouched(scene.host(1));
    assert!(scene.versions()[2].contains("v1"));
    let file_after = fs::read_to_string(&file).unwrap();
    assert_eq!(
        file_after,
        format!("{swapped}\n{}\n", line_of(2)),
        "nothing is accepted silently"
    );

    // The way out: look at the key, accept it, release again.
    controller
        .rollctl(&["trust", "web-02"])
        .exits(2)
        .says("SHA256:");
    controller
        .rollctl(&["trust", "web-02", "--yes"])
        .exits(0)
        .says("SHA256:");
    controller
        .rollctl(&["trust", "web-01", "--yes"])
        .says("CHANGED");
    scene
        .release("v1", &Behaviour::default())
        .exits(3)
        .says("web-01");
    assert!(scene.versions()[1].contains("v1"));
    untouched(scene.host(0));
}

#[test]
fn a_refused_login_says_what_was_tried() {
    let Some(scene) = fresh(2) else { return };
    scene
        .controller
        .inventory(&scene.fleet, "nobody-here", &scene.controller.usual("1"));
    let run = scene.release("v1", &Behaviour::default()).exits(5);
    run.says("web-01")
        .says("web-02")
        .says("nobody-here")
        .says("publickey")
        .says("SHA256:");
    untouched(scene.host(0));
}

#[test]
fn hosts_that_cannot_take_the_revision_are_left_as_they_are_and_named() {
    let Some(scene) = fresh(4) else { return };
    let services = scene.controller.usual("4");
    scene.controller.inventory(&scene.fleet, "root", &services);
    // Room for v1 and what is kept free, not for v2.
    scene.host(0).mount_small_tmpfs("/opt/web", "20m").unwrap();
    scene.release("v1", &Behaviour::default()).exits(0);
    scene.host(1).mount_noexec("/opt/web").unwrap();
    scene.host(2).mount_read_only("/opt/web").unwrap();
    let run = scene.release("v2", &padded(8_000_000)).exits(3);
    run.says("web-01")
        .says("space")
        .says("web-02")
        .says("noexec")
        .says("web-03")
        .says("read-only");
    let versions = scene.versions();
    assert!(
        versions[..3].iter().all(|version| version.contains("v1")),
        "{versions:?}"
    );
    assert!(versions[3].contains("v2"), "{versions:?}");
    for host in scene.fleet.hosts() {
        nothing_half_done(host);
    }
    scene
        .host(0)
        .sh("mount -o remount,size=100m /opt/web")
        .unwrap();
    for n in [1, 2] {
        scene.host(n).unmount("/opt/web").unwrap();
    }
    scene.release("v2", &padded(8_000_000)).exits(0);
    assert!(
        scene
            .versions()
            .iter()
            .all(|version| version.contains("v2"))
    );
}

#[test]
fn a_revision_that_never_becomes_healthy_is_put_back_and_the_next_release_goes_on() {
    let Some(scene) = on_v1(3, "1") else { return };
    let hash = file_hash(&scene.controller.path("build-v1"));
    let journal = |host: &rollctl_fleet::Host| host.sh("cat /opt/web/.rollctl/journal").unwrap();
    let journals = || scene.fleet.hosts().iter().map(journal).collect::<Vec<_>>();
    let before = journals();
    let targets = scene
        .fleet
        .hosts()
        .iter()
        .map(|host| Target::of(host, 8080))
        .collect();
    let prober = Prober::start(targets);
    let bad = Behaviour {
        ready_delay: Duration::from_secs(3600),
        ..Behaviour::default()
    };
    let run = scene.release("v2", &bad).exits(5);
    let record = prober.stop();
    run.says("not ready within 20s")
        .says("answered 503")
        .says("starting v2")
        .says("hint:");
    assert_eq!(record.lowest(), 2, "{record}");
    for host in scene.fleet.hosts() {
        assert_eq!(running_hash(host, "web.service"), hash, "{}", host.name());
    }
    let touched = journals()
        .iter()
        .zip(&before)
        .filter(|(now, before)| now != before)
        .count();
    assert_eq!(touched, 1, "the others are not touched");
    let history = scene.controller.json(&["history", "web"]);
    assert_eq!(history["rollouts"][0]["outcome"], "paused");
    scene.release("v3", &Behaviour::default()).exits(0);
    assert!(
        scene
            .versions()
            .iter()
            .all(|version| version.contains("v3"))
    );
    let history = scene.controller.json(&["history", "web"]);
    assert_eq!(history["rollouts"][1]["outcome"], "superseded");
    scene.controller.rollctl(&["rollback", "web"]).exits(0);
    assert!(
        scene
            .versions()
            .iter()
            .all(|version| version.contains("v1")),
        "not to what never completed"
    );
}

#[test]
fn a_revision_that_crashes_after_it_looked_healthy_is_caught_by_min_ready() {
    let Some(scene) = on_v1(2, "1") else { return };
    let services = scene
        .controller
        .usual("1")
        .replace("min_ready = \"1s\"", "min_ready = \"8s\"");
    scene.controller.inventory(&scene.fleet, "root", &services);
    let crashes = Behaviour {
        crash_after: Some(Duration::from_secs(5)),
        ..Behaviour::default()
    };
    scene
        .release("v2", &crashes)
        .exits(5)
        .says("web-0")
        .says("restarted by itself");
    assert!(
        scene
            .versions()
            .iter()
            .all(|version| version.contains("v1")),
        "{:?}",
        scene.versions()
    );
}

#[test]
fn a_host_that_is_down_is_skipped_and_catches_up_later() {
    let Some(scene) = on_v1(3, "2") else { return };
    scene.host(1).stop().unwrap();
    scene
        .release("v2", &Behaviour::default())
        .exits(3)
        .says("web-02")
        .says("cannot reach");
    scene.host(1).start().unwrap();
    scene.release("v2", &Behaviour::default()).exits(0);
    assert!(
        scene
            .versions()
            .iter()
            .all(|version| version.contains("v2"))
    );
}

#[test]
fn a_connection_cut_during_the_upload_is_made_again_or_leaves_the_host_as_it_was() {
    let Some(scene) = on_v1(2, "1") else { return };
    scene.host(0).link_rate(Some(40)).unwrap();
    let artifact = scene.controller.version("v2", &padded(20_000_000));
    let words = ["release", "web", artifact.to_str().unwrap(), "--name", "v2"];
    let mut child = scene.controller.command(&words).spawn().unwrap();
    scene
        .host(0)
        .wait_until(
            "find /opt/web/revisions -path '*.incoming*' -type f -size +1M | grep -q .",
            Duration::from_secs(20),
        )
        .unwrap();
    assert!(scene.host(0).kill_ssh_sessions().unwrap() > 0);
    assert!(child.wait().unwrap().success(), "the upload is made again");
    scene.host(0).link_rate(None).unwrap();
    assert!(
        scene
            .versions()
            .iter()
            .all(|version| version.contains("v2"))
    );
    nothing_half_done(scene.host(0));

    // Cut off for good: the host keeps what it runs, the other goes on.
    scene.host(0).link_rate(Some(40)).unwrap();
    let artifact = scene.controller.version("v3", &padded(20_000_001));
    let words = [
        "release",
        "web",
        artifact.to_str().unwrap(),
        "--name",
        "v3",
        "--max-unavailable",
        "2",
    ];
    let mut child = scene.controller.command(&words).spawn().unwrap();
    scene
        .host(0)
        .wait_until(
            "find /opt/web/revisions -path '*.incoming*' -type f -size +1M | grep -q .",
            Duration::from_secs(20),
        )
        .unwrap();
    scene.host(0).partition(true).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    scene.host(0).partition(false).unwrap();
    scene.host(0).link_rate(None).unwrap();
    let versions = scene.versions();
    assert!(
        versions[0].contains("v2") && versions[1].contains("v3"),
        "{versions:?}"
    );
}

#[test]
fn sudo_that_asks_for_a_password_is_refused_with_the_way_out() {
    let Some(scene) = fresh(1) else { return };
    scene
        .controller
        .inventory(&scene.fleet, "locked", &scene.controller.usual("1"));
    scene
        .release("v1", &Behaviour::default())
        .exits(5)
        .says("sudo")
        .says("password")
        .says("NOPASSWD");
    untouched(scene.host(0));
}

#[test]
fn a_host_without_the_unit_is_refused() {
    let Some(scene) = fresh(1) else { return };
    let services = scene
        .controller
        .usual("1")
        .replace("unit_file = \"web.service\"\n", "");
    scene.controller.inventory(&scene.fleet, "root", &services);
    scene
        .release("v1", &Behaviour::default())
        .exits(5)
        .says("web.service")
        .says("unit_file");
    let left = "ls -A /opt/web/revisions; ls /etc/systemd/system/web.service* 2>/dev/null || true";
    assert_eq!(scene.host(0).sh(left).unwrap(), "");
}

#[test]
fn full_rights_through_sudo() {
    let Some(scene) = fresh(2) else { return };
    scene
        .controller
        .inventory(&scene.fleet, "deploy", &scene.controller.usual("1"));
    there_and_back(&scene, "root");
}

#[test]
fn restricted_rights_need_sudo_for_the_unit_only() {
    let Some(scene) = fresh(2) else { return };
    for host in scene.fleet.hosts() {
        host.write_file(
            "/etc/systemd/system/web.service",
            support::UNIT.as_bytes(),
            0o644,
        )
        .unwrap();
        host.sh("systemctl daemon-reload; systemctl enable web.service; install -d -o limited -g limited /opt/web").unwrap();
    }
    let services = scene
        .controller
        .usual("1")
        .replace("unit_file = \"web.service\"\n", "");
    scene
        .controller
        .inventory(&scene.fleet, "limited", &services);
    there_and_back(&scene, "limited");
    let bad = Behaviour {
        ready_delay: Duration::from_secs(3600),
        ..Behaviour::default()
    };
    scene.release("bad", &bad).exits(5).says("starting bad");
    assert!(
        scene
            .versions()
            .iter()
            .all(|version| version.contains("v1"))
    );
    // What restricted rights cannot do is refused before anything is touched.
    scene
        .controller
        .inventory(&scene.fleet, "limited", &scene.controller.usual("1"));
    scene
        .release("v3", &Behaviour::default())
        .exits(5)
        .says("unit_file")
        .says("become");
}

#[test]
fn a_user_service_needs_no_root_at_all() {
    let Some(scene) = fresh(2) else { return };
    let unit = support::UNIT
        .replace("/opt/web", "%h/web")
        .replace("multi-user", "default");
    let services = scene
        .controller
        .usual("1")
        .replace("\"/opt/web\"", "\"~/web\"\nscope = \"user\"");
    scene.controller.write("inventory/web.service", unit);
    scene.controller.inventory(&scene.fleet, "svc", &services);
    for version in ["v1", "v2"] {
        scene.release(version, &Behaviour::default()).exits(0);
        assert!(
            scene
                .versions()
                .iter()
                .all(|answer| answer.contains(version)),
            "{:?}",
            scene.versions()
        );
    }
    scene.controller.rollctl(&["rollback", "web"]).exits(0);
    assert!(scene.versions().iter().all(|answer| answer.contains("v1")));
    let owner = scene
        .host(0)
        .sh("stat -c %U /home/svc/web/current/web")
        .unwrap();
    assert_eq!(owner.trim(), "svc");
    scene.host(0).reboot().unwrap();
    scene
        .host(0)
        .wait_until(
            "curl -sf http://127.0.0.1:8080/healthz | grep -q v1",
            Duration::from_secs(20),
        )
        .unwrap();
}

fn there_and_back(scene: &Scene, owner: &str) {
    for version in ["v1", "v2"] {
        scene.release(version, &Behaviour::default()).exits(0);
        assert!(
            scene
                .versions()
                .iter()
                .all(|answer| answer.contains(version)),
            "{:?}",
            scene.versions()
        );
    }
    scene.controller.rollctl(&["rollback", "web"]).exits(0);
    assert!(scene.versions().iter().all(|answer| answer.contains("v1")));
    for host in scene.fleet.hosts() {
        let found = host
            .sh("stat -c %U /opt/web/revisions/v1 /opt/web/current/web | sort -u")
            .unwrap();
        assert_eq!(found.trim(), owner);
    }
}

/// Enough of an HTTP server for a host without Python's own.
const PYTHON: &str = r#"
import os, socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", int(os.environ.get("PORT", "8080")))); s.listen(64)
version = open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "VERSION")).read().strip()
while True:
    c, _ = s.accept()
    c.recv(4096)
    body = (version + " " + os.environ.get("ROLLCTL_REVISION", "") + " " + os.environ.get("GREETING", "")).encode()
    c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    c.close()
"#;

#[test]
fn a_python_service_has_no_binary_to_hash() {
    let Some(scene) = fresh(2) else { return };
    let services = scene.controller.usual("1").replace(
        "port = 8080",
        "port = 8080\nbinary = \"app.py\"\nenvironment = { GREETING = \"a \\\"b\\\" $c 'd' \\\\ %h\" }",
    );
    let services = services.replace("interval =", "expect_body = \"{revision}\"\ninterval =");
    let unit = support::UNIT.replace(
        "/opt/web/current/web",
        "/usr/bin/python3 /opt/web/current/app.py",
    );
    scene.controller.write("inventory/web.service", unit);
    scene.controller.inventory(&scene.fleet, "root", &services);
    for version in ["p1", "p2"] {
        scene.controller.write(&format!("{version}/app.py"), PYTHON);
        scene
            .controller
            .write(&format!("{version}/VERSION"), version);
        let folder = scene.controller.path(version);
        scene
            .controller
            .rollctl(&[
                "release",
                "web",
                folder.to_str().unwrap(),
                "--name",
                version,
            ])
            .exits(0);
        let greeting = format!("{version} {version} a \"b\" $c 'd' \\ %h");
        assert_eq!(scene.versions(), [greeting.clone(), greeting]);
    }
    scene.controller.rollctl(&["rollback", "web"]).exits(0);
    assert!(scene.versions()[0].starts_with("p1 p1 "));
}

#[test]
fn a_pair_of_units_is_restarted_in_order_and_both_must_be_ready() {
    let Some(scene) = fresh(2) else { return };
    let worker = support::UNIT.replace(
        "ExecStart=/opt/web/current/web",
        "ExecStart=/opt/web/current/worker.sh",
    );
    scene.controller.write("inventory/worker.service", worker);
    let services = scene
        .controller
        .usual("1")
        .replace("unit = \"web.service\"", "units = [\"web.service\", \"worker.service\"]")
        .replace(
            "unit_file = \"web.service\"",
            "unit_file = { \"web.service\" = \"web.service\", \"worker.service\" = \"worker.service\" }",
        );
    scene.controller.inventory(&scene.fleet, "root", &services);
    let build = |version: &str, worker: &str| {
        let binary = scene.controller.version(version, &Behaviour::default());
        let folder = scene.controller.path(&format!("pair-{version}"));
        fs::create_dir_all(&folder).unwrap();
        fs::copy(binary, folder.join("web")).unwrap();
        let script = scene
            .controller
            .write(&format!("pair-{version}/worker.sh"), worker);
        make_executable(&script);
        scene.controller.rollctl(&[
            "release",
            "web",
            folder.to_str().unwrap(),
            "--name",
            version,
        ])
    };
    build("v1", "#!/bin/sh\nexec sleep 100000\n").exits(0);
    let active = |host: &rollctl_fleet::Host| {
        host.sh("systemctl is-active web.service worker.service")
            .unwrap()
    };
    assert_eq!(active(scene.host(0)), "active\nactive");
    // The web server is fine, its worker dies after two seconds: both are put back.
    build("v2", "#!/bin/sh\nsleep 0.5; exit 3\n")
        .exits(5)
        .says("web-0");
    assert!(
        scene.versions().iter().all(|answer| answer.contains("v1")),
        "{:?}",
        scene.versions()
    );
    for host in scene.fleet.hosts() {
        assert_eq!(active(host), "active\nactive");
        let script = host
            .sh("cat /proc/$(systemctl show -p MainPID --value worker)/cmdline | tr '\\0' ' '")
            .unwrap();
        assert!(script.contains("sleep 100000"), "{script}");
    }
    build("v3", "#!/bin/sh\nexec sleep 200000\n").exits(0);
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
