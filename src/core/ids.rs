//! Names and numbers, each a type of its own so that no two are mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is; whoever reads it from outside has checked it.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_id!(
    /// The name of a fleet: one inventory, its hosts, services and ledger.
    FleetName
);
text_id!(
    /// The name of a host in the inventory, not its address.
    HostName
);
text_id!(
    /// The name of a service in the inventory.
    ServiceName
);
text_id!(
    /// The name of a systemd unit, with its suffix: `web.service`.
    UnitName
);
text_id!(
    /// The SHA-256 over everything of a revision that reaches a host, as 64 lower-case hex digits.
    Digest
);
text_id!(
    /// systemd's `InvocationID`: new at every start of a unit, 32 hex digits.
    InvocationId
);
text_id!(
    /// The kernel's boot id: changes when the host reboots.
    BootId
);
text_id!(
    /// The UUID of a ledger, which is how hosts tell one from another.
    LedgerId
);

impl UnitName {
    const TEMPLATE: &'static str = "@.service";

    /// Whether it is a template: `web@.service`.
    pub fn is_template(&self) -> bool {
        self.0.ends_with(Self::TEMPLATE)
    }

    /// The unit of a template's instance: `web@v1.4.2.service`.
    pub fn instance(&self, name: &RevisionName) -> Self {
        let stem = self.0.strip_suffix(Self::TEMPLATE).unwrap_or(&self.0);
        Self(format!("{stem}@{name}.service"))
    }
}

/// The number of a rollout in its ledger, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolloutId(pub i64);

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a revision: 1, 2, 3 ... per service, never reused or renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionNumber(pub u32);

impl fmt::Display for RevisionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the controllers of a service: a host refuses one with a lower epoch than it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a revision (contract, section 1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RevisionName(String);

/// The longest name of a revision, in characters.
pub const REVISION_NAME_MAX: usize = 64;

/// Why a text is not the name of a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevisionNameError {
    /// It is empty.
    #[error("a revision name is empty")]
    Empty,
    /// It is longer than [`REVISION_NAME_MAX`].
    #[error(
        "revision name `{name}` has {length} characters; at most {REVISION_NAME_MAX} are allowed"
    )]
    TooLong {
        /// The text.
        name: String,
        /// Its length in characters.
        length: usize,
    },
    /// It starts with something that is neither letter nor digit.
    #[error("revision name `{0}` must start with a letter or a digit")]
    Start(String),
    /// It has a character outside the set.
    #[error(
        "revision name `{name}` contains {character:?}; letters, digits, `.`, `_` and `-` are allowed"
    )]
    Character {
        /// The text.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// It could be taken for a revision's number.
    #[error("revision name `{0}` has digits only and would be taken for a revision's number")]
    OnlyDigits(String),
    /// `r<digits>` and `adopted-...` are given by rollctl itself.
    #[error(
        "revision name `{0}` is reserved: `r<number>` and `adopted-...` are given by rollctl itself"
    )]
    Reserved(String),
}

impl RevisionName {
    /// A name that a person gave.
    ///
    /// # Errors
    /// When it breaks a rule of the contract's section 1, or is reserved.
    pub fn given(text: &str) -> Result<Self, RevisionNameError> {
        let name = Self::parse(text)?;
        let numbered = text
            .strip_prefix('r')
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
        if numbered || name.is_adopted() {
            return Err(RevisionNameError::Reserved(text.to_owned()));
        }
        Ok(name)
    }

    /// A name that was written by rollctl, or that somebody asks for: reserved names are allowed.
    ///
    /// # Errors
    /// When it breaks a rule of the contract's section 1.
    pub fn parse(text: &str) -> Result<Self, RevisionNameError> {
        let Some(first) = text.chars().next() else {
            return Err(RevisionNameError::Empty);
        };
        let length = text.chars().count();
        if length > REVISION_NAME_MAX {
            return Err(RevisionNameError::TooLong {
                name: text.to_owned(),
                length,
            });
        }
        if !first.is_ascii_alphanumeric() {
            return Err(RevisionNameError::Start(text.to_owned()));
        }
        if let Some(character) = text
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c))
        {
            return Err(RevisionNameError::Character {
                name: text.to_owned(),
                character,
            });
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(RevisionNameError::OnlyDigits(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name of a revision that was given none: `r<number>`.
    pub fn numbered(number: RevisionNumber) -> Self {
        Self(format!("r{number}"))
    }

    /// The name of what a host ran before rollctl came: `adopted-` and the digest's first 12 digits.
    pub fn adopted(digest: &Digest) -> Self {
        Self(format!(
            "adopted-{}",
            digest.as_str().get(..12).unwrap_or(digest.as_str())
        ))
    }

    /// Whether it names what a host ran before rollctl came.
    pub fn is_adopted(&self) -> bool {
        self.0.starts_with("adopted-")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RevisionName {
    type Error = RevisionNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<RevisionName> for String {
    fn from(name: RevisionName) -> Self {
        name.0
    }
}

impl fmt::Display for RevisionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which revision: its first name, which is also its folder on the hosts, and its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RevisionRef {
    /// The first name it was given.
    pub name: RevisionName,
    /// What it is made of; two references are the same revision when this is equal.
    pub digest: Digest,
}

impl fmt::Display for RevisionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_person_may_give() {
        for (text, allowed) in [
            ("v1.4.2", true),
            ("2026-11-22", true),
            ("a", true),
            ("release", true),
            ("r1x", true),
            ("r", true),
            ("adopted", true),
            ("", false),
            ("42", false),
            ("r42", false),
            ("adopted-0011", false),
            ("-v1", false),
            (".v1", false),
            ("v 1", false),
            ("v/1", false),
            ("v1\n", false),
            ("größe", false),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
        ] {
            assert_eq!(RevisionName::given(text).is_ok(), allowed, "{text:?}");
        }
    }

    #[test]
    fn reserved_names_can_be_asked_for() {
        assert!(RevisionName::parse("r42").is_ok());
        assert!(RevisionName::parse("adopted-0011").is_ok_and(|name| name.is_adopted()));
    }
}
