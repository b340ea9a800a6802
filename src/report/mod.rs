//! What people and programs are shown: sentences, live progress, plain lines, JSON, tables.
//!
//! [`words`] makes sentences and is pure. Everything else only decides where and when they are printed.

pub mod ending;
mod escape;
pub mod json;
mod notice;
mod output;
pub mod plain;
#[cfg(test)]
pub(crate) mod sample;
mod sink;
pub(crate) mod table;
pub mod time;
pub mod words;

pub use escape::printable;
pub use notice::Notice;
pub use output::Output;
