use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::core::fleet::EnvironmentValue;
use crate::core::ids::UnitName;
use crate::core::revision::{Architecture, FileContent};
use crate::core::source::ArtifactSource;

use super::super::{ArtifactReadError, Fetched, RevisionContent, read};
use super::{AARCH64, X86_64, elf, entry, no_environment, read_path, read_source, service, tar_of};

/// `path mode content` of each file.
fn listing(content: &RevisionContent) -> Vec<String> {
    let variant = content.variants.values().next().unwrap();
    variant
        .files
        .iter()
        .map(|file| match &file.content {
            FileContent::File { size, .. } => format!("{} {:o} {size}", file.path, file.mode),
            FileContent::Link { target } => format!("{} {:o} -> {target}", file.path, file.mode),
        })
        .collect()
}

fn write(path: &Path, mode: u32, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_a_folder_and_archives_of_it_are_the_same_revision() {
    let at = tempfile::tempdir().unwrap();
    let folder = at.path().join("dist");
    write(&folder.join("web"), 0o600, b"#!/bin/sh\n");
    write(&folder.join("bin/tool"), 0o4711, b"tool");
    write(&folder.join("share/a b/ü.txt"), 0o666, b"text");
    symlink("share/./a b//ü.txt", folder.join("link")).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    let from_folder = read_path(&service(), &folder).unwrap();
    let expected = [
        "bin/tool 755 4",
        "link 777 -> share/a b/ü.txt",
        "share/a b/ü.txt 644 4",
        "web 755 10",
    ];
    assert_eq!(listing(&from_folder), expected);

    // Another order, other owners, other times, `./` before the names.
    let tar = tar_of(&[
        entry(b"./", b'5', 0o700, b"", b""),
        entry("share/a b/ü.txt".as_bytes(), b'0', 0o600, b"", b"text"),
        entry(b"./web", b'0', 0o700, b"", b"#!/bin/sh\n"),
        entry(b"link", b'2', 0o777, "share/a b/ü.txt".as_bytes(), b""),
        entry(b"bin/tool", b'0', 0o711, b"", b"tool"),
    ]);
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &tar).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    for (name, bytes) in [
        ("d.tar", &tar),
        ("d.tar.gz", &gzip),
        ("D.TGZ", &gzip),
        ("d.tar.zst", &zstd),
    ] {
        let path = at.path().join(name);
        fs::write(&path, bytes).unwrap();
        let from_archive = read_path(&service(), &path).unwrap();
        assert_eq!(listing(&from_archive), expected, "{name}");
        assert_eq!(from_archive.digest(), from_folder.digest(), "{name}");
    }
    for (name, bytes) in [("cut.tar.gz", &gzip), ("cut.tar.zst", &zstd)] {
        let path = at.path().join(name);
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let error = read_path(&service(), &path).unwrap_err();
        assert!(
            matches!(error, ArtifactReadError::DamagedArchive { .. }),
            "{error}"
        );
    }
}

#[test]
fn a_single_file_becomes_the_binary() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("web-v1.4.2-linux");
    write(&path, 0o600, elf(X86_64));
    let content = read_path(&service(), &path).unwrap();
    assert_eq!(listing(&content), ["web 755 64"]);
    let variant = &content.variants[&None];
    assert_eq!(variant.elf, Some(Architecture("x86_64".into())));
    assert_eq!(content.contents(variant).environment.as_deref(), Some(""));
}

