//! Key pairs in OpenSSH's files.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use std::io::{Read, Write};

/// The key pair at `path`, made if there is none; the public key as a line.
///
/// # Errors
/// If a file cannot be read or written, or holds no key.
pub fn make(path: &Path) -> io::Result<String> {
    let key = match fs::read_to_string(path) {
        Ok(text) => PrivateKey::from_openssh(text).map_err(io::Error::other)?,
        Err(_) => generate(path)?,
    };
    let public = key.public_key().to_openssh().map_err(io::Error::other)?;
    fs::write(path.with_extension("pub"), format!("{public}\n"))?;
    Ok(public)
}

fn generate(path: &Path) -> io::Result<PrivateKey> {
    let mut seed = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    let text = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(key)
}
