//! The port to the hooks of one service.

use async_trait::async_trait;

use crate::core::hooks::{HookEnd, HookKind, Rest};
use crate::core::ids::{HostName, RolloutId};
use crate::core::spec::RolloutKind;

/// One run of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCall {
    /// Which.
    pub hook: HookKind,
    /// For which rollout.
    pub rollout: RolloutId,
    /// Why that runs.
    pub kind: RolloutKind,
    /// The name of the revision that is left, of the service or of the instance; nothing: none ran.
    pub from: Option<String>,
    /// The name of the revision that is to run.
    pub to: String,
    /// What the rollout comes to, for the last hook.
    pub rest: Option<Rest>,
    /// The instance's host, for the hooks of an instance.
    pub host: Option<HostName>,
    /// Side by side: the port of what runs there now; nothing: the service's own.
    pub port: Option<u16>,
}

/// Runs the hooks of one service, each to its end or its timeout.
#[async_trait]
pub trait HookRunner: Send + Sync {
    /// Runs it. Dropped before its end, what runs on this machine is killed.
    async fn run(&self, call: &HookCall) -> HookEnd;
}
