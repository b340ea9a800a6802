use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use crate::core::ids::Digest;
use crate::core::revision::{Adopted, Architecture, FileContent, ManifestFile};
use crate::core::source::ArtifactSource;
use crate::ports::{Artifacts as _, Package, PackageContents};

use super::super::{Fetched, FileStore, LINK_MODE, read};
use super::{AARCH64, X86_64, elf, no_environment, read_path, service};

fn architecture(name: &str) -> Architecture {
    Architecture(name.into())
}

/// The store's packages, seen by the system's tar: path, mode, content.
fn unpack(package: &Package) -> Vec<(String, u32, Vec<u8>)> {
    let compressed = fs::read(&package.path).unwrap();
    let tar = zstd::decode_all(compressed.as_slice()).unwrap();
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut files = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!(
            (
                header.mtime().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap()
            ),
            (0, 0, 0)
        );
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mode = header.mode().unwrap();
        let mut content = Vec::new();
        match header.entry_type() {
            tar::EntryType::Directory => {
                assert_eq!((path.ends_with('/'), mode), (true, 0o755));
                continue;
            }
            tar::EntryType::Symlink => content = entry.link_name_bytes().unwrap().into_owned(),
            _ => {
                std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            }
        }
        files.push((path, mode, content));
    }
    files
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_revision_is_kept_found_and_removed() {
    let at = tempfile::tempdir().unwrap();
    let artifact = at.path().join("artifact");
    fs::write(&artifact, b"#!/bin/sh\n").unwrap();
    let content = read_path(&service(), &artifact).unwrap();
    let store = FileStore::new(at.path().join("state/artifacts"));
    let digest = content.digest();
    assert!(!store.contains(&digest).unwrap());
    assert_eq!(
        store
            .package(&digest, &architecture("x86_64"))
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.list().unwrap(), []);
    assert!(!store.folder().exists(), "looking makes nothing");

    assert_eq!(store.put(&content).unwrap(), digest);
    let folder = store.folder().join(digest.as_str());
    assert_eq!(mode(store.folder()), 0o700);
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("contents.json")), 0o600);
    let package = store
        .package(&digest, &architecture("riscv64"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        unpack(&package),
        [("web".to_owned(), 0o755, b"#!/bin/sh\n".to_vec())]
    );
    assert_eq!(
        (package.size, package.unpacked_size),
        (fs::metadata(&package.path).unwrap().len(), 10)
    );
    assert_eq!(package.contents, content.contents(&content.variants[&None]));

    let inode = fs::metadata(&package.path).unwrap().ino();
    store.put(&content).unwrap();
    assert_eq!(
        fs::metadata(&package.path).unwrap().ino(),
        inode,
        "kept, not written again"
    );
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&digest));
    store.remove(&digest).unwrap();
    store.remove(&digest).unwrap();
    assert_eq!(
        store
            .package(&digest, &architecture("x86_64"))
            .await
            .unwrap(),
        None
    );
    assert_eq!(fs::read_dir(store.folder()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_lacking_architecture_is_named_with_those_that_are_there() {
    let at = tempfile::tempdir().unwrap();
    let mut paths = BTreeMap::new();
    for (name, machine) in [("x86_64", X86_64), ("aarch64", AARCH64)] {
        fs::write(at.path().join(name), elf(machine)).unwrap();
        paths.insert(architecture(name), at.path().join(name).into());
    }
    let source = ArtifactSource::PerArchitecture(paths);
    let content = read(
        &service(),
        Some(&source),
        &Fetched::default(),
        &no_environment,
    )
    .unwrap();
    let store = FileStore::new(at.path().join("store"));
    let digest = store.put(&content).unwrap();
    let arm = store
        .package(&digest, &architecture("aarch64"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(unpack(&arm), [("web".to_owned(), 0o755, elf(AARCH64))]);
    assert_eq!(arm.contents.elf, Some(architecture("aarch64")));
    let error = store
        .package(&digest, &architecture("riscv64"))
        .await
        .unwrap_err();
    assert_eq!(
        error.problem,
        "the revision has no artifact for `riscv64`, only for `aarch64`, `x86_64`"
    );
}

#[tokio::test]
async fn damage_is_found_and_mended_by_the_same_artifact() {
    let at = tempfile::tempdir().unwrap();
    let artifact = at.path().join("artifact");
    fs::write(&artifact, b"#!/bin/sh\n").unwrap();
    let content = read_path(&service(), &artifact).unwrap();
    let folder = at.path().join("store");
    let digest = FileStore::new(&folder).put(&content).unwrap();
    let package = folder.join(digest.as_str()).join("any.tar.zst");
    let index = folder.join(digest.as_str()).join("contents.json");
    let spoil: [(&str, &dyn Fn()); 4] = [
        ("a flipped bit", &|| {
            let mut bytes = fs::read(&package).unwrap();
            bytes[20] ^= 1;
            fs::write(&package, bytes).unwrap();
        }),
        ("a lost file", &|| fs::remove_file(&package).unwrap()),
        ("a cut index", &|| {
            fs::write(&index, b"{\"version\":1").unwrap()
        }),
        ("an index of another", &|| {
            let text = fs::read_to_string(&index).unwrap();
            fs::write(&index, text.replace(digest.as_str(), &"0".repeat(64))).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        spoil();
        let store = FileStore::new(&folder);
        let error = store
            .package(&digest, &architecture("x86_64"))
            .await
            .unwrap_err();
        assert!(
            error
                .hint
                .is_some_and(|hint| hint.contains("release the same artifact")),
            "{what}"
        );
        store.put(&content).unwrap();
        assert!(
            store
                .package(&digest, &architecture("x86_64"))
                .await
                .unwrap()
                .is_some(),
            "{what}"
        );
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "{what}: nothing is left beside it"
        );
    }
}

#[tokio::test]
async fn many_hosts_share_one_reading() {
    let at = tempfile::tempdir().unwrap();
    let artifact = at.path().join("artifact");
    fs::write(&artifact, b"#!/bin/sh\n").unwrap();
    let store = FileStore::new(at.path().join("store"));
    let digest = store
        .put(&read_path(&service(), &artifact).unwrap())
        .unwrap();
    let here = architecture("x86_64");
    let found = futures::future::join_all((0..50).map(|_| store.package(&digest, &here))).await;
    let first = found[0].as_ref().unwrap().as_ref().unwrap();
    for package in &found {
        assert!(Arc::ptr_eq(
            package.as_ref().unwrap().as_ref().unwrap(),
            first
        ));
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_kept() {
    let at = tempfile::tempdir().unwrap();
    let artifact = at.path().join("artifact");
    fs::write(&artifact, b"#!/bin/sh\n").unwrap();
    let content = read_path(&service(), &artifact).unwrap();
    let store = FileStore::new(at.path().join("store"));
    for changed in ["#!/bin/zsh", "#!/bin/sh\nmore", "#!"] {
        fs::write(&artifact, changed).unwrap();
        let error = store.put(&content);
        // Only what was there when it was read counts; a file that grew is still whole.
        let is_whole = changed.starts_with("#!/bin/sh\n");
        assert_eq!(error.is_ok(), is_whole, "{changed}");
        if let Err(error) = error {
            assert!(
                error.problem.contains("changed while it was read"),
                "{error}"
            );
        }
        store.remove(&content.digest()).unwrap();
        assert_eq!(fs::read_dir(store.folder()).unwrap().count(), 0);
    }
}

#[test]
fn a_digest_is_never_another_path() {
    let at = tempfile::tempdir().unwrap();
    fs::create_dir(at.path().join("precious")).unwrap();
    let store = FileStore::new(at.path().join("store"));
    for text in ["../precious", "", "ABCD", "..", &"A".repeat(64)] {
        assert!(store.remove(&Digest::new(text)).is_err(), "{text}");
        assert!(store.contains(&Digest::new(text)).is_err(), "{text}");
    }
    assert!(at.path().join("precious").exists());
}

#[tokio::test]
async fn an_adopted_file_is_kept_as_it_was() {
    let at = tempfile::tempdir().unwrap();
    let file = at.path().join("fetched");
    fs::write(&file, b"old program").unwrap();
    let (sha256, size) = super::super::hashing::hash_file(&file).unwrap();
    let contents = PackageContents {
        files: vec![ManifestFile {
            path: "web".into(),
            mode: 0o750,
            content: FileContent::File { sha256, size },
        }],
        adopted: Some(Adopted::File {
            origin: "/usr/local/bin/web".into(),
        }),
        ..PackageContents::default()
    };
    let store = FileStore::new(at.path().join("store"));
    let digest = Digest::new("ab".repeat(32));
    assert!(
        store
            .package(&digest, &architecture("x86_64"))
            .await
            .unwrap()
            .is_none()
    );
    store.keep_adopted(&digest, &contents, &file).await.unwrap();
    let package = store
        .package(&digest, &architecture("x86_64"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(package.contents, contents);
    assert_eq!(
        unpack(&package),
        [("web".to_owned(), 0o750, b"old program".to_vec())]
    );

    fs::write(&file, b"other bytes").unwrap();
    let other = Digest::new("cd".repeat(32));
    assert!(store.keep_adopted(&other, &contents, &file).await.is_err());
    assert!(!store.contains(&other).unwrap());
}

/// Files and links by path; never a file where another needs a folder, by giving folders names of their own.
fn any_tree() -> impl Strategy<Value = BTreeMap<String, (bool, Vec<u8>)>> {
    let folder = prop::sample::select(vec!["", "d1/", "d1/d2/", "a long folder name/"]);
    let name = prop_oneof!["[a-z]{1,8}", "[a-zäß%$ \\\\'\"-]{1,12}", "x{120,200}"];
    let path = (folder, name).prop_map(|(folder, name)| format!("{folder}f{name}"));
    let content = prop::collection::vec(any::<u8>(), 0..2000);
    prop::collection::btree_map(path, (any::<bool>(), content), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_package_holds_the_same_bytes_and_modes(tree in any_tree(), link in "[a-z]{1,120}") {
        let at = tempfile::tempdir().unwrap();
        let (one, two) = (at.path().join("one"), at.path().join("two"));
        for (folder, is_reversed) in [(&one, false), (&two, true)] {
            let mut entries: Vec<_> = tree.iter().collect();
            if is_reversed {
                entries.reverse();
            }
            for (path, (is_executable, content)) in entries {
                let path = folder.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, content).unwrap();
                let mode = if *is_executable { 0o711 } else { 0o640 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                if is_reversed {
                    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
                    fs::File::open(&path).unwrap().set_modified(long_ago).unwrap();
                }
            }
            symlink(&link, folder.join("the link")).unwrap();
        }
        let content = read_path(&service(), &one).unwrap();
        prop_assert_eq!(content.digest(), read_path(&service(), &two).unwrap().digest());

        let store = FileStore::new(at.path().join("store"));
        let digest = store.put(&content).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let package = runtime.block_on(store.package(&digest, &architecture("any cpu"))).unwrap().unwrap();
        let mut expected: Vec<_> = tree
            .into_iter()
            .map(|(path, (is_executable, content))| (path, if is_executable { 0o755 } else { 0o644 }, content))
            .collect();
        expected.push(("the link".to_owned(), LINK_MODE, link.into_bytes()));
        expected.sort();
        prop_assert_eq!(unpack(&package), expected);
        // The same files pack to the same bytes.
        let other = FileStore::new(at.path().join("other"));
        other.put(&read_path(&service(), &two).unwrap()).unwrap();
        let again = runtime.block_on(other.package(&digest, &architecture("x"))).unwrap().unwrap();
        prop_assert_eq!(&again.sha256, &package.sha256);
    }
}
