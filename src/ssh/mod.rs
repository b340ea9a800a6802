//! SSH: who to log in to and how, host keys, sessions, commands, uploads and forwards.
//!
//! The way in is [`Connector::connect`]: it completes a [`Target`] from `ssh_config`, finds the way (directly, over
//! jump hosts, by a proxy command), checks the host key against `known_hosts`, logs in, and gives a [`Session`].
//! Nothing here knows what a service or a revision is.

mod agent;
mod auth;
mod channel;
mod client;
mod config_file;
mod connector;
mod dial;
mod error;
mod exec;
mod forward;
mod host_key;
mod identity;
mod jump;
mod known_files;
mod known_hosts;
mod pipe;
mod resolve;
mod scan;
mod session;
mod ssh_config;
mod survey;
mod target;
mod tokens;
mod upload;

pub use channel::{Channel, ExitStatus, Stderr};
pub use client::Tuning;
pub use connector::Connector;
pub use error::{ConnectFailure, Outcome, Problem, SshError, TriedKey};
pub use exec::Output;
pub use forward::Tunnel;
pub use identity::check_key;
pub use known_hosts::{KnownHosts, Verdict, append_known_host};
pub use pipe::{ChannelReader, ChannelWriter};
pub use resolve::resolve;
pub use russh::keys::PublicKey;
pub use scan::HostKey;
pub use session::Session;
pub use ssh_config::SshConfig;
pub use target::{Resolved, Route, Target};
