//! A controller that is killed in the middle of a release.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use super::support::Controller;

/// A release that is killed with -9 as it begins its `number`th action of that kind.
pub(crate) fn killed_at(
    controller: &Controller,
    artifact: &Path,
    name: &str,
    action: &str,
    number: usize,
) {
    let words = [
        "release",
        "web",
        artifact.to_str().unwrap(),
        "--name",
        name,
        "--output",
        "json",
    ];
    let mut child = controller
        .command(&words)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let wanted = format!("\"action\":\"{action}\"");
    let mut events = lines
        .map_while(Result::ok)
        .filter(|line| line.contains("\"kind\":\"action_started\"") && line.contains(&wanted));
    assert!(events.nth(number - 1).is_some(), "{action} never began");
    child.kill().unwrap();
    child.wait().unwrap();
}
