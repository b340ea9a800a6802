//! The same release on the same hosts: every tool in turn, several times, so that what disturbs one disturbs all.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use rollctl_fleet::Fleet;
use tempfile::TempDir;

use crate::artifact::build;
use crate::figures::Figures;
use crate::stage;
use crate::tool::{Programs, Ready, Tool};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many real hosts
    #[arg(long, default_value_t = 12)]
    hosts: usize,
    /// How many may be away at once
    #[arg(long, default_value_t = 3)]
    batch: usize,
    /// How often each tool does each job
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Sizes of the artifact, in MB
    #[arg(long, value_delimiter = ',', default_value = "1,20")]
    sizes: Vec<usize>,
    /// Only these tools
    #[arg(
        long,
        value_delimiter = ',',
        value_enum,
        default_value = "rollctl,rsync,pyinfra,ansible"
    )]
    tools: Vec<Tool>,
    /// The program that is measured
    #[arg(long, default_value = "target/release/rollctl")]
    rollctl: PathBuf,
    /// A Python environment with ansible-core and pyinfra
    #[arg(long, default_value = "target/bench/peers")]
    peers: PathBuf,
}

/// Runs it all.
pub(crate) fn run(options: &Options) -> anyhow::Result<Figures> {
    let fleet = stage::boot(options.hosts)?;
    let folder = TempDir::with_prefix("rollctl-bench-")?;
    let bench = Bench {
        options,
        fleet: &fleet,
        folder: folder.path(),
        programs: Programs {
            rollctl: fs::canonicalize(&options.rollctl)?,
            peers: std::path::absolute(&options.peers)?,
        },
    };
    let mut figures = Figures {
        version: 1,
        hosts: options.hosts,
        batch: options.batch,
        runs: options.runs,
        rows: Vec::new(),
    };
    let tools = bench.ready()?;
    for megabytes in &options.sizes {
        let measured = bench.job(&tools, *megabytes)?;
        figures.add(&format!("{megabytes} MB"), &measured);
    }
    drop(fleet);
    Ok(figures)
}

struct Bench<'a> {
    options: &'a Options,
    fleet: &'a Fleet,
    folder: &'a Path,
    programs: Programs,
}

impl Bench<'_> {
    /// Every tool with its files and its service.
    fn ready(&self) -> anyhow::Result<Vec<Ready>> {
        let first = build("v0", 1_000_000, 0, 0.0);
        let mut all = Vec::new();
        for tool in &self.options.tools {
            let ready = Ready::new(
                *tool,
                self.fleet,
                self.options.batch,
                self.folder,
                &self.programs,
            )?;
            let unit = fs::read_to_string(ready.file("service.unit"))?;
            // rollctl brings the unit itself, and would adopt what was there.
            if *tool != Tool::Rollctl {
                stage::install(self.fleet, *tool, &unit, &first)?;
            }
            all.push(ready);
        }
        Ok(all)
    }

    /// Every tool, `runs` times in turn, with new content each time; and the floor.
    fn job(
        &self,
        tools: &[Ready],
        megabytes: usize,
    ) -> anyhow::Result<Vec<(&'static str, Vec<f64>)>> {
        let mut measured: Vec<_> = tools
            .iter()
            .map(|ready| (ready.tool.name(), Vec::new()))
            .collect();
        let mut floor = Vec::new();
        // Nobody's first release counts: rollctl adopts what ran before.
        for run in 0..=self.options.runs {
            for (ready, (_, seconds)) in tools.iter().zip(&mut measured) {
                let took = self.release(ready, megabytes, run)?;
                eprintln!(
                    "{megabytes} MB, run {run}: {} {took:.2} s",
                    ready.tool.name()
                );
                if run > 0 {
                    seconds.push(took);
                }
            }
            if let Some(ready) = tools.first().filter(|_| run > 0) {
                let mut sum = 0.0;
                for batch in self.fleet.hosts().chunks(self.options.batch) {
                    sum += stage::restart(batch, ready.tool)?.as_secs_f64();
                }
                floor.push(sum);
            }
        }
        measured.push(("the restarts alone", floor));
        Ok(measured)
    }

    fn release(&self, ready: &Ready, megabytes: usize, run: usize) -> anyhow::Result<f64> {
        let version = format!("v{megabytes}-{run}");
        let artifact = self.folder.join("build");
        // Everybody gets content of its own: nothing is compared with what another tool left behind.
        let series = (megabytes * 1_000 + run * 10) as u64 + u64::from(ready.tool.port());
        fs::write(
            &artifact,
            build(&version, megabytes * 1_000_000, series, 0.0),
        )?;
        fs::set_permissions(
            &artifact,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )?;
        let begun = Instant::now();
        ready.release(&version, &artifact)?;
        let took = begun.elapsed().as_secs_f64();
        stage::all_answer(self.fleet, ready.tool, &version)?;
        stage::tidy(self.fleet, ready.tool, &version)?;
        Ok(took)
    }
}
