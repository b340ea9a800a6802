//! Whether a revision of the ledger may still be rolled out: not once a key that signed it is revoked.

use super::error::CliError;
use super::exit::ExitCode;
use crate::artifact::{ArtifactReadError, TrustError, refuse_revoked};
use crate::core::fleet::Service;
use crate::core::revision::Revision;

/// Refuses a revision that a key signed which is revoked now. One that nobody signed is older than `[trust]`, or was there
/// before rollctl: it ran, and can be gone back to.
///
/// # Errors
/// Exit code 5 when it is revoked, and when nobody can tell.
pub(crate) async fn still_trusted(service: &Service, revision: &Revision) -> Result<(), CliError> {
    let Some(trust) = service
        .trust
        .clone()
        .filter(|_| !revision.signers.is_empty())
    else {
        return Ok(());
    };
    let (name, signers) = (revision.reference().name, revision.signers.clone());
    let asked = move || refuse_revoked(&trust, name.as_str(), &signers);
    tokio::task::spawn_blocking(asked)
        .await
        .map_err(|error| CliError::of(ExitCode::Unexpected, &error))?
        .map_err(|error| refused(&error))
}

/// What a person is told of an artifact that cannot be released.
pub(crate) fn unreadable(error: &ArtifactReadError) -> CliError {
    match error {
        ArtifactReadError::Untrusted(error) => refused(error),
        error @ ArtifactReadError::Digest { .. } => CliError {
            hint: error.hint(),
            ..CliError::of(ExitCode::Paused, error).state("nothing was shipped")
        },
        error => CliError {
            hint: error.hint(),
            ..CliError::of(ExitCode::Usage, error)
        },
    }
}

fn refused(error: &TrustError) -> CliError {
    CliError::of(ExitCode::Paused, error)
        .state("nothing was shipped")
        .hint(error.hint())
}
