use super::*;

fn with(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    dir
}

#[test]
fn the_inventory_that_is_meant() {
    for (files, explicit, env, expected, why) in [
        (
            &["inventory/a.toml"][..],
            None,
            None,
            Some("inventory/a.toml"),
            "the only one",
        ),
        (
            &["inventory/prod/a.toml", "inventory/prod/b.toml"],
            None,
            None,
            Some("inventory/prod"),
            "the only folder",
        ),
        (
            &[
                "inventory/a.toml",
                "inventory/.b.toml",
                "inventory/web.service",
            ],
            None,
            None,
            Some("inventory/a.toml"),
            "hidden files and others do not count",
        ),
        (
            &["inventory/a.toml", "inventory/artifacts/web"],
            None,
            None,
            Some("inventory/a.toml"),
            "a folder without TOML is no fleet",
        ),
        (
            &["inventory/a.toml", "inventory/b.toml"],
            None,
            None,
            None,
            "two",
        ),
        (
            &["inventory/a.toml", "inventory/b/c.toml"],
            None,
            None,
            None,
            "two",
        ),
        (&["inventory/README"], None, None, None, "none"),
        (&["x"], None, None, None, "no folder"),
        (&["inventory"], None, None, None, "a file is no folder"),
        (
            &["x.toml", "inventory/a.toml"],
            Some("x.toml"),
            Some("y.toml"),
            Some("x.toml"),
            "what is named wins",
        ),
        (
            &["y.toml", "inventory/a.toml"],
            None,
            Some("y.toml"),
            Some("y.toml"),
            "then the variable",
        ),
        (
            &["inventory/a.toml"],
            None,
            Some(""),
            Some("inventory/a.toml"),
            "an empty variable is unset",
        ),
        (
            &["inventory/a.toml"],
            Some("no.toml"),
            None,
            None,
            "what is named must be there",
        ),
        (
            &["inventory/a.toml"],
            None,
            Some("no.toml"),
            None,
            "what is named must be there",
        ),
    ] {
        let dir = with(files);
        let found = locate(explicit.map(Path::new), env.map(OsStr::new), dir.path()).ok();
        let found = found.map(|path| {
            path.strip_prefix(dir.path())
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned()
        });
        assert_eq!(found.as_deref(), expected, "{files:?}: {why}");
    }
}

#[test]
fn messages_name_what_was_found() {
    let dir = with(&["inventory/b.toml", "inventory/a/x.toml"]);
    let error = locate(None, None, dir.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("holds 2 fleets: `a` or `b.toml`"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("--inventory"));

    let error = locate(None, Some(OsStr::new("no.toml")), dir.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "inventory `no.toml` (from $ROLLCTL_INVENTORY) does not exist"
    );
}
