//! The bench as a program, run on the workspace's rollctl.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

pub(crate) const BENCH: &str = env!("CARGO_BIN_EXE_rollctl-bench");

/// The program of the workspace, beside the bench's own: built here where only this package was.
fn rollctl() -> PathBuf {
    let program = Path::new(BENCH).with_file_name("rollctl");
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--package", "rollctl", "--bin", "rollctl"]);
        assert!(cargo.status().unwrap().success(), "rollctl does not build");
    }
    program
}

/// Runs one; its figures and its table.
pub(crate) fn run(bench: &str, options: &[&str]) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("figures.json");
    let ran = Command::new(BENCH)
        .arg(bench)
        .args(options)
        .arg("--rollctl")
        .arg(rollctl())
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    let figures = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    (figures, String::from_utf8(ran.stdout).unwrap())
}
