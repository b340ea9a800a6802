//! The inventory as a file: where it is looked for, and what else may lie there. What is in it: `tests/inventory.rs`.

use crate::support::Controller;
use crate::world::{NOBODY, SERVICE, controller, offline, untouched, well_said};

#[test]
fn a_mistake_in_the_inventory_stops_every_command_with_its_place() {
    for (sentence, text, told) in [
        (
            "an unknown key",
            SERVICE.replace("max_unavailable", "max_unavailble"),
            "did you mean \"max_unavailable\"?",
        ),
        (
            "a wrong type",
            SERVICE.replace("port = 8080", "port = \"many\""),
            "services.web.port",
        ),
        (
            "a share over all",
            SERVICE.replace("max_unavailable = 1", "max_unavailable = \"120%\""),
            "services.web.strategy.max_unavailable",
        ),
        (
            "both budgets 0",
            SERVICE.replace("max_unavailable = 1", "max_unavailable = 0"),
            "both 0",
        ),
        (
            "a selector of nobody",
            SERVICE.replace("hosts = \"*\"", "hosts = \"db-*\""),
            "services.web.hosts",
        ),
        ("no TOML", "hello\nworld\n".to_owned(), "not TOML"),
    ] {
        let controller = controller(&format!("{NOBODY}{text}"));
        let v1 = controller.path("build-v1");
        let v1 = v1.to_str().unwrap();
        for words in [
            &["release", "web", v1][..],
            &["rollback", "web"],
            &["plan", "web", v1],
            &["status"],
            &["history", "web"],
            &["describe", "1"],
            &["check"],
        ] {
            let run = untouched(&controller, words);
            assert_eq!(run.code, 2, "{sentence}: {words:?}");
            let text = run.text();
            assert!(text.contains(told), "{sentence}: {words:?}: {text}");
            assert!(text.contains("inventory/test.toml:"), "{sentence}: {text}");
            well_said(&run);
        }
    }
}

#[test]
fn the_first_line_of_a_bad_inventory_counts_its_mistakes_once() {
    let controller = controller(&format!(
        "{NOBODY}{}",
        SERVICE.replace("interval =", "intervall =")
    ));
    let run = untouched(&controller, &["status"]).exits(2);
    let first = run.stderr.lines().next().unwrap();
    assert!(first.starts_with("error: inventory `"), "{first}");
    assert!(
        first.ends_with("test.toml` cannot be used: 1 mistake"),
        "{first}"
    );
    assert_eq!(run.stderr.matches("1 mistake").count(), 1, "{}", run.stderr);
    assert_eq!(
        run.stderr.matches("intervall").count(),
        3,
        "message, place and line: {}",
        run.stderr
    );
}

#[test]
fn an_inventory_that_is_none() {
    let controller = offline();
    controller.write("empty/readme.txt", "nothing here");
    controller.write("latin.toml", b"[hosts.web]\naddress = \"z\xfcrich\"\n");
    controller.write("two/inventory/a.toml", NOBODY);
    controller.write("two/inventory/b.toml", NOBODY);
    controller.write("zero.toml", "");
    for (sentence, path, told) in [
        (
            "a folder with nothing in it",
            "empty",
            "holds no `*.toml` file",
        ),
        (
            "nothing at all",
            "missing.toml",
            "(from `--inventory`) does not exist",
        ),
        ("not UTF-8", "latin.toml", "is not UTF-8 text"),
        ("an empty file", "zero.toml", "has no hosts"),
    ] {
        let path = controller.path(path);
        for command in [&["status"][..], &["check"], &["release", "web", "x"]] {
            let words = [command, &["--inventory", path.to_str().unwrap()]].concat();
            let run = untouched(&controller, &words);
            assert_eq!(run.code, 2, "{sentence}");
            assert!(run.text().contains(told), "{sentence}: {}", run.text());
            assert_eq!(
                run.text().matches(told).count(),
                1,
                "{sentence}: {}",
                run.text()
            );
            well_said(&run);
        }
    }
}

/// `rollctl status` in a folder, with that `$ROLLCTL_INVENTORY`.
fn status_in(controller: &Controller, folder: &str, variable: Option<&str>) -> (i32, String) {
    let mut command = controller.command(&["history", "web"]);
    command.current_dir(controller.path(folder));
    match variable {
        Some(value) => command.env("ROLLCTL_INVENTORY", value),
        None => command.env_remove("ROLLCTL_INVENTORY"),
    };
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), told)
}

#[test]
fn where_an_inventory_is_looked_for() {
    let controller = offline();
    controller.write("two/inventory/a.toml", NOBODY);
    controller.write("two/inventory/b.toml", NOBODY);
    controller.write("none/inventory/readme.txt", "");
    controller.write("bare/x", "");
    for (sentence, folder, variable, code, told) in [
        ("the only one of ./inventory", ".", None, 0, ""),
        ("an empty variable is as none", ".", Some(""), 0, ""),
        (
            "two fleets",
            "two",
            None,
            2,
            "holds 2 fleets: `a.toml` or `b.toml`",
        ),
        ("and how to choose", "two", None, 2, "inventory/a.toml`"),
        (
            "an empty ./inventory",
            "none",
            None,
            2,
            "holds no `*.toml` file",
        ),
        ("no ./inventory", "bare", None, 2, "there is no folder"),
        (
            "the variable is named",
            ".",
            Some("nope.toml"),
            2,
            "(from $ROLLCTL_INVENTORY) does not exist",
        ),
    ] {
        let (got, text) = status_in(&controller, folder, variable);
        assert_eq!(got, code, "{sentence}: {text}");
        assert!(text.contains(told), "{sentence}: {text}");
    }
}

#[test]
fn a_key_that_is_none_is_told_before_anything_is_touched() {
    for (sentence, content, told) in [
        (
            "garbage",
            Some(&b"garbage"[..]),
            "cannot be used: neither a private nor a public key",
        ),
        (
            "an empty file",
            Some(b""),
            "neither a private nor a public key",
        ),
        ("binary data", Some(b"\xff\x00\xfe"), "cannot be used"),
        ("a folder", None, "is a folder, not a file"),
    ] {
        let controller = controller(&format!("[ssh]\nidentity = \"key\"\n{NOBODY}{SERVICE}"));
        match content {
            Some(content) => drop(controller.write("inventory/key", content)),
            None => drop(controller.write("inventory/key/x", "")),
        }
        let v1 = controller.path("build-v1");
        for words in [
            &["release", "web", v1.to_str().unwrap()][..],
            &["plan", "web", v1.to_str().unwrap()],
            &["check"],
        ] {
            let run = untouched(&controller, words);
            assert_eq!(run.code, 2, "{sentence}: {}", run.text());
            let text = run.text();
            assert!(text.contains(told), "{sentence}: {text}");
            assert!(
                text.contains("test.toml:2:12 (ssh.identity)"),
                "{sentence}: {text}"
            );
            well_said(&run);
        }
    }
}
