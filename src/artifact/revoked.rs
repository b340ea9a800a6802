//! Keys that are not trusted any more.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::ssh_keygen::{Answer, ask};
use super::trust_error::{TrustError, failed};
use crate::core::fleet::Trust;
use crate::core::revision::Signer;

/// The first bytes of a KRL (OpenSSH's `PROTOCOL.krl`); what begins otherwise is a list of public keys.
const KRL: &[u8] = b"SSHKRL\n\0";

/// Refuses a revision of the ledger whose signer's key was revoked since. Blocks.
///
/// # Errors
/// [`TrustError::Revoked`], or why nobody knows.
pub fn refuse_revoked(trust: &Trust, revision: &str, signers: &[Signer]) -> Result<(), TrustError> {
    let Some(revoked_keys) = &trust.revoked_keys else {
        return Ok(());
    };
    let of = format!("`{revision}`");
    let scratch = scratch(&of)?;
    for signer in signers {
        let is_revoked =
            is_revoked(revoked_keys, &signer.key, scratch.path()).map_err(|error| {
                let doing = format!("`{}`", revoked_keys.display());
                failed(&of, doing, error)
            })?;
        if is_revoked {
            return Err(TrustError::Revoked {
                signer: Box::new(signer.clone()),
                revision: revision.to_owned(),
                revoked_keys: revoked_keys.clone(),
            });
        }
    }
    Ok(())
}

/// Asks a KRL for a key. A list of public keys is made one before: ssh-keygen has no question for it.
pub(super) fn is_revoked(revoked_keys: &Path, key: &str, scratch: &Path) -> io::Result<bool> {
    let said = |answer: Answer| io::Error::other(answer.complaint);
    let mut krl = revoked_keys.to_owned();
    if !fs::read(revoked_keys)?.starts_with(KRL) {
        krl = scratch.join("krl");
        let words = ["-q", "-k", "-f"].map(OsStr::new);
        let words = [&words[..], &[krl.as_os_str(), revoked_keys.as_os_str()]].concat();
        let answer = ask(&words, &mut io::empty())?;
        if !answer.is_yes {
            return Err(said(answer));
        }
    }
    let file = scratch.join("key.pub");
    fs::write(&file, key)?;
    let words: [&OsStr; 4] = [
        "-Q".as_ref(),
        "-f".as_ref(),
        krl.as_os_str(),
        file.as_os_str(),
    ];
    let answer = ask(&words, &mut io::empty())?;
    let verdict = answer.stdout.trim_end();
    match (verdict.ends_with(": REVOKED"), verdict.ends_with(": ok")) {
        (true, _) => Ok(true),
        (_, true) if answer.is_yes => Ok(false),
        _ => Err(said(answer)),
    }
}

/// A folder for what ssh-keygen wants to have as a file.
pub(super) fn scratch(of: &str) -> Result<TempDir, TrustError> {
    let made = tempfile::Builder::new().prefix("rollctl-").tempdir();
    made.map_err(|error| failed(of, "making a temporary folder".to_owned(), error))
}
