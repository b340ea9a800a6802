//! The host room on a real host: systemd, sshd, sudo. Every step is asked for as the driver would.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, what goes wrong is a failed test"
)]

#[path = "fleet_host/bench.rs"]
mod bench;

use bench::{Bench, Login, Recipe, elf, runs, sha_of_running};
use rollctl::core::event::Runs;
use rollctl::core::revision::Adopted;
use rollctl::ports::{Attestation, HostErrorKind, Hosts, JournalExcerpt, Switch};

fn switch(from: &Runs, to: &Runs, hash: &str) -> Switch {
    Switch {
        from: from.clone(),
        to: to.clone(),
        event_hash: hash.into(),
        guarded: false,
        side: None,
    }
}

/// stage, switch, confirm; how it was attested.
async fn release(
    bench: &Bench,
    from: &Runs,
    revision: &rollctl::core::revision::Revision,
    hash: &str,
) -> Attestation {
    let hosts = bench.hosts();
    let me = bench.controller();
    hosts
        .stage(&bench.name(), &me, revision, &|_, _| ())
        .await
        .unwrap();
    let step = switch(from, &runs(revision), hash);
    let started = hosts.switch(&bench.name(), &me, &step).await.unwrap();
    assert_eq!(
        hosts.switch(&bench.name(), &me, &step).await.unwrap(),
        started
    );
    hosts
        .confirm(&bench.name(), &me, &step, &started)
        .await
        .unwrap()
        .attestation
}

#[tokio::test(flavor = "multi_thread")]
async fn root_takes_over_a_service_and_gives_it_back() {
    let Some(bench) = Bench::boot(Login::ROOT).await else {
        return;
    };
    let old_unit = "[Unit]\nDescription=old\n[Service]\nExecStart=/usr/local/bin/api infinity\n[Install]\nWantedBy=multi-user.target\n";
    let old = elf("old");
    let host = bench.host();
    host.write_file("/usr/local/bin/api", &old, 0o755).unwrap();
    host.write_file(
        "/etc/systemd/system/api.service",
        old_unit.as_bytes(),
        0o644,
    )
    .unwrap();
    host.sh("systemctl daemon-reload && systemctl enable --now api.service")
        .unwrap();

    let hosts = bench.hosts();
    let (name, me) = (bench.name(), bench.controller());
    let facts = hosts.observe(&name).await.unwrap();
    assert_eq!(
        facts.unadopted,
        Some(Adopted::File {
            origin: "/usr/local/bin/api".into()
        })
    );
    assert!(facts.units[0].is_active());
    let adopted_runs = facts.runs.clone();
    hosts.claim(&name, &me).await.unwrap();
    let unit = "[Service]\nEnvironment=X=1\nExecStart=/opt/api/current/api infinity\n[Install]\nWantedBy=multi-user.target\n";
    let v1 = bench.add(
        "v1",
        2,
        &Recipe::new(elf("one"))
            .unit(unit)
            .environment("WHO=\"v1 it's\"\n"),
    );
    let staged = hosts.stage(&name, &me, &v1, &|_, _| ()).await.unwrap();
    let adopted = staged.adopted.unwrap();
    assert!(staged.bytes_sent > 10_000);
    assert_eq!(
        sha_of_running(host, "api.service"),
        bench::sha(&old),
        "nothing went down"
    );

    assert_eq!(
        release(&bench, &adopted_runs, &v1, "h1").await,
        Attestation::RunningFile
    );
    assert_eq!(sha_of_running(host, "api.service"), bench::sha(&elf("one")));
    let environ = host
        .sh("tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value api.service)/environ")
        .unwrap();
    assert!(environ.contains("WHO=v1 it's"), "{environ}");
    assert_eq!(
        host.sh("readlink /usr/local/bin/api").unwrap().trim(),
        "/opt/api/current/api"
    );

    // A failed release is put back, unconfirmed.
    let v2 = bench.add(
        "v2",
        3,
        &Recipe::new(b"#!/bin/sh\nexit 7\n".to_vec())
            .unit("[Service]\nType=notify\nExecStart=/opt/api/current/api\n"),
    );
    hosts.stage(&name, &me, &v2, &|_, _| ()).await.unwrap();
    let bad = switch(&runs(&v1), &runs(&v2), "h2");
    let error = hosts.switch(&name, &me, &bad).await.unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Failed, "{error}");
    let JournalExcerpt::Lines(lines) = hosts.journal(&name, None, 20).await.unwrap() else {
        panic!("root may read it");
    };
    assert!(
        lines.iter().any(|line| line.contains("status=7")),
        "{lines:?}"
    );
    let back = switch(&runs(&v2), &runs(&v1), "h3");
    let started = hosts.switch(&name, &me, &back).await.unwrap();
    assert_eq!(
        hosts
            .confirm(&name, &me, &back, &started)
            .await
            .unwrap()
            .attestation,
        Attestation::RunningFile
    );
    assert_eq!(
        host.read_file("/etc/systemd/system/api.service").unwrap(),
        unit.as_bytes()
    );

    // To what was there.
    let adopted = bench::recorded(adopted);
    let attestation = release(&bench, &runs(&v1), &adopted, "h4").await;
    assert_eq!(attestation, Attestation::RunningFile);
    assert_eq!(
        host.read_file("/etc/systemd/system/api.service").unwrap(),
        old_unit.as_bytes()
    );
    assert_eq!(sha_of_running(host, "api.service"), bench::sha(&old));
    assert_eq!(
        host.sh("ls /etc/systemd/system/api.service.d 2>/dev/null | wc -l")
            .unwrap()
            .trim(),
        "0"
    );
    assert_eq!(bench.kept(), 1, "fetched once");

    // And the host comes up with it after a reboot.
    hosts.close(&name).await;
    host.reboot().unwrap();
    assert_eq!(sha_of_running(host, "api.service"), bench::sha(&old));
    assert!(
        hosts
            .observe(&name)
            .await
            .unwrap()
            .runs
            .is(&adopted.reference())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_does_the_work_of_a_login_user() {
    let Some(bench) = Bench::boot(Login::DEPLOY).await else {
        return;
    };
    let hosts = bench.hosts();
    let (name, me) = (bench.name(), bench.controller());
    assert_eq!(hosts.observe(&name).await.unwrap().runs, Runs::Nothing);
    hosts.claim(&name, &me).await.unwrap();
    let unit = "[Service]\nExecStart=/home/deploy/my\\x20app/current/api infinity\n[Install]\nWantedBy=multi-user.target\n";
    let v1 = bench.add(
        "v1",
        1,
        &Recipe::new(elf("one")).unit(unit).environment("A=1\n"),
    );
    assert_eq!(
        release(&bench, &Runs::Nothing, &v1, "h1").await,
        Attestation::RunningFile
    );
    assert_eq!(
        bench
            .host()
            .sh("stat -c '%U %a' '/home/deploy/my app/current/.rollctl/environment'")
            .unwrap()
            .trim(),
        "root 600"
    );
    assert_eq!(
        bench
            .host()
            .sh("systemctl is-enabled api.service")
            .unwrap()
            .trim(),
        "enabled"
    );
    let environ = bench
        .host()
        .sh("tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value api.service)/environ")
        .unwrap();
    assert!(environ.contains("A=1"), "{environ}");
    let gone = switch(&runs(&v1), &Runs::Nothing, "h2");
    let started = hosts.switch(&name, &me, &gone).await.unwrap();
    hosts.confirm(&name, &me, &gone, &started).await.unwrap();
    let left = bench
        .host()
        .sh("ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants")
        .unwrap();
    assert!(!left.contains("api"), "{left}");
    assert_eq!(bench.host().ssh_logins().unwrap(), 1);

    let locked = bench.other(Login::LOCKED);
    let error = locked.hosts().observe(&name).await.unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Refused);
    assert!(
        error.message.contains("sudo asks for a password"),
        "{error}"
    );
    assert!(error.hint.unwrap().contains("NOPASSWD"));
}

