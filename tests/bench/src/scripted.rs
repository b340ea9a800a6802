//! Thousands of hosts in one process, for one controller: an SSH server that takes every address of 127.0.0.0/8 for a
//! host of its own, and answers rollctl's fixed script by rote. No shell runs, nothing is written to a disk, and what
//! is uploaded is counted and dropped; so what a rollout takes is what the controller takes.

mod fleet;
mod health;
mod host;
mod revision;
mod server;
mod session;
mod uplink;
mod uploads;
mod verbs;

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;

use fleet::ScriptedFleet;
use uplink::Uplink;
pub(crate) use uploads::Received;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The private key of all hosts
    #[arg(long)]
    host_key: PathBuf,
    /// The public key that all hosts let in
    #[arg(long)]
    client_key: PathBuf,
    /// What all of them together are reached with over SSH, in Mbit/s
    #[arg(long)]
    uplink: Option<u32>,
}

/// Serves until standard input ends, which it does however the one dies who started this. Prints its two ports first, and
/// in the end what came in.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let client_key = fs::read_to_string(&options.client_key)
        .with_context(|| format!("cannot read {}", options.client_key.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let uplink = options.uplink.map(Uplink::new);
        let fleet = Arc::new(ScriptedFleet::reached_over(uplink));
        let (ssh, http) = (listen().await?, listen().await?);
        println!("{} {}", ssh.local_addr()?.port(), http.local_addr()?.port());
        let logins = server::Logins::new(&options.host_key, &client_key)?;
        tokio::spawn(server::accept(ssh, Arc::new(logins), Arc::clone(&fleet)));
        tokio::spawn(health::accept(http, Arc::clone(&fleet)));
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        println!("{}", serde_json::to_string(&fleet.uploads.received())?);
        anyhow::Ok(())
    })
}

/// On all addresses: which one a client meant is the name of the host.
async fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).await
}
