//! The traffic drivers against the real thing on loopback: HAProxy, nginx, sshd, commands, requests.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod haproxy;
mod levers;
mod nginx;
#[path = "../ssh/server.rs"]
#[expect(dead_code, reason = "the tests of SSH use the rest")]
mod server;
mod support;
