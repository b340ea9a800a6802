//! The bench of scale works: twenty scripted hosts are released to, twice. Nothing here is timed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const BENCH: &str = env!("CARGO_BIN_EXE_rollctl-bench");

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

#[test]
fn a_release_on_scripted_hosts_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("scale.json");
    let bench = Command::new(BENCH)
        .args(["scale", "--hosts", "3,20", "--interval", "100ms"])
        .arg("--rollctl")
        .arg(rollctl())
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&bench.stderr);
    assert!(bench.status.success(), "{said}");
    let figures: Value = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    let rows = figures["rows"].as_array().unwrap();
    let hosts: Vec<_> = rows.iter().map(|row| row["hosts"].as_u64()).collect();
    assert_eq!(hosts, [Some(3), Some(20)]);
    for row in rows {
        for figure in ["seconds", "cpu_ms_per_host", "peak_memory_mb"] {
            assert!(row[figure].as_f64().unwrap() > 0.0, "{figure}: {row}");
        }
    }
    let table = String::from_utf8_lossy(&bench.stdout);
    assert!(table.contains("\n| 20 | "), "{table}");
}
