//! Files and folders that are no inventory at all, and the files that an inventory names.

use std::fmt::Write as _;

use rollctl::inventory::{check_files, load};

fn told(content: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.toml");
    std::fs::write(&path, content).unwrap();
    load(&path).unwrap_err().render(false)
}

#[test]
fn a_folder_with_nothing_in_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("README"), "").unwrap();
    std::fs::write(dir.path().join(".hidden.toml"), "").unwrap();
    let told = load(dir.path()).unwrap_err().render(false);
    assert!(told.contains("holds no `*.toml` file"), "{told}");
    assert!(told.contains("1 mistake in inventory"), "{told}");
}

#[test]
fn what_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let told = load(&dir.path().join("no.toml")).unwrap_err().render(false);
    assert!(told.contains("cannot be read: No such file"), "{told}");
    assert!(told.contains("1 mistake in inventory"), "{told}");

    std::os::unix::fs::symlink("loop.toml", dir.path().join("loop.toml")).unwrap();
    let told = load(&dir.path().join("loop.toml"))
        .unwrap_err()
        .render(false);
    assert!(told.contains("cannot be read"), "{told}");
}

#[test]
fn text_in_another_encoding_is_told_with_its_line() {
    let told = told(b"fleet = \"x\"\n# gr\xf6\xdfe\n");
    assert!(told.contains("fleet.toml:2:5"), "{told}");
    assert!(told.contains("is not UTF-8 text"), "{told}");
}

#[test]
fn garbage_is_refused() {
    assert!(told(&vec![b'x'; 10 << 20]).contains("larger than 4 MiB"));
    assert!(told(&vec![b'['; 1 << 20]).contains("not TOML"));
    assert!(told(&b"= \n".repeat(1 << 18)).contains("not TOML"));
    assert!(told(&b"a = {".repeat(1 << 17)).contains("not TOML"));
    assert!(told(&vec![0; 1 << 20]).contains("not TOML"));
    let deep = format!("x = {}1{}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(
        told(deep.as_bytes()).contains("recur"),
        "{}",
        told(deep.as_bytes())
    );
    let dotted = format!("{}x = 1", "a.".repeat(5_000));
    assert!(told(dotted.as_bytes()).contains("not TOML"));
}

#[test]
fn thousands_of_mistakes_are_counted_and_not_all_shown() {
    let mut text = String::from("[hosts.a]\n");
    for number in 0..3_000 {
        writeln!(text, "key-{number} = 1").unwrap();
    }
    let told = told(text.as_bytes());
    assert!(told.contains("3000 mistakes in inventory"), "{told}");
    assert!(told.contains("(2900 not shown)"), "{told}");
    assert!(told.lines().count() < 1_000);
}

#[test]
fn a_large_fleet_is_read_quickly() {
    let mut text = String::new();
    for number in 0..5_000 {
        let (a, b) = (number / 250, number % 250);
        writeln!(
            text,
            "[hosts.h{number}]\naddress = \"10.0.{a}.{b}\"\nlabels = {{ role = \"web\" }}"
        )
        .unwrap();
    }
    text.push_str("[services.web]\nhosts = \"role=web\"\nunit = \"web.service\"\ninstall_dir = \"/opt/web\"\nhealth.unit = true\n");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.fleet.services[0].hosts.len(), 5_000);
    assert_eq!(loaded.fleet.hosts[4_999].name.as_str(), "h4999");
}

#[test]
fn files_that_are_named_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.toml");
    let text = "ssh.identity = \"no-key\"\n\
                ssh.known_hosts = \"may-come-later\"\n\
                [hosts.a]\n\
                [services.web]\n\
                hosts = \"a\"\n\
                unit = \"web.service\"\n\
                unit_file = \"folder\"\n\
                install_dir = \"/opt/web\"\n\
                artifact = \"built-later\"\n\
                files = { \"a.toml\" = \"a.toml\", \"b.toml\" = \"b.toml\" }\n\
                health.unit = true\n";
    std::fs::write(&path, text).unwrap();
    std::fs::write(dir.path().join("a.toml"), "").unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    let found: Vec<_> = check_files(&load(&path).unwrap())
        .into_iter()
        .map(|mistake| (mistake.line.unwrap(), mistake.key.unwrap(), mistake.message))
        .collect();
    let at = |name: &str| dir.path().join(name).display().to_string();
    assert_eq!(
        found,
        [
            (
                1,
                "ssh.identity".to_owned(),
                format!(
                    "file `{}` cannot be read: No such file or directory (os error 2)",
                    at("no-key")
                )
            ),
            (
                7,
                "services.web.unit_file".to_owned(),
                format!("`{}` is a folder, not a file", at("folder"))
            ),
            (
                10,
                "services.web.files.\"b.toml\"".to_owned(),
                format!(
                    "file `{}` cannot be read: No such file or directory (os error 2)",
                    at("b.toml")
                )
            ),
        ]
    );
}
