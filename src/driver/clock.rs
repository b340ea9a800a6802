//! The machine's clock, and one that never jumps.

use tokio::time::Instant;

use crate::core::time::Timestamp;
use crate::ports::Clock;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
    }
}

/// A clock that is read once and then follows the time that passes: set back, set forward or asleep, a machine must
/// neither fail an instance whose deadline the clock has jumped over nor call one available that was ready for no
/// more than a moment.
#[derive(Debug, Clone, Copy)]
pub struct SteadyClock {
    begun: Timestamp,
    since: Instant,
}

impl SteadyClock {
    /// Begins with what the other clock says now.
    pub fn from(clock: &dyn Clock) -> Self {
        Self {
            begun: clock.now(),
            since: Instant::now(),
        }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.begun + self.since.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    struct Jumping(Mutex<i64>);

    impl Clock for Jumping {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(*self.0.lock().unwrap())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_follow_a_clock_that_jumps() {
        let jumping = Jumping(Mutex::new(1_000_000));
        let steady = SteadyClock::from(&jumping);
        for jump in [3_600_000, 0] {
            *jumping.0.lock().unwrap() = jump;
            let before = steady.now();
            tokio::time::advance(Duration::from_secs(2)).await;
            assert_eq!(steady.now(), before + Duration::from_secs(2));
        }
        assert_eq!(steady.now(), Timestamp::from_millis(1_004_000));
    }
}
