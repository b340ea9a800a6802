//! The fleet itself, on real hosts: what tests of rollctl rely on.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod leftovers;

use std::process::Command;
use std::time::{Duration, Instant};

use leftovers::{PATIENCE, leftovers};
use rollctl_fleet::{Base, Fleet, FleetOptions, Host, Prober, Target};

/// Answers every request with 200 and its first argument.
const SERVICE: &str = r#"import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", 8080))
listener.listen(64)
while True:
    stream, _ = listener.accept()
    stream.recv(1024)
    stream.sendall(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(sys.argv[1]), sys.argv[1])).encode())
    stream.close()
"#;

fn unit(version: &str) -> String {
    format!(
        "[Service]\nExecStart=/usr/bin/python3 /opt/service.py {version}\n[Install]\nWantedBy=multi-user.target\n"
    )
}

#[test]
fn hosts_are_real_and_leave_nothing_behind() {
    if rollctl_fleet::skip() {
        return;
    }
    let fleet = Fleet::boot(
        FleetOptions::hosts(3, Base::Full)
            .and(1, Base::Minimal)
            .prefix("web"),
    )
    .unwrap();
    let address = fleet.host(0).address();
    assert!(
        leftovers(address).len() > 4,
        "what is looked for later is found while it is there: {:?}",
        leftovers(address)
    );

    each_host_is_itself(&fleet);
    bases_differ(&fleet);
    files_keep_their_bytes_and_mode(fleet.host(0));
    logins_work_and_are_counted(&fleet);
    rights_differ_by_login(&fleet);
    a_prober_sees_outages(&fleet);
    a_partition_cuts_off_and_heals(&fleet);
    small_and_noexec_mounts_bite(fleet.host(2));
    files_and_units_outlive_a_stop(fleet.host(0));
    a_link_can_be_slow(&fleet);

    fleet.shut_down().unwrap();
    assert_eq!(leftovers(address), Vec::<String>::new());
}

fn each_host_is_itself(fleet: &Fleet) {
    for (index, host) in fleet.hosts().iter().enumerate() {
        assert_eq!(host.name(), format!("web-{:02}", index + 1));
        assert_eq!(
            host.sh("hostname; cat /proc/1/comm; systemctl is-system-running")
                .unwrap(),
            format!("{}\nsystemd\nrunning", host.name())
        );
    }
    let distinct = |script: &str| {
        let mut seen: Vec<_> = fleet
            .hosts()
            .iter()
            .map(|host| host.sh(script).unwrap())
            .collect();
        seen.sort();
        seen.dedup();
        seen.len()
    };
    assert_eq!(distinct("cat /etc/machine-id"), 4);
    assert_eq!(distinct("cat /etc/ssh/ssh_host_ed25519_key.pub"), 4);
    assert_eq!(fleet.host(0).exec("exit 7").unwrap().code, Some(7));

    // One cgroup each: a restart on one host leaves the other's process alone.
    let pid = |index: usize| {
        fleet
            .host(index)
            .sh("systemctl show -p MainPID --value ssh")
            .unwrap()
    };
    let before = (
        pid(0),
        fleet
            .host(1)
            .sh("systemctl show -p InvocationID --value ssh; pgrep -x sshd")
            .unwrap(),
    );
    fleet.host(0).sh("systemctl restart ssh").unwrap();
    assert_ne!(pid(0), before.0);
    assert_eq!(
        fleet
            .host(1)
            .sh("systemctl show -p InvocationID --value ssh; pgrep -x sshd")
            .unwrap(),
        before.1
    );
}

fn bases_differ(fleet: &Fleet) {
    for tool in ["zstd", "curl", "python3"] {
        let has = |index: usize| {
            fleet
                .host(index)
                .exec(&format!("command -v {tool}"))
                .unwrap()
                .is_success()
        };
        assert!(has(0), "full has {tool}");
        assert!(!has(3), "minimal lacks {tool}");
    }
}

fn files_keep_their_bytes_and_mode(host: &Host) {
    let content: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    host.write_file("/opt/a b/$(x)'\n.bin", &content, 0o750)
        .unwrap();
    assert_eq!(host.read_file("/opt/a b/$(x)'\n.bin").unwrap(), content);
    assert_eq!(host.sh("stat -c %a /opt/a*/*").unwrap(), "750");
    assert!(host.read_file("/nowhere").is_err());
}

