//! Ledgers that cannot be used: refused, told what can be done, and left byte for byte as they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::Controller;
use crate::world::{offline, untouched, well_said};

/// A controller that has released once, in vain: its host does not answer.
fn released() -> Controller {
    let controller = offline();
    let v1 = controller.path("build-v1");
    controller
        .rollctl(&["release", "web", v1.to_str().unwrap(), "--name", "v1"])
        .exits(5);
    let ledger = fs::read(controller.path("inventory/ledger.db")).unwrap();
    assert!(ledger.starts_with(b"SQLite format 3"));
    controller
}

/// Removes the ledger and its log.
fn remove(ledger: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _gone = fs::remove_file(format!("{}{suffix}", ledger.display()));
    }
}

type Harm = fn(&Path);

#[test]
fn a_ledger_that_cannot_be_used_is_left_as_it_is() {
    let rows: [(&str, Harm, &str, &str); 7] = [
        (
            "cut off",
            |ledger| cut(ledger, 5_000),
            "is damaged",
            "put a backup in its place",
        ),
        (
            "empty",
            |ledger| cut(ledger, 0),
            "is an empty file",
            "put a backup in its place",
        ),
        (
            "overwritten",
            |ledger| replace(ledger, &[0xa5; 60_000]),
            "is not a ledger",
            "it was left as it is",
        ),
        (
            "a text",
            |ledger| replace(ledger, b"notes of mine\n"),
            "is not a ledger",
            "it was left as it is",
        ),
        (
            "a folder",
            |ledger| {
                remove(ledger);
                fs::create_dir(ledger).unwrap();
            },
            "is not a plain file",
            "set `ledger.url`",
        ),
        (
            "a link to nothing",
            |ledger| {
                remove(ledger);
                std::os::unix::fs::symlink("/nonexistent/ledger.db", ledger).unwrap();
            },
            "is a link to a file that is not there",
            "put the file back",
        ),
        ("damaged inside", inside, "is damaged", ".recover"),
    ];
    for (sentence, harm, told, hint) in rows {
        let controller = released();
        let ledger = controller.path("inventory/ledger.db");
        harm(&ledger);
        let v2 = controller.path("build-v2");
        for words in [
            &["release", "web", v2.to_str().unwrap()][..],
            &["rollback", "web", "--to", "v1"],
            &["plan", "web", v2.to_str().unwrap()],
            &["status"],
            &["history", "web"],
            &["describe", "1"],
        ] {
            let before = fs::read(&ledger).ok();
            let run = controller.rollctl(words);
            assert_eq!(run.code, 2, "{sentence}: {words:?}");
            assert!(run.stderr.contains(told), "{sentence}: {}", run.stderr);
            assert!(run.stderr.contains(hint), "{sentence}: {}", run.stderr);
            assert!(
                run.stderr.contains("ledger.db"),
                "{sentence}: {}",
                run.stderr
            );
            well_said(&run);
            assert_eq!(
                fs::read(&ledger).ok(),
                before,
                "{sentence}: {words:?} wrote"
            );
        }
    }
}

/// With its log gone, which would mend it.
fn cut(ledger: &Path, length: usize) {
    let mut content = fs::read(ledger).unwrap();
    content.truncate(length);
    replace(ledger, &content);
}

fn replace(ledger: &Path, content: &[u8]) {
    remove(ledger);
    fs::write(ledger, content).unwrap();
}

fn inside(ledger: &Path) {
    let mut content = fs::read(ledger).unwrap();
    let size = content.len();
    assert!(size > 30_000, "{size}");
    content[9_000..21_000].fill(0xa5);
    replace(ledger, &content);
}

/// Runs a script as root with mounts of its own; nothing when that cannot be done here.
fn with_mounts(controller: &Controller, script: &str) -> Option<(i32, String)> {
    let can = Command::new("unshare")
        .args(["--mount", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: mounting needs root");
        return None;
    }
    let inner = controller.command(&[]);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .current_dir(controller.path("."))
        .env_clear()
        .env("ROLLCTL", env!("CARGO_BIN_EXE_rollctl"));
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.code().unwrap(), told))
}

#[test]
fn a_disk_that_takes_nothing_is_told_before_anything_is_touched() {
    const SAME: &str = "cp inventory/*.* disk/; mount -o bind disk inventory";
    for (sentence, script, told) in [
        (
            "a full disk without a ledger",
            "mkdir disk; mount -t tmpfs -o size=400k x disk; cp inventory/test.toml inventory/web.service disk/; \
             mount -o bind disk inventory; dd if=/dev/zero of=disk/fill bs=1k 2>/dev/null; \
             $ROLLCTL release web build-v2",
            "its disk is full",
        ),
        (
            "a full disk with a ledger",
            &format!(
                "mkdir disk; mount -t tmpfs -o size=400k x disk; {SAME}; rm -f disk/*-shm disk/*-wal; \
                 dd if=/dev/zero of=disk/fill bs=1k 2>/dev/null; $ROLLCTL release web build-v2"
            ),
            "its disk is full",
        ),
        (
            "a read-only disk without a ledger",
            "mkdir disk; mount -t tmpfs -o size=400k x disk; cp inventory/test.toml inventory/web.service disk/; \
             mount -o bind disk inventory; mount -o remount,bind,ro inventory; $ROLLCTL release web build-v2",
            "read-only",
        ),
        (
            "a read-only disk with a ledger",
            &format!(
                "mkdir disk; mount -t tmpfs -o size=400k x disk; {SAME}; mount -o remount,bind,ro inventory; \
                 $ROLLCTL release web build-v2"
            ),
            "read-only",
        ),
    ] {
        let controller = released();
        let Some((code, text)) = with_mounts(&controller, script) else {
            return;
        };
        assert_eq!(code, 2, "{sentence}: {text}");
        assert!(text.contains(told), "{sentence}: {text}");
        assert!(text.contains("\nhint: "), "{sentence}: {text}");
    }
}

#[test]
fn the_ledger_is_found_without_a_home_and_made_only_by_a_release() {
    let controller = offline();
    let text = fs::read_to_string(controller.path("inventory/test.toml")).unwrap();
    let default = text.replace("[ledger]\nurl = \"sqlite:ledger.db\"\n", "");
    controller.write("inventory/test.toml", default);
    untouched(&controller, &["status"]).exits(0);
    let v1 = controller.path("build-v1");
    controller
        .rollctl(&["release", "web", v1.to_str().unwrap()])
        .exits(5);
    let made = controller.path(".local/state/rollctl/test.db");
    assert!(made.is_file(), "{}", made.display());
    // The variable wins; a relative one is none, as its specification says.
    for (variable, revisions) in [("state", true), ("/", false)] {
        let mut command = controller.command(&["history", "web"]);
        command.env("XDG_STATE_HOME", variable).current_dir("/");
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(told.contains("r1"), revisions, "{variable}: {told}");
    }
    let mut command = controller.command(&["history", "web"]);
    command.env_remove("HOME").env_remove("USER");
    assert_eq!(command.output().unwrap().status.code(), Some(0));
}
