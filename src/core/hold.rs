//! Holds: a person's word that runs which nobody watches leave a service alone.

use super::time::Timestamp;

/// What a person did to a service, by a word of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// `user@machine`.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: Option<String>,
}

/// A service that was held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Who held it.
    pub placed: Remark,
    /// Who lifted that; nothing: it is held.
    pub lifted: Option<Remark>,
}

/// The hold that stands, of a service's holds.
pub fn standing(holds: &[Hold]) -> Option<&Remark> {
    let stands = holds.iter().find(|hold| hold.lifted.is_none())?;
    Some(&stands.placed)
}
