//! What `docs/inventory.md` and the sample fleets show works.

use std::path::Path;

use rollctl::inventory::{check_files, load, locate};

/// The blocks of TOML in a page, each with the line it begins at.
fn blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line == "```toml" {
            let block: Vec<_> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```")
                .collect();
            blocks.push((at + 1, block.join("\n")));
        }
    }
    blocks
}

#[test]
fn every_block_of_the_reference_is_an_inventory() {
    let page = std::fs::read_to_string("docs/inventory.md").unwrap();
    let blocks = blocks(&page);
    assert!(blocks.len() >= 4, "{} blocks", blocks.len());
    for (line, block) in blocks {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("production.toml");
        std::fs::write(&path, &block).unwrap();
        match load(&path) {
            Ok(loaded) => assert!(loaded.warnings.is_empty(), "docs/inventory.md:{line}"),
            Err(errors) => panic!("docs/inventory.md:{line}\n{}", errors.render(false)),
        }
    }
}

#[test]
fn the_sample_fleet_is_found_and_good() {
    let path = locate(None, None, Path::new(".")).unwrap();
    assert_eq!(path, Path::new("./inventory/example.toml"));
    let loaded = load(&path).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    assert!(loaded.warnings.is_empty());
    let missing: Vec<_> = check_files(&loaded)
        .iter()
        .map(|mistake| mistake.render(false))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
