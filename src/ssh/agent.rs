//! The ssh agent, and signing in general.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use tokio::net::UnixStream;

/// A forwarded agent whose far end is gone accepts and never answers.
const AGENT_TIMEOUT: Duration = Duration::from_secs(5);

/// An open connection to an agent.
pub(crate) struct Agent {
    client: AgentClient<UnixStream>,
    pub(crate) identities: Vec<AgentIdentity>,
}

impl Agent {
    /// Connects and lists the keys; the error says why not.
    pub(crate) async fn open(socket: &Path) -> Result<Self, String> {
        let open = async {
            let mut client = AgentClient::connect_uds(socket).await?;
            let identities = client.request_identities().await?;
            Ok::<_, russh::keys::Error>(Self { client, identities })
        };
        match tokio::time::timeout(AGENT_TIMEOUT, open).await {
            Ok(Ok(agent)) => Ok(agent),
            Ok(Err(error)) => Err(format!("agent at `{}`: {error}", socket.display())),
            Err(_) => Err(format!("agent at `{}` does not answer", socket.display())),
        }
    }

    /// Whether it holds this plain key.
    pub(crate) fn holds(&self, key: &PublicKey) -> bool {
        self.identities.iter().any(|identity| {
            matches!(identity, AgentIdentity::PublicKey { key: held, .. } if held.key_data() == key.key_data())
        })
    }
}

/// Signs a login.
pub(crate) enum Signer<'a> {
    /// The agent, with this identity of its own; a certificate on disk is signed for with the plain key.
    Agent(&'a mut Agent, Box<AgentIdentity>),
    /// A key read from a file.
    Key(Arc<PrivateKey>),
}

/// Why no signature came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("connection lost while signing")]
    Send(#[from] russh::SendError),
    #[error("agent did not sign")]
    Agent(#[source] russh::keys::Error),
    #[error("key cannot sign")]
    Key(#[source] russh::keys::ssh_key::Error),
}

impl russh::Signer for Signer<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _asked: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        match self {
            Self::Agent(agent, identity) => agent
                .client
                .sign_request(identity, hash, to_sign)
                .await
                .map_err(SignError::Agent),
            Self::Key(key) => sign(key, hash, to_sign).map_err(SignError::Key),
        }
    }
}

/// Appends the signature, as the protocol wants it, to what was signed.
fn sign(
    key: &PrivateKey,
    hash: Option<HashAlg>,
    mut data: Vec<u8>,
) -> Result<Vec<u8>, russh::keys::ssh_key::Error> {
    let signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(&data)?,
        pair => pair.try_sign(&data)?,
    };
    let mut blob = Vec::new();
    signature.encode(&mut blob)?;
    blob.as_slice().encode(&mut data)?;
    Ok(data)
}
