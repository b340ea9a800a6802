//! The port to the time.

use crate::core::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The moment now.
    fn now(&self) -> Timestamp;
}
