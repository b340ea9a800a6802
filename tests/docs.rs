//! What the pages say is so: every word of the JSON is in its page, every inventory that is shown works.

#![expect(clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rollctl::inventory::{check_files, load};
use rollctl::report::state::WORDS;

/// Where JSON is made, and where the words are that it shows.
const SOURCES: [&str; 16] = [
    "src/report/json.rs",
    "src/report/plan.rs",
    "src/report/status.rs",
    "src/report/verify.rs",
    "src/report/history.rs",
    "src/report/ledger.rs",
    "src/report/timeline.rs",
    "src/report/state.rs",
    "src/core/event.rs",
    "src/core/spec.rs",
    "src/ledger/row.rs",
    "src/cli/trust.rs",
    "src/cli/check.rs",
    "src/cli/hold.rs",
    "src/core/notify.rs",
    "src/notify/webhook.rs",
];

/// The literals that are one word of small letters, `_` and `-`, before the tests of a file.
fn words(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or(source);
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b"_-".contains(&b))
        })
        .filter(|word| word.bytes().any(|b| b.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// Words of these files that no JSON shows.
const NOT_SHOWN: [&str; 5] = ["snake_case", "runs", "millis", "no", "https"];

#[test]
fn every_word_of_the_json_is_in_its_page() {
    let page = fs::read_to_string("docs/json.md").unwrap();
    let is_there =
        |word: &str| page.contains(&format!("`{word}`")) || page.contains(&format!("\"{word}\""));
    let mut missing = Vec::new();
    for path in SOURCES {
        let all = words(&fs::read_to_string(path).unwrap());
        assert!(
            !all.is_empty(),
            "{path} has no words: is it still the place?"
        );
        for word in all {
            if !is_there(&word) && !NOT_SHOWN.contains(&word.as_str()) {
                missing.push(format!("{word} ({path})"));
            }
        }
    }
    let plain = page.replace("`min_ready`", "min_ready");
    for (word, meaning) in WORDS {
        if !plain.contains(&format!("| `{word}` | {meaning}")) {
            missing.push(format!("{word}: {meaning}"));
        }
    }
    assert!(missing.is_empty(), "docs/json.md lacks {missing:#?}");
}

#[test]
fn every_inventory_that_is_shown_works() {
    let readme = fs::read_to_string("README.md").unwrap();
    let block = |mark: &str| {
        let (_, rest) = readme.split_once(mark).unwrap();
        rest.split("```").next().unwrap().to_owned()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("production.toml");
    fs::write(&path, block("```toml\n")).unwrap();
    fs::write(dir.path().join("web.service"), block("```ini\n")).unwrap();
    works(&path);
    for name in [
        "haproxy",
        "python",
        "restricted",
        "side-by-side",
        "socket-activation",
        "user",
    ] {
        works(&Path::new("examples").join(name).join("fleet.toml"));
    }
}

fn works(path: &Path) {
    let loaded = load(path).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    assert!(loaded.warnings.is_empty(), "{}", path.display());
    assert!(check_files(&loaded).is_empty(), "{}", path.display());
}

#[test]
fn the_readme_lists_the_exit_codes_as_the_help_does() {
    let help = assert_cmd::Command::cargo_bin("rollctl")
        .unwrap()
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let readme = fs::read_to_string("README.md").unwrap();
    let codes: Vec<String> = help
        .lines()
        .skip_while(|line| !line.starts_with("Exit codes"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.trim().replacen("  ", " | ", 1))
        .collect();
    assert_eq!(codes.len(), 9, "{help}");
    for code in codes {
        assert!(
            readme.contains(&format!("| {code} |\n")),
            "README lacks {code:?}"
        );
    }
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let mut pages = vec![Path::new("README.md").to_owned()];
    for folder in ["docs", "docs/bench"] {
        let entries = fs::read_dir(folder).unwrap();
        pages.extend(entries.map(|entry| entry.unwrap().path()));
    }
    pages.retain(|page| page.extension().is_some_and(|kind| kind == "md"));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            let is_local = !target.is_empty() && !target.contains(':');
            let place = page.parent().unwrap().join(target);
            assert!(!is_local || place.exists(), "{}: {target}", page.display());
        }
    }
}
