//! The operator's hooks: each takes its time and may fail, and one that was cut off says nothing any more.

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use rollctl::core::event::{ActionOutcome, Event};
use rollctl::core::hooks::{HookEnd, HookKind, HookResult, Rest};

use crate::order::{Coming, Order};
use crate::world::{Stop, World};

/// Which hooks a world's service has. Drawn apart, so that a seed's world is otherwise what it was.
pub(crate) fn draw(seed: u64) -> BTreeSet<HookKind> {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x0a0c_5000_0000_0001);
    if rng.random_bool(0.6) {
        return BTreeSet::new();
    }
    let all = HookKind::ALL.into_iter();
    all.filter(|_| rng.random_bool(0.7)).collect()
}

impl World {
    /// One of the rollout.
    pub(crate) fn begin_hook(
        &mut self,
        who: usize,
        hook: HookKind,
        rest: Option<Rest>,
    ) -> Result<(), Stop> {
        self.record(who, &Event::HookStarted { hook, rest })?;
        let controller = self.controllers[who].id;
        let takes = self.rng.random_range(100..30_000);
        self.come(self.now + takes, Coming::HookEnds { controller, hook });
        Ok(())
    }

    pub(crate) fn hook_ends(&mut self, controller: u64, hook: HookKind) -> Result<(), String> {
        let Some(who) = self.controllers.iter().position(|one| one.id == controller) else {
            return Ok(());
        };
        let status = i32::from(self.fails());
        let end = HookEnd {
            result: HookResult::Exited { status },
            ..HookEnd::not_run("")
        };
        let host = None;
        match self.record(who, &Event::HookEnded { hook, host, end }) {
            Ok(()) => Ok(()),
            Err(Stop::Gone) => {
                self.controllers.remove(who);
                Ok(())
            }
            Err(Stop::Bad(why)) => Err(why),
        }
    }

    /// One of an instance.
    pub(crate) fn run_hook(&mut self, order: Order) {
        let takes = self.rng.random_range(100..10_000);
        let outcome = match self.fails() {
            true => ActionOutcome::Failed {
                reason: "its hook ended with exit status 1".to_owned(),
            },
            false => ActionOutcome::Done { started: None },
        };
        self.come(self.now + takes, Coming::Reply(order, outcome));
    }

    fn fails(&mut self) -> bool {
        let fails = !self.is_calm() && self.rng.random_bool(0.05);
        self.tally.failed_hook += u64::from(fails);
        fails
    }
}