#[tokio::test(flavor = "multi_thread")]
async fn restricted_rights_are_enough_for_the_hosts_own_unit() {
    let Some(bench) = Bench::boot(Login::LIMITED).await else {
        return;
    };
    let host = bench.host();
    host.write_file(
        "/etc/systemd/system/web.service",
        b"[Service]\nUser=nobody\nExecStart=/srv/web/current/web infinity\n",
        0o644,
    )
    .unwrap();
    host.sh("systemctl daemon-reload").unwrap();
    let hosts = bench.hosts();
    let (name, me) = (bench.name(), bench.controller());
    let error = hosts.claim(&name, &me).await.unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Refused, "{error}");
    assert!(error.hint.unwrap().contains("install -d"));
    let error = hosts.check(&name).await.unwrap_err();
    assert!(error.message.contains("cannot write"), "{error}");
    host.sh("install -d -o limited /srv/web").unwrap();
    let rights = hosts.check(&name).await.unwrap();
    assert!(rights.ends_with("sudo for the unit only"), "{rights}");
    hosts.claim(&name, &me).await.unwrap();
    let v1 = bench.add("v1", 1, &Recipe::new(elf("one")));
    let v2 = bench.add("v2", 2, &Recipe::new(elf("two")));
    assert_eq!(
        release(&bench, &Runs::Nothing, &v1, "h1").await,
        Attestation::RunningFile
    );
    assert_eq!(
        release(&bench, &runs(&v1), &v2, "h2").await,
        Attestation::RunningFile
    );
    assert_eq!(
        release(&bench, &runs(&v2), &v1, "h3").await,
        Attestation::RunningFile
    );
    assert_eq!(sha_of_running(host, "web.service"), bench::sha(&elf("one")));
    let JournalExcerpt::Lines(lines) = hosts.journal(&name, None, 20).await.unwrap() else {
        panic!("sudo lets it read the journal");
    };
    assert!(
        lines.iter().any(|line| line.contains("Started")),
        "{lines:?}"
    );

    let with_unit = bench.other(Login::LIMITED).with_unit_file();
    let error = with_unit
        .hosts()
        .stage(&name, &me, &v1, &|_, _| ())
        .await
        .unwrap_err();
    assert!(error.message.contains("`unit_file` needs root"), "{error}");
    host.sh("rm /etc/sudoers.d/limited").unwrap();
    let error = hosts.stage(&name, &me, &v1, &|_, _| ()).await.unwrap_err();
    assert!(error.message.contains("sudo does not allow"), "{error}");
    assert_eq!(
        hosts.journal(&name, None, 20).await.unwrap(),
        JournalExcerpt::NotReadable
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_systemd_needs_no_root() {
    let Some(bench) = Bench::boot(Login::SVC).await else {
        return;
    };
    let hosts = bench.hosts();
    let (name, me) = (bench.name(), bench.controller());
    hosts.claim(&name, &me).await.unwrap();
    let unit =
        "[Service]\nExecStart=%h/api/current/api infinity\n[Install]\nWantedBy=default.target\n";
    let v1 = bench.add(
        "v1",
        1,
        &Recipe::new(elf("one")).unit(unit).environment("A=1\n"),
    );
    let v2 = bench.add("v2", 2, &Recipe::new(elf("two")).unit(unit));
    assert_eq!(
        release(&bench, &Runs::Nothing, &v1, "h1").await,
        Attestation::RunningFile
    );
    assert_eq!(
        release(&bench, &runs(&v1), &v2, "h2").await,
        Attestation::RunningFile
    );
    let (_, units) = hosts.units(&name, None).await.unwrap();
    assert!(units[0].is_active());
    let exe = bench
        .host()
        .sh(&format!("sha256sum </proc/{}/exe", units[0].main_pid))
        .unwrap();
    assert!(exe.starts_with(&bench::sha(&elf("two"))));
    let (status, said) = hosts
        .run_check(
            &name,
            "systemctl --user is-active api.service; exit 3",
            std::time::Duration::from_secs(5),
        )
        .await
        .unwrap();
    assert_eq!((status, said.as_str()), (3, "active"));
    bench.host().sh("loginctl disable-linger svc").unwrap();
    let error = hosts.stage(&name, &me, &v1, &|_, _| ()).await.unwrap_err();
    assert!(error.hint.unwrap().contains("enable-linger svc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_zstd_is_sent_what_it_can_unpack() {
    let Some(bench) = Bench::boot_with(Login::ROOT, rollctl_fleet::Base::Minimal).await else {
        return;
    };
    assert!(
        bench.host().sh("command -v zstd").is_err(),
        "the base has none"
    );
    let (name, me) = (bench.name(), bench.controller());
    bench.hosts().claim(&name, &me).await.unwrap();
    let unit = "[Service]\nExecStart=/opt/api/current/api infinity\n";
    let v1 = bench.add("v1", 1, &Recipe::new(elf("one")).unit(unit));
    assert_eq!(
        release(&bench, &Runs::Nothing, &v1, "h1").await,
        Attestation::RunningFile
    );
    bench
        .host()
        .sh("mv /usr/bin/gzip /usr/bin/gzip.away")
        .unwrap();
    let plain = bench.other(Login::ROOT);
    let v2 = plain.add("v2", 2, &Recipe::new(elf("two")).unit(unit));
    assert_eq!(
        release(&plain, &runs(&v1), &v2, "h2").await,
        Attestation::RunningFile
    );
    // A file that was changed under the running service is found.
    let step = switch(&runs(&v1), &runs(&v2), "h2");
    let started = plain.hosts().switch(&name, &me, &step).await.unwrap();
    bench.host().sh("cp /opt/api/current/api /tmp/x && printf x >>/tmp/x && mv /tmp/x /opt/api/revisions/v2/api && systemctl restart api.service").unwrap();
    let error = plain
        .hosts()
        .confirm(&name, &me, &step, &started)
        .await
        .unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Failed);
    assert!(
        error
            .message
            .contains("whose SHA-256 is not the manifest's"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_cannot_take_is_refused_and_a_cut_upload_goes_on() {
    let Some(bench) = Bench::boot(Login::ROOT).await else {
        return;
    };
    let host = bench.host();
    let hosts = bench.hosts();
    let (name, me) = (bench.name(), bench.controller());
    let unit = "[Service]\nExecStart=/opt/api/current/api infinity\n";
    let v1 = bench.add("v1", 1, &Recipe::new(elf("one")).unit(unit));
    host.sh("mkdir -p /opt/api").unwrap();
    for (what, words) in [
        ("noexec", "mounted `noexec`"),
        ("full", "not enough space"),
        ("read-only", "Read-only"),
    ] {
        match what {
            "noexec" => host.mount_noexec("/opt/api").unwrap(),
            "full" => host.mount_small_tmpfs("/opt/api", "1M").unwrap(),
            _ => host.mount_read_only("/opt/api").unwrap(),
        }
        let claimed = hosts.claim(&name, &me).await;
        let error = match claimed {
            Err(error) => error,
            Ok(()) => hosts.stage(&name, &me, &v1, &|_, _| ()).await.unwrap_err(),
        };
        assert_eq!(error.kind, HostErrorKind::Refused, "{what}: {error}");
        assert!(error.message.contains(words), "{what}: {error}");
        assert!(error.hint.is_some(), "{what}");
        host.unmount("/opt/api").unwrap();
    }
    hosts.claim(&name, &me).await.unwrap();
    let wrong = bench.add(
        "v2",
        2,
        &Recipe::new(elf("x")).unit(unit).machine("riscv64"),
    );
    let error = hosts
        .stage(&name, &me, &wrong, &|_, _| ())
        .await
        .unwrap_err();
    assert!(error.message.contains("is for riscv64"), "{error}");

    // Cut off in the middle, the upload goes on where it was, by itself.
    let mut big = elf("big");
    big.extend(bench::noise(6 << 20));
    let big = bench.add("v3", 3, &Recipe::new(big).unit(unit));
    host.link_rate(Some(16)).unwrap();
    let seen = std::sync::Mutex::new((0, Vec::new(), false));
    let staged = hosts
        .stage(&name, &me, &big, &|sent, total| {
            let (last, begun, is_cut) = &mut *seen.lock().unwrap();
            if sent <= *last || begun.is_empty() {
                begun.push(sent);
            }
            *last = sent;
            if sent > total / 3 && !std::mem::replace(is_cut, true) {
                host.kill_ssh_sessions().unwrap();
            }
        })
        .await
        .unwrap();
    host.link_rate(None).unwrap();
    assert!(staged.bytes_sent > 6 << 20);
    let (_, begun, _) = seen.into_inner().unwrap();
    assert!(matches!(begun[..], [0, at] if at > 256 << 10), "{begun:?}");
    assert_eq!(host.sh("ls -A /opt/api/revisions").unwrap().trim(), "v3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_does_not_stop_a_revert() {
    let Some(bench) = Bench::boot(Login::ROOT).await else {
        return;
    };
    let host = bench.host();
    host.sh("mkdir -p /opt/api").unwrap();
    host.mount_small_tmpfs("/opt/api", "20M").unwrap();
    let hosts = bench.hosts();
    let (name, me) = (bench.name(), bench.controller());
    hosts.claim(&name, &me).await.unwrap();
    let unit = "[Service]\nExecStart=/opt/api/current/api infinity\n";
    let other_unit =
        "[Unit]\nDescription=two\n[Service]\nExecStart=/opt/api/current/api infinity\n";
    let v1 = bench.add(
        "v1",
        1,
        &Recipe::new(elf("one")).unit(unit).environment("A=1\n"),
    );
    let v2 = bench.add("v2", 2, &Recipe::new(elf("two")).unit(other_unit));
    release(&bench, &Runs::Nothing, &v1, "h1").await;
    hosts.stage(&name, &me, &v2, &|_, _| ()).await.unwrap();
    let step = switch(&runs(&v1), &runs(&v2), "h2");
    hosts.switch(&name, &me, &step).await.unwrap();
    assert_eq!(sha_of_running(host, "api.service"), bench::sha(&elf("two")));
    host.sh("cat /dev/zero >/opt/api/filler 2>/dev/null; ! (echo x >/opt/api/x) 2>/dev/null")
        .unwrap();
    let back = switch(&runs(&v2), &runs(&v1), "h3");
    let started = hosts.switch(&name, &me, &back).await.unwrap();
    assert_eq!(sha_of_running(host, "api.service"), bench::sha(&elf("one")));
    assert_eq!(
        host.read_file("/etc/systemd/system/api.service").unwrap(),
        unit.as_bytes()
    );
    assert!(
        host.sh("cat /etc/systemd/system/api.service.d/50-rollctl.conf")
            .unwrap()
            .contains("/opt/api/current")
    );
    host.sh("rm /opt/api/filler").unwrap();
    hosts.confirm(&name, &me, &back, &started).await.unwrap();
    hosts.close(&name).await;
}
