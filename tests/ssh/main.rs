//! The `ssh` room against a real sshd.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are not seen as tests"
)]

mod commands;
mod host_keys;
mod jumps;
mod logins;
mod loss;
mod server;
mod transfers;
