//! Programs of the operator's own that an inventory names.

use std::time::Duration;

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it runs.
    pub on: RunsOn,
    /// The program and its arguments; never empty.
    pub run: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// Where a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsOn {
    /// On this machine, in the inventory's folder.
    Controller,
    /// On the instance's host.
    Host,
}
