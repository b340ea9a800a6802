//! The words and the decisions: plain values and pure functions, without clock, network or database.
//!
//! Whoever has read [`event::Event`], [`rollout::RolloutState::apply`] and [`decide::decide`] knows rollctl.

pub mod action;
mod apply;
mod apply_end;
mod balance;
pub mod budget;
pub mod channel;
mod conclude;
pub mod counts;
pub mod decide;
pub mod decision;
pub mod event;
mod explain;
pub mod fleet;
pub mod health;
pub mod history;
pub mod hold;
pub mod hooks;
pub mod ids;
pub mod instance;
pub mod invariant;
pub mod journal_line;
mod judge;
pub mod keeping;
pub mod notify;
pub mod plan;
pub mod program;
pub mod recall;
mod resume;
pub mod revision;
pub mod rollout;
pub(crate) mod rules;
pub mod sibling;
mod side;
pub mod source;
pub mod spec;
mod surge;
pub mod time;
pub mod timeline;
pub mod traffic;
pub mod traffic_state;
pub mod unattended;
pub mod window;

#[cfg(test)]
mod conclusion_tests;
#[cfg(test)]
mod decide_tests;
#[cfg(test)]
mod domain_tests;
#[cfg(test)]
mod failure_tests;
#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod going_back_tests;
#[cfg(test)]
mod hooks_tests;
#[cfg(test)]
mod left_out_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod surge_tests;
#[cfg(test)]
mod trace_tests;
#[cfg(test)]
mod traffic_tests;
#[cfg(test)]
mod turning_tests;
#[cfg(test)]
mod waiting_tests;
#[cfg(test)]
mod world_draw_for_tests;
#[cfg(test)]
mod world_for_tests;
#[cfg(test)]
mod world_tests;
