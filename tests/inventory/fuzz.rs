//! Whatever somebody does to an inventory, it is read or refused, never a panic; and an unknown key is never missed.

use std::path::Path;

use proptest::prelude::*;
use rollctl::inventory::load;

const VALID: &str = include_str!("valid/production.toml");

fn loads(text: &[u8]) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("production.toml");
    std::fs::write(&path, text).unwrap();
    match load(&path) {
        Ok(_) => Ok(()),
        Err(errors) => {
            assert!(!errors.mistakes.is_empty());
            Err(errors.render(true))
        }
    }
}

/// One change of a text.
#[derive(Debug, Clone)]
enum Change {
    Cut {
        at: usize,
        length: usize,
    },
    Put {
        at: usize,
        what: String,
    },
    Copy {
        from: usize,
        length: usize,
        to: usize,
    },
    SwapLines {
        one: usize,
        other: usize,
    },
    Byte {
        at: usize,
        byte: u8,
    },
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0..VALID.len();
    let word = prop_oneof![
        Just("\"".to_owned()),
        Just("[".to_owned()),
        Just("]]\n[[".to_owned()),
        Just("{".to_owned()),
        Just("{n}".to_owned()),
        Just("{label.".to_owned()),
        Just("-[01-99]".to_owned()),
        Just(" = ".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("-1".to_owned()),
        Just("%".to_owned()),
        Just("\"\"\"".to_owned()),
        Just("\\u0000".to_owned()),
        Just("ß".to_owned()),
        Just("://a:b@".to_owned()),
        "\\PC{0,12}",
    ];
    prop_oneof![
        (at.clone(), 0..40_usize).prop_map(|(at, length)| Change::Cut { at, length }),
        (at.clone(), word).prop_map(|(at, what)| Change::Put { at, what }),
        (at.clone(), 0..200_usize, at.clone()).prop_map(|(from, length, to)| Change::Copy {
            from,
            length,
            to
        }),
        (0..100_usize, 0..100_usize).prop_map(|(one, other)| Change::SwapLines { one, other }),
        (at, any::<u8>()).prop_map(|(at, byte)| Change::Byte { at, byte }),
    ]
}

fn apply(text: &mut Vec<u8>, change: Change) {
    let end = |at: usize, length: usize, text: &[u8]| (at + length).min(text.len());
    match change {
        Change::Cut { at, length } => {
            let at = at.min(text.len());
            text.drain(at..end(at, length, text));
        }
        Change::Put { at, what } => {
            let at = at.min(text.len());
            text.splice(at..at, what.into_bytes());
        }
        Change::Copy { from, length, to } => {
            let from = from.min(text.len());
            let piece = text[from..end(from, length, text)].to_vec();
            let to = to.min(text.len());
            text.splice(to..to, piece);
        }
        Change::SwapLines { one, other } => {
            let mut lines: Vec<_> = text
                .split(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec)
                .collect();
            let count = lines.len();
            lines.swap(one % count, other % count);
            *text = lines.join(&b'\n');
        }
        Change::Byte { at, byte } => {
            if let Some(place) = text.get_mut(at) {
                *place = byte;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_inventory_never_panics(changes in proptest::collection::vec(change(), 1..6)) {
        let mut text = VALID.as_bytes().to_vec();
        for change in changes {
            apply(&mut text, change);
        }
        let _ = loads(&text);
    }

    #[test]
    fn an_unknown_key_is_never_missed(line in 0..VALID.lines().count(), key in "zz[a-z]{0,8}") {
        let before: Vec<_> = VALID.lines().take(line).collect();
        let in_a_text = before.join("\n").matches("\"\"\"").count() % 2 == 1;
        prop_assume!(!in_a_text);
        let mut lines: Vec<_> = VALID.lines().map(str::to_owned).collect();
        // Below a header the key belongs to that table; elsewhere in the middle of it: both are unknown.
        lines.insert(line, format!("{key} = 1"));
        let told = loads(lines.join("\n").as_bytes()).unwrap_err();
        let is_name = [format!("`{key}`"), format!("\"{key}\"")].iter().any(|name| told.contains(name));
        prop_assert!(is_name || told.contains("not TOML"), "{}", told);
    }
}

#[test]
fn the_inventory_that_is_changed_is_a_good_one() {
    assert!(load(Path::new("tests/inventory/valid/production.toml")).is_ok());
}
