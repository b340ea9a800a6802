//! The comparison works: a small version, on real hosts. Nothing here is timed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod program;

use program::run;

#[test]
fn the_same_release_is_measured_by_several_tools() {
    if rollctl_fleet::skip() {
        return;
    }
    let options = [
        "--hosts", "2", "--batch", "1", "--runs", "1", "--sizes", "1",
    ];
    let more = ["--tools", "rollctl,scp", "--straggler", "--waits"];
    let (figures, table) = run("compare", &[&options[..], &more].concat());
    let rows = figures["rows"].as_array().unwrap();
    let tool = |row: &serde_json::Value| row["tool"].as_str().unwrap().to_owned();
    let tools: Vec<_> = rows.iter().map(tool).collect();
    assert_eq!(
        tools,
        [
            "rollctl",
            "script with scp",
            "the restarts alone",
            "rollctl",
            "the restarts alone",
            "rollctl",
            "restart, ready and min_ready alone",
            "rollctl",
            "systemctl restart",
        ]
    );
    for row in rows {
        assert!(row["median"].as_f64().is_some_and(|it| it > 0.0), "{row}");
    }
    assert!(table.contains("| script with scp |"), "{table}");
}
