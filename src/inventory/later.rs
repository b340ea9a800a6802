//! What the contract describes and this version of rollctl cannot do. It is read and checked like the rest, so that
//! its mistakes are found, and then refused.

use super::mistake::Findings;
use super::reader::{Entry, Table};

/// Reads, checks, and refuses when nothing else was wrong with it.
fn refuse(entry: &Entry<'_>, f: &mut Findings<'_>, check: impl FnOnce(&mut Findings<'_>)) {
    let before = f.errors();
    check(f);
    if f.errors() == before {
        f.not_yet(
            &entry.key,
            &format!("`{}`", entry.name),
            "leave it out for now",
        );
    }
}

/// `ports = [8080, 8081]`; whether it is written.
pub(crate) fn ports(table: &mut Table<'_>, port: Option<&Entry<'_>>, f: &mut Findings<'_>) -> bool {
    let Some(entry) = table.take("ports") else {
        return false;
    };
    refuse(&entry, f, |f| {
        if port.is_some() {
            f.wrong(&entry.key, "`port` and `ports` exclude each other");
        }
        let Some(list) = entry.list(f) else {
            return;
        };
        let ports: Vec<_> = list.iter().map(|port| port.number(f, 1..=65535)).collect();
        match ports.as_slice() {
            [Some(old), Some(new)] if old == new => {
                f.wrong(&entry.at, "the two ports are the same")
            }
            [_, _] => {}
            _ => f.wrong(&entry.at, "`ports` are two: old and new take turns"),
        }
    });
    true
}

/// Sections whose form is not settled: known by name, refused unread.
pub(crate) fn unread(table: &mut Table<'_>, key: &'static str, f: &mut Findings<'_>) {
    if let Some(entry) = table.take(key) {
        f.not_yet(&entry.key, &format!("`{key}`"), "leave it out for now");
    }
}
