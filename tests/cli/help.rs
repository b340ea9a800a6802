use clap::CommandFactory;
use insta::assert_snapshot;
use rollctl::cli::Cli;

use crate::rollctl;

fn help_of(words: &[&str]) -> String {
    let assert = rollctl().args(words).assert().success().stderr("");
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

#[test]
fn every_command_explains_itself() {
    assert_snapshot!("root", help_of(&["--help"]));
    assert_snapshot!("root_short", help_of(&["-h"]));
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let text = help_of(&[&words[..], &["--help"]].concat());
        assert_snapshot!(words.join("_"), text);
    }
}

/// What is typed for each command, `ledger verify` too.
fn commands() -> Vec<Vec<String>> {
    let of = |above: &clap::Command| {
        let names = above.get_subcommands().map(|one| one.get_name().to_owned());
        names.filter(|name| name != "help").collect::<Vec<_>>()
    };
    let root = Cli::command();
    let below = root.get_subcommands().flat_map(|command| {
        let name = command.get_name().to_owned();
        let below = of(command).into_iter();
        std::iter::once(vec![name.clone()]).chain(below.map(move |one| vec![name.clone(), one]))
    });
    below.collect()
}

#[test]
fn help_fits_a_terminal_of_100_columns() {
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for line in help_of(&[&words[..], &["--help"]].concat()).lines() {
            let width = line.chars().count();
            assert!(width <= 100, "{words:?}: {width} columns: {line}");
        }
    }
}

#[test]
fn the_manual_has_every_command_and_flag() {
    let page = help_of(&["man"]);
    assert!(page.starts_with(".ie"), "{}", &page[..80]);
    for words in commands() {
        let title = format!(".SH COMMAND {}\n", words.join(" ").to_uppercase());
        assert!(page.contains(&title), "{title}");
    }
    for command in Cli::command().get_subcommands() {
        for flag in command.get_arguments().filter_map(|one| one.get_long()) {
            let flag = format!("\\-\\-{}", flag.replace('-', "\\-"));
            assert!(page.contains(&flag), "{flag}");
        }
    }
    assert!(page.contains("Exit codes"));
}

#[test]
fn shells_get_completions() {
    for (shell, sign) in [
        ("bash", "complete -F _rollctl"),
        ("zsh", "#compdef rollctl"),
        ("fish", "complete -c rollctl"),
    ] {
        let script = help_of(&["completions", shell]);
        assert!(script.contains(sign), "{shell}");
        assert!(script.contains("rollback"), "{shell}");
    }
}
