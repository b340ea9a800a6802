//! Who signed a revision, in words and for programs.

use serde_json::{Value, json};

use super::printable;
use crate::core::revision::Signer;

/// `` `ann@example.net` (SHA256:...) ``; several with commas.
pub(super) fn signed_by(signers: &[Signer]) -> String {
    let told: Vec<_> = signers.iter().map(ToString::to_string).collect();
    printable(&told.join(", ")).into_owned()
}

/// The same for programs; empty where nobody signed.
pub(super) fn signers_json(signers: &[Signer]) -> Value {
    let one =
        |signer: &Signer| json!({"principal": signer.principal, "fingerprint": signer.fingerprint});
    signers.iter().map(one).collect()
}
