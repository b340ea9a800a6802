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
mod scale;
mod scripted;
mod stage;
mod tool;
mod usage;

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
    /// The hosts of `scale`
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
            println!("{}", figures.table());
            write(&out, &figures)
        }
        What::Scale { options, out } => {
            let figures = scale::run(&options)?;
            println!("{}", figures.table());
            write(&out, &figures)
        }
        What::ScriptedHosts { options } => scripted::run(&options),
    }
}

fn write(out: &Path, figures: &impl Serialize) -> anyhow::Result<()> {
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(figures)?;
    fs::write(out, text + "\n").with_context(|| format!("cannot write {}", out.display()))
}
