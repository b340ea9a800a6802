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
mod stage;
mod tool;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

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
}

fn main() -> anyhow::Result<()> {
    match Args::parse().what {
        What::Compare { options, out } => {
            let figures = compare::run(&options)?;
            println!("{}", figures.table());
            if let Some(folder) = out.parent() {
                fs::create_dir_all(folder)?;
            }
            let text = serde_json::to_string_pretty(&figures)?;
            fs::write(&out, text + "\n").with_context(|| format!("cannot write {}", out.display()))
        }
    }
}
