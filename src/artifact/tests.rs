//! Reading, packing and keeping, together.

mod desk;
mod fetching;
mod hostile;
mod reading;
mod revoking;
mod server;
mod signed_urls;
mod signing;
mod storing;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::core::budget::Quantity;
use crate::core::fleet::{HealthCheck, OnFailure, Probe, Scope, Service, Strategy, Through};
use crate::core::ids::{ServiceName, UnitName};
use crate::core::source::ArtifactSource;

use super::{ArtifactReadError, Fetched, RevisionContent, read};

/// A service `web` with nothing but a name.
pub(super) fn service() -> Service {
    Service {
        name: ServiceName::new("web"),
        hosts: Vec::new(),
        spare_hosts: Vec::new(),
        out_of_service: Vec::new(),
        units: vec![UnitName::new("web.service")],
        scope: Scope::System,
        socket: None,
        unit_files: BTreeMap::new(),
        install_dir: "/opt/web".into(),
        binary: "web".into(),
        link: None,
        artifact: None,
        environment: BTreeMap::new(),
        files: BTreeMap::new(),
        port: None,
        ports: None,
        revision_history_limit: 10,
        strategy: Strategy {
            max_surge: Quantity::Count(0),
            max_unavailable: Quantity::Count(1),
            min_ready: Duration::ZERO,
            progress_deadline: Duration::ZERO,
            max_failures: 0,
            on_failure: OnFailure::Rollback,
            steps: Vec::new(),
            order: BTreeMap::new(),
            domains: Vec::new(),
        },
        health: HealthCheck {
            probe: Probe::Unit,
            through: Through::Direct,
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            successes: 1,
            deadline: Duration::ZERO,
        },
        traffic: None,
        hooks: Default::default(),
        trust: None,
        channel: Default::default(),
        window: None,
    }
}

fn no_environment(_: &str) -> Option<OsString> {
    None
}

fn read_source(
    service: &Service,
    source: &ArtifactSource,
) -> Result<RevisionContent, ArtifactReadError> {
    read(service, Some(source), &Fetched::default(), &no_environment)
}

fn read_path(service: &Service, path: &Path) -> Result<RevisionContent, ArtifactReadError> {
    read_source(service, &ArtifactSource::Any(path.to_owned().into()))
}

/// A 64-bit ELF header for a machine, followed by nothing.
fn elf(machine: u16) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend(3u16.to_le_bytes());
    bytes.extend(machine.to_le_bytes());
    bytes.resize(64, 0);
    bytes
}
const X86_64: u16 = 0x3e;
const AARCH64: u16 = 0xb7;

/// One entry of a tar archive, written byte by byte so that it can be as wrong as wanted.
fn entry(name: &[u8], kind: u8, mode: u32, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
    header[108..116].copy_from_slice(b"0001750\0");
    header[116..124].copy_from_slice(b"0001750\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"14371573021\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar  \0");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn tar_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}
