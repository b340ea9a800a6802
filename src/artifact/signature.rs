//! Whose build an artifact is: the signature beside it, as `ssh-keygen -Y sign -n rollctl` writes it.
//!
//! `ssh-keygen` itself verifies it, so that patterns, namespaces, validity, certificates and revoked keys mean here exactly
//! what they mean there. It is asked in two steps, as git does: who may the key belong to, then whether the signature is
//! that person's. What was verified is known by its SHA-256, and only those bytes are taken for the revision.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::hashing::Hashing;
use super::revoked::{is_revoked, scratch};
use super::ssh_keygen::{Answer, ask};
use super::sshsig::Claims;
use super::trust_error::{TrustError, failed};
use crate::core::fleet::{Service, Trust};
use crate::core::revision::Signer;
use crate::core::source::{ArtifactPlace, ArtifactSource};

/// What signatures are made for: one for something else does not count here.
pub(super) const NAMESPACE: &str = "rollctl";

/// Signatures are less than a tenth of this.
const LARGEST: u64 = 64 << 10;

/// A good signature.
pub(super) struct Verified {
    pub(super) signer: Signer,
    /// Of the file that was signed.
    pub(super) sha256: String,
}

/// Verifies the signature beside an artifact, which messages call `name`. Blocks: it reads the whole file.
pub(super) fn verify(trust: &Trust, artifact: &Path, name: &Path) -> Result<Verified, TrustError> {
    if artifact.is_dir() {
        return Err(TrustError::Folder {
            artifact: name.to_owned(),
        });
    }
    let signed = Signed::read(artifact, name)?;
    let fingerprint = signed.fingerprint()?;
    let mut refused = None;
    for principal in signed.principals(trust, &fingerprint)? {
        let (answer, sha256) = signed.verify_as(trust, &principal)?;
        if answer.is_yes && answer.stdout.contains(&fingerprint) {
            return Ok(Verified {
                signer: Signer {
                    principal,
                    fingerprint,
                    key: signed.claims.key,
                },
                sha256,
            });
        }
        let complaint = match answer.complaint.as_str() {
            // ssh-keygen has no word for it.
            "" => signed.revoked(trust)?,
            complaint => complaint.to_owned(),
        };
        let why = signed.refused(trust, Some(&principal), &fingerprint, &complaint);
        refused.get_or_insert(why);
    }
    Err(refused.unwrap_or_else(|| signed.refused(trust, None, &fingerprint, "")))
}

/// What would be refused of what the inventory says to release, as far as it is there now: for `rollctl check`. Blocks.
pub fn distrusted(service: &Service) -> Vec<TrustError> {
    let Some(trust) = &service.trust else {
        return Vec::new();
    };
    // What is named by URL is read only by a release.
    let places = service.artifact.iter().flat_map(ArtifactSource::places);
    let paths = places.filter_map(|place| match place {
        ArtifactPlace::Path(path) => Some(path),
        ArtifactPlace::Url(_) => None,
    });
    let there = paths.filter(|path| path.exists());
    let mut refused: Vec<_> = there
        .filter_map(|path| verify(trust, path, path).err())
        .collect();
    if refused.is_empty() {
        // Without an artifact nothing has asked for it yet.
        let version = ask(
            &["-l".as_ref(), "-f".as_ref(), "-".as_ref()],
            &mut io::empty(),
        );
        let of = format!("any artifact of `{}`", service.name);
        refused.extend(
            version
                .err()
                .map(|error| failed(&of, "`ssh-keygen`".to_owned(), error)),
        );
    }
    refused
}

/// An artifact with the signature that lies beside it.
struct Signed<'a> {
    artifact: &'a Path,
    /// What messages call it.
    name: &'a Path,
    claims: Claims,
    /// Holds the signature as it was read, so that every question is about the same one.
    scratch: TempDir,
}

