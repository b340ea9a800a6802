//! What people and programs are shown: sentences, live progress, plain lines, JSON, tables.

mod escape;
mod output;

pub use escape::printable;
pub use output::Output;