fn logins_work_and_are_counted(fleet: &Fleet) {
    let host = fleet.host(1);
    assert_eq!(
        host.ssh_logins().unwrap(),
        0,
        "the harness itself logs in nowhere"
    );
    let rows = [
        ("root", "id -un", "root"),
        ("deploy", "sudo -n id -un", "root"),
        ("svc", "systemctl --user is-system-running", "running"),
    ];
    for (user, command, expected) in rows {
        let answer = fleet.ssh(host, user, command).unwrap();
        assert_eq!(
            (answer.stdout.trim_end(), answer.code),
            (expected, Some(0)),
            "{user}: {answer:?}"
        );
    }
    assert_eq!(host.ssh_logins().unwrap(), 3);
    assert_eq!(fleet.host(0).ssh_logins().unwrap(), 0);

    std::thread::scope(|scope| {
        let session = scope.spawn(|| {
            fleet
                .ssh(host, "root", "echo in >/run/in; sleep 60")
                .unwrap()
        });
        host.wait_until("test -e /run/in", PATIENCE).unwrap();
        assert!(host.kill_ssh_sessions().unwrap() > 0);
        assert_eq!(session.join().unwrap().code, Some(255));
    });
    assert!(
        fleet.ssh(host, "root", "true").unwrap().is_success(),
        "the listener is still there"
    );
}

fn rights_differ_by_login(fleet: &Fleet) {
    let host = fleet.host(2);
    host.write_file(
        "/etc/systemd/system/web.service",
        unit("v1").as_bytes(),
        0o644,
    )
    .unwrap();
    host.write_file("/opt/service.py", SERVICE.as_bytes(), 0o644)
        .unwrap();
    host.sh("systemctl daemon-reload").unwrap();
    let rows = [
        ("limited", "sudo -n systemctl restart web.service", true),
        ("limited", "sudo -n journalctl -u web.service -n 5", true),
        ("limited", "sudo -n sha256sum /etc/shadow", true),
        ("limited", "systemctl --user is-system-running", true),
        ("limited", "sudo -n systemctl restart ssh.service", false),
        ("limited", "sudo -n sh -c true", false),
        ("locked", "sudo -n true", false),
        ("svc", "sudo -n true", false),
    ];
    for (user, command, allowed) in rows {
        let answer = fleet.ssh(host, user, command).unwrap();
        assert_eq!(
            answer.is_success(),
            allowed,
            "{user}: {command}: {answer:?}"
        );
        assert_eq!(
            host.exec_as(user, command).unwrap().is_success(),
            allowed,
            "past sshd: {user}: {command}"
        );
    }
    let refusal = fleet.ssh(host, "locked", "sudo -n true").unwrap().stderr;
    assert!(refusal.contains("password"), "{refusal}");
}

fn install_service(host: &Host, version: &str) {
    host.write_file("/opt/service.py", SERVICE.as_bytes(), 0o644)
        .unwrap();
    host.write_file(
        "/etc/systemd/system/web.service",
        unit(version).as_bytes(),
        0o644,
    )
    .unwrap();
    host.sh("systemctl daemon-reload; systemctl reset-failed web.service 2>/dev/null; systemctl enable web.service; systemctl restart web.service")
        .unwrap();
}

fn a_prober_sees_outages(fleet: &Fleet) {
    let hosts = &fleet.hosts()[..3];
    for host in hosts {
        install_service(host, "v1");
    }
    wait_for_answer(hosts, "v1");
    let prober = Prober::start(hosts.iter().map(|host| Target::of(host, 8080)).collect());
    // A restart alone may be over between two questions.
    hosts[1].sh("systemctl stop web.service").unwrap();
    install_service(&hosts[1], "v2");
    wait_for_answer(&hosts[1..2], "v2");
    std::thread::sleep(Duration::from_millis(100));
    let record = prober.stop();
    assert_eq!((record.lowest(), record.highest()), (2, 3), "{record}");
    assert_eq!(record.outages("web-02").len(), 1, "{record}");
    assert!(
        record.outages("web-01").is_empty() && record.outages("web-03").is_empty(),
        "{record}"
    );
    assert_eq!(
        record
            .bodies("web-02")
            .iter()
            .map(|(_, body)| *body)
            .collect::<Vec<_>>(),
        ["v1", "v2"],
        "{record}"
    );
}

fn wait_for_answer(hosts: &[Host], body: &str) {
    for host in hosts {
        host.wait_until(
            &format!(
                "curl -sf http://{}:8080/healthz | grep -qx {body}",
                host.address()
            ),
            PATIENCE,
        )
        .unwrap();
    }
}

