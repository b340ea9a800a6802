//! Secrets are nowhere but in the store and on the host, both for their owner alone; what hosts say steers no terminal.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::Controller;
use crate::world::{files, lab};

const SECRET: &str = "s3cr3t-of-the-database";

/// Logs its secret, and shows it as its health, with all that could steer a terminal.
const TALKATIVE: &str = r#"#!/usr/bin/env python3
import os, sys, http.server
sys.stderr.write("connecting to %s \x1b[2J\x1b]0;owned\x07\rerror: none\n\u202eevil\n" % os.environ["DB"])
sys.stderr.flush()
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("no database at %s \x1b[31mred\x07\u202e\r\n" % os.environ["DB"]).encode() + b"\xff\x9b31m"
        self.send_response(503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Health).serve_forever()
"#;

fn run(controller: &Controller, words: &[&str], secret: Option<&str>) -> (i32, String) {
    let mut command = controller.command(words);
    if let Some(secret) = secret {
        command.env("DB_URL", secret);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

#[track_caller]
fn clean(what: &str, text: &str) {
    assert!(!text.contains(SECRET), "{what} shows the secret: {text}");
    for steering in ['\x1b', '\x07', '\u{202e}', '\u{9b}'] {
        assert!(
            !text.contains(steering),
            "{what} holds {steering:?}: {text}"
        );
    }
}

#[test]
fn a_secret_is_shown_nowhere() {
    let (lab, controller) = lab(
        2,
        "environment = { DB = { env = \"DB_URL\" }, LEVEL = \"info\" }",
    );
    let v1 = controller.path("build-v1");
    let (code, text) = run(
        &controller,
        &[
            "release",
            "web",
            v1.to_str().unwrap(),
            "--name",
            "v1",
            "-vvv",
        ],
        Some(SECRET),
    );
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("DEBUG"), "this looks at the log, too: {text}");
    clean("the log of a release", &text);
    talkative_release(&controller);
    for words in [
        &["history", "web"][..],
        &["history", "web", "-o", "json"],
        &["history", "web", "--revision", "1"],
        &["describe", "1"],
        &["describe", "2"],
        &["describe", "2", "-o", "json"],
        &["status", "-vvv"],
        &["status", "-o", "json"],
        &["check", "--connect", "-vvv"],
    ] {
        let (_, text) = run(&controller, words, None);
        clean(&words.join(" "), &text);
    }
    // A rollback needs no secret at hand, and shows none.
    let (code, text) = run(
        &controller,
        &["rollback", "web", "--to", "v1", "-vvv"],
        None,
    );
    assert_eq!(code, 0, "{text}");
    clean("the log of a rollback", &text);
    kept_for_the_owner_alone(&controller);
    for host in lab.hosts() {
        for (path, content) in files(&host.home()) {
            if holds(&content) {
                assert_eq!(mode(Path::new(&path)), 0o600, "{path}");
            }
        }
    }
}

/// A service that tells everybody fails its health check: what it said is shown, without the secret.
fn talkative_release(controller: &Controller) {
    if !Command::new("python3")
        .arg("--version")
        .output()
        .is_ok_and(|it| it.status.success())
    {
        eprintln!("skipped: there is no python3");
        return;
    }
    let talkative = controller.write("talkative", TALKATIVE);
    for output in ["human", "json"] {
        let words = [
            "release",
            "web",
            talkative.to_str().unwrap(),
            "-o",
            output,
            "-vvv",
        ];
        let (code, text) = run(controller, &words, Some(SECRET));
        assert_eq!(code, 5, "{text}");
        clean("a release that fails", &text);
        if output == "human" {
            assert!(text.contains("no database at ***"), "{text}");
            assert!(text.contains("connecting to ***"), "{text}");
        }
    }
}

fn holds(content: &[u8]) -> bool {
    content
        .windows(SECRET.len())
        .any(|window| window == SECRET.as_bytes())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn kept_for_the_owner_alone(controller: &Controller) {
    let mut found = 0;
    for (path, content) in files(&controller.path("inventory")) {
        let is_ours = path.contains("ledger");
        if is_ours {
            let expected = if Path::new(&path).is_dir() {
                0o700
            } else {
                0o600
            };
            assert_eq!(mode(Path::new(&path)), expected, "{path}");
        }
        if holds(&content) {
            assert!(path.ends_with("/contents.json"), "{path} holds the secret");
            found += 1;
        }
    }
    assert!(found > 0, "nothing was kept: this test sees nothing");
}

#[test]
fn no_argument_of_a_process_holds_the_secret() {
    let (_lab, controller) = lab(1, "environment = { DB = { env = \"DB_URL\" } }");
    let v1 = controller.path("build-v1");
    let mut release = controller
        .command(&["release", "web", v1.to_str().unwrap()])
        .env("DB_URL", SECRET)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut looks = 0;
    let status = loop {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            // Processes end while one looks.
            let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            assert!(
                !holds(&arguments),
                "{}",
                String::from_utf8_lossy(&arguments)
            );
        }
        looks += 1;
        if let Some(status) = release.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(0));
    assert!(looks > 10, "{looks} looks");
}
