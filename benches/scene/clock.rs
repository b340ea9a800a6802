//! How often something is measured, and how long it took.

use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a bench needs a clock")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// `many`, or once where `cargo test` only proves that the bench works.
pub(crate) fn rounds(many: usize) -> usize {
    if is_bench() { many } else { 1 }
}

/// Whether it is `cargo bench` that runs this.
pub(crate) fn is_bench() -> bool {
    std::env::args().any(|word| word == "--bench")
}

/// The middle one of several measurements.
pub(crate) fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}
