//! What a signature says of itself: its key and what it was made for. Whether it is any good, `ssh-keygen` says.
//!
//! The form is that of OpenSSH's `PROTOCOL.sshsig`: `SSHSIG`, a version, then the key and the namespace, each with its
//! length before it; all of that in base64 between two lines. (`ssh_key::SshSig` knows no certificates.)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
const MAGIC: &[u8] = b"SSHSIG";

/// The claims of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    /// The public key or the certificate, as it stands in a `.pub` file.
    pub(super) key: String,
    /// What the signature is for.
    pub(super) namespace: String,
}

impl Claims {
    /// Reads them; nothing when the text is no signature, or a damaged one.
    pub(super) fn read(armored: &str) -> Option<Self> {
        let inner = armored.strip_prefix(BEGIN)?;
        let (inner, _) = inner.split_once(END)?;
        let text: String = inner.split_whitespace().collect();
        let blob = STANDARD.decode(text).ok()?;
        let mut rest = blob.strip_prefix(MAGIC)?.get(4..)?;
        let key = string(&mut rest)?;
        let namespace = string(&mut rest)?;
        let kind = string(&mut { key })?;
        Some(Self {
            key: format!(
                "{} {}",
                std::str::from_utf8(kind).ok()?,
                STANDARD.encode(key)
            ),
            namespace: String::from_utf8(namespace.to_vec()).ok()?,
        })
    }
}

/// The next field: its length in four bytes, big-endian, then its bytes.
fn string<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, after) = rest.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let (field, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armored(blob: &[u8]) -> String {
        format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(blob))
    }

    #[test]
    fn claims_of_whole_and_of_damaged_signatures() {
        let key = b"\0\0\0\x0bssh-ed25519\0\0\0\x02ab";
        let mut whole = b"SSHSIG\0\0\0\x01\0\0\0\x15".to_vec();
        whole.extend(key);
        whole.extend(b"\0\0\0\x07rollctl\0\0\0\0");
        let claims = Claims::read(&armored(&whole)).unwrap();
        assert_eq!(claims.namespace, "rollctl");
        assert_eq!(claims.key, format!("ssh-ed25519 {}", STANDARD.encode(key)));
        for length in 0..whole.len() - 4 {
            assert_eq!(Claims::read(&armored(&whole[..length])), None, "{length}");
        }
        for text in [
            "",
            "garbage",
            BEGIN,
            &armored(&whole)[1..],
            &format!("{BEGIN}!{END}"),
        ] {
            assert_eq!(Claims::read(text), None, "{text}");
        }
        let mut huge = b"SSHSIG\0\0\0\x01\xff\xff\xff\xff".to_vec();
        huge.extend(key);
        assert_eq!(Claims::read(&armored(&huge)), None);
    }
}
