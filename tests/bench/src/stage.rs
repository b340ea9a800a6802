//! The hosts of a bench, the service on them before anybody releases, and how one is looked at from outside.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rollctl_fleet::{Base, Fleet, FleetOptions, Host};

use crate::tool::Tool;

/// Boots the hosts.
pub(crate) fn boot(hosts: usize, base: Base) -> anyhow::Result<Fleet> {
    if let Some(reason) = Fleet::unavailable() {
        bail!("this machine cannot run real hosts: {reason}");
    }
    Ok(Fleet::boot(FleetOptions::hosts(hosts, base).prefix("web"))?)
}

/// Puts the service of a tool on every host, running `first`.
pub(crate) fn install(fleet: &Fleet, tool: Tool, unit: &str, first: &[u8]) -> anyhow::Result<()> {
    let (dir, name) = (tool.dir(), tool.unit());
    for host in fleet.hosts() {
        host.sh(&format!("mkdir -p {dir}/revisions/v0"))?;
        host.write_file(&format!("{dir}/revisions/v0/web"), first, 0o755)?;
        host.write_file(
            &format!("/etc/systemd/system/{name}"),
            unit.as_bytes(),
            0o644,
        )?;
        host.sh(&format!(
            "ln -sfn {dir}/revisions/v0 {dir}/current && systemctl daemon-reload && systemctl enable --now {name}"
        ))?;
    }
    Ok(())
}

/// Fails unless each host answers as `version`.
pub(crate) fn all_answer(fleet: &Fleet, tool: Tool, version: &str) -> anyhow::Result<()> {
    for host in fleet.hosts() {
        let answer = get(host.address(), tool.port(), "/version")
            .with_context(|| format!("{} of {} does not answer", host.name(), tool.name()))?;
        if !answer.contains(&format!("\"{version}\"")) {
            bail!(
                "{} after {}: not {version}: {answer}",
                host.name(),
                tool.name()
            );
        }
    }
    Ok(())
}

fn get(address: Ipv4Addr, port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// What a batch of these hosts takes for nothing but a restart until it is ready: the floor of any rolling release.
pub(crate) fn restart(hosts: &[Host], tool: Tool) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let all: Vec<_> = hosts
            .iter()
            .map(|host| scope.spawn(move || restart_one(host, tool)))
            .collect();
        all.into_iter()
            .try_for_each(|one| one.join().unwrap_or_else(|_| bail!("a thread died")))
    })?;
    Ok(begun.elapsed())
}

fn restart_one(host: &Host, tool: Tool) -> anyhow::Result<()> {
    host.sh(&format!("systemctl restart {}", tool.unit()))?;
    let begun = Instant::now();
    while !is_ready(host.address(), tool.port()) {
        if begun.elapsed() > Duration::from_secs(30) {
            bail!("{} does not come up", host.name());
        }
    }
    Ok(())
}

/// Whether a service says that it is ready.
pub(crate) fn is_ready(address: Ipv4Addr, port: u16) -> bool {
    get(address, port, "/healthz").is_ok_and(|text| text.contains(" 200 "))
}

/// Lets the service take so long on these hosts until it is ready, from its next start.
pub(crate) fn slow_down(hosts: &[Host], tool: Tool, delay: &str) -> anyhow::Result<()> {
    let drop_in = format!("/etc/systemd/system/{}.d/90-slow.conf", tool.unit());
    let text = format!("[Service]\nEnvironment=DEMO_READY_DELAY={delay}\n");
    for host in hosts {
        host.sh(&format!("mkdir -p $(dirname {drop_in})"))?;
        host.write_file(&drop_in, text.as_bytes(), 0o644)?;
        host.sh("systemctl daemon-reload")?;
    }
    Ok(())
}

/// Frees the room that the revisions of a run take.
pub(crate) fn tidy(fleet: &Fleet, tool: Tool, keep: &str) -> anyhow::Result<()> {
    if tool == Tool::Rollctl {
        return Ok(());
    }
    let folder = Path::new(&tool.dir()).join("revisions");
    for host in fleet.hosts() {
        host.sh(&format!(
            "cd {} && for one in *; do [ $one = {keep} ] || rm -rf $one; done",
            folder.display()
        ))?;
    }
    Ok(())
}
