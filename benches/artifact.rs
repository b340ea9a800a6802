//! What reading, packing and comparing two builds takes, against hashing the bytes alone, and how large a delta is:
//! `cargo bench --bench artifact -- OLD NEW`. Without builds it makes two of 20 MB that are 95 % alike.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it measured, and a mistake in it is a panic"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollctl::artifact::{Fetched, FileStore, delta, read};
use rollctl::core::fleet::Service;
use rollctl::core::revision::Architecture;
use rollctl::core::source::ArtifactSource;
use rollctl::inventory::load;
use rollctl::ports::{Artifacts as _, Package};
use sha2::{Digest as _, Sha256};

#[path = "scene/clock.rs"]
mod clock;
use clock::{clock, is_bench, median, rounds};

const INVENTORY: &str = r#"
fleet = "bench"
[hosts.a]
[services.web]
hosts = "*"
unit = "web.service"
install_dir = "/opt/web"
[services.web.health]
unit = true
"#;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let builds: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .map(PathBuf::from)
        .collect();
    let (old, new) = match &builds[..] {
        [old, new] => (old.clone(), new.clone()),
        _ => made(folder.path()),
    };
    let bytes = fs::read(&new).unwrap();
    let service = service(folder.path());
    let hash = time(|| Sha256::digest(&bytes));
    row("hashing it alone", hash, hash);
    row("reading it", time(|| content(&service, &new)), hash);
    let mut folders = 0;
    let packing = time(|| {
        folders += 1;
        kept(&service, &new, &folder.path().join(format!("s{folders}")))
    });
    row("reading and packing it", packing, hash);
    let (old, new) = (
        kept(&service, &old, &folder.path().join("old")),
        kept(&service, &new, &folder.path().join("new")),
    );
    let made = || {
        delta(&old.path, &new.path, new.unpacked_size)
            .unwrap()
            .unwrap()
    };
    row("the delta", time(made), hash);
    let size = made().as_file().metadata().unwrap().len();
    println!(
        "{} bytes, packed {}, as a delta {size}: {:.0} % of the package",
        bytes.len(),
        new.size,
        as_f64(size) * 100.0 / as_f64(new.size)
    );
}

fn row(what: &str, took: Duration, unit: Duration) {
    let ratio = took.as_secs_f64() / unit.as_secs_f64();
    println!(
        "{what:>24} {:>9.1} ms {ratio:>6.2} times hashing",
        took.as_secs_f64() * 1e3
    );
}

fn time<T>(mut work: impl FnMut() -> T) -> Duration {
    let round = |_| {
        let begun = clock();
        std::hint::black_box(work());
        begun.elapsed()
    };
    median((0..rounds(5)).map(round).collect())
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

fn service(folder: &Path) -> Service {
    let path = folder.join("bench.toml");
    fs::write(&path, INVENTORY).unwrap();
    load(&path)
        .unwrap()
        .fleet
        .services
        .into_iter()
        .next()
        .unwrap()
}

fn content(service: &Service, build: &Path) -> rollctl::artifact::RevisionContent {
    let source = ArtifactSource::Any(build.to_path_buf().into());
    read(service, Some(&source), &Fetched::default(), &|_| None).unwrap()
}

/// The build as a store keeps it.
fn kept(service: &Service, build: &Path, folder: &Path) -> std::sync::Arc<Package> {
    let store = FileStore::new(folder);
    let digest = store.put(&content(service, build)).unwrap();
    let any = Architecture("any".to_owned());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let package = runtime.block_on(store.package(&digest, &any));
    package.unwrap().unwrap()
}

/// Two builds of 20 MB; every twentieth piece of 4 KiB differs.
fn made(folder: &Path) -> (PathBuf, PathBuf) {
    let mut state = 7_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
        }
        bytes
    };
    let mut old = b"#!/bin/sh\n".to_vec();
    old.extend(noise(if is_bench() { 20_000_000 } else { 1_000_000 }));
    let mut new = old.clone();
    for piece in new.chunks_mut(4096).skip(1).step_by(20) {
        piece.copy_from_slice(noise(4096).get(..piece.len()).unwrap_or_default());
    }
    let paths = (folder.join("a"), folder.join("b"));
    for (path, build) in [(&paths.0, &old), (&paths.1, &new)] {
        fs::write(path, build).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path, mode).unwrap();
    }
    paths
}
