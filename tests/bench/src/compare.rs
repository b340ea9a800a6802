//! The same release on the same hosts: every tool in turn, several times, so that what disturbs one disturbs all.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use rollctl_fleet::{Base, Fleet};
use tempfile::TempDir;

use crate::artifact::build;
use crate::figures::Figures;
use crate::stage;
use crate::tool::{Programs, Ready, Tool};
use crate::waits::{self, Waits};

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
    /// Also with so many Mbit/s for all hosts together, and builds that are alike
    #[arg(long)]
    uplink: Option<u32>,
    /// Also with one host that takes long
    #[arg(long)]
    straggler: bool,
    /// Also with a service that takes a while until it is ready, and has to stay so: against that time alone
    #[arg(long)]
    waits: bool,
    /// The program that is measured
    #[arg(long, default_value = "target/release/rollctl")]
    rollctl: PathBuf,
    /// A Python environment with ansible-core and pyinfra
    #[arg(long, default_value = "target/bench/peers")]
    peers: PathBuf,
}

/// Runs it all.
pub(crate) fn run(options: &Options) -> anyhow::Result<Figures> {
    let fleet = stage::boot(options.hosts, base_for(&options.tools))?;
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
    for job in bench.jobs() {
        let measured = bench.run(&tools, &job)?;
        figures.add(&job.name, &measured);
    }
    if options.waits
        && let Some(own) = tools.iter().find(|ready| ready.tool == Tool::Rollctl)
    {
        let waits = waits::run(&fleet, own, options.batch, options.runs, bench.folder)?;
        let (name, least) = (Waits::name(), "restart, ready and min_ready alone");
        figures.add(&name, &[("rollctl", waits.rollctl), (least, waits.floor)]);
        let (name, least) = (format!("{name}: one instance down"), "systemctl restart");
        figures.add(
            &name,
            &[("rollctl", waits.down), (least, waits.restart_down)],
        );
    }
    drop(fleet);
    Ok(figures)
}

/// What the hosts need to have.
fn base_for(tools: &[Tool]) -> Base {
    match tools
        .iter()
        .all(|tool| matches!(tool, Tool::Rollctl | Tool::Scp))
    {
        true => Base::Full,
        false => Base::Peers,
    }
}

/// A release that every tool does.
struct Job {
    name: String,
    /// How its versions begin.
    prefix: String,
    megabytes: usize,
    /// How much of a build differs from the one before, 0.0 to 1.0.
    differs: f64,
    /// What all hosts together are reached with, in Mbit/s.
    uplink: Option<u32>,
    /// Whether one host takes so long until it is ready.
    straggles: bool,
    /// Who takes part, of those that were asked for.
    tools: &'static [Tool],
}

/// How long the straggler takes.
const STRAGGLER: &str = "5s";
/// What all builds share.
const SERIES: u64 = 7;
const USUAL: &[Tool] = &[
    Tool::Rollctl,
    Tool::Scp,
    Tool::Rsync,
    Tool::Pyinfra,
    Tool::Ansible,
];

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

    fn jobs(&self) -> Vec<Job> {
        let plain = |megabytes: &usize| Job {
            name: format!("{megabytes} MB"),
            prefix: format!("v{megabytes}"),
            megabytes: *megabytes,
            differs: 1.0,
            uplink: None,
            straggles: false,
            tools: USUAL,
        };
        let mut jobs: Vec<_> = self.options.sizes.iter().map(plain).collect();
        if let Some(uplink) = self.options.uplink {
            jobs.push(Job {
                name: format!("20 MB, 95 % alike, {uplink} Mbit/s"),
                prefix: "u20".to_owned(),
                differs: 0.05,
                uplink: Some(uplink),
                tools: &[Tool::Rollctl, Tool::Scp, Tool::RsyncDelta],
                ..plain(&20)
            });
        }
        if self.options.straggler {
            jobs.push(Job {
                name: format!("1 MB, one host ready after {STRAGGLER}"),
                prefix: "s1".to_owned(),
                straggles: true,
                tools: &[Tool::Rollctl, Tool::Ansible],
                ..plain(&1)
            });
        }
        jobs
    }

    /// Every tool, `runs` times in turn, with new content each time; and the floor.
    fn run(&self, tools: &[Ready], job: &Job) -> anyhow::Result<Vec<(&'static str, Vec<f64>)>> {
        let tools: Vec<_> = tools
            .iter()
            .filter(|ready| job.tools.contains(&ready.tool))
            .collect();
        let mut measured: Vec<_> = tools
            .iter()
            .map(|ready| (ready.tool.name(), Vec::new()))
            .collect();
        let mut floor = Vec::new();
        if job.straggles {
            let straggler = std::slice::from_ref(self.fleet.host(self.fleet.hosts().len() / 2));
            tools
                .iter()
                .try_for_each(|ready| stage::slow_down(straggler, ready.tool, STRAGGLER))?;
        }
        if job.uplink.is_some() {
            self.fleet.uplink_rate(job.uplink)?;
        }
        // Nobody's first release counts: rollctl adopts what ran before.
        for run in 0..=self.options.runs {
            for (ready, (_, seconds)) in tools.iter().zip(&mut measured) {
                let took = self.release(ready, job, run)?;
                eprintln!("{}, run {run}: {} {took:.2} s", job.name, ready.tool.name());
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
        if job.uplink.is_some() {
            self.fleet.uplink_rate(None)?;
        }
        Ok(measured)
    }

    fn release(&self, ready: &Ready, job: &Job, run: usize) -> anyhow::Result<f64> {
        let version = format!("{}-{run}", job.prefix);
        let artifact = self.folder.join("build");
        let bytes = job.megabytes * 1_000_000;
        fs::write(&artifact, build(&version, bytes, SERIES, job.differs))?;
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
