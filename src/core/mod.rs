//! The words and the decisions: plain values and pure functions, without clock, network or database.
//!
//! Whoever has read [`event::Event`], [`rollout::RolloutState::apply`] and [`decide::decide`] knows rollctl.

mod apply;
pub mod budget;
pub mod counts;
pub mod decide;
pub mod decision;
pub mod event;
mod explain;
pub mod fleet;
pub mod health;
pub mod history;
pub mod ids;
pub mod instance;
pub mod invariant;
mod judge;
pub mod plan;
mod resume;
pub mod revision;
pub mod rollout;
pub(crate) mod rules;
pub mod spec;
pub mod time;
pub mod traffic;

#[cfg(test)]
mod conclusion_tests;
#[cfg(test)]
mod decide_tests;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod turning_tests;
#[cfg(test)]
mod world_tests;
