//! Who may import whom (docs/architecture.md). Walks `src/` and fails on a forbidden `crate::` path.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every room and the rooms that it may name. Only `cli` may name them all.
const ROOMS: [(&str, &[&str]); 14] = [
    ("core", &["core"]),
    ("ports", &["core"]),
    ("inventory", &["core", "inventory"]),
    ("report", &["core", "ports", "report"]),
    ("ssh", &["core", "ports", "ssh"]),
    ("artifact", &["core", "ports", "artifact"]),
    ("health", &["core", "ports", "health"]),
    ("programs", &["core", "ports", "programs"]),
    ("notify", &["core", "ports", "programs", "notify"]),
    ("traffic", &["core", "ports", "programs", "traffic"]),
    ("ledger", &["core", "ports", "ledger"]),
    ("driver", &["core", "ports", "driver"]),
    ("host", &["core", "ports", "ssh", "artifact", "host"]),
    (
        "cli",
        &[
            "core",
            "ports",
            "inventory",
            "report",
            "ssh",
            "artifact",
            "health",
            "programs",
            "notify",
            "traffic",
            "ledger",
            "driver",
            "host",
            "cli",
        ],
    ),
];

/// What decisions must not touch: clocks, randomness, files, processes, the network, and maps without an order.
const FORBIDDEN_IN_CORE: [&str; 12] = [
    "SystemTime",
    "Instant",
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "std::thread",
    "tokio",
    "async fn",
    "HashMap",
    "HashSet",
    "rand::",
];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The room of a file: its folder in `src/`, or its own stem.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(source()).unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a line names by `crate::room`, also in `use crate::{core::..., ports::...}`.
fn named(line: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    line.match_indices("crate::")
        // `$crate::` and `some_crate::` are other things.
        .filter(|(at, _)| {
            !line[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
        })
        .flat_map(|(at, found)| {
            let rest = &line[at + found.len()..];
            match rest.strip_prefix('{') {
                Some(list) => list.split(',').map(|item| word(item.trim())).collect(),
                None => vec![word(rest)],
            }
        })
        .filter(|name| ROOMS.iter().any(|(room, _)| room == name))
        .collect()
}

#[test]
fn no_room_names_one_that_it_may_not() {
    let mut wrong = Vec::new();
    for path in rust_files(&source()) {
        let room = room(&path);
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert!(
                ["lib", "main"].contains(&room.as_str()),
                "{} is in no room",
                path.display()
            );
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            for name in named(line)
                .into_iter()
                .filter(|name| !allowed.contains(&name.as_str()))
            {
                wrong.push(format!(
                    "{}:{number}: `{room}` must not name `{name}`",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn decisions_touch_nothing_outside() {
    let mut wrong = Vec::new();
    for path in rust_files(&source().join("core")) {
        // Random worlds for tests are allowed their randomness.
        if path
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().ends_with("_tests"))
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for word in FORBIDDEN_IN_CORE
                .into_iter()
                .filter(|word| line.contains(word))
            {
                wrong.push(format!("{}:{number}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_check_can_see() {
    assert_eq!(named("use crate::ssh::Session;"), ["ssh"]);
    assert_eq!(
        named("use crate::{core::ids::HostName, ledger::open};"),
        ["core", "ledger"]
    );
    assert_eq!(
        named("let x = crate::host::layout(); // crate::cli::run"),
        ["host", "cli"]
    );
    assert_eq!(named("rollctl_crate::ssh::x()"), Vec::<String>::new());
}
