//! Logs in: every key in order, and a full account of them when none is taken.

use std::time::Duration;

use russh::client::AuthResult;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg};
use russh::{MethodKind, MethodSet};

use super::agent::{Agent, SignError, Signer};
use super::client::Client;
use super::error::{Outcome, Problem, TriedKey};
use super::identity::{self, Candidate, Candidates, Secret};
use super::known_hosts::fingerprint;
use super::target::Resolved;

/// How long a server that has hung up is given to have said why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Authenticates, or says which keys were tried.
pub(crate) async fn login(client: &mut Client, resolved: &Resolved) -> Result<(), Problem> {
    let mut tried = Vec::new();
    let mut agent = match &resolved.agent {
        Some(socket) => Agent::open(socket)
            .await
            .map_err(|reason| tried.push(skipped_agent(reason)))
            .ok(),
        None => None,
    };
    let Candidates { offer, skipped } = identity::collect(resolved, agent.as_ref())?;
    let mut login = Login {
        client,
        user: &resolved.user,
        methods: MethodSet::empty(),
        tried,
        rsa_hash: None,
    };
    // As ssh: asking with no key at all tells what the server takes, and some let one in.
    let first = login.client.handle.authenticate_none(&resolved.user).await;
    if login.settle(first).await? {
        return Ok(());
    }
    for candidate in offer {
        if !login.methods.contains(&MethodKind::PublicKey) {
            break;
        }
        if login.offer(candidate, agent.as_mut()).await? {
            return Ok(());
        }
    }
    login.tried.extend(skipped);
    Err(login.refused())
}

fn skipped_agent(reason: String) -> TriedKey {
    TriedKey {
        origin: "agent".to_owned(),
        fingerprint: None,
        outcome: Outcome::Skipped(reason),
    }
}

struct Login<'a> {
    client: &'a mut Client,
    user: &'a str,
    methods: MethodSet,
    tried: Vec<TriedKey>,
    /// What the server takes for RSA, asked once: `Some(None)` is SHA-1 only.
    rsa_hash: Option<Option<HashAlg>>,
}

impl Login<'_> {
    /// Offers one key; `true` is in.
    async fn offer(
        &mut self,
        candidate: Candidate,
        agent: Option<&mut Agent>,
    ) -> Result<bool, Problem> {
        let mut entry = TriedKey {
            origin: candidate.origin.clone(),
            fingerprint: Some(fingerprint(&candidate.public)),
            outcome: Outcome::Refused,
        };
        let hash = match self.hash(&candidate).await? {
            Ok(hash) => hash,
            Err(reason) => {
                entry.outcome = Outcome::Skipped(reason);
                self.tried.push(entry);
                return Ok(false);
            }
        };
        tracing::debug!(user = self.user, key = %entry.origin, "offering key");
        let result = match self.send(candidate, agent, hash).await {
            Ok(result) => Ok(result),
            Err(SendFailure::Sign(error)) => {
                let cause = std::error::Error::source(&error)
                    .map_or_else(String::new, |cause| format!(": {cause}"));
                entry.outcome = Outcome::Skipped(format!("{error}{cause}"));
                self.tried.push(entry);
                return Ok(false);
            }
            Err(SendFailure::Ssh(error)) => Err(error),
        };
        if let Ok(AuthResult::Failure {
            partial_success: true,
            ..
        }) = &result
        {
            entry.outcome = Outcome::Partial;
        }
        self.tried.push(entry);
        self.settle(result).await
    }

    async fn send(
        &mut self,
        candidate: Candidate,
        agent: Option<&mut Agent>,
        hash: Option<HashAlg>,
    ) -> Result<AuthResult, SendFailure> {
        let handle = &mut self.client.handle;
        match (candidate.secret, candidate.certificate) {
            (Secret::File(key), None) => handle
                .authenticate_publickey(self.user, PrivateKeyWithHashAlg::new(key, hash))
                .await
                .map_err(SendFailure::Ssh),
            // Not `authenticate_openssh_cert`: it offers RSA certificates with SHA-1 only.
            (Secret::File(key), Some(certificate)) => handle
                .authenticate_certificate_with(self.user, certificate, hash, &mut Signer::Key(key))
                .await
                .map_err(SendFailure::Sign),
            (Secret::Agent(identity), certificate) => {
                let Some(agent) = agent else {
                    return Err(SendFailure::Ssh(russh::Error::NoAuthMethod));
                };
                let mut signer = Signer::Agent(agent, identity);
                match certificate {
                    Some(certificate) => handle
                        .authenticate_certificate_with(self.user, certificate, hash, &mut signer)
                        .await
                        .map_err(SendFailure::Sign),
                    None => handle
                        .authenticate_publickey_with(self.user, candidate.public, hash, &mut signer)
                        .await
                        .map_err(SendFailure::Sign),
                }
            }
        }
    }

    /// The hash to sign with; the inner error is why the key cannot be used at all.
    async fn hash(
        &mut self,
        candidate: &Candidate,
    ) -> Result<Result<Option<HashAlg>, String>, Problem> {
        if !candidate.public.algorithm().is_rsa() {
            return Ok(Ok(None));
        }
        let hash = match self.rsa_hash {
            Some(hash) => hash,
            None => match self.client.handle.best_supported_rsa_hash().await {
                // Without the extension: what every server of the last ten years takes.
                Ok(answer) => *self
                    .rsa_hash
                    .insert(answer.unwrap_or(Some(HashAlg::Sha256))),
                Err(_) => return Err(self.gone().await),
            },
        };
        Ok(hash
            .map(Some)
            .ok_or_else(|| "the server takes RSA keys with SHA-1 only".to_owned()))
    }

    /// Takes in an answer; `true` is in.
    async fn settle(&mut self, result: Result<AuthResult, russh::Error>) -> Result<bool, Problem> {
        match result {
            Ok(AuthResult::Success) => Ok(true),
            Ok(AuthResult::Failure {
                remaining_methods, ..
            }) => {
                if remaining_methods.is_empty() {
                    // russh says the same for "no method is left" and for "the server hung up".
                    return Err(self.gone().await);
                }
                self.methods = remaining_methods;
                Ok(false)
            }
            Err(_) => Err(self.gone().await),
        }
    }

    /// The connection ended during the login: after a refusal, or for reasons of its own?
    async fn gone(&mut self) -> Problem {
        let _ = tokio::time::timeout(LAST_WORDS, self.client.life.ended.cancelled()).await;
        let message = self.client.life.reason();
        let is_refusal = message.as_ref().is_some_and(|text| {
            text.to_lowercase().contains("authentication failures")
                || *text == russh::Error::NoAuthMethod.to_string()
        });
        if is_refusal || message.is_none() && !self.client.life.ended.is_cancelled() {
            if let Some(text) =
                message.filter(|text| *text != russh::Error::NoAuthMethod.to_string())
            {
                self.tried.push(TriedKey {
                    origin: "further keys".to_owned(),
                    fingerprint: None,
                    outcome: Outcome::Skipped(format!("the server ended the login: {text}")),
                });
            }
            return self.refused();
        }
        Problem::Dropped {
            during: "authentication",
            message,
        }
    }

    fn refused(&mut self) -> Problem {
        Problem::AuthRefused {
            user: self.user.to_owned(),
            methods: self.methods.iter().map(String::from).collect(),
            tried: std::mem::take(&mut self.tried),
        }
    }
}

enum SendFailure {
    Ssh(russh::Error),
    Sign(SignError),
}
