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
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert_snapshot!(name, help_of(&[name, "--help"]));
    }
}

#[test]
fn help_fits_a_terminal_of_100_columns() {
    for command in Cli::command().get_subcommands() {
        for line in help_of(&[command.get_name(), "--help"]).lines() {
            let width = line.chars().count();
            assert!(
                width <= 100,
                "{}: {width} columns: {line}",
                command.get_name()
            );
        }
    }
}

#[test]
fn the_manual_has_every_command_and_flag() {
    let page = help_of(&["man"]);
    assert!(page.starts_with(".ie"), "{}", &page[..80]);
    for command in Cli::command().get_subcommands() {
        let title = format!(".SH COMMAND {}", command.get_name().to_uppercase());
        assert!(page.contains(&title), "{title}");
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
