use super::*;

fn question(name: &str) -> Question {
    Question {
        name: name.to_owned(),
        user: None,
        port: None,
    }
}

#[test]
fn the_output_of_ssh_is_read() {
    let answer = parse(
        "host web\nuser deploy\nhostname 10.0.0.1\nport 2222\nidentitiesonly yes\nidentityagent none\n\
         identityfile ~/my keys/%r\nidentityfile ~/.ssh/id_ed25519\ncertificatefile ~/.ssh/x-cert.pub\n\
         proxyjump ann@bastion:2200,b\nuserknownhostsfile /home/a b/kh ~/.ssh/known_hosts\n\
         globalknownhostsfile none\nhostkeyalias fleet\nsendenv LANG\nproxyusefdpass no\n",
    );
    let texts = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        answer,
        Answer {
            host_name: Some("10.0.0.1".to_owned()),
            user: Some("deploy".to_owned()),
            port: Some(2222),
            identity_files: texts(&["~/my keys/%r", "~/.ssh/id_ed25519"]),
            certificate_files: texts(&["~/.ssh/x-cert.pub"]),
            identities_only: true,
            identity_agent: Some("none".to_owned()),
            proxy_jump: Some("ann@bastion:2200,b".to_owned()),
            proxy_command: None,
            user_known_hosts: Some(texts(&["/home/a b/kh", "~/.ssh/known_hosts"])),
            global_known_hosts: Some(texts(&["none"])),
            host_key_alias: Some("fleet".to_owned()),
        }
    );
}

#[tokio::test]
async fn ssh_and_our_reader_say_the_same() {
    if find_program("ssh").is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "ssh is missing: in CI this test must run"
        );
        println!("skipped: ssh is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let more = folder.path().join("more");
    std::fs::write(
        &file,
        format!(
            "User first\nHost web-* !web-09\n  HostName %h.example.net\n  Port 2222\n  User late\n  \
             IdentityFile \"/keys/my key\"\nHost web-09\n  ProxyCommand nc -x \"a b\" %h %p\nHost db\n  \
             Include {}\n  ProxyJump none\nHost behind\n  ProxyJump ann@bastion:2200,second\nHost *\n  \
             IdentityFile /keys/last\n  UserKnownHostsFile /kh/one /kh/two\n  IdentityAgent none\n  HostKeyAlias=fleet\n",
            more.display()
        ),
    )
    .unwrap();
    std::fs::write(&more, "HostName 10.0.0.9\nIdentitiesOnly yes\n").unwrap();
    let real = SshConfig::file(&file);
    let own = SshConfig::own_reader(vec![file]);
    for name in ["web-01", "web-09", "db", "behind", "other"] {
        let theirs = real.ask(question(name)).await.unwrap();
        let mut ours = own.ask(question(name)).await.unwrap();
        // ssh prints its defaults too.
        ours.port.get_or_insert(22);
        ours.host_name.get_or_insert(name.to_owned());
        ours.global_known_hosts = theirs.global_known_hosts.clone();
        if ours.proxy_jump.as_deref() == Some("none") {
            ours.proxy_jump = None;
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

#[tokio::test]
async fn a_mistake_in_the_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, "Host web\n  Prot 22\n").unwrap();
    if find_program("ssh").is_some() {
        let reason = SshConfig::file(&file)
            .ask(question("web"))
            .await
            .unwrap_err();
        assert!(
            reason.contains("line 2") && reason.to_lowercase().contains("prot"),
            "{reason}"
        );
    }
    std::fs::write(&file, "Host web\n  Port many\n").unwrap();
    let reason = SshConfig::own_reader(vec![file])
        .ask(question("web"))
        .await
        .unwrap_err();
    assert!(reason.contains("line 2: bad port `many`"), "{reason}");
}

/// An `ssh` that notes what it is asked, and says that it read one file.
fn noting(folder: &Path, config: &str) -> SshConfig {
    use std::os::unix::fs::PermissionsExt;
    let (file, program) = (folder.join("config"), folder.join("ssh"));
    std::fs::write(&file, config).unwrap();
    std::fs::write(
        &program,
        "#!/bin/sh\necho \"$@\" >>\"$0.log\"\nfor name; do :; done\necho \"OpenSSH_9.2p1\" >&2\n\
         echo \"debug1: Reading configuration data ${0%/*}/config\" >&2\necho \"hostname $name\nport 22\"\n",
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    SshConfig::with(Source::Program {
        program,
        file: None,
    })
}

#[tokio::test]
async fn ssh_is_asked_once_for_hosts_that_nothing_tells_apart() {
    for (config, asked) in [
        ("User deploy\n", 1),
        ("Host web-*\nHost db\nHost web-03\n", 3),
        ("ProxyCommand nc %h %p\n", 5),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ssh = noting(folder.path(), config);
        for name in ["web-01", "web-02", "web-03", "web-01", "db", "web-04"] {
            let answer = ssh.ask(question(name)).await.unwrap();
            assert_eq!(answer.host_name.as_deref(), Some(name), "{config}");
        }
        let log = std::fs::read_to_string(folder.path().join("ssh.log")).unwrap();
        // One more: which files it reads.
        assert_eq!(log.lines().count(), asked + 1, "{config}: {log}");
    }
}

#[tokio::test]
async fn a_shared_answer_is_what_ssh_says_of_each() {
    let Some(program) = find_program("ssh") else {
        println!("skipped: ssh is missing");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    for config in [
        "",
        "User deploy\nPort 2222\nHost web-* !web-02\n  ProxyJump ann@bastion:2200\n  IdentityFile /keys/web\n\
         Host *.example.net\n  HostKeyAlias fleet\nHost 192.0.2.?\n  IdentitiesOnly yes\nMatch all\n  User late\n",
        "Host web-*\n  HostName %h.example.net\n  UserKnownHostsFile /kh/%n\n",
    ] {
        std::fs::write(&file, config).unwrap();
        let shared = SshConfig::file(&file);
        let ssh = Ssh {
            program: &program,
            file: Some(&file),
        };
        for name in [
            "web-01",
            "web-02",
            "web-03",
            "a.example.net",
            "WEB-04",
            "192.0.2.1",
            "192.0.2.10",
            "::1",
        ] {
            for (user, port) in [(None, None), (Some("ann".to_owned()), Some(23))] {
                let question = Question {
                    user,
                    port,
                    ..question(name)
                };
                let expected = ssh.query(&question).await.unwrap();
                assert_eq!(
                    shared.ask(question).await.unwrap(),
                    expected,
                    "{name}: {config}"
                );
            }
        }
    }
}
