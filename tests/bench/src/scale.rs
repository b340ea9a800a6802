//! One controller and ever more hosts: what a release on all of them takes it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::site::{Shape, Site};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many scripted hosts, one run for each
    #[arg(long, value_delimiter = ',', default_value = "100,300,1000,3000,10000")]
    hosts: Vec<u32>,
    /// How many may be away at once
    #[arg(long, default_value = "10%")]
    max_unavailable: String,
    /// How often the health of each host is asked: of 10,000 every 500 ms would be 20,000 probes a second
    #[arg(long, default_value = "5s")]
    interval: String,
    /// Size of the artifact, in bytes
    #[arg(long, default_value_t = 100_000)]
    bytes: usize,
    /// As on a controller without ssh: rollctl then reads its configuration itself and need not ask `ssh -G` for each host
    #[arg(long)]
    without_ssh: bool,
    /// The program that is measured
    #[arg(long, default_value = "target/release/rollctl")]
    rollctl: PathBuf,
    /// Keep the files of the runs here
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// A second release on so many hosts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) hosts: u32,
    pub(crate) seconds: f64,
    /// CPU of the controller for each host.
    pub(crate) cpu_ms_per_host: f64,
    /// CPU of what the controller ran (`ssh -G`) for each host.
    pub(crate) child_cpu_ms_per_host: f64,
    pub(crate) peak_memory_mb: f64,
    ledger_kb_per_host: f64,
}

/// All runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Scale {
    version: u32,
    max_unavailable: String,
    interval: String,
    without_ssh: bool,
    pub(crate) rows: Vec<Row>,
}

impl Scale {
    /// As Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "| hosts | seconds | CPU ms a host | `ssh -G` ms a host | peak memory MB | ledger KB a host |\n\
             |---:|---:|---:|---:|---:|---:|\n",
        );
        for row in &self.rows {
            let _ = writeln!(
                text,
                "| {} | {:.1} | {:.1} | {:.1} | {:.0} | {:.1} |",
                row.hosts,
                row.seconds,
                row.cpu_ms_per_host,
                row.child_cpu_ms_per_host,
                row.peak_memory_mb,
                row.ledger_kb_per_host
            );
        }
        text
    }
}

/// Runs them all.
pub(crate) fn run(options: &Options) -> anyhow::Result<Scale> {
    let mut rows = Vec::new();
    for hosts in &options.hosts {
        let row = measure(options, *hosts)?;
        eprintln!("{row:?}");
        rows.push(row);
    }
    Ok(Scale {
        version: 1,
        max_unavailable: options.max_unavailable.clone(),
        interval: options.interval.clone(),
        without_ssh: options.without_ssh,
        rows,
    })
}

/// The second release counts: nobody's first is like the others.
fn measure(options: &Options, hosts: u32) -> anyhow::Result<Row> {
    let shape = Shape {
        hosts,
        max_unavailable: options.max_unavailable.clone(),
        interval: options.interval.clone(),
        uplink: None,
    };
    let mut site = Site::new(&options.rollctl, shape, options.keep.as_deref())?;
    site.without_ssh = options.without_ssh;
    let content = |name: &str| format!("#!/bin/sh\n{}\n", name.repeat(options.bytes / name.len()));
    site.release("v1", content("v1").as_bytes())?;
    let ledger = ledger_size(&site)?;
    let usage = site.release("v2", content("v2").as_bytes())?;
    let ledger = ledger_size(&site)?.saturating_sub(ledger);
    site.stop()?;
    let count = f64::from(hosts);
    Ok(Row {
        hosts,
        seconds: usage.wall.as_secs_f64(),
        cpu_ms_per_host: usage.own.as_secs_f64() * 1e3 / count,
        child_cpu_ms_per_host: usage.children.as_secs_f64() * 1e3 / count,
        peak_memory_mb: as_f64(usage.peak) / 1e6,
        ledger_kb_per_host: as_f64(ledger) / 1e3 / count,
    })
}

/// With its log, which may not be tidied away yet.
fn ledger_size(site: &Site) -> anyhow::Result<u64> {
    let size = |file| fs::metadata(file).map(|file| file.len());
    let ledger = site.ledger();
    Ok(size(ledger.clone())? + size(ledger.with_extension("db-wal")).unwrap_or(0))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes are far below what a float counts exactly"
)]
pub(crate) fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}
