//! What people and programs are shown: sentences, live progress, plain lines, JSON, tables.
//!
//! [`words`] makes sentences and is pure. Everything else only decides where and when they are printed.

mod action_words;
mod board;
mod choose;
mod count;
pub mod describe;
pub mod ending;
mod escape;
pub mod history;
pub mod hold;
mod hooks;
pub mod json;
pub mod ledger;
pub mod live;
pub mod mask;
mod notice;
mod output;
pub mod plain;
pub mod plan;
#[cfg(test)]
pub(crate) mod sample;
mod signers;
mod sink;
pub mod state;
pub mod status;
pub(crate) mod table;
pub mod telling;
pub mod time;
pub mod timeline;
pub mod verify;
pub mod waits;
mod way_out;
pub mod words;

pub use choose::{Style, reporter};
pub use count::counted;
pub use escape::printable;
pub use notice::Notice;
pub use output::Output;

/// What tests of other rooms may use too.
#[cfg(test)]
pub(crate) mod testing {
    pub(crate) use super::sample::{Sample, at};
    pub(crate) use super::sink::Shared;
}
