//! Holds in words.

use super::escape::printable;
use super::time::clock;
use crate::core::hold::Remark;

/// `by ann@desk since 2026-11-26T02:00:00Z: the database moves`
pub fn by_whom(hold: &Remark) -> String {
    let cause = hold.cause.as_deref();
    let why = cause.map_or_else(String::new, |why| format!(": {}", printable(why)));
    format!("by {} since {}{why}", printable(&hold.by), clock(hold.at))
}
