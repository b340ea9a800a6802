//! What a controller asks of a host, on its way there and back.

use rollctl::core::event::{ActionKind, ActionOutcome};
use rollctl::core::hooks::HookKind;
use rollctl::core::rollout::Expects;

use crate::draw::Release;

/// One action.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) host: usize,
    pub(crate) action: ActionKind,
    /// Who asks, and under which epoch.
    pub(crate) controller: u64,
    pub(crate) epoch: i64,
    /// Of the event that decided it.
    pub(crate) number: u64,
    pub(crate) from: Release,
    pub(crate) to: Release,
    /// Which of a host's instances is meant, for traffic.
    pub(crate) of: Release,
    pub(crate) expects: Option<Expects>,
    /// How the instance was started by us: boot and start.
    pub(crate) started: Option<(u64, u64)>,
    /// On the way back; and whether what it goes back to still runs beside.
    pub(crate) goes_back: bool,
    pub(crate) leaves_other: bool,
    pub(crate) sent_at: i64,
    /// The boot at which it began on the host.
    pub(crate) boot: u64,
}

/// Something that will happen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Coming {
    /// An order reaches its host, or tries to.
    Arrive(Order),
    /// A step on a host ends.
    Finish(Order),
    /// The answer is back, or tries to be.
    Reply(Order, ActionOutcome),
    /// A hook of the rollout ends.
    HookEnds { controller: u64, hook: HookKind },
    /// The time of a dead-man's switch is over.
    Guard { host: usize, number: u64 },
    /// A host is up again.
    Boot { host: usize },
}