#[test]
fn what_is_refused_and_what_is_said() {
    let at = tempfile::tempdir().unwrap();
    let path = |name: &str| at.path().join(name);
    write(&path("empty"), 0o755, "");
    write(&path("text"), 0o755, "hello");
    write(&path("bits32"), 0o755, b"\x7fELF\x01\x01\x01");
    write(&path("app.jar"), 0o755, b"PK\x03\x04");
    write(&path("sub/dist/web"), 0o755, b"#!");
    write(&path("bad/web"), 0o755, b"text");
    write(&path("reserved/.rollctl/manifest"), 0o644, b"{}");
    write(&path("reserved/web"), 0o755, b"#!");
    write(&path("no.tar.gz"), 0o644, b"this is no archive at all");
    fs::create_dir(path("nothing")).unwrap();
    fs::create_dir(path("socket")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(path("socket/s")).unwrap();
    for (name, expected, hint) in [
        ("missing", "missing` does not exist", "was it built?"),
        ("empty", "empty` is empty", "build it again"),
        (
            "text",
            "text` is not executable: it is neither an ELF program",
            "ship a folder",
        ),
        ("bits32", "it is a 32-bit ELF program", "64-bit ELF"),
        ("app.jar", "it is a zip or jar archive", "java -jar"),
        (
            "sub",
            "does not contain the binary `web`",
            "`dist/web` is there",
        ),
        ("bad", "bad/web` is not executable", "64-bit ELF"),
        ("reserved", "`.rollctl` is reserved", "leave it out"),
        ("nothing", "nothing` is empty", "build it again"),
        (
            "socket",
            "`s` is neither a file, a folder nor",
            "leave it out",
        ),
        (
            "no.tar.gz",
            "is not a readable tar.gz archive",
            "pack it again",
        ),
    ] {
        let mut service = service();
        service.link = Some("/usr/local/bin/web".into());
        let error = read_path(&service, &path(name)).unwrap_err();
        let (text, tip) = (error.to_string(), error.hint().unwrap_or_default());
        assert!(text.contains(expected), "{name}: {text}");
        assert!(tip.contains(hint), "{name}: {tip}");
    }
    let error = read(&service(), None, &Fetched::default(), &no_environment).unwrap_err();
    assert_eq!(error.to_string(), "service `web` has no artifact");
}

#[test]
fn links_in_a_folder_stay_inside() {
    for (links, fine, sentence) in [
        (&[("a/b/up", "../../web")][..], true, "to the top"),
        (&[("dangling", "not/there")], true, "to nothing inside"),
        (&[("top", ".")], true, "to the top itself"),
        (&[("abs", "/etc/passwd")], false, "absolute"),
        (&[("out", "../x")], false, "beyond the top"),
        (
            &[("a/b/s", "../.."), ("t", "a/b/s/../x")],
            false,
            "beyond the top through another link",
        ),
        (&[("x", "y"), ("y", "x")], false, "in a circle"),
    ] {
        let at = tempfile::tempdir().unwrap();
        write(&at.path().join("web"), 0o755, b"#!");
        for (name, target) in links {
            let link = at.path().join(name);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(target, link).unwrap();
        }
        let found = read_path(&service(), at.path());
        assert_eq!(found.is_ok(), fine, "{sentence}: {found:?}");
    }
}

#[test]
fn only_what_units_execute_must_be_a_program() {
    let at = tempfile::tempdir().unwrap();
    let jar = at.path().join("web.jar");
    write(&jar, 0o644, b"PK\x03\x04");
    let unit = at.path().join("web.service");
    for (start, fine) in [
        ("/usr/bin/java -jar /opt/web/current/web", true),
        ("/opt/web/current/web", false),
    ] {
        write(&unit, 0o644, format!("[Service]\nExecStart={start}\n"));
        let mut service = service();
        service.unit_files = BTreeMap::from([(UnitName::new("web.service"), unit.clone())]);
        assert_eq!(read_path(&service, &jar).is_ok(), fine, "{start}");
    }
    // A folder without the binary that nobody named, as of a Python service.
    let folder = at.path().join("app");
    write(&folder.join("app.py"), 0o644, b"print()");
    assert!(read_path(&service(), &folder).is_ok());
    let mut named = service();
    named.binary = "server".into();
    assert!(matches!(
        read_path(&named, &folder),
        Err(ArtifactReadError::NoBinary { .. })
    ));
}

#[test]
fn each_architecture_gets_its_own_and_the_wrong_one_is_refused() {
    let at = tempfile::tempdir().unwrap();
    let (intel, arm) = (at.path().join("intel"), at.path().join("arm"));
    write(&intel, 0o755, elf(X86_64));
    write(&arm, 0o755, elf(AARCH64));
    let source = |x86_64: &PathBuf, aarch64: &PathBuf| {
        ArtifactSource::PerArchitecture(BTreeMap::from([
            (Architecture("x86_64".into()), x86_64.clone().into()),
            (Architecture("aarch64".into()), aarch64.clone().into()),
        ]))
    };
    let content = read_source(&service(), &source(&intel, &arm)).unwrap();
    assert_eq!(content.variants.len(), 2);
    let error = read_source(&service(), &source(&arm, &arm)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is built for aarch64, but stands under `x86_64`"),
        "{error}"
    );
}

#[test]
fn the_inventory_adds_files_units_and_variables() {
    let at = tempfile::tempdir().unwrap();
    let path = |name: &str| at.path().join(name);
    write(&path("web"), 0o755, b"#!/bin/sh\n");
    write(&path("config"), 0o600, b"a = 1\n");
    write(
        &path("unit"),
        0o644,
        b"[Service]\nExecStart=/opt/web/current/web\n",
    );
    let mut service = service();
    service.files = BTreeMap::from([("etc/config.toml".into(), path("config"))]);
    service.unit_files = BTreeMap::from([(UnitName::new("web.service"), path("unit"))]);
    service.environment = BTreeMap::from([
        ("RUST_LOG".into(), EnvironmentValue::Plain("info".into())),
        (
            "DB_URL".into(),
            EnvironmentValue::Secret {
                env: "PROD_DB".into(),
            },
        ),
    ]);
    let source = ArtifactSource::Any(path("web").into());
    let with = |secret: &'static str| {
        read(&service, Some(&source), &Fetched::default(), &|name| {
            (name == "PROD_DB").then(|| secret.into())
        })
        .unwrap()
    };
    let content = with("geheim");
    assert_eq!(listing(&content), ["etc/config.toml 644 6", "web 755 10"]);
    let contents = content.contents(&content.variants[&None]);
    assert_eq!(
        contents.environment.as_deref(),
        Some("DB_URL=\"geheim\"\nRUST_LOG=\"info\"\n")
    );
    assert!(!format!("{content:?}").contains("geheim"));
    assert_ne!(content.digest(), with("anders").digest());
    assert_eq!(content.digest(), with("geheim").digest());

    let error = read(
        &service,
        Some(&source),
        &Fetched::default(),
        &no_environment,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment variable `DB_URL` of service `web` is to come from `PROD_DB`, which is not set"
    );
    service.files = BTreeMap::from([("web".into(), path("config"))]);
    service.environment.clear();
    let error = read(
        &service,
        Some(&source),
        &Fetched::default(),
        &no_environment,
    )
    .unwrap_err();
    assert!(
        error.to_string().ends_with("`web` is there twice"),
        "{error}"
    );
}

#[test]
fn names_of_variables_that_are_refused() {
    let at = tempfile::tempdir().unwrap();
    write(&at.path().join("web"), 0o755, b"#!");
    for (name, value, port, fine) in [
        ("A_1", "x", None, true),
        ("_", "x", None, true),
        ("PORT", "1", None, true),
        ("PORT", "1", Some(1), false),
        ("1A", "x", None, false),
        ("A-B", "x", None, false),
        ("", "x", None, false),
        ("A=B", "x", None, false),
        ("ROLLCTL_REVISION", "x", None, false),
        ("A", "x\0y", None, false),
    ] {
        let mut service = service();
        service.port = port;
        service.environment =
            BTreeMap::from([(name.into(), EnvironmentValue::Plain(value.into()))]);
        let found = read_path(&service, &at.path().join("web"));
        assert_eq!(found.is_ok(), fine, "{name:?}={value:?}: {found:?}");
    }
}
