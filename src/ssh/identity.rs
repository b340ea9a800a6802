//! Collects the keys to try for one login, in ssh's order.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::{Certificate, PrivateKey, PublicKey};

use super::agent::Agent;
use super::error::{Outcome, Problem, TriedKey};
use super::known_hosts::fingerprint;
use super::target::Resolved;

/// One thing to offer to the server.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) origin: String,
    pub(crate) public: PublicKey,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) secret: Secret,
}

/// Who signs.
pub(crate) enum Secret {
    /// A key read from a file.
    File(Arc<PrivateKey>),
    /// The agent, with this identity.
    Agent(Box<AgentIdentity>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Agent(_) => "Agent",
        })
    }
}

/// The keys to offer, and those that cannot be, with the reason.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    pub(crate) offer: Vec<Candidate>,
    pub(crate) skipped: Vec<TriedKey>,
}

/// A key file as far as it can be used.
enum KeyFile {
    Private(Arc<PrivateKey>),
    /// Encrypted, or only the public half is here: an agent may still hold it.
    PublicOnly {
        key: Option<PublicKey>,
        is_encrypted: bool,
    },
}

type Unreadable = Box<dyn std::error::Error + Send + Sync>;

/// Collects them: the explicit identity, the agent's keys, the other files; certificates before their bare keys.
pub(crate) fn collect(resolved: &Resolved, agent: Option<&Agent>) -> Result<Candidates, Problem> {
    let mut found = Candidates::default();
    let certificates = certificates(resolved, &mut found.skipped);
    if let Some(path) = &resolved.identity {
        let file = read_key(path).map_err(|source| Problem::KeyUnreadable {
            path: path.clone(),
            source,
        })?;
        found.add_file(path, file, agent, &certificates);
    }
    let mut files = Vec::new();
    for path in resolved
        .identity_files
        .iter()
        .filter(|path| Some(*path) != resolved.identity.as_ref())
    {
        match read_key(path) {
            Ok(file) => files.push((path, file)),
            Err(error) if is_missing(&error) => {}
            Err(error) => found.skip(
                path.display().to_string(),
                None,
                Outcome::Skipped(error.to_string()),
            ),
        }
    }
    if let Some(agent) = agent {
        let listed: Vec<PublicKey> = files.iter().filter_map(|(_, file)| file.public()).collect();
        for identity in &agent.identities {
            let public = identity.public_key().into_owned();
            let is_listed = listed.iter().any(|key| key.key_data() == public.key_data());
            if !resolved.identities_only || is_listed {
                found.add_agent(identity, public, &certificates);
            }
        }
    }
    for (path, file) in files {
        found.add_file(path, file, agent, &certificates);
    }
    Ok(found)
}

impl KeyFile {
    fn public(&self) -> Option<PublicKey> {
        match self {
            Self::Private(key) => Some(key.public_key().clone()),
            Self::PublicOnly { key, .. } => key.clone(),
        }
    }
}

impl Candidates {
    fn skip(&mut self, origin: String, fingerprint: Option<String>, outcome: Outcome) {
        self.skipped.push(TriedKey {
            origin,
            fingerprint,
            outcome,
        });
    }

    fn has(&self, public: &PublicKey, certificate: Option<&Certificate>) -> bool {
        self.offer.iter().any(|known| {
            known.public.key_data() == public.key_data()
                && known.certificate.as_ref() == certificate
        })
    }

    fn push(&mut self, candidate: Candidate) {
        if !self.has(&candidate.public, candidate.certificate.as_ref()) {
            self.offer.push(candidate);
        }
    }

    fn add_agent(
        &mut self,
        identity: &AgentIdentity,
        public: PublicKey,
        certificates: &[(PathBuf, Certificate)],
    ) {
        let origin = format!("agent: {}", super::client::printable(identity.comment()));
        match identity {
            AgentIdentity::Certificate { certificate, .. } => self.push(Candidate {
                origin,
                public,
                certificate: Some(certificate.clone()),
                secret: Secret::Agent(Box::new(identity.clone())),
            }),
            AgentIdentity::PublicKey { .. } => {
                for (path, certificate) in of_key(certificates, &public) {
                    self.push(Candidate {
                        origin: format!("{} ({origin})", path.display()),
                        public: public.clone(),
                        certificate: Some(certificate.clone()),
                        secret: Secret::Agent(Box::new(identity.clone())),
                    });
                }
                self.push(Candidate {
                    origin,
                    public,
                    certificate: None,
                    secret: Secret::Agent(Box::new(identity.clone())),
                });
            }
        }
    }

