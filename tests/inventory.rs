//! Inventories as people write them, good and bad. `tests/inventory/bad` has one mistake (or one kind of mistake) a
//! file; its first line says which, and `tests/inventory/snapshots` what a person is told.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, which clippy does not take for tests"
)]

use std::path::{Path, PathBuf};

use rollctl::inventory::{InventoryErrors, load};

#[path = "inventory/channel.rs"]
mod channel;
#[path = "inventory/docs.rs"]
mod docs;
#[path = "inventory/files.rs"]
mod files;
#[path = "inventory/fuzz.rs"]
mod fuzz;
#[path = "inventory/hooks.rs"]
mod hooks;
#[path = "inventory/postgres.rs"]
mod postgres;
#[path = "inventory/traffic.rs"]
mod traffic;
#[path = "inventory/trust.rs"]
mod trust;
#[path = "inventory/valid.rs"]
mod valid;

fn entries(folder: &str) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries
}

fn sentence(path: &Path) -> String {
    let file = if path.is_dir() {
        path.join("a.toml")
    } else {
        path.to_owned()
    };
    let text = std::fs::read_to_string(file).unwrap();
    let first = text.lines().next().unwrap();
    first
        .strip_prefix("# ")
        .expect("the first line says what is wrong")
        .to_owned()
}

fn refused(path: &Path) -> InventoryErrors {
    match load(path) {
        Ok(_) => panic!("{} has no mistake", path.display()),
        Err(errors) => errors,
    }
}

#[test]
fn bad_inventories_are_explained() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("inventory/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut seen = 0;
    for path in entries("tests/inventory/bad") {
        let errors = refused(&path);
        settings.set_description(sentence(&path));
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        settings.bind(|| insta::assert_snapshot!(name, errors.render(false)));
        seen += 1;
    }
    assert!(seen > 60, "{seen} bad inventories");
}

#[test]
fn every_mistake_has_its_place_and_no_password_is_shown() {
    for path in entries("tests/inventory/bad") {
        let errors = refused(&path);
        let name = path.display();
        let shown =
            errors.render(true) + &errors.to_string() + &serde_json::to_string(&errors).unwrap();
        assert!(!shown.contains("geheim"), "{name}");
        assert!(!errors.render(false).contains('\u{1b}'), "{name}");
        for mistake in &errors.mistakes {
            assert_eq!(mistake.line.is_some(), mistake.column.is_some(), "{name}");
            let whole =
                mistake.message.contains("no hosts") || mistake.message.contains("name of a fleet");
            assert!(
                mistake.line.is_some() || whole,
                "{name}: {}",
                mistake.message
            );
            let Some(span) = mistake.span.clone() else {
                continue;
            };
            let text = std::fs::read_to_string(&mistake.file).unwrap();
            let before = &text[..span.start.min(text.len())];
            assert_eq!(
                mistake.line,
                Some(before.matches('\n').count() + 1),
                "{name}"
            );
        }
    }
}

#[test]
fn the_machine_form_says_the_same() {
    let errors = refused(Path::new("tests/inventory/bad/unknown_key.toml"));
    let json: serde_json::Value = serde_json::to_value(&errors).unwrap();
    let mistake = &json["mistakes"][0];
    assert_eq!(json["path"], "tests/inventory/bad/unknown_key.toml");
    assert_eq!(mistake["severity"], "error");
    assert_eq!(mistake["file"], "tests/inventory/bad/unknown_key.toml");
    assert_eq!(mistake["line"], 12);
    assert_eq!(mistake["column"], 1);
    assert_eq!(mistake["key"], "services.web.strategy.max_unavailble");
    assert_eq!(
        mistake["message"],
        "unknown key \"max_unavailble\", did you mean \"max_unavailable\"?"
    );
    assert_eq!(mistake["help"], serde_json::Value::Null);
    assert_eq!(json["mistakes"].as_array().unwrap().len(), 1);
}
