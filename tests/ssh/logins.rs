//! Who we are: keys, agents, certificates, and what is said when none is taken.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rollctl::ssh::{Connector, Outcome, Problem, Target};

use crate::server::{Sshd, config, connector, is_available, keygen, run, tuning, whoami};

/// A real ssh-agent on a socket in a folder.
struct Agent(Child);

impl Agent {
    fn start(socket: &Path) -> Self {
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self(child);
        for _ in 0..1000 {
            if std::os::unix::net::UnixStream::connect(socket).is_ok() {
                return agent;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("ssh-agent does not start");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn add(socket: &Path, key: &Path) {
    let output = Command::new("ssh-add")
        .arg("-q")
        .arg(key)
        .env("SSH_AUTH_SOCK", socket)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// No explicit identity: what the configuration says is tried.
fn without_identity(server: &Sshd) -> Target {
    Target {
        identity: None,
        ..server.target()
    }
}

fn with_config(server: &Sshd, text: &str) -> Connector {
    Connector::new(config(server, text), tuning())
}

#[tokio::test]
async fn keys_of_every_kind_log_in() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    for (name, kind) in [("e", "ecdsa"), ("r", "rsa"), ("d", "ed25519")] {
        let key = server.path(name);
        keygen(&key, kind);
        std::fs::copy(
            server.path(&format!("{name}.pub")),
            server.path("authorized_keys"),
        )
        .unwrap();
        let target = Target {
            identity: Some(key),
            ..server.target()
        };
        connector().connect(&target).await.unwrap();
    }
    assert!(server.log().contains("Accepted publickey"));
}

#[tokio::test]
async fn the_agent_logs_in_and_none_keeps_it_out() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let socket = server.path("agent");
    let _agent = Agent::start(&socket);
    for kind in ["ed25519", "rsa"] {
        let key = server.path(&format!("agent_{kind}"));
        keygen(&key, kind);
        add(&socket, &key);
        std::fs::copy(
            server.path(&format!("agent_{kind}.pub")),
            server.path("authorized_keys"),
        )
        .unwrap();
        let text = format!(
            "Host *\nIdentityAgent {}\nIdentityFile /nonexistent\n",
            socket.display()
        );
        with_config(&server, &text)
            .connect(&without_identity(&server))
            .await
            .unwrap();
    }
    let connector = with_config(
        &server,
        "Host *\nIdentityAgent none\nIdentityFile /nonexistent\n",
    );
    let error = connector
        .connect(&without_identity(&server))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("tried no key"), "{error}");
    // With IdentitiesOnly, a key of the agent must be named; its public half is enough.
    let text = format!(
        "Host *\nIdentitiesOnly yes\nIdentityAgent {}\n",
        socket.display()
    );
    let missing = format!("{text}IdentityFile /nonexistent\n");
    let error = with_config(&server, &missing)
        .connect(&without_identity(&server))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("tried no key"), "{error}");
    let named = format!(
        "{text}IdentityFile {}\n",
        server.path("agent_rsa.pub").display()
    );
    with_config(&server, &named)
        .connect(&without_identity(&server))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_encrypted_key_is_used_through_the_agent_and_named_without() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let socket = server.path("agent");
    let _agent = Agent::start(&socket);
    add(&socket, &server.path("user"));
    let key = server.path("user");
    run(
        "ssh-keygen",
        &["-q", "-p", "-N", "secret", "-f", key.to_str().unwrap()],
    );
    let error = server.refuse(&server.target()).await;
    let Problem::AuthRefused { tried, .. } = &*error.problem else {
        panic!("{error}");
    };
    assert_eq!(
        (tried.len(), &tried[0].outcome),
        (1, &Outcome::Encrypted),
        "{error}"
    );
    assert!(
        tried[0]
            .fingerprint
            .as_ref()
            .unwrap()
            .starts_with("SHA256:")
    );
    assert!(
        error.hint().unwrap().contains("ssh-add"),
        "{:?}",
        error.hint()
    );
    let text = format!("Host *\nIdentityAgent {}\n", socket.display());
    with_config(&server, &text)
        .connect(&server.target())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_user_certificate_logs_in_from_a_file_and_from_the_agent() {
    if !is_available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("ca.pub");
    let server = Sshd::prepared(
        &format!("TrustedUserCAKeys {}", trusted.display()),
        &["ed25519"],
        |path| {
            keygen(&path.join("ca"), "ed25519");
            std::fs::copy(path.join("ca.pub"), &trusted).unwrap();
            std::fs::write(path.join("authorized_keys"), "").unwrap();
        },
    );
    let socket = server.path("agent");
    let _agent = Agent::start(&socket);
    for kind in ["ed25519", "rsa"] {
        let key = server.path(&format!("signed_{kind}"));
        keygen(&key, kind);
        let target = Target {
            identity: Some(key.clone()),
            ..server.target()
        };
        let error = server.refuse(&target).await;
        assert!(
            matches!(*error.problem, Problem::AuthRefused { .. }),
            "{error}"
        );
        let ca = server.path("ca");
        let public = server.path(&format!("signed_{kind}.pub"));
        let user = whoami();
        run(
            "ssh-keygen",
            &[
                "-q",
                "-s",
                ca.to_str().unwrap(),
                "-I",
                "ann",
                "-n",
                &user,
                public.to_str().unwrap(),
            ],
        );
        connector().connect(&target).await.unwrap();
        // ssh-add takes the certificate beside the key along.
        add(&socket, &key);
        let text = format!(
            "Host *\nIdentityAgent {}\nIdentityFile /nonexistent\n",
            socket.display()
        );
        with_config(&server, &text)
            .connect(&without_identity(&server))
            .await
            .unwrap();
        Command::new("ssh-add")
            .arg("-qD")
            .env("SSH_AUTH_SOCK", &socket)
            .output()
            .unwrap();
    }
    assert!(
        server.log().contains("Accepted certificate ID \"ann\""),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn a_refusal_lists_what_was_tried() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    let (first, second) = (server.path("first"), server.path("second"));
    keygen(&first, "ed25519");
    keygen(&second, "rsa");
    std::fs::write(
        server.path("rubbish"),
        "-----BEGIN OPENSSH PRIVATE KEY-----\nno\n",
    )
    .unwrap();
    run("chmod", &["600", server.path("rubbish").to_str().unwrap()]);
    let text = format!(
        "Host *\nIdentityAgent none\nIdentityFile {}\nIdentityFile {}\nIdentityFile {}\n",
        second.display(),
        server.path("rubbish").display(),
        server.path("missing").display()
    );
    let target = Target {
        identity: Some(first.clone()),
        ..server.target()
    };
    let error = with_config(&server, &text)
        .connect(&target)
        .await
        .unwrap_err();
    let Problem::AuthRefused {
        user,
        methods,
        tried,
    } = &*error.problem
    else {
        panic!("{error}");
    };
    assert_eq!(
        (user, methods.as_slice()),
        (&whoami(), ["publickey".to_owned()].as_slice())
    );
    let origins: Vec<&str> = tried.iter().map(|key| key.origin.as_str()).collect();
    let rubbish = server.path("rubbish");
    assert_eq!(
        origins,
        [
            first.to_str().unwrap(),
            second.to_str().unwrap(),
            rubbish.to_str().unwrap()
        ]
    );
    assert_eq!(
        (&tried[0].outcome, &tried[1].outcome),
        (&Outcome::Refused, &Outcome::Refused)
    );
    assert!(matches!(tried[2].outcome, Outcome::Skipped(_)));
    let shown = run("ssh-keygen", &["-lf", first.to_str().unwrap()]);
    assert_eq!(tried[0].fingerprint.as_deref(), shown.split(' ').nth(1));
    assert!(error.is_refusal());
}

#[tokio::test]
async fn too_many_keys_end_the_login_with_a_reason() {
    if !is_available() {
        return;
    }
    let server = Sshd::with("MaxAuthTries 2", &["ed25519"]);
    let mut text = "Host *\nIdentityAgent none\n".to_owned();
    for number in 0..4 {
        let key = server.path(&format!("key_{number}"));
        keygen(&key, "ed25519");
        text.push_str(&format!("IdentityFile {}\n", key.display()));
    }
    let error = with_config(&server, &text)
        .connect(&without_identity(&server))
        .await
        .unwrap_err();
    assert!(error.is_refusal(), "{error}");
    assert!(
        error
            .to_string()
            .contains("Too many authentication failures"),
        "{error}"
    );
}

#[tokio::test]
async fn a_named_key_that_cannot_be_used_is_an_error_that_names_it() {
    if !is_available() {
        return;
    }
    let server = Sshd::start();
    std::fs::write(server.path("rubbish"), "this is no key").unwrap();
    keygen(&server.path("open"), "ed25519");
    run("chmod", &["644", server.path("open").to_str().unwrap()]);
    for name in ["missing", "rubbish", "open", "."] {
        let target = Target {
            identity: Some(server.path(name)),
            ..server.target()
        };
        let error = server.refuse(&target).await;
        let Problem::KeyUnreadable { path, .. } = &*error.problem else {
            panic!("{name}: {error}");
        };
        assert_eq!(*path, server.path(name));
        assert!(error.is_refusal());
    }
}
