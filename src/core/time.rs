//! Moments and their arithmetic. `core` has no clock: the time is an argument.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Long before anything rollctl has seen: the `since` of what was already so when first looked at.
    pub const LONG_AGO: Self = Self(0);

    /// The moment that many milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it (a clock may step back).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rest: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(rest.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// Durations in stored values: whole milliseconds.
pub mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a duration as milliseconds.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    /// Reads a duration from milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_steps_back_gives_no_negative_age() {
        let earlier = Timestamp::from_millis(2_000);
        assert_eq!(Timestamp::from_millis(500).since(earlier), Duration::ZERO);
        assert_eq!(
            Timestamp::from_millis(3_500).since(earlier),
            Duration::from_millis(1_500)
        );
        assert_eq!(
            earlier + Duration::from_secs(1),
            Timestamp::from_millis(3_000)
        );
    }
}
