//! Budgets and their rounding.

use serde::{Deserialize, Serialize};

/// A count or a share of `desired`, as a person writes it: `3` or `"25%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// That many instances.
    Count(u32),
    /// That share of `desired`, in percent.
    Percent(u32),
}

impl Quantity {
    /// The number of instances, a share rounded up.
    pub fn rounded_up(self, desired: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => share(percent, desired, 99),
        }
    }

    /// The number of instances, a share rounded down.
    pub fn rounded_down(self, desired: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => share(percent, desired, 0),
        }
    }

    /// Whether it was written as nothing at all: `0` or `"0%"`.
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

fn share(percent: u32, desired: u32, round: u64) -> u32 {
    let hundredths = u64::from(percent) * u64::from(desired) + round;
    u32::try_from(hundredths / 100).unwrap_or(u32::MAX)
}

/// The budgets of a rollout in instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The service's ordinary hosts in service.
    pub desired: u32,
    /// How many more than `desired` may run.
    pub max_surge: u32,
    /// How many of `desired` may be unavailable; at most `desired`.
    pub max_unavailable: u32,
}

impl Budget {
    /// Resolves shares as Kubernetes does (`ResolveFenceposts` in `deployment_util.go`):
    /// surge is rounded up, unavailable down, and when both come out as 0, unavailable becomes 1.
    ///
    /// | desired | surge | unavailable | S | U |
    /// |---------|-------|-------------|---|---|
    /// | 10      | 25%   | 25%         | 3 | 2 |
    /// | 4       | 25%   | 25%         | 1 | 1 |
    /// | 3       | 25%   | 25%         | 1 | 0 |
    /// | 3       | 0     | 25%         | 0 | 1 |
    /// | 1       | 0     | 50%         | 0 | 1 |
    /// | 2       | 0     | 5           | 0 | 2 |
    pub fn resolve(desired: u32, max_surge: Quantity, max_unavailable: Quantity) -> Self {
        let surge = max_surge.rounded_up(desired);
        let unavailable = max_unavailable.rounded_down(desired);
        let unavailable = if surge == 0 && unavailable == 0 {
            1
        } else {
            unavailable
        };
        Self {
            desired,
            max_surge: surge,
            max_unavailable: unavailable.min(desired),
        }
    }

    /// The fewest instances that must stay available.
    pub fn min_available(self) -> u32 {
        self.desired.saturating_sub(self.max_unavailable)
    }

    /// The most instances that may run.
    pub fn max_total(self) -> u32 {
        self.desired.saturating_add(self.max_surge)
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity::{Count, Percent};
    use super::*;

    #[test]
    fn rounds_as_a_deployment_does() {
        // desired, max_surge, max_unavailable -> S, U, fewest available, most running
        for (desired, surge, unavailable, s, u, min, max) in [
            (10, Percent(25), Percent(25), 3, 2, 8, 13),
            (10, Count(3), Count(2), 3, 2, 8, 13),
            (4, Percent(25), Percent(25), 1, 1, 3, 5),
            (3, Percent(25), Percent(25), 1, 0, 3, 4),
            (2, Percent(25), Percent(25), 1, 0, 2, 3),
            (1, Percent(25), Percent(25), 1, 0, 1, 2),
            (3, Count(0), Percent(25), 0, 1, 2, 3),
            (3, Percent(0), Percent(10), 0, 1, 2, 3),
            (1, Count(0), Percent(50), 0, 1, 0, 1),
            (2, Count(0), Count(5), 0, 2, 0, 2),
            (12, Count(0), Count(3), 0, 3, 9, 12),
            (200, Percent(1), Percent(1), 2, 2, 198, 202),
            (150, Percent(1), Percent(1), 2, 1, 149, 152),
            (10, Percent(100), Percent(0), 10, 0, 10, 20),
            (0, Count(0), Count(1), 0, 0, 0, 0),
        ] {
            let budget = Budget::resolve(desired, surge, unavailable);
            let found = (
                budget.max_surge,
                budget.max_unavailable,
                budget.min_available(),
                budget.max_total(),
            );
            assert_eq!(
                found,
                (s, u, min, max),
                "{desired} with surge {surge} and unavailable {unavailable}"
            );
        }
    }
    #[test]
    fn is_shown_as_it_is_written() {
        for (quantity, text, is_zero) in [
            (Count(0), "0", true),
            (Percent(0), "0%", true),
            (Count(3), "3", false),
            (Percent(25), "25%", false),
        ] {
            assert_eq!(quantity.to_string(), text);
            assert_eq!(quantity.is_zero(), is_zero, "{text}");
        }
    }
}