fn a_partition_cuts_off_and_heals(fleet: &Fleet) {
    let host = fleet.host(1);
    let boot = host
        .sh("cat /proc/sys/kernel/random/boot_id; systemctl show -p InvocationID --value web")
        .unwrap();
    host.partition(true).unwrap();
    assert_eq!(fleet.ssh(host, "root", "true").unwrap().code, Some(255));
    assert!(
        fleet
            .ssh(fleet.host(0), "root", "true")
            .unwrap()
            .is_success(),
        "the others are not cut off"
    );
    host.partition(false).unwrap();
    let started = Instant::now();
    while !fleet.ssh(host, "root", "true").unwrap().is_success() {
        assert!(started.elapsed() < PATIENCE, "not back");
    }
    assert_eq!(
        host.sh("cat /proc/sys/kernel/random/boot_id; systemctl show -p InvocationID --value web")
            .unwrap(),
        boot
    );
}

fn small_and_noexec_mounts_bite(host: &Host) {
    host.sh("mkdir -p /opt/small; chown deploy /opt/small")
        .unwrap();
    host.mount_small_tmpfs("/opt/small", "1m").unwrap();
    assert_eq!(host.sh("stat -c %U /opt/small").unwrap(), "deploy");
    let full = host
        .exec("head -c 2000000 /dev/zero >/opt/small/file")
        .unwrap();
    assert!(full.stderr.contains("No space left"), "{full:?}");
    host.unmount("/opt/small").unwrap();

    host.write_file("/opt/tools/run", b"#!/bin/sh\necho ran\n", 0o755)
        .unwrap();
    assert_eq!(host.sh("/opt/tools/run").unwrap(), "ran");
    host.mount_noexec("/opt/tools").unwrap();
    assert!(
        host.exec("/opt/tools/run")
            .unwrap()
            .stderr
            .contains("Permission denied")
    );
    host.unmount("/opt/tools").unwrap();
    host.mount_read_only("/opt/tools").unwrap();
    assert!(
        host.exec("echo >/opt/tools/run")
            .unwrap()
            .stderr
            .contains("Read-only")
    );
    host.unmount("/opt/tools").unwrap();
}

fn files_and_units_outlive_a_stop(host: &Host) {
    let restarts: [(&str, &dyn Fn()); 4] = [
        ("stop and start", &|| {
            host.stop().unwrap();
            assert!(host.exec("true").is_err() && host.stop().is_err() && !host.is_running());
            host.start().unwrap();
        }),
        ("power cut", &|| {
            host.cut_power().unwrap();
            host.start().unwrap();
        }),
        ("reboot from outside", &|| host.reboot().unwrap()),
        ("reboot from inside", &|| {
            host.exec("systemctl reboot").unwrap();
            let started = Instant::now();
            while host.is_running() {
                assert!(started.elapsed() < PATIENCE, "still running");
                std::thread::sleep(Duration::from_millis(20));
            }
            host.start().unwrap();
        }),
    ];
    let identity = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub";
    let before = (host.sh(identity).unwrap(), host.ssh_logins().unwrap());
    assert!(before.1 > 0);
    for (row, restart) in restarts {
        host.write_file("/var/lib/kept", row.as_bytes(), 0o600)
            .unwrap();
        host.sh("sync; echo gone >/run/gone").unwrap();
        let boot = host
            .sh("systemctl show -p UserspaceTimestampMonotonic")
            .unwrap();
        restart();
        assert!(host.start().is_err(), "{row}: runs already");
        assert_ne!(
            host.sh("systemctl show -p UserspaceTimestampMonotonic")
                .unwrap(),
            boot,
            "{row}: booted anew"
        );
        assert_eq!(host.read_file("/var/lib/kept").unwrap(), row.as_bytes());
        assert!(host.read_file("/run/gone").is_err(), "{row}: /run is new");
        assert_eq!(
            (host.sh(identity).unwrap(), host.ssh_logins().unwrap()),
            before,
            "{row}"
        );
        wait_for_answer(std::slice::from_ref(host), "v1");
    }
}

fn a_link_can_be_slow(fleet: &Fleet) {
    let host = fleet.host(0);
    let upload = || {
        let started = Instant::now();
        let script = format!(
            "head -c 2000000 /dev/zero | ssh -F /dev/null -i {} -o UserKnownHostsFile={} -o BatchMode=yes root@{} 'cat >/dev/null'",
            fleet.identity().display(),
            fleet.known_hosts().display(),
            host.address()
        );
        assert!(
            Command::new("sh")
                .args(["-c", &script])
                .status()
                .unwrap()
                .success()
        );
        started.elapsed()
    };
    host.link_rate(Some(8)).unwrap();
    let slow = upload();
    host.link_rate(None).unwrap();
    host.link_rate(None).unwrap();
    let fast = upload();
    assert!(
        slow > Duration::from_millis(1_500),
        "2 MB at 1 MB/s: {slow:?}"
    );
    assert!(
        fast < slow / 2,
        "{fast:?} without the limit, {slow:?} with it"
    );
}
