use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::super::archive::{Failure, Format, add_archive};
use super::super::error::EntryProblem;
use super::super::tree::{Limits, Tree};
use super::{entry, tar_of};

/// Takes an archive with small limits; the files and links of it, or why not.
fn take(tar: &[u8]) -> Result<Vec<String>, String> {
    let at = tempfile::tempdir().unwrap();
    let (archive, scratch) = (at.path().join("a.tar"), at.path().join("in/scratch"));
    fs::create_dir_all(&scratch).unwrap();
    fs::write(&archive, tar).unwrap();
    let mut tree = Tree::new(Limits {
        bytes: 10_000,
        entries: 20,
    });
    let taken = add_archive(&mut tree, &archive, Format::Tar, &scratch);
    // Nothing but numbered files in the scratch folder, whatever the archive says.
    let around: Vec<_> = fs::read_dir(at.path()).unwrap().flatten().collect();
    assert_eq!(around.len(), 2, "{around:?}");
    assert_eq!(fs::read_dir(at.path().join("in")).unwrap().count(), 1);
    for blob in fs::read_dir(&scratch).unwrap().flatten() {
        assert!(blob.metadata().unwrap().is_file());
        assert!(blob.file_name().to_str().unwrap().parse::<u64>().is_ok());
    }
    let flaw = |(path, problem): (String, EntryProblem)| format!("{path}: {problem:?}");
    match taken {
        Err(Failure::Flaw(found)) => return Err(flaw(found)),
        Err(Failure::Damaged(error)) => return Err(format!("damaged: {error}")),
        Err(Failure::Scratch(error)) => panic!("{error}"),
        Ok(_) => {}
    }
    let (files, _) = tree.finish().map_err(flaw)?;
    Ok(files.into_iter().map(|file| file.path).collect())
}

#[test]
fn archives_that_want_out() {
    let file = |name: &str| entry(name.as_bytes(), b'0', 0o644, b"", b"x");
    let link = |name: &str, to: &str| entry(name.as_bytes(), b'2', 0o777, to.as_bytes(), b"");
    let hard = |name: &str, to: &str| entry(name.as_bytes(), b'1', 0o644, to.as_bytes(), b"");
    let of_kind = |kind: u8| entry(b"dev", kind, 0o644, b"", b"");
    for (entries, expected, sentence) in [
        (
            vec![file("/etc/passwd")],
            "/etc/passwd: Absolute",
            "an absolute path",
        ),
        (vec![file("../x")], "../x: ParentFolder", "a path up"),
        (
            vec![file("a/../../x")],
            "a/../../x: ParentFolder",
            "a path down and up",
        ),
        (
            vec![file("a/..")],
            "a/..: ParentFolder",
            "a path to the top",
        ),
        (vec![file("./")], "./: Special", "a file instead of the top"),
        (vec![file("a\nb")], "a\\nb: Name", "a newline in a name"),
        (
            vec![entry(b"a\xff", b'0', 0, b"", b"")],
            "a\u{fffd}: Name",
            "a name that is not UTF-8",
        ),
        (
            vec![file("./.rollctl/x")],
            "./.rollctl/x: Reserved",
            "rollctl's own folder",
        ),
        (vec![file("a"), file("./a")], "a: Twice", "a file twice"),
        (
            vec![file("a"), file("a/b")],
            "a: FileAndFolder",
            "a file with something in it",
        ),
        (
            vec![link("a", "b"), file("a/b")],
            "a: FileAndFolder",
            "a way through a link",
        ),
        (
            vec![link("a", "/etc")],
            "a: LinkOutside",
            "a link to an absolute path",
        ),
        (vec![link("a", "../b")], "a: LinkOutside", "a link up"),
        (vec![link("a", "")], "a: Name", "a link to nowhere"),
        (
            vec![hard("a", "/etc/passwd")],
            "a: HardLink",
            "a hard link to the controller's files",
        ),
        (
            vec![hard("a", "b"), file("b")],
            "a: HardLink",
            "a hard link to what comes later",
        ),
        (vec![of_kind(b'3')], "dev: Special", "a character device"),
        (vec![of_kind(b'4')], "dev: Special", "a block device"),
        (vec![of_kind(b'6')], "dev: Special", "a pipe"),
        (
            vec![entry(b"a", b'0', 0, b"", &[0; 10_001])],
            "a: TooLarge",
            "a file that is too large",
        ),
        (
            (0..6)
                .map(|n| entry(format!("{n}").as_bytes(), b'0', 0, b"", &[0; 2_000]))
                .collect(),
            "5: TooLarge",
            "many that are too large together",
        ),
        (
            (0..21).map(|n| file(&n.to_string())).collect(),
            "20: TooLarge",
            "too many files",
        ),
        (
            vec![
                entry(b"././@LongLink", b'L', 0, b"", &vec![b'a'; 5 << 20]),
                file("a"),
            ],
            "damaged: more than 4 MiB",
            "a name that fills the memory",
        ),
        (vec![vec![7; 512]], "damaged: ", "garbage"),
    ] {
        let found = take(&tar_of(&entries)).unwrap_err();
        assert!(found.starts_with(expected), "{sentence}: {found}");
    }
    let fine = take(&tar_of(&[
        entry(
            b"pax_global_header",
            b'g',
            0o644,
            b"",
            b"18 comment=abcdef\n",
        ),
        file("a"),
        hard("h", "./a"),
        link("l", "a"),
    ]));
    assert_eq!(fine.unwrap(), ["a", "h", "l"]);
}

#[test]
fn a_zstd_bomb_is_stopped_by_the_limit() {
    let at = tempfile::tempdir().unwrap();
    let archive = at.path().join("a.tar.zst");
    let bomb = tar_of(&[entry(b"a", b'0', 0, b"", &vec![0; 64 << 20])]);
    fs::write(&archive, zstd::encode_all(bomb.as_slice(), 3).unwrap()).unwrap();
    assert!(fs::metadata(&archive).unwrap().len() < 20_000);
    let mut tree = Tree::new(Limits {
        bytes: 1 << 20,
        entries: 20,
    });
    let taken = add_archive(&mut tree, &archive, Format::Zstd, at.path());
    assert!(matches!(
        taken,
        Err(Failure::Flaw((_, EntryProblem::TooLarge)))
    ));
    assert!(fs::metadata(at.path().join("0")).unwrap().len() < 2 << 20);
}

fn piece() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "..", ".", "", "/", ".rollctl", "ü"])
        .prop_map(str::to_owned)
}

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 1..5).prop_map(|parts| parts.join("/"))
}

proptest! {
    #[test]
    fn whatever_is_in_it_stays_in_it(
        entries in prop::collection::vec(
            (any_path(), prop::sample::select(b"01256gxLK7S\0".to_vec()), any_path(), prop::collection::vec(any::<u8>(), 0..600)),
            0..8,
        ),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let entries: Vec<_> = entries
            .iter()
            .map(|(name, kind, link, content)| entry(name.as_bytes(), *kind, 0o644, link.as_bytes(), content))
            .collect();
        let mut tar = tar_of(&entries);
        if is_cut {
            tar.truncate(cut.index(tar.len()));
        }
        if let Ok(paths) = take(&tar) {
            for path in paths {
                let is_plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
                prop_assert!(Path::new(&path).components().all(is_plain), "{}", path);
            }
        }
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        drop(take(&bytes));
    }
}
