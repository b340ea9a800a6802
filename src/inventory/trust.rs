//! `[trust]`, of the fleet and of a service: whose builds are released.

use std::path::PathBuf;

use crate::core::fleet::Trust;

use super::mistake::Findings;
use super::paths::{NamedFile, named_file};
use super::reader::Entry;

/// Reads one table: a service's own keys over the fleet's.
pub(crate) fn read(
    entry: Option<Entry<'_>>,
    fleet: Option<&Trust>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<Trust> {
    let Some(entry) = entry else {
        return fleet.cloned();
    };
    let mut table = entry.table(f)?;
    let (signers, revoked) = (table.take("allowed_signers"), table.take("revoked_keys"));
    table.finish(f, |key| {
        let is_principal = matches!(key, "principals" | "signers" | "keys");
        is_principal
            .then(|| "whose keys count stands in the file that `allowed_signers` names".to_owned())
    });
    if signers.is_none() && fleet.is_none() {
        // Without it nothing would be verified, and whoever wrote the section believes that it is.
        f.wrong_help(
            &entry.key,
            "`allowed_signers` is missing: nothing says whose builds are trusted",
            "write `allowed_signers = \"allowed_signers\"`, a file as `man ssh-keygen` describes it",
        );
    }
    let mut path = |entry: Option<Entry<'_>>| -> Option<PathBuf> {
        entry.and_then(|entry| named_file(&entry, f, files))
    };
    let (signers, revoked) = (path(signers), path(revoked));
    Some(Trust {
        allowed_signers: signers.or_else(|| fleet.map(|trust| trust.allowed_signers.clone()))?,
        revoked_keys: revoked.or_else(|| fleet.and_then(|trust| trust.revoked_keys.clone())),
    })
}
