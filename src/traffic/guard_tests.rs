use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

use super::*;

fn sh(script: &str, path: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "sh"]).args(arguments);
    command.env("PATH", path).output().unwrap()
}

#[test]
fn what_units_may_take_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    // The last argument is the unit, named after what systemd would print.
    let fake = "#!/bin/sh\nfor unit; do :; done\nprintf '%s\\n' \"$unit\" | tr _ ' ' | sed 's/[.]service$//'\n";
    let systemctl = folder.path().join("systemctl");
    std::fs::write(&systemctl, fake).unwrap();
    std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    for (units, expected) in [
        (&["1min_30s.service"][..], "90"),
        (&["5s.service", "2min.service"], "125"),
        (&["500ms.service"], "1"),
        (&["1.5s.service"], "2"),
        (&["infinity.service"], "600"),
        (&["1h.service"], "600"),
        (&["9999s.service", "1s.service"], "601"),
        // Nobody knows the unit, or systemd said nothing.
        (&[".service"], "600"),
    ] {
        for scope in ["system", "user"] {
            let arguments = [&["600", scope][..], units].concat();
            let output = sh(STOPS, &path, &arguments);
            let seen = String::from_utf8(output.stdout).unwrap();
            assert_eq!(seen.trim(), expected, "{units:?}");
        }
    }
}

#[test]
fn whatever_is_there_speaks_to_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("a.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            writeln!(&stream, "heard {line}").unwrap();
        }
    });
    let script = concat!(
        include_str!("script/speak.sh"),
        "speaker=$1\nspeak \"$2\" \"$3\"\n"
    );
    let path = std::env::var("PATH").unwrap_or_default();
    let mut tried = 0;
    for speaker in ["perl", "python3", "socat", "nc"] {
        let is_there = format!("command -v {speaker}");
        if !sh(&is_there, &path, &[]).status.success() {
            continue;
        }
        tried += 1;
        let line = "set server a/b '$HOME' \"`x`\"; state \\ready";
        let output = sh(script, &path, &[speaker, socket.to_str().unwrap(), line]);
        let heard = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(heard, format!("heard {line}\n\n"), "{speaker} {output:?}");
    }
    assert!(tried > 0, "neither perl nor python3 is there");
}

#[test]
fn arguments_are_lines_whatever_they_hold() {
    let put_back = PutBack::Line {
        path: "/etc/it's here".to_owned(),
        lines: ["a down;\n".to_owned(), "a; # $(x)".to_owned()],
        nginx: vec!["nginx".to_owned()],
    };
    let text = put_back.arguments();
    assert_eq!(text.lines().count(), 5);
    let decoded = sh(
        "printf %s \"$1\" | while IFS= read -r line; do printf %s \"$line\" | base64 -d; printf '|'; done",
        "/usr/bin:/bin",
        &[&text],
    );
    assert_eq!(
        String::from_utf8(decoded.stdout).unwrap(),
        "release|/etc/it's here|a down;\n|a; # $(x)|nginx|"
    );
}

#[test]
fn a_password_is_not_left_on_a_host() {
    let post = Post {
        machine: HostName::new("web-01"),
        endpoint: "health".to_owned(),
        name: String::new(),
        what: String::new(),
    };
    let left = |url: &str| PutBack::Url(url.to_owned()).may_be_left_at(&post);
    assert_eq!(left("http://127.0.0.1:8080/drain"), Ok(()));
    let error = left("http://ann:hunter2@127.0.0.1/drain").unwrap_err();
    assert!(!error.in_words().contains("hunter2"), "{error}");
}
