use std::path::{Path, PathBuf};
use std::process::Command;

use russh::keys::PublicKey;

use super::*;

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMxBTpMIGvo7CnordO7wP0QQRqpBwUjOLl4eMhfucfE1sjTYyK5wmTl1UqoSDS1PtRVTBdl+0+9pquFb46U7fwg=";

fn key(text: &str) -> PublicKey {
    PublicKey::from_openssh(text).unwrap()
}

fn read(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add(Path::new("known_hosts"), text);
    known
}

/// A word per verdict, so that the table can be read.
fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Known => "known",
        Verdict::Unknown { .. } => "unknown",
        Verdict::Changed { .. } => "changed",
        Verdict::Revoked { .. } => "revoked",
    }
}

#[test]
fn verdicts() {
    for (why, text, host, port, wanted) in [
        ("the key on file", format!("web {A}"), "web", 22, "known"),
        (
            "another key of the kind",
            format!("web {B}"),
            "web",
            22,
            "changed",
        ),
        (
            "another kind of key only",
            format!("web {ECDSA}"),
            "web",
            22,
            "unknown",
        ),
        ("another host", format!("db {A}"), "web", 22, "unknown"),
        ("an empty file", String::new(), "web", 22, "unknown"),
        (
            "one of several keys",
            format!("web {B}\nweb {A}"),
            "web",
            22,
            "known",
        ),
        (
            "one of several names",
            format!("db,web,10.0.0.1 {A}"),
            "web",
            22,
            "known",
        ),
        (
            "names in other case",
            format!("WEB {A}"),
            "Web",
            22,
            "known",
        ),
        (
            "a glob",
            format!("*.example.net {A}"),
            "web.example.net",
            22,
            "known",
        ),
        (
            "a glob with question marks",
            format!("web-?? {A}"),
            "web-01",
            22,
            "known",
        ),
        (
            "a glob that is too short",
            format!("web-? {A}"),
            "web-01",
            22,
            "unknown",
        ),
        (
            "a negation after the match",
            format!("*.net,!web.net {A}"),
            "web.net",
            22,
            "unknown",
        ),
        (
            "a negation before the match",
            format!("!web.net,*.net {A}"),
            "web.net",
            22,
            "unknown",
        ),
        (
            "a negation of another host",
            format!("*.net,!db.net {A}"),
            "web.net",
            22,
            "known",
        ),
        (
            "the port on file",
            format!("[web]:2222 {A}"),
            "web",
            2222,
            "known",
        ),
        (
            "another port on file",
            format!("[web]:2223 {A}"),
            "web",
            2222,
            "unknown",
        ),
        (
            "no port on file vouches for all",
            format!("web {A}"),
            "web",
            2222,
            "known",
        ),
        (
            "no port on file accuses none",
            format!("web {B}"),
            "web",
            2222,
            "unknown",
        ),
        (
            "the port decides over the bare name",
            format!("web {A}\n[web]:2222 {B}"),
            "web",
            2222,
            "changed",
        ),
        (
            "a port on file says nothing of 22",
            format!("[web]:2222 {A}"),
            "web",
            22,
            "unknown",
        ),
        (
            "a glob in brackets",
            format!("[*.net]:2222 {A}"),
            "web.net",
            2222,
            "known",
        ),
        (
            "a revoked key",
            format!("@revoked * {A}\nweb {A}"),
            "web",
            22,
            "revoked",
        ),
        (
            "a revoked key on a port",
            format!("@revoked web {A}\n[web]:2222 {A}"),
            "web",
            2222,
            "revoked",
        ),
        (
            "revoked for another host",
            format!("@revoked db {A}\nweb {A}"),
            "web",
            22,
            "known",
        ),
        (
            "another key is revoked",
            format!("@revoked * {B}\nweb {A}"),
            "web",
            22,
            "known",
        ),
        (
            "an authority is no host key",
            format!("@cert-authority web {A}"),
            "web",
            22,
            "unknown",
        ),
        (
            "an authority accuses none",
            format!("@cert-authority web {B}"),
            "web",
            22,
            "unknown",
        ),
        (
            "comments and blank lines",
            format!("# web {B}\n\n   \nweb {A} a # b"),
            "web",
            22,
            "known",
        ),
        (
            "tabs and runs of blanks",
            format!("  web\t{}", A.replace(' ', "  ")),
            "web",
            22,
            "known",
        ),
        (
            "a line that makes no sense",
            format!("web ssh-ed25519 ####\n@what web {A}\nx\nweb {A}"),
            "web",
            22,
            "known",
        ),
        (
            "a CR at the end",
            format!("web {A}\r\n"),
            "web",
            22,
            "known",
        ),
        (
            "an IPv6 address",
            format!("fe80::1 {A}"),
            "fe80::1",
            22,
            "known",
        ),
        (
            "a hash that is no base64",
            format!("|1|!!|!! {B}\nweb {A}"),
            "web",
            22,
            "known",
        ),
    ] {
        assert_eq!(
            word(&read(&text).check(host, Some(port), &key(A))),
            wanted,
            "{why}"
        );
    }
}