impl<'a> Signed<'a> {
    fn read(artifact: &'a Path, name: &'a Path) -> Result<Self, TrustError> {
        let path = beside(name);
        let doing = || format!("reading `{}`", path.display());
        let mut text = String::new();
        match File::open(beside(artifact)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(TrustError::Unsigned {
                    artifact: name.to_owned(),
                    signature: path,
                });
            }
            other => other
                .and_then(|file| file.take(LARGEST).read_to_string(&mut text))
                .map_err(|error| failed(&shown(name), doing(), error))?,
        };
        let claims = Claims::read(&text).ok_or_else(|| TrustError::Refused {
            artifact: name.to_owned(),
            signed: String::new(),
            reason: format!("`{}` is not a whole signature", path.display()),
        })?;
        let scratch = scratch(&shown(name))?;
        let signed = Self {
            artifact,
            name,
            claims,
            scratch,
        };
        signed.keep("signature", &text)?;
        Ok(signed)
    }

    fn keep(&self, name: &str, text: &str) -> Result<PathBuf, TrustError> {
        let path = self.scratch.path().join(name);
        fs::write(&path, text).map_err(|error| {
            failed(
                &shown(self.name),
                format!("writing `{}`", path.display()),
                error,
            )
        })?;
        Ok(path)
    }

    fn ask(&self, words: &[&OsStr], input: &mut dyn Read) -> Result<Answer, TrustError> {
        ask(words, input)
            .map_err(|error| failed(&shown(self.name), "`ssh-keygen`".to_owned(), error))
    }

    fn fingerprint(&self) -> Result<String, TrustError> {
        let words = ["-l", "-f", "-"].map(OsStr::new);
        let answer = self.ask(&words, &mut self.claims.key.as_bytes())?;
        let fingerprint = answer.stdout.split_whitespace().nth(1);
        fingerprint
            .filter(|_| answer.is_yes)
            .map(str::to_owned)
            .ok_or_else(|| TrustError::Refused {
                artifact: self.name.to_owned(),
                signed: String::new(),
                reason: format!(
                    "the key of its signature cannot be read: {}",
                    answer.complaint
                ),
            })
    }

    /// Whose key it may be; at least one.
    fn principals(&self, trust: &Trust, fingerprint: &str) -> Result<Vec<String>, TrustError> {
        let signature = self.scratch.path().join("signature");
        let words = [
            "-Y".as_ref(),
            "find-principals".as_ref(),
            "-s".as_ref(),
            signature.as_os_str(),
            "-f".as_ref(),
            trust.allowed_signers.as_os_str(),
        ];
        let answer = self.ask(&words, &mut io::empty())?;
        // A pattern is an identity that it matches; what it excludes is none.
        let principals = answer.stdout.lines().map(str::trim);
        let principals: Vec<_> = principals
            .filter(|one| answer.is_yes && !one.is_empty() && !one.starts_with('!'))
            .map(str::to_owned)
            .collect();
        if !principals.is_empty() {
            return Ok(principals);
        }
        let complaint = answer.complaint.replace("No principal matched.", "");
        let principal = owner(&trust.allowed_signers, &complaint);
        Err(self.refused(trust, principal.as_deref(), fingerprint, &complaint))
    }

    /// Whether it is that person's signature, and of which bytes.
    fn verify_as(&self, trust: &Trust, principal: &str) -> Result<(Answer, String), TrustError> {
        let signature = self.scratch.path().join("signature");
        let mut words: Vec<&OsStr> = vec![
            "-Y".as_ref(),
            "verify".as_ref(),
            "-n".as_ref(),
            NAMESPACE.as_ref(),
            "-I".as_ref(),
            principal.as_ref(),
            "-s".as_ref(),
            signature.as_os_str(),
            "-f".as_ref(),
            trust.allowed_signers.as_os_str(),
        ];
        if let Some(revoked) = &trust.revoked_keys {
            words.extend(["-r".as_ref(), revoked.as_os_str()]);
        }
        let file = File::open(self.artifact)
            .map_err(|error| failed(&shown(self.name), "reading it".to_owned(), error))?;
        let mut reader = Hashing::new(file);
        let answer = self.ask(&words, &mut reader)?;
        let (_, sha256, _) = reader.finish();
        Ok((answer, sha256))
    }

    /// A complaint when its key is revoked.
    fn revoked(&self, trust: &Trust) -> Result<String, TrustError> {
        let Some(revoked) = &trust.revoked_keys else {
            return Ok(String::new());
        };
        let is_revoked =
            is_revoked(revoked, &self.claims.key, self.scratch.path()).map_err(|error| {
                failed(&shown(self.name), format!("`{}`", revoked.display()), error)
            })?;
        Ok(match is_revoked {
            true => format!("that key is revoked in `{}`", revoked.display()),
            false => String::new(),
        })
    }

    fn refused(
        &self,
        trust: &Trust,
        principal: Option<&str>,
        fingerprint: &str,
        complaint: &str,
    ) -> TrustError {
        let by = match principal {
            Some(principal) => format!("`{principal}` ({fingerprint})"),
            None => format!("the key {fingerprint}"),
        };
        let namespace = &self.claims.namespace;
        let reason = if namespace != NAMESPACE {
            format!(
                "its signature is for `{}`, not for `{NAMESPACE}`",
                namespace.escape_debug()
            )
        } else if complaint.contains("incorrect signature") {
            "it is not the file that was signed".to_owned()
        } else if !complaint.is_empty() {
            complaint.to_owned()
        } else if principal.is_none() {
            format!("which is not in `{}`", trust.allowed_signers.display())
        } else {
            "ssh-keygen does not accept the signature".to_owned()
        };
        TrustError::Refused {
            artifact: self.name.to_owned(),
            signed: format!("signed by {by}: "),
            reason,
        }
    }
}

/// Who owns the key of that line of `allowed_signers`: a complaint begins with its file and number.
fn owner(allowed_signers: &Path, complaint: &str) -> Option<String> {
    let place = complaint.strip_prefix(&format!("{}:", allowed_signers.display()))?;
    let number: usize = place.split(':').next()?.parse().ok()?;
    let text = fs::read_to_string(allowed_signers).ok()?;
    let line = text.lines().nth(number.checked_sub(1)?)?;
    line.split_whitespace().next().map(str::to_owned)
}

/// Where the signature of that file lies.
pub(super) fn beside(artifact: &Path) -> PathBuf {
    let mut path = artifact.as_os_str().to_owned();
    path.push(".sig");
    PathBuf::from(path)
}

fn shown(artifact: &Path) -> String {
    format!("`{}`", artifact.display())
}
