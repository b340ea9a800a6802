//! The `ssh` room against a real sshd.

mod commands;
mod server;
