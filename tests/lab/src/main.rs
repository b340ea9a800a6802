//! `rollctl-lab up`: a fleet to play with. `rollctl-lab service`: a version of the demo service as a file.
#![expect(clippy::print_stderr, reason = "a command line program")]

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use rollctl_lab::{Behaviour, Lab, LabOptions, demo_service};

const USAGE: &str = "\
usage: rollctl-lab up [--hosts N] [--dir DIR]
         keeps a fleet up until Ctrl-C and prints where its inventory is
       rollctl-lab service --out FILE [--version V] [--ready-delay SECONDS] [--crash-after SECONDS] [--padding BYTES]
         writes a version of the demo service";

fn main() -> ExitCode {
    rollctl_lab::dispatch();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((command, rest)) if command == "up" => up(rest),
        Some((command, rest)) if command == "service" => service(rest),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Pairs of flag and value.
fn flags(arguments: &[String]) -> Result<Vec<(&str, &str)>, String> {
    arguments
        .chunks(2)
        .map(|pair| match pair {
            [flag, value] => Ok((flag.as_str(), value.as_str())),
            _ => Err(format!("`{}` lacks its value\n{USAGE}", pair[0])),
        })
        .collect()
}

fn up(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let mut options = LabOptions::default();
    for (flag, value) in flags(arguments)? {
        match flag {
            "--hosts" => options.hosts = value.parse()?,
            "--dir" => options.folder = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown flag `{flag}`\n{USAGE}").into()),
        }
    }
    let lab = Lab::boot(&options)?;
    let first = lab.hosts().first().map_or("NAME", |host| host.name());
    let told = format!(
        "{} hosts are up\ninventory: {}\nlogin:     ssh -F {} {first}\nCtrl-C ends them\n",
        lab.hosts().len(),
        lab.inventory().display(),
        lab.ssh_config().display(),
    );
    // Whoever closes the pipe has read enough: the fleet stays up.
    let _ = std::io::stdout().write_all(told.as_bytes());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    })?;
    Ok(())
}

fn service(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let mut behaviour = Behaviour::default();
    let (mut version, mut out) = ("v1", None);
    for (flag, value) in flags(arguments)? {
        let seconds = || value.parse().map(Duration::from_secs_f64);
        match flag {
            "--version" => version = value,
            "--out" => out = Some(value),
            "--ready-delay" => behaviour.ready_delay = seconds()?,
            "--crash-after" => behaviour.crash_after = Some(seconds()?),
            "--padding" => behaviour.padding = value.parse()?,
            _ => return Err(format!("unknown flag `{flag}`\n{USAGE}").into()),
        }
    }
    let out = out.ok_or_else(|| format!("`--out` is missing\n{USAGE}"))?;
    fs::write(out, demo_service(version, &behaviour))?;
    fs::set_permissions(out, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
