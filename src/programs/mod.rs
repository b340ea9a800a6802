//! Programs of the operator's own, run on this machine or on a host: the commands of a traffic driver, hooks, and what people are told by.

mod answer;
mod hooks;
mod run;

pub use answer::answer;
pub use hooks::{Mask, hooks_of};
pub(crate) use run::{Ended, NotRun, Ran, Runner};