    fn add_file(
        &mut self,
        path: &Path,
        file: KeyFile,
        agent: Option<&Agent>,
        certificates: &[(PathBuf, Certificate)],
    ) {
        let origin = path.display().to_string();
        match file {
            KeyFile::Private(key) => {
                let public = key.public_key().clone();
                for (path, certificate) in of_key(certificates, &public) {
                    self.push(Candidate {
                        origin: path.display().to_string(),
                        public: public.clone(),
                        certificate: Some(certificate.clone()),
                        secret: Secret::File(Arc::clone(&key)),
                    });
                }
                self.push(Candidate {
                    origin,
                    public,
                    certificate: None,
                    secret: Secret::File(key),
                });
            }
            KeyFile::PublicOnly { key, is_encrypted } => {
                if let (Some(key), Some(agent)) = (&key, agent)
                    && agent.holds(key)
                {
                    let identity = AgentIdentity::PublicKey {
                        key: key.clone(),
                        comment: origin,
                    };
                    return self.add_agent(&identity, key.clone(), certificates);
                }
                let outcome = if is_encrypted {
                    Outcome::Encrypted
                } else {
                    Outcome::Skipped("a public key, and no agent holds the private one".to_owned())
                };
                self.skip(origin, key.as_ref().map(fingerprint), outcome);
            }
        }
    }
}

/// `CertificateFile`s, and `KEY-cert.pub` beside every key.
fn certificates(resolved: &Resolved, skipped: &mut Vec<TriedKey>) -> Vec<(PathBuf, Certificate)> {
    let beside = resolved
        .identity
        .iter()
        .chain(&resolved.identity_files)
        .map(|key| {
            let mut path = key.clone().into_os_string();
            path.push("-cert.pub");
            PathBuf::from(path)
        });
    let mut found: Vec<(PathBuf, Certificate)> = Vec::new();
    for path in resolved.certificate_files.iter().cloned().chain(beside) {
        if found.iter().any(|(known, _)| *known == path) {
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => match Certificate::from_openssh(text.trim()) {
                Ok(certificate) => found.push((path, certificate)),
                Err(error) => skipped.push(TriedKey {
                    origin: path.display().to_string(),
                    fingerprint: None,
                    outcome: Outcome::Skipped(error.to_string()),
                }),
            },
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "certificate is not read")
            }
        }
    }
    found
}

fn of_key<'a>(
    certificates: &'a [(PathBuf, Certificate)],
    key: &'a PublicKey,
) -> impl Iterator<Item = &'a (PathBuf, Certificate)> {
    certificates
        .iter()
        .filter(|(_, certificate)| certificate.public_key() == key.key_data())
}

fn is_missing(error: &Unreadable) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| matches!(error.kind(), std::io::ErrorKind::NotFound))
}

/// Whether a key file can be used for a login, by itself or with an agent.
///
/// # Errors
/// Why it cannot.
pub fn check_key(path: &Path) -> Result<(), String> {
    match read_key(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn read_key(path: &Path) -> Result<KeyFile, Unreadable> {
    let text = std::fs::read_to_string(path)?;
    if !text.contains("PRIVATE KEY") && !text.starts_with("PuTTY-User-Key-File-") {
        let key = PublicKey::from_openssh(text.trim())
            .map_err(|_| "neither a private nor a public key")?;
        return Ok(KeyFile::PublicOnly {
            key: Some(key),
            is_encrypted: false,
        });
    }
    refuse_open_permissions(path)?;
    match russh::keys::decode_secret_key(&text, None) {
        Ok(key) => Ok(KeyFile::Private(Arc::new(key))),
        Err(russh::keys::Error::KeyIsEncrypted) => Ok(encrypted(path, &text)),
        Err(_) if text.contains("ENCRYPTED") => Ok(encrypted(path, &text)),
        Err(error) => Err(error.into()),
    }
}

/// As ssh: a key of one's own that others can read is not used.
fn refuse_open_permissions(path: &Path) -> Result<(), Unreadable> {
    let metadata = std::fs::metadata(path)?;
    let mode = metadata.mode() & 0o777;
    if metadata.uid() == rustix::process::getuid().as_raw() && mode & 0o077 != 0 {
        return Err(format!("permissions {mode:04o} are too open, `chmod 600` it").into());
    }
    Ok(())
}

/// The public half is in the OpenSSH container itself; for older formats beside it.
fn encrypted(path: &Path, text: &str) -> KeyFile {
    let inside = PrivateKey::from_openssh(text)
        .ok()
        .map(|key| key.public_key().clone());
    let key = inside.or_else(|| {
        let mut beside = path.to_owned().into_os_string();
        beside.push(".pub");
        let text = std::fs::read_to_string(PathBuf::from(beside)).ok()?;
        PublicKey::from_openssh(text.trim()).ok()
    });
    KeyFile::PublicOnly {
        key,
        is_encrypted: true,
    }
}
