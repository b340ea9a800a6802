//! The benches work: a small version of each, on scripted hosts. Nothing here is timed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod program;

use std::fs;
use std::process::Command;

use program::{BENCH, run};
use serde_json::{Value, json};

fn is_positive(figure: &Value) -> bool {
    figure.as_f64().is_some_and(|figure| figure > 0.0)
}

#[test]
fn a_release_on_scripted_hosts_is_measured() {
    let (figures, table) = run("scale", &["--hosts", "3,20", "--interval", "100ms"]);
    let rows = figures["rows"].as_array().unwrap();
    let hosts: Vec<_> = rows.iter().map(|row| row["hosts"].as_u64()).collect();
    assert_eq!(hosts, [Some(3), Some(20)]);
    for row in rows {
        for figure in ["seconds", "cpu_ms_per_host", "peak_memory_mb"] {
            assert!(is_positive(&row[figure]), "{figure}: {row}");
        }
    }
    assert!(table.contains("\n| 20 | "), "{table}");
}

#[test]
fn how_much_of_a_line_is_used_is_measured() {
    let options = ["--hosts", "8", "--uplink", "80", "--bytes", "200000"];
    let (figures, table) = run("uplink", &options);
    // What was shipped is more or less what there was to ship, compressed or not.
    let shipped = figures["megabytes"].as_f64().unwrap();
    assert!((1.0..3.0).contains(&shipped), "{figures}");
    // A line carries no more than it can, but for what a pause may make up for.
    let share = |name: &str| figures[name].as_f64().unwrap();
    assert!(share("artifacts") > 0.0, "{figures}");
    assert!(
        share("artifacts") < share("used") && share("used") < 1.3,
        "{figures}"
    );
    assert!(table.contains("\n| 8 | 80 | "), "{table}");
}

#[test]
fn commands_on_a_full_ledger_are_measured() {
    let options = ["--rollouts", "20", "--events", "2000", "--runs", "1"];
    let (figures, table) = run("ledger", &options);
    let events = figures["events"].as_u64().unwrap();
    assert!((1000..2500).contains(&events), "{figures}");
    let rows = figures["rows"].as_array().unwrap();
    assert!(
        rows.iter().all(|row| is_positive(&row["all_ms"])),
        "{figures}"
    );
    assert!(table.contains("\n| history | "), "{table}");
}

#[test]
fn pictures_and_tables_are_made_of_the_figures_alone() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, figures: Value| {
        fs::write(folder.path().join(name), figures.to_string()).unwrap();
    };
    let row = |hosts: u32| {
        json!({"hosts": hosts, "seconds": 2.0, "cpu_ms_per_host": 7.0, "child_cpu_ms_per_host": 0.1,
               "peak_memory_mb": 60.0, "ledger_kb_per_host": 2.0})
    };
    write(
        "scale.json",
        json!({"version": 1, "max_unavailable": "10%", "interval": "5s", "without_ssh": false,
               "rows": [row(100), row(1000), row(10_000)]}),
    );
    write(
        "compare.json",
        json!({"version": 1, "hosts": 12, "batch": 3, "runs": 1, "rows": [
            {"job": "1 MB", "tool": "rollctl", "seconds": [2.0], "median": 2.0, "times_rollctl": 1.0},
            {"job": "1 MB", "tool": "ansible", "seconds": [9.0], "median": 9.0, "times_rollctl": 4.5}]}),
    );
    let page = folder.path().join("page.md");
    fs::write(&page, "a\n<!-- figures -->\nold\n<!-- /figures -->\nb\n").unwrap();
    let made = || {
        let plot = Command::new(BENCH)
            .args(["plot", "--folder"])
            .arg(folder.path())
            .arg("--page")
            .arg(&page)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&plot.stderr).into_owned();
        assert!(plot.status.success(), "{said}");
        ["scale.svg", "compare.svg", "figures.md"]
            .map(|file| fs::read_to_string(folder.path().join(file)).unwrap())
    };
    let [scale, compare, text] = made();
    assert_eq!(made(), [scale.clone(), compare.clone(), text.clone()]);
    assert!(
        scale.starts_with("<svg") && scale.contains("peak memory"),
        "{scale}"
    );
    assert!(compare.contains("1 MB: ansible"), "{compare}");
    assert!(text.contains("| 10000 | 2.0 | 7.0 |"), "{text}");
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.starts_with("a\n") && page.ends_with("\nb\n"));
    assert!(page.contains("| 4.5 |") && !page.contains("old"), "{page}");
}
