//! A line that all hosts share: how much of it a release uses while it ships.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::artifact::build;
use crate::scale::as_f64;
use crate::site::{Shape, Site};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many scripted hosts
    #[arg(long, default_value_t = 1000)]
    hosts: u32,
    /// What all of them together are reached with, in Mbit/s
    #[arg(long, default_value_t = 100)]
    uplink: u32,
    /// Size of the artifact, in bytes, most of which no compression saves
    #[arg(long, default_value_t = 4_000_000)]
    bytes: usize,
    /// The program that is measured
    #[arg(long, default_value = "target/release/rollctl")]
    rollctl: PathBuf,
}

/// What came over the line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    version: u32,
    hosts: u32,
    uplink_mbit: u32,
    /// What was shipped to all hosts together.
    megabytes: f64,
    /// From the first byte of an artifact to the last.
    seconds: f64,
    /// How much of what the line could have carried in that time it did carry, 0.0 to 1.0.
    used: f64,
    /// How much of that were artifacts: with each login comes the script that works on the host, 60 KB.
    artifacts: f64,
}

impl Line {
    /// As Markdown.
    pub(crate) fn table(&self) -> String {
        format!(
            "| hosts | uplink Mbit/s | shipped MB | seconds | of the uplink used | by artifacts |\n|---:|---:|---:|---:|---:|---:|\n\
             | {} | {} | {:.0} | {:.1} | {:.1} % | {:.1} % |\n",
            self.hosts,
            self.uplink_mbit,
            self.megabytes,
            self.seconds,
            self.used * 100.0,
            self.artifacts * 100.0
        )
    }
}

/// The second release counts; the first is a few bytes.
pub(crate) fn run(options: &Options) -> anyhow::Result<Line> {
    let shape = Shape {
        hosts: options.hosts,
        max_unavailable: "10%".to_owned(),
        interval: "5s".to_owned(),
        uplink: Some(options.uplink),
    };
    let site = Site::new(&options.rollctl, shape, None)?;
    site.release("v1", b"#!/bin/sh\n")?;
    site.release("v2", &build("v2", options.bytes, 1, 1.0))?;
    let received = site.stop()?;
    let upload = received.get("v2").context("no host was shipped to")?;
    let bytes = as_f64(upload.bytes);
    let could = f64::from(options.uplink) * 1e6 / 8.0 * upload.seconds;
    Ok(Line {
        version: 1,
        hosts: options.hosts,
        uplink_mbit: options.uplink,
        megabytes: bytes / 1e6,
        seconds: upload.seconds,
        used: as_f64(upload.line_bytes) / could,
        artifacts: bytes / could,
    })
}
