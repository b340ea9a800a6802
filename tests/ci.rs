//! The examples for CI servers are YAML, and each `rollctl` in them is one that there is.

use clap::Parser;
use rollctl::cli::Cli;
use yaml_rust2::{Yaml, YamlLoader};

/// All texts in a document, wherever they stand.
fn texts<'y>(yaml: &'y Yaml, found: &mut Vec<&'y str>) {
    match yaml {
        Yaml::String(text) => found.push(text),
        Yaml::Array(list) => list.iter().for_each(|one| texts(one, found)),
        Yaml::Hash(table) => table.values().for_each(|one| texts(one, found)),
        _ => {}
    }
}

/// What is typed behind each `rollctl` of a script, up to where the shell takes over again.
fn commands(script: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in script.lines() {
        let line = line.trim().trim_start_matches("exec ");
        let Some(words) = line.strip_prefix("rollctl ") else {
            continue;
        };
        let words = words.split_whitespace();
        let words = words.take_while(|word| !["2>&1", "||", "|", "&&"].contains(word));
        // A variable stands for what may be there.
        let plain = words.map(|word| match word.trim_matches('"') {
            variable if variable.starts_with('$') => "v1.4.2".to_owned(),
            word => word.to_owned(),
        });
        found.push(plain.collect());
    }
    found
}

#[test]
fn each_example_is_yaml_and_its_commands_are_understood() {
    for name in ["github.yml", "gitlab.yml"] {
        let text = std::fs::read_to_string(format!("examples/ci/{name}")).unwrap();
        let documents = YamlLoader::load_from_str(&text).unwrap();
        assert_eq!(documents.len(), 1, "{name}");
        let mut scripts = Vec::new();
        texts(&documents[0], &mut scripts);
        let all: Vec<_> = scripts.iter().flat_map(|script| commands(script)).collect();
        let verbs: Vec<&str> = all.iter().map(|words| words[0].as_str()).collect();
        for verb in ["plan", "release", "status"] {
            assert!(verbs.contains(&verb), "{name} has no {verb}: {verbs:?}");
        }
        for words in all {
            let typed = std::iter::once("rollctl").chain(words.iter().map(String::as_str));
            if let Err(error) = Cli::try_parse_from(typed) {
                panic!("{name}: {words:?}: {error}");
            }
        }
        // A job that is cancelled has to reach rollctl itself.
        assert!(
            scripts.iter().any(|script| script
                .lines()
                .any(|line| line.trim().starts_with("exec rollctl release"))),
            "{name}"
        );
    }
}
