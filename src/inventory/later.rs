//! What the contract describes and this version of rollctl cannot do. It is read and checked like the rest, so that
//! its mistakes are found, and then refused.

use super::mistake::Findings;
use super::reader::Table;

/// Sections whose form is not settled: known by name, refused unread.
pub(crate) fn unread(table: &mut Table<'_>, key: &'static str, f: &mut Findings<'_>) {
    if let Some(entry) = table.take(key) {
        f.not_yet(&entry.key, &format!("`{key}`"), "leave it out for now");
    }
}
