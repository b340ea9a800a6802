//! Going back to a build whose signer has left, or whose key was revoked since.

use std::fs;

use super::desk::Desk;
use crate::artifact::{TrustError, refuse_revoked};
use crate::core::fleet::Trust;
use crate::core::revision::Signer;

#[test]
fn a_signer_of_the_past_is_trusted_until_the_key_is_revoked() {
    let desk = Desk::new();
    let artifact = desk.build("web");
    desk.sign(&artifact, "ann", "rollctl");
    let by_ann = desk.signers(&artifact).unwrap();
    fs::remove_file(desk.path("web.sig")).unwrap();
    desk.sign(&artifact, "carol-cert.pub", "rollctl");
    let by_carol = desk.signers(&artifact).unwrap();
    let trust = desk.trust();
    let ask = |signers: &[Signer]| refuse_revoked(&trust, "v1", signers);
    for signers in [&by_ann, &by_carol] {
        ask(signers).unwrap();
    }
    // Who left is no reason not to go back to what they built.
    desk.write("allowed_signers", "");
    ask(&by_ann).unwrap();
    for (revoked, refused) in [
        ("ann.pub", &by_ann),
        ("carol.pub", &by_carol),
        ("ca.pub", &by_carol),
    ] {
        desk.write("revoked", desk.text(revoked));
        let error = ask(refused).unwrap_err();
        assert!(
            matches!(error, TrustError::Revoked { .. }),
            "{revoked}: {error}"
        );
        desk.keygen(&["-q", "-k", "-f", "krl", revoked]);
        let krl = Trust {
            revoked_keys: Some(desk.path("krl")),
            ..trust.clone()
        };
        refuse_revoked(&krl, "v1", refused).unwrap_err();
    }
    ask(&by_ann).unwrap();
    // A file that says nothing sensible is no permission.
    for (content, words) in [(Some("nonsense"), "revoked"), (None, "cannot be verified")] {
        match content {
            Some(content) => drop(desk.write("revoked", content)),
            None => fs::remove_file(desk.path("revoked")).unwrap(),
        }
        let error = ask(&by_ann).unwrap_err();
        assert!(matches!(error, TrustError::Failed { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
