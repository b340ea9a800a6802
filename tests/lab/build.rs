//! Compiles the demo service and embeds it, so that whoever has the library has the service: no second cargo run, no
//! search for a binary. Also fingerprints the sources, by which a lab notices a host program of another build.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=service");
    println!("cargo::rerun-if-changed=src");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    compile_service(&out.join("demo-service"))?;
    let mut hash = 0xcbf2_9ce4_8422_2325;
    fingerprint(Path::new("src"), &mut hash)?;
    println!("cargo::rustc-env=ROLLCTL_LAB_BUILD={hash:016x}");
    Ok(())
}

/// Small and quick to start, the same in every profile: an artifact's size should not depend on `--release`.
fn compile_service(to: &Path) -> Result<(), Box<dyn Error>> {
    let mut rustc = Command::new(env::var("RUSTC")?);
    rustc.args([
        "--edition=2024",
        "--crate-type=bin",
        "--crate-name=demo_service",
    ]);
    rustc.args([
        "-Copt-level=s",
        "-Cpanic=abort",
        "-Cstrip=symbols",
        "-Clto=thin",
    ]);
    rustc.arg("--target").arg(env::var("TARGET")?);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let status = rustc.arg("-o").arg(to).arg("service/main.rs").status()?;
    if !status.success() {
        return Err("the demo service does not compile".into());
    }
    Ok(())
}

/// FNV-1a over all files, in the order of their names.
fn fingerprint(folder: &Path, hash: &mut u64) -> Result<(), Box<dyn Error>> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        if entry.file_type()?.is_dir() {
            fingerprint(&entry.path(), hash)?;
            continue;
        }
        for byte in fs::read(entry.path())? {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(())
}
