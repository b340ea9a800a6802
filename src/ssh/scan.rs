//! Looks at a host's keys without logging in, for `rollctl trust`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use tokio::time::Instant;

use super::client::HostKeyCheck;
use super::connector::{Connector, Way};
use super::error::{Problem, SshError};
use super::host_key::HOST_KEY_ALGORITHMS;
use super::known_hosts::{KnownHosts, Verdict, fingerprint};
use super::target::Resolved;

/// One key that a host has shown; it has proven that it holds it, and nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// `ssh-ed25519`, ...
    pub algorithm: String,
    /// `SHA256:...`
    pub fingerprint: String,
    /// The key itself, for [`super::append_known_host`].
    pub key: PublicKey,
    /// What `known_hosts` says of it now.
    pub verdict: Verdict,
}

impl Connector {
    /// Fetches the keys of a host, one short connection each, without authenticating. A jump host on the way must be
    /// known already: see [`Resolved::hops`].
    ///
    /// # Errors
    /// When the host cannot be reached, or shows no key of a kind that we take.
    pub async fn scan(&self, resolved: &Resolved) -> Result<Vec<HostKey>, SshError> {
        let fail = |problem| SshError::new(&resolved.host, resolved.endpoint(), problem);
        let known = KnownHosts::read(&resolved.known_hosts)
            .map_err(|(path, source)| fail(Problem::File { path, source }))?;
        let mut found = Vec::new();
        for algorithm in HOST_KEY_ALGORITHMS {
            // One hash shows the RSA key as well as the other.
            if algorithm
                == (Algorithm::Rsa {
                    hash: Some(HashAlg::Sha256),
                })
            {
                continue;
            }
            if let Some(key) = self.look(resolved, &algorithm).await? {
                found.push(HostKey {
                    algorithm: key.algorithm().to_string(),
                    fingerprint: fingerprint(&key),
                    verdict: known.check(&resolved.known_as, resolved.lookup_port(), &key),
                    key,
                });
            }
        }
        if found.is_empty() {
            return Err(fail(Problem::Handshake {
                source: russh::Error::UnknownKey,
            }));
        }
        Ok(found)
    }

    async fn look(
        &self,
        resolved: &Resolved,
        algorithm: &Algorithm,
    ) -> Result<Option<PublicKey>, SshError> {
        self.persist(resolved, |way, deadline| {
            self.look_once(way, deadline, resolved, algorithm.clone())
                .boxed()
        })
        .await
    }

    async fn look_once(
        &self,
        way: Way,
        deadline: Instant,
        resolved: &Resolved,
        algorithm: Algorithm,
    ) -> Result<Option<PublicKey>, Problem> {
        let seen = Arc::new(Mutex::new(None));
        let check = HostKeyCheck::Look(algorithm, Arc::clone(&seen));
        let refused = self.greet(way, check, deadline, resolved).await;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (seen, refused) {
            (Some(key), _) => Ok(Some(key)),
            (None, Ok(_)) => Ok(None),
            (None, Err(problem)) if has_no_such_key(&problem) => Ok(None),
            (None, Err(problem)) => Err(problem),
        }
    }
}

fn has_no_such_key(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::Handshake {
            source: russh::Error::NoCommonAlgo {
                kind: russh::AlgorithmKind::Key,
                ..
            }
        }
    )
}

impl Resolved {
    /// The hosts on the way, the first to be dialled first, this one last.
    pub fn hops(&self) -> Vec<&Self> {
        let mut hops = match &self.route {
            super::Route::Jump(hop) => hop.hops(),
            super::Route::Direct | super::Route::Command(_) => Vec::new(),
        };
        hops.push(self);
        hops
    }

    /// The file to which `rollctl trust` appends: the first of the user's, whether it exists or not.
    pub fn trust_file(&self) -> Option<&PathBuf> {
        self.known_hosts.first()
    }

    /// The port that counts in `known_hosts`: none for an alias.
    pub(crate) fn lookup_port(&self) -> Option<u16> {
        (!self.is_alias).then_some(self.port)
    }

    /// The port to give to [`super::append_known_host`] along with `known_as`.
    pub fn trust_port(&self) -> u16 {
        self.lookup_port().unwrap_or(22)
    }
}
