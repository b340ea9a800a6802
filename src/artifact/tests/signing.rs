//! Signatures that real `ssh-keygen` made; whatever is decided here, `ssh-keygen -Y verify` has to say too.

use std::fs;
use std::io::Write as _;

use super::desk::Desk;
use super::*;
use crate::artifact::{TrustError, distrusted};
use crate::core::revision::Architecture;

#[test]
fn a_build_is_released_only_with_a_good_signature_of_somebody_allowed() {
    let desk = Desk::new();
    let good = desk.build("good");
    desk.sign(&good, "ann", "rollctl");
    let signers = desk.signers(&good).unwrap();
    assert_eq!(signers.len(), 1);
    assert_eq!(signers[0].principal, "ann@example.net");
    assert!(signers[0].fingerprint.starts_with("SHA256:"), "{signers:?}");
    assert_eq!(desk.text("ann.pub"), format!("{} ann\n", signers[0].key));

    let certified = desk.build("certified");
    desk.sign(&certified, "carol-cert.pub", "rollctl");
    assert_eq!(
        desk.signers(&certified).unwrap()[0].principal,
        "carol@example.net"
    );

    // The artifact, its key and namespace; what happens to it then; the words that name who and why.
    let whole = |_: &Path| {};
    type Then<'a> = &'a dyn Fn(&Path);
    let truncated: Then = &|path| {
        let text = fs::read(format!("{}.sig", path.display())).unwrap();
        fs::write(format!("{}.sig", path.display()), &text[..200]).unwrap();
    };
    let replaced: Then = &|path| fs::write(path, [elf(X86_64), b"evil".to_vec()].concat()).unwrap();
    let emptied: Then = &|path| fs::write(format!("{}.sig", path.display()), "").unwrap();
    let another: Then = &|path| {
        fs::copy(desk.path("good.sig"), format!("{}.sig", path.display())).unwrap();
    };
    let cases: [(&str, &str, &str, Then, &[&str]); 9] = [
        (
            "wrong",
            "wrong",
            "rollctl",
            &whole,
            &["the key SHA256:", "is not in"],
        ),
        (
            "expired",
            "old",
            "rollctl",
            &whole,
            &["`old@example.net`", "key has expired", "2020-01-01"],
        ),
        (
            "revoked",
            "rev",
            "rollctl",
            &whole,
            &["`rev@example.net` (SHA256:", "is revoked in"],
        ),
        (
            "other",
            "ann",
            "git",
            &whole,
            &["`ann@example.net`", "is for `git`, not for `rollctl`"],
        ),
        (
            "not-allowed",
            "git",
            "rollctl",
            &whole,
            &[
                "`git@example.net`",
                "not permitted for use in signature namespace",
            ],
        ),
        (
            "truncated",
            "ann",
            "rollctl",
            truncated,
            &["truncated.sig", "is not a whole signature"],
        ),
        (
            "emptied",
            "ann",
            "rollctl",
            emptied,
            &["is not a whole signature"],
        ),
        (
            "replaced",
            "ann",
            "rollctl",
            replaced,
            &["`ann@example.net`", "not the file that was signed"],
        ),
        (
            "another",
            "ann",
            "rollctl",
            another,
            &["`ann@example.net`", "not the file that was signed"],
        ),
    ];
    for (name, key, namespace, then, words) in cases {
        let artifact = desk.build(&format!("web-{name}"));
        desk.sign(&artifact, key, namespace);
        then(&artifact);
        let refused = desk.signers(&artifact).unwrap_err();
        for word in words.iter().chain(&["is refused"]) {
            assert!(
                refused.contains(word),
                "{name}: {word:?} is not in {refused:?}"
            );
        }
    }
}

