//! What people and programs are shown: sentences, live progress, plain lines, JSON, tables.
//!
//! [`words`] makes sentences and is pure. Everything else only decides where and when they are printed.

mod escape;
pub mod json;
mod output;
#[cfg(test)]
pub(crate) mod sample;
mod sink;
pub(crate) mod table;
pub mod time;
pub mod words;

pub use escape::printable;
pub use output::Output;
