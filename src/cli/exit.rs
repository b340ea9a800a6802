//! Exit codes, for whoever gets the cron mail (contract, section 6).

/// How `rollctl` ends. Where several are true the first in [`ExitCode::ORDER`] is the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// 0: done, or nothing to do.
    Done,
    /// 1: an unexpected error.
    Unexpected,
    /// 2: usage or inventory; nothing was touched.
    Usage,
    /// 3: done, but some hosts were skipped; they are listed.
    Skipped,
    /// 4: another controller holds the service's lease.
    LeaseHeld,
    /// 5: paused, held or refused: it waits for somebody.
    Paused,
    /// 10: failed and rolled back; the fleet is as it was.
    RolledBack,
    /// 11: failed and mixed; somebody must look.
    Mixed,
    /// 130: interrupted; the hosts are consistent.
    Interrupted,
}

impl ExitCode {
    /// The first that applies is the code.
    pub const ORDER: [Self; 9] = [
        Self::Usage,
        Self::LeaseHeld,
        Self::Interrupted,
        Self::Mixed,
        Self::RolledBack,
        Self::Paused,
        Self::Skipped,
        Self::Unexpected,
        Self::Done,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::Skipped => 3,
            Self::LeaseHeld => 4,
            Self::Paused => 5,
            Self::RolledBack => 10,
            Self::Mixed => 11,
            Self::Interrupted => 130,
        }
    }

    /// The one of the two that is told, by [`ExitCode::ORDER`].
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        if self.rank() <= other.rank() {
            self
        } else {
            other
        }
    }

    /// What it means, for `--help` and the manual.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::Unexpected => "unexpected error",
            Self::Usage => "usage or inventory, nothing touched",
            Self::Skipped => "done, but some hosts were skipped (listed)",
            Self::LeaseHeld => "another controller works on the service",
            Self::Paused => "paused, held or refused: waits for somebody",
            Self::RolledBack => "failed and rolled back: the fleet is as it was",
            Self::Mixed => "failed and mixed: somebody must look",
            Self::Interrupted => "interrupted",
        }
    }

    fn rank(self) -> usize {
        Self::ORDER
            .iter()
            .position(|one| *one == self)
            .unwrap_or(usize::MAX)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_applies_is_told() {
        let order: Vec<u8> = ExitCode::ORDER.iter().map(|code| code.code()).collect();
        assert_eq!(order, [2, 4, 130, 11, 10, 5, 3, 1, 0]);
        for (at, first) in ExitCode::ORDER.iter().enumerate() {
            for second in &ExitCode::ORDER[at..] {
                assert_eq!(first.worst(*second), *first);
                assert_eq!(second.worst(*first), *first);
            }
        }
    }

    #[test]
    fn the_help_lists_every_code() {
        for code in ExitCode::ORDER {
            let line = format!("{:>5}  {}", code.code(), code.meaning());
            assert!(
                super::super::help::ROOT.contains(&line),
                "{line:?} is missing"
            );
        }
    }
}
