use super::*;

fn answer(text: &str, name: &str) -> Result<Answer, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, text).unwrap();
    look_up(&[file], name)
}

#[test]
fn blocks_apply_to_the_hosts_they_name() {
    let text =
        "User everybody\nHost web-* !web-09\nPort 1\nHost web-01 db\nPort 2\nHost *\nPort 3\n";
    for (name, port) in [
        ("web-01", 1),
        ("web-02", 1),
        ("web-09", 3),
        ("db", 2),
        ("other", 3),
    ] {
        let answer = answer(text, name).unwrap();
        assert_eq!(
            (answer.port, answer.user.as_deref()),
            (Some(port), Some("everybody")),
            "{name}"
        );
    }
}

#[test]
fn a_match_block_applies_to_nothing_but_all() {
    let text = "Host web\nUser ann\nMatch user ann\nPort 1\nMatch all\nPort 2\n";
    assert_eq!(answer(text, "web").unwrap().port, Some(2));
    assert_eq!(
        answer("Host db\nMatch host web\nUser x\n", "web")
            .unwrap()
            .user,
        None
    );
}

#[test]
fn the_first_value_wins_and_keys_add_up() {
    let text = "Host web\nIdentityFile a\nUser one\nHost *\nUser two\nIdentityFile b\nProxyJump j\nProxyCommand c\n";
    let answer = answer(text, "web").unwrap();
    assert_eq!(answer.user.as_deref(), Some("one"));
    assert_eq!(answer.identity_files, ["a", "b"]);
    assert_eq!(
        (answer.proxy_jump.as_deref(), answer.proxy_command),
        (Some("j"), None)
    );
}

#[test]
fn lines_are_split_as_ssh_splits_them() {
    for (line, wanted) in [
        ("Port 22", Some(("port", vec!["22"]))),
        ("Port=22", Some(("port", vec!["22"]))),
        ("  Port = 22  # why", Some(("port", vec!["22"]))),
        (
            "IdentityFile \"a b\" c",
            Some(("identityfile", vec!["a b", "c"])),
        ),
        ("# Port 22", None),
        ("", None),
    ] {
        let words = words(line).unwrap();
        let words = words
            .as_ref()
            .map(|(keyword, words)| (keyword.as_str(), words.iter().map(String::as_str).collect()));
        assert_eq!(words, wanted, "{line}");
    }
    assert!(words("IdentityFile \"a").is_err());
    assert_eq!(
        rest_of_line(" ProxyCommand = nc  \"a b\" %h"),
        "nc  \"a b\" %h"
    );
}

#[test]
fn globs_know_star_and_question_mark_only() {
    for (pattern, text, wanted) in [
        ("*", "", true),
        ("*", "a.b", true),
        ("a*c", "abbc", true),
        ("a*c", "abb", false),
        ("*a*b*", "xxaxxbxx", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("[ab]", "a", false),
        ("[ab]", "[ab]", true),
        ("", "a", false),
        (
            "*aaaaaaaaaaaaaaaaaaaab",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            false,
        ),
    ] {
        assert_eq!(glob(pattern, text), wanted, "{pattern} {text}");
    }
}

#[test]
fn includes_are_followed_in_order_and_a_circle_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("d")).unwrap();
    std::fs::write(path("config"), "Include d/*.conf missing\nUser late\n").unwrap();
    std::fs::write(path("d/2.conf"), "User two\nPort 2\n").unwrap();
    std::fs::write(path("d/1.conf"), "Host web\nUser one\n").unwrap();
    std::fs::write(path("d/.hidden.conf"), "User hidden\n").unwrap();
    let answer = look_up(&[path("config")], "web").unwrap();
    assert_eq!(
        (answer.user.as_deref(), answer.port),
        (Some("one"), Some(2))
    );
    let other = look_up(&[path("config")], "db").unwrap();
    assert_eq!(
        other.user.as_deref(),
        Some("two"),
        "a block ends with its file"
    );
    std::fs::write(
        path("circle"),
        format!("Include {}\n", path("circle").display()),
    )
    .unwrap();
    assert!(
        look_up(&[path("circle")], "web")
            .unwrap_err()
            .contains("nested")
    );
}

#[test]
fn a_file_that_is_not_there_says_nothing_and_one_that_is_a_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        look_up(&[folder.path().join("none")], "web"),
        Ok(Answer::default())
    );
    let error = look_up(&[folder.path().to_owned()], "web").unwrap_err();
    assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
}
