//! The ledger: rollouts as lists of events, each followed by the independent checker. It outlives controllers.

use rollctl::core::event::Event;
use rollctl::core::invariant::Checker;
use rollctl::core::rollout::RolloutState;
use rollctl::core::spec::Spec;
use rollctl::core::time::Timestamp;

/// One rollout.
#[derive(Debug, Clone)]
pub(crate) struct Rollout {
    pub(crate) spec: Spec,
    pub(crate) events: Vec<(Timestamp, Event)>,
    checker: Checker,
}

/// All that is remembered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    /// Of the newest lease: whoever has an older one can write nothing.
    pub(crate) epoch: i64,
    pub(crate) rollouts: Vec<Rollout>,
}

impl Ledger {
    pub(crate) fn begin(&mut self, at: Timestamp, first: Event) -> Result<usize, String> {
        let Event::RolloutStarted { spec, .. } = &first else {
            return Err("a rollout begins with its start".to_owned());
        };
        let checker = Checker::new(&first).ok_or("no checker")?;
        self.rollouts.push(Rollout {
            spec: (**spec).clone(),
            events: vec![(at, first)],
            checker,
        });
        Ok(self.rollouts.len() - 1)
    }

    pub(crate) fn append(
        &mut self,
        rollout: usize,
        at: Timestamp,
        event: &Event,
    ) -> Result<(), String> {
        let rollout = self.rollouts.get_mut(rollout).ok_or("no such rollout")?;
        rollout
            .checker
            .check(at, event)
            .map_err(|violation| violation.to_string())?;
        rollout.events.push((at, event.clone()));
        Ok(())
    }

    /// The state after all events of a rollout.
    pub(crate) fn fold(&self, rollout: usize) -> Result<RolloutState, String> {
        let rollout = self.rollouts.get(rollout).ok_or("no such rollout")?;
        let (at, first) = rollout.events.first().ok_or("no events")?;
        let mut state = RolloutState::start(*at, first).map_err(|error| error.to_string())?;
        for (at, event) in rollout.events.iter().skip(1) {
            state.apply(*at, event).map_err(|error| error.to_string())?;
        }
        Ok(state)
    }
}
