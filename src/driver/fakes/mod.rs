//! Fake ports for the driver's tests: time that is virtual, and somebody who listens.

use std::sync::Mutex;

use crate::core::decision::Decision;
use crate::core::event::RecordedEvent;
use crate::core::ids::*;
use crate::core::rollout::RolloutState;
use crate::core::time::Timestamp;
use crate::ports::*;

mod fleet;
mod hooks;
mod ledger;
mod traffic;

pub(super) use fleet::{Cut, FakeFleet, FakeHost};
pub(super) use hooks::FakeHooks;
pub(super) use ledger::FakeLedger;
pub(super) use traffic::FakeTraffic;

/// Time that follows tokio's paused clock.
pub(super) struct FakeClock(pub(super) tokio::time::Instant);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000) + self.0.elapsed()
    }
}

/// Listens.
#[derive(Default)]
pub(super) struct FakeReporter {
    pub(super) diagnoses: Mutex<Vec<HostName>>,
    pub(super) warnings: Mutex<Vec<String>>,
}

impl Reporter for FakeReporter {
    fn events(&self, _: &[RecordedEvent], _: &RolloutState) {}

    fn waiting(&self, _: &RolloutState, _: &Decision) {}

    fn progress(&self, progress: &Progress) {
        match progress {
            Progress::Diagnosis { host, .. } => {
                self.diagnoses.lock().unwrap().push(host.clone());
            }
            Progress::Warning { host, text } => {
                let mut warnings = self.warnings.lock().unwrap();
                warnings.push(format!("{host}: {text}"));
            }
            _ => {}
        }
    }
}