#[test]
fn a_verdict_names_what_it_rests_on() {
    let known = read(&format!("# first\nweb {B}\nweb {ECDSA}"));
    assert_eq!(
        known.check("web", Some(22), &key(A)),
        Verdict::Changed {
            fingerprint: fingerprint(&key(A)),
            expected: vec![fingerprint(&key(B))],
            file: PathBuf::from("known_hosts"),
            line: 2,
        }
    );
    let known = read(&format!("web {ECDSA}"));
    assert_eq!(
        known.check("web", Some(22), &key(A)),
        Verdict::Unknown {
            fingerprint: fingerprint(&key(A)),
            known_as: vec!["ecdsa-sha2-nistp256".to_owned()],
        }
    );
    let known = read(&format!("web {A}\n@revoked * {A}"));
    let line = Verdict::Revoked {
        file: PathBuf::from("known_hosts"),
        line: 2,
    };
    assert_eq!(known.check("web", Some(22), &key(A)), line);
}

#[test]
fn the_port_does_not_count_for_an_alias() {
    let known = read(&format!("fleet {A}"));
    assert_eq!(known.check("fleet", None, &key(A)), Verdict::Known);
    assert_eq!(known.algorithms("fleet", None), [key(A).algorithm()]);
}

#[test]
fn several_files_count_as_one_and_missing_ones_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    std::fs::write(&first, format!("web {B}\n")).unwrap();
    std::fs::write(&second, format!("web {A}\n")).unwrap();
    let known = KnownHosts::read(&[folder.path().join("none"), first, second]).unwrap();
    assert_eq!(known.check("web", Some(22), &key(A)), Verdict::Known);
    let (path, _) = KnownHosts::read(&[folder.path().to_owned()]).unwrap_err();
    assert_eq!(
        path,
        folder.path(),
        "a folder cannot be read, and the error names it"
    );
}

#[test]
fn hashed_names_are_those_of_ssh_keygen() {
    let Some(folder) = with_ssh_keygen() else {
        return;
    };
    let file = folder.path().join("known_hosts");
    let plain = format!("web.example.net {A}\n[web.example.net]:2222 {B}\n10.0.0.1,db {A}\n");
    std::fs::write(&file, plain).unwrap();
    keygen(&["-H", "-f", file.to_str().unwrap()]);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("web.example.net"), "{text}");
    let known = read(&text);
    for (host, port, wanted) in [
        ("web.example.net", 22, "known"),
        ("web.example.net", 2222, "changed"),
        ("Web.Example.Net", 22, "known"),
        ("10.0.0.1", 22, "known"),
        ("db", 22, "known"),
        ("other", 22, "unknown"),
    ] {
        assert_eq!(
            word(&known.check(host, Some(port), &key(A))),
            wanted,
            "{host}:{port}"
        );
    }
}

/// `ssh-keygen -F` knows which lines are for a host; ours must be the same.
#[test]
fn lines_are_those_that_ssh_keygen_finds() {
    let Some(folder) = with_ssh_keygen() else {
        return;
    };
    let file = folder.path().join("known_hosts");
    let lines = [
        "web",
        "*.net",
        "*.net,!web.net",
        "!web.net,*.net",
        "w?b",
        "[web]:2222",
        "[*]:2222",
        "[web.net]:*",
        "db,web",
        "WEB",
        "*",
        "web*",
        "*eb.n*t",
        "!*,web",
    ];
    let text: String = lines.iter().map(|names| format!("{names} {A}\n")).collect();
    std::fs::write(&file, &text).unwrap();
    let known = read(&text);
    for name in [
        "web",
        "web.net",
        "[web]:2222",
        "[web.net]:2222",
        "db",
        "wxb",
        "db.net",
        "[web]:22",
        "x",
    ] {
        let found = Command::new("ssh-keygen")
            .args(["-F", name, "-f"])
            .arg(&file)
            .output()
            .unwrap();
        let theirs: Vec<usize> = String::from_utf8(found.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| line.split("found: line ").nth(1)?.trim().parse().ok())
            .collect();
        let ours: Vec<usize> = known.matching(name, None).map(|line| line.number).collect();
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn an_appended_key_is_known_and_appended_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/known_hosts");
    append_known_host(&file, "Web", 22, &key(A)).unwrap();
    append_known_host(&file, "web", 22, &key(A)).unwrap();
    append_known_host(&file, "web", 2222, &key(B)).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, format!("web {A}\n[web]:2222 {B}\n"));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // A last line without an end must not swallow the new one.
    std::fs::write(&file, format!("db {A}")).unwrap();
    append_known_host(&file, "web", 22, &key(A)).unwrap();
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        format!("db {A}\nweb {A}\n")
    );
}

fn with_ssh_keygen() -> Option<tempfile::TempDir> {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "ssh-keygen is missing: in CI this test must run"
        );
        println!("skipped: ssh-keygen is missing");
        return None;
    }
    Some(tempfile::tempdir().unwrap())
}

fn keygen(arguments: &[&str]) {
    let output = Command::new("ssh-keygen").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
