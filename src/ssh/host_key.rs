//! Decides about the key or certificate that a server shows, and which kinds to ask it for.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::error::Problem;
use super::known_files::KnownFiles;
use super::known_hosts::{KnownHosts, Verdict, fingerprint};
use super::target::Resolved;

/// What one host must prove.
#[derive(Debug, Clone)]
pub(crate) struct HostKeyPolicy {
    known: Arc<KnownHosts>,
    name: String,
    /// `None` for an alias, which is looked up without the port.
    port: Option<u16>,
}

/// Most preferred first; `ssh-rsa` with SHA-1 and DSA are not taken from anybody.
pub(crate) const HOST_KEY_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

impl HostKeyPolicy {
    /// Reads the host's `known_hosts` files.
    pub(crate) fn read(resolved: &Resolved, files: &KnownFiles) -> Result<Self, Problem> {
        let known = files
            .read(&resolved.known_hosts)
            .map_err(|(path, source)| Problem::File { path, source })?;
        Ok(Self {
            known,
            name: resolved.known_as.clone(),
            port: (!resolved.is_alias).then_some(resolved.port),
        })
    }

    /// The kinds to negotiate: those on file first, or a host that has several keys would show one we do not know.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let on_file = self.known.algorithms(&self.name, self.port);
        let is_on_file = |algorithm: &Algorithm| {
            on_file
                .iter()
                .any(|known| known == algorithm || (is_rsa(known) && is_rsa(algorithm)))
        };
        let (mut first, rest): (Vec<Algorithm>, Vec<Algorithm>) =
            HOST_KEY_ALGORITHMS.into_iter().partition(is_on_file);
        first.extend(rest);
        first
    }

    /// The kinds for which a certificate is asked: none, unless some authority may sign for this host.
    pub(crate) fn certificate_algorithms(&self) -> Vec<Algorithm> {
        if self.known.has_authority(&self.name, self.port) {
            HOST_KEY_ALGORITHMS.to_vec()
        } else {
            Vec::new()
        }
    }

    /// Judges what the server has shown; that it holds the key is already proven.
    pub(crate) fn check(&self, shown: &PublicKeyOrCertificate) -> Result<(), Problem> {
        if let Some(certificate) = shown.certificate() {
            let authority = PublicKey::new(certificate.signature_key().clone(), "");
            if let Some((file, line)) = self.known.revoked(&self.name, self.port, &authority) {
                return Err(revoked(&authority, file, line));
            }
            if self.known.is_authority(&self.name, self.port, &authority) {
                let key = shown.public_key();
                if let Some((file, line)) = self.known.revoked(&self.name, self.port, &key) {
                    return Err(revoked(&key, file, line));
                }
                return check_certificate(certificate, &authority, &self.name)
                    .map_err(|reason| Problem::HostCertificateRefused { reason });
            }
            // As ssh: signed by somebody we do not know, so only the key in it counts.
        }
        self.check_key(&shown.public_key())
    }

    fn check_key(&self, key: &PublicKey) -> Result<(), Problem> {
        let algorithm = key.algorithm().to_string();
        match self.known.check(&self.name, self.port, key) {
            Verdict::Known => Ok(()),
            Verdict::Unknown {
                fingerprint,
                known_as,
            } => Err(Problem::HostKeyUnknown {
                algorithm,
                fingerprint,
                known_as,
            }),
            Verdict::Changed {
                fingerprint,
                expected,
                file,
                line,
            } => Err(Problem::HostKeyChanged {
                algorithm,
                fingerprint,
                expected,
                file,
                line,
            }),
            Verdict::Revoked { file, line } => Err(revoked(key, file, line)),
        }
    }
}

/// RSA whatever the hash: the hash belongs to a signature, not to the key on file.
fn is_rsa(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Rsa { .. })
}

fn revoked(key: &PublicKey, file: std::path::PathBuf, line: usize) -> Problem {
    Problem::HostKeyRevoked {
        algorithm: key.algorithm().to_string(),
        fingerprint: fingerprint(key),
        file,
        line,
    }
}

/// Everything about a host certificate except whether its authority is trusted.
fn check_certificate(
    certificate: &Certificate,
    authority: &PublicKey,
    name: &str,
) -> Result<(), String> {
    let id = certificate.key_id();
    if certificate.cert_type() != CertType::Host {
        return Err(format!("certificate `{id}` is not for hosts"));
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a certificate holds or not by this machine's clock"
    )]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|error| error.to_string())?
        .as_secs();
    if now < certificate.valid_after() {
        return Err(format!("certificate `{id}` is not valid yet"));
    }
    if now >= certificate.valid_before() {
        return Err(format!("certificate `{id}` has expired"));
    }
    // A host certificate without principals would stand for every host of the authority.
    let principals = certificate.valid_principals();
    if !principals
        .iter()
        .any(|pattern| super::config_file::glob(&pattern.to_lowercase(), name))
    {
        return Err(format!(
            "certificate `{id}` is for `{}`, not for `{name}`",
            principals.join("`, `")
        ));
    }
    if let Some((option, _)) = certificate.critical_options().iter().next() {
        return Err(format!(
            "certificate `{id}` has the unknown critical option `{option}`"
        ));
    }
    certificate
        .validate_at(now, [&authority.fingerprint(HashAlg::Sha256)])
        .map_err(|_| format!("signature of certificate `{id}` does not hold"))
}
