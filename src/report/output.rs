//! For whom the output is.

/// What `--output` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// For people; may change.
    #[default]
    Human,
    /// For programs; a contract, each object with `"version": 1`.
    Json,
}
