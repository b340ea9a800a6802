//! What a simulated world has met, for the shares that a run prints.

use std::ops::AddAssign;

/// One figure for each thing that a world may meet: whether it did, or in how many worlds it was met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Worlds.
    pub worlds: u64,
    /// Rollouts that were begun in them.
    pub rollouts: u64,
    /// A controller died.
    pub crash: u64,
    /// An instance was put back.
    pub revert: u64,
    /// A rollout went back by itself.
    pub rollback: u64,
    /// As many were in flight as may be.
    pub full_budget: u64,
    /// Another controller took a living one's place.
    pub take_over: u64,
    /// A dead-man's switch fired.
    pub fired: u64,
    /// A step was opened.
    pub step: u64,
    /// The service had a failure domain.
    pub domain: u64,
    /// Balancers stood before the service.
    pub balanced: u64,
    /// New instances may be started beside the old ones.
    pub side_by_side: u64,
    /// One was.
    pub beside: u64,
    /// Spare hosts carried a surge.
    pub spares: u64,
    /// What ran on a spare host was stopped.
    pub stop: u64,
    /// A balancer did not do what it was told.
    pub deaf_balancer: u64,
    /// The service had hooks.
    pub hooks: u64,
    /// A hook failed.
    pub failed_hook: u64,
    /// Somebody paused.
    pub pause: u64,
    /// Somebody aborted.
    pub abort: u64,
    /// An answer was lost.
    pub lost_reply: u64,
    /// A later rollout took the place of an unfinished one.
    pub superseded: u64,
    /// A host rebooted, was cut off, or its service was killed.
    pub fault: u64,
}

impl Tally {
    /// Every figure with its name.
    pub fn rows(&self) -> [(&'static str, u64); 21] {
        [
            ("crash", self.crash),
            ("revert", self.revert),
            ("rollback", self.rollback),
            ("full budget", self.full_budget),
            ("take-over", self.take_over),
            ("fired dead-man's switch", self.fired),
            ("step", self.step),
            ("failure domain", self.domain),
            ("balancers", self.balanced),
            ("side by side", self.side_by_side),
            ("started beside", self.beside),
            ("spare hosts", self.spares),
            ("spare host stopped", self.stop),
            ("deaf balancer", self.deaf_balancer),
            ("hooks", self.hooks),
            ("failed hook", self.failed_hook),
            ("pause", self.pause),
            ("abort", self.abort),
            ("lost reply", self.lost_reply),
            ("superseded", self.superseded),
            ("fault on a host", self.fault),
        ]
    }

    /// The same, each at most 1: of one world.
    pub(crate) fn of_one(self) -> Self {
        let one = |figure: u64| figure.min(1);
        Self {
            worlds: 1,
            rollouts: self.rollouts,
            crash: one(self.crash),
            revert: one(self.revert),
            rollback: one(self.rollback),
            full_budget: one(self.full_budget),
            take_over: one(self.take_over),
            fired: one(self.fired),
            step: one(self.step),
            domain: one(self.domain),
            balanced: one(self.balanced),
            side_by_side: one(self.side_by_side),
            beside: one(self.beside),
            spares: one(self.spares),
            stop: one(self.stop),
            deaf_balancer: one(self.deaf_balancer),
            hooks: one(self.hooks),
            failed_hook: one(self.failed_hook),
            pause: one(self.pause),
            abort: one(self.abort),
            lost_reply: one(self.lost_reply),
            superseded: one(self.superseded),
            fault: one(self.fault),
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.rollouts += other.rollouts;
        self.crash += other.crash;
        self.revert += other.revert;
        self.rollback += other.rollback;
        self.full_budget += other.full_budget;
        self.take_over += other.take_over;
        self.fired += other.fired;
        self.step += other.step;
        self.domain += other.domain;
        self.balanced += other.balanced;
        self.side_by_side += other.side_by_side;
        self.beside += other.beside;
        self.spares += other.spares;
        self.stop += other.stop;
        self.deaf_balancer += other.deaf_balancer;
        self.hooks += other.hooks;
        self.failed_hook += other.failed_hook;
        self.pause += other.pause;
        self.abort += other.abort;
        self.lost_reply += other.lost_reply;
        self.superseded += other.superseded;
        self.fault += other.fault;
    }
}