#[test]
fn what_has_no_signature_at_all() {
    let desk = Desk::new();
    let unsigned = desk.build("unsigned");
    let error = read_path(&desk.service(), &unsigned).unwrap_err();
    assert!(
        matches!(
            &error,
            ArtifactReadError::Untrusted(TrustError::Unsigned { .. })
        ),
        "{error}"
    );
    let hint = error.hint().unwrap();
    assert!(hint.contains(&format!(
        "ssh-keygen -Y sign -n rollctl -f KEY {}",
        unsigned.display()
    )));
    let folder = desk.path("folder");
    fs::create_dir(&folder).unwrap();
    let error = read_path(&desk.service(), &folder).unwrap_err();
    assert!(
        matches!(
            error,
            ArtifactReadError::Untrusted(TrustError::Folder { .. })
        ),
        "{error}"
    );
    // What is no artifact is no question of trust.
    let error = read_path(&desk.service(), &desk.path("nothing")).unwrap_err();
    assert!(
        matches!(error, ArtifactReadError::Missing { .. }),
        "{error}"
    );
    assert_eq!(read_path(&service(), &unsigned).unwrap().signers, []);
}

#[test]
fn a_certificate_counts_while_it_is_valid() {
    let desk = Desk::new();
    let artifact = desk.build("late");
    desk.certify("carol@example.net", "-2d:-1d");
    desk.sign(&artifact, "carol-cert.pub", "rollctl");
    // Versions of ssh-keygen have different words for it.
    desk.signers(&artifact).unwrap_err();
    desk.certify("carol@elsewhere.org", "-1d:+1d");
    fs::remove_file(desk.path("late.sig")).unwrap();
    desk.sign(&artifact, "carol-cert.pub", "rollctl");
    desk.signers(&artifact).unwrap_err();
    desk.certify("carol@example.net", "-1d:+1d");
    fs::remove_file(desk.path("late.sig")).unwrap();
    desk.sign(&artifact, "carol-cert.pub", "rollctl");
    desk.signers(&artifact).unwrap();
    // The authority itself is revoked.
    desk.write("revoked", desk.text("ca.pub"));
    let refused = desk.signers(&artifact).unwrap_err();
    assert!(refused.contains("is revoked"), "{refused}");
}

#[test]
fn each_architecture_and_each_form_of_archive_is_signed_for_itself() {
    let desk = Desk::new();
    let program = [elf(X86_64), b"v1".to_vec()].concat();
    let packed = tar_of(&[entry(b"web", b'0', 0o755, b"", &program)]);
    let x86 = desk.write("x86.tar", &packed);
    let zst = desk.write("x86.tar.zst", zstd::encode_all(&packed[..], 3).unwrap());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&packed).unwrap();
    let gz = desk.write("x86.tar.gz", gzip.finish().unwrap());
    let arm = desk.write("arm", [elf(AARCH64), b"v1".to_vec()].concat());
    for artifact in [&x86, &zst, &gz] {
        desk.sign(artifact, "ann", "rollctl");
        assert_eq!(
            desk.signers(artifact).unwrap().len(),
            1,
            "{}",
            artifact.display()
        );
    }
    let key = |name: &str| Architecture(name.into());
    let both = BTreeMap::from([
        (key("x86_64"), x86.into()),
        (key("aarch64"), arm.clone().into()),
    ]);
    let both = ArtifactSource::PerArchitecture(both);
    let service = Service {
        artifact: Some(both),
        ..desk.service()
    };
    let read_both = || read(&service, None, &Fetched::default(), &no_environment);
    let error = read_both().unwrap_err().to_string();
    assert!(error.contains("arm.sig"), "{error}");
    assert_eq!(distrusted(&service).len(), 1);
    desk.sign(&arm, "carol-cert.pub", "rollctl");
    let signers = read_both().unwrap().signers;
    let principals: Vec<_> = signers.iter().map(|one| one.principal.as_str()).collect();
    assert_eq!(principals, ["ann@example.net", "carol@example.net"]);
    assert!(distrusted(&service).is_empty());
}
