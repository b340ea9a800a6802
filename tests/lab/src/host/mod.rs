//! One lab host: a process of its own with an SSH server, a user manager, and a socket for the shims.

mod commands;
mod init;
mod server;
mod session;

pub(crate) use commands::{exec, login, shim, tell_build};
pub(crate) use init::run;
