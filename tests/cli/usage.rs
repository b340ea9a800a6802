use std::process::Stdio;

use insta::assert_snapshot;
use predicates::Predicate;
use predicates::str::{contains, is_empty, starts_with};
use serde_json::Value;

use crate::rollctl;

fn refused(words: &str) -> String {
    let assert = rollctl().args(words.split(' ')).assert().code(2).stdout("");
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

#[test]
fn tells_its_version() {
    rollctl()
        .arg("--version")
        .assert()
        .success()
        .stdout(format!("rollctl {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_slip_of_the_finger_gets_a_suggestion() {
    assert_snapshot!("unknown_command", refused("relase web"));
    assert_snapshot!("unknown_flag", refused("release web --max-unavailble 3"));
}

#[test]
fn a_wrong_value_says_what_would_be_right() {
    assert_snapshot!("too_much", refused("release web --max-unavailable 120%"));
    assert_snapshot!("number_as_name", refused("release web --name 42"));
    assert_snapshot!("rollout_by_word", refused("describe latest"));
}

#[test]
fn without_a_command_it_shows_help_and_exits_2() {
    rollctl()
        .assert()
        .code(2)
        .stdout(is_empty())
        .stderr(contains("Usage: rollctl"));
}

#[test]
fn programs_get_usage_errors_as_json() {
    for words in [
        "relase -o json",
        "--output json describe x",
        "status --output=json --nope",
    ] {
        let assert = rollctl().args(words.split(' ')).assert().code(2).stderr("");
        let json: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
        assert_eq!(json["version"], 1, "{words}");
        assert_eq!(json["error"]["code"], 2, "{words}");
        let message = json["error"]["message"].as_str().unwrap();
        assert!(!message.starts_with("error:"), "{words}: {message}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("rollctl"))
        .arg("man")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_full_disk_is_told() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let Ok(full) = full else { return };
    let output = std::process::Command::new(assert_cmd::cargo::cargo_bin!("rollctl"))
        .arg("man")
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(starts_with("error: stdout: ").eval(&told), "{told}");
}
