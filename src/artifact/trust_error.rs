//! Why a build is not trusted, and what to do then.

use std::io;
use std::path::PathBuf;

use super::signature::NAMESPACE;
use crate::core::revision::Signer;

/// Why a build is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Nobody signed it.
    #[error("artifact `{artifact}` is refused: it is not signed, there is no `{signature}`")]
    Unsigned {
        /// What was to be released.
        artifact: PathBuf,
        /// Where its signature would be.
        signature: PathBuf,
    },
    /// A signature is of one file.
    #[error("artifact `{artifact}` is refused: a folder cannot be signed")]
    Folder {
        /// What was to be released.
        artifact: PathBuf,
    },
    /// The signature is not good, or not of somebody who may sign.
    #[error("artifact `{artifact}` is refused: {signed}{reason}")]
    Refused {
        /// What was to be released.
        artifact: PathBuf,
        /// `signed by ...: `, as far as it is known.
        signed: String,
        /// Why it does not count.
        reason: String,
    },
    /// Somebody wrote to the file meanwhile.
    #[error("artifact `{artifact}` is refused: it changed while its signature was verified")]
    Changed {
        /// What was to be released.
        artifact: PathBuf,
    },
    /// A signer of a revision in the ledger is not trusted any more.
    #[error("the key of {signer}, who signed `{revision}`, is revoked in `{revoked_keys}`")]
    Revoked {
        /// Who signed it.
        signer: Box<Signer>,
        /// What was to be rolled out.
        revision: String,
        /// What says so.
        revoked_keys: PathBuf,
    },
    /// Nobody knows, since it could not be verified.
    #[error("the signature of {of} cannot be verified: {doing} failed")]
    Failed {
        /// The artifact or the revision, in backticks.
        of: String,
        /// What was tried.
        doing: String,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}

impl TrustError {
    /// What a person can do.
    pub fn hint(&self) -> String {
        match self {
            Self::Unsigned { artifact, .. } => format!(
                "`ssh-keygen -Y sign -n {NAMESPACE} -f KEY {}` signs it",
                artifact.display()
            ),
            Self::Folder { .. } => format!(
                "pack it, `tar -C FOLDER -cf web.tar .`, sign the archive (`ssh-keygen -Y sign -n {NAMESPACE}`) and release that"
            ),
            Self::Refused { .. } => {
                "release what somebody in `allowed_signers` has signed; who that may be is up to whoever keeps that file"
                    .to_owned()
            }
            Self::Changed { .. } => "wait until it is written, then release it again".to_owned(),
            Self::Revoked { .. } => {
                "roll back to another revision, or release a build that somebody else has signed"
                    .to_owned()
            }
            Self::Failed { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "`ssh-keygen` has to be in the PATH: it comes with OpenSSH's client".to_owned()
            }
            Self::Failed { .. } => "mend that and try again; nothing was released".to_owned(),
        }
    }
}

/// Nobody knows whether it is trusted.
pub(super) fn failed(of: &str, doing: String, source: io::Error) -> TrustError {
    TrustError::Failed {
        of: of.to_owned(),
        doing,
        source,
    }
}
