//! Whom we talk to.

use rollctl::ssh::{Problem, SshError, Target, Verdict, append_known_host};

use crate::server::{Sshd, connector, is_available, keygen, run};

fn with_known_hosts(server: &Sshd, text: &str) -> Target {
    std::fs::write(server.path("known_hosts"), text).unwrap();
    server.target()
}

fn assert_host_key(error: &SshError, wanted: &str) {
    let found = match &*error.problem {
        Problem::HostKeyUnknown { .. } => "unknown",
        Problem::HostKeyChanged { .. } => "changed",
        Problem::HostKeyRevoked { .. } => "revoked",
        Problem::HostCertificateRefused { .. } => "certificate",
        _ => "something else",
    };
    assert_eq!(found, wanted, "{error}");
    assert!(error.is_refusal());
}

#[tokio::test]
async fn unknown_changed_and_revoked_keys_are_refused() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let shown = run(
        "ssh-keygen",
        &["-lf", server.path("host_ed25519.pub").to_str().unwrap()],
    );
    let fingerprint = shown.split(' ').nth(1).unwrap();

    let error = server.refuse(&with_known_hosts(&server, "")).await;
    assert_host_key(&error, "unknown");
    assert!(error.to_string().contains(fingerprint), "{error}");
    assert_eq!(
        error.hint().unwrap(),
        "compare the fingerprint, then `rollctl trust web-01`"
    );

    let place = format!("[127.0.0.1]:{}", server.port);
    let error = server
        .refuse(&with_known_hosts(
            &server,
            &format!("{place} {}", server.public("user.pub")),
        ))
        .await;
    assert_host_key(&error, "changed");
    assert!(error.to_string().contains("known_hosts:1)"), "{error}");

    let host = server.public("host_ed25519.pub");
    let error = server
        .refuse(&with_known_hosts(
            &server,
            &format!("{place} {host}@revoked * {host}"),
        ))
        .await;
    assert_host_key(&error, "revoked");
    assert!(
        !server.log().contains("Accepted"),
        "nobody got as far as a login"
    );
}

#[tokio::test]
async fn a_host_with_several_keys_is_asked_for_the_one_on_file() {
    if !is_available() {
        return;
    }
    let server = Sshd::with("", &["ed25519", "ecdsa", "rsa"]);
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let line = format!(
            "[127.0.0.1]:{} {}",
            server.port,
            server.public(&format!("host_{kind}.pub"))
        );
        connector()
            .connect(&with_known_hosts(&server, &line))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn hashed_lines_are_taken() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    run(
        "ssh-keygen",
        &["-H", "-f", server.path("known_hosts").to_str().unwrap()],
    );
    assert!(server.public("known_hosts").starts_with("|1|"));
    server.connect().await;
}

#[tokio::test]
async fn a_scan_shows_the_keys_and_trust_makes_them_known() {
    if !is_available() {
        return;
    }
    let server = Sshd::with("", &["ed25519", "rsa"]);
    let connector = connector();
    let resolved = connector
        .resolve(&with_known_hosts(&server, ""))
        .await
        .unwrap();
    let keys = connector.scan(&resolved).await.unwrap();
    let algorithms: Vec<&str> = keys.iter().map(|key| key.algorithm.as_str()).collect();
    assert_eq!(algorithms, ["ssh-ed25519", "ssh-rsa"]);
    let file = resolved.trust_file().unwrap();
    for key in &keys {
        assert!(matches!(key.verdict, Verdict::Unknown { .. }));
        append_known_host(file, &resolved.known_as, resolved.trust_port(), &key.key).unwrap();
    }
    server.connect().await;
    let keys = connector.scan(&resolved).await.unwrap();
    assert!(keys.iter().all(|key| key.verdict == Verdict::Known));
    // What we wrote is what ssh itself would find.
    let place = format!("[127.0.0.1]:{}", server.port);
    run("ssh-keygen", &["-F", &place, "-f", file.to_str().unwrap()]);
}

#[tokio::test]
async fn a_host_certificate_stands_or_falls_with_its_authority() {
    if !is_available() {
        return;
    }
    for (why, arguments, authority, wanted) in [
        (
            "for this host",
            vec!["-h", "-n", "127.0.0.1"],
            "@cert-authority *",
            None,
        ),
        (
            "for a glob of hosts",
            vec!["-h", "-n", "127.0.0.*"],
            "@cert-authority 127.*",
            None,
        ),
        (
            "for another host",
            vec!["-h", "-n", "db"],
            "@cert-authority *",
            Some("certificate"),
        ),
        (
            "expired",
            vec!["-h", "-n", "127.0.0.1", "-V", "20200101:20200102"],
            "@cert-authority *",
            Some("certificate"),
        ),
        (
            "for a user",
            vec!["-n", "127.0.0.1"],
            "@cert-authority *",
            Some("certificate"),
        ),
        (
            "an authority of other hosts",
            vec!["-h", "-n", "127.0.0.1"],
            "@cert-authority db",
            Some("unknown"),
        ),
        (
            "a revoked authority",
            vec!["-h", "-n", "127.0.0.1"],
            "@revoked *",
            Some("revoked"),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("host-cert.pub");
        let server = Sshd::prepared(
            &format!("HostCertificate {}", certificate.display()),
            &["ed25519"],
            |path| {
                keygen(&path.join("ca"), "ed25519");
                let (ca, key) = (path.join("ca"), path.join("host_ed25519.pub"));
                let mut all = vec!["-q", "-s", ca.to_str().unwrap(), "-I", "web"];
                all.extend(&arguments);
                all.push(key.to_str().unwrap());
                run("ssh-keygen", &all);
                std::fs::copy(path.join("host_ed25519-cert.pub"), &certificate).unwrap();
            },
        );
        let ca = server.public("ca.pub");
        let mut text = format!("{authority} {ca}");
        if wanted == Some("revoked") {
            // Trusted and revoked at once: revoked wins.
            text.push_str(&format!("@cert-authority * {ca}"));
        }
        let target = with_known_hosts(&server, &text);
        match (connector().connect(&target).await, wanted) {
            (Ok(_), None) => {}
            (Err(error), Some(wanted)) => assert_host_key(&error, wanted),
            (Ok(_), Some(_)) => panic!("{why}: taken"),
            (Err(error), None) => panic!("{why}: {error}"),
        }
    }
}

#[tokio::test]
async fn without_a_known_authority_the_key_in_the_certificate_counts() {
    if !is_available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("host-cert.pub");
    let server = Sshd::prepared(
        &format!("HostCertificate {}", certificate.display()),
        &["ed25519"],
        |path| {
            keygen(&path.join("ca"), "ed25519");
            keygen(&path.join("other_ca"), "ed25519");
            let (ca, key) = (path.join("ca"), path.join("host_ed25519.pub"));
            run(
                "ssh-keygen",
                &[
                    "-q",
                    "-s",
                    ca.to_str().unwrap(),
                    "-I",
                    "web",
                    "-h",
                    key.to_str().unwrap(),
                ],
            );
            std::fs::copy(path.join("host_ed25519-cert.pub"), &certificate).unwrap();
        },
    );
    let host = format!(
        "[127.0.0.1]:{} {}",
        server.port,
        server.public("host_ed25519.pub")
    );
    let other = format!("@cert-authority * {}", server.public("other_ca.pub"));
    connector()
        .connect(&with_known_hosts(&server, &format!("{other}{host}")))
        .await
        .unwrap();
    let error = server.refuse(&with_known_hosts(&server, &other)).await;
    assert_host_key(&error, "unknown");
}
