//! What a release costs: against other tools on the same real hosts, and on how many hosts. `tests/bench/run` builds and
//! installs what it needs.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench measures time, and prints what it measured"
)]

mod artifact;
mod compare;
mod figures;
mod ledger;
mod plot;
mod scale;
mod scripted;
mod site;
mod stage;
mod tool;
mod uplink;
mod usage;
mod waits;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde::Serialize;

/// Measures rollctl, in ratios of one run on one machine.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The same release on the same real hosts by rollctl and by other tools
    Compare {
        #[command(flatten)]
        options: compare::Options,
        /// Where the figures go, as JSON
        #[arg(long, default_value = "target/bench/compare.json")]
        out: PathBuf,
    },
    /// A release on ever more scripted hosts: time, CPU and memory of the one controller
    Scale {
        #[command(flatten)]
        options: scale::Options,
        /// Where the figures go, as JSON
        #[arg(long, default_value = "target/bench/scale.json")]
        out: PathBuf,
    },
    /// A release to many hosts over one narrow line: how much of it is used
    Uplink {
        #[command(flatten)]
        options: uplink::Options,
        /// Where the figures go, as JSON
        #[arg(long, default_value = "target/bench/uplink.json")]
        out: PathBuf,
    },
    /// Commands that read the ledger, with few and with very many rollouts in it
    Ledger {
        #[command(flatten)]
        options: ledger::Options,
        /// Where the figures go, as JSON
        #[arg(long, default_value = "target/bench/ledger.json")]
        out: PathBuf,
    },
    /// Pictures and tables of what was measured
    Plot {
        #[command(flatten)]
        options: plot::Options,
    },
    /// The hosts of `scale`, `uplink` and `ledger`
    #[command(hide = true)]
    ScriptedHosts {
        #[command(flatten)]
        options: scripted::Options,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().what {
        What::Compare { options, out } => {
            let figures = compare::run(&options)?;
            tell(&out, &figures.table(), &figures)
        }
        What::Scale { options, out } => {
            let figures = scale::run(&options)?;
            tell(&out, &figures.table(), &figures)
        }
        What::Uplink { options, out } => {
            let figures = uplink::run(&options)?;
            tell(&out, &figures.table(), &figures)
        }
        What::Ledger { options, out } => {
            let figures = ledger::run(&options)?;
            tell(&out, &figures.table(), &figures)
        }
        What::Plot { options } => plot::run(&options),
        What::ScriptedHosts { options } => scripted::run(&options),
    }
}

fn tell(out: &Path, table: &str, figures: &impl Serialize) -> anyhow::Result<()> {
    println!("{table}");
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(figures)?;
    fs::write(out, text + "\n").with_context(|| format!("cannot write {}", out.display()))
}
