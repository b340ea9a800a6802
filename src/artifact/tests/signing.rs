//! Signatures that real `ssh-keygen` made; whatever is decided here, `ssh-keygen -Y verify` has to say too.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::artifact::{Fetched, TrustError, distrusted, fetch, refuse_revoked};
use crate::core::fleet::Trust;
use crate::core::revision::{Architecture, Signer};
use crate::core::source::{ArtifactPlace, ArtifactSource, SecretUrl};

/// A folder with keys, a file of allowed signers and builds.
struct Desk {
    folder: TempDir,
}

impl Desk {
    /// `ann` may sign, `old` could, `rev` and `list` are revoked, `carol` has a certificate, `git` may sign commits,
    /// `wrong` is unknown.
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for key in ["ann", "old", "rev", "wrong", "ca", "carol", "git"] {
            desk.keygen(&["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", key]);
        }
        desk.certify("carol@example.net", "-1d:+1d");
        let line = |words: &str, key: &str| format!("{words} {}", desk.text(&format!("{key}.pub")));
        let lines = [
            "# who may sign\n".to_owned(),
            line("ann@example.net,deputy@example.net", "ann"),
            line("old@example.net valid-before=\"20200101\"", "old"),
            line("rev@example.net", "rev"),
            line("*@example.net cert-authority", "ca"),
            line("git@example.net namespaces=\"git\"", "git"),
        ];
        desk.write("allowed_signers", lines.concat());
        desk.write("revoked", format!("# gone\n{}", desk.text("rev.pub")));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn keygen(&self, words: &[&str]) {
        let run = Command::new("ssh-keygen")
            .args(words)
            .current_dir(self.folder.path())
            .output();
        let run = run.unwrap();
        assert!(
            run.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&run.stderr)
        );
    }

    fn certify(&self, principal: &str, validity: &str) {
        self.keygen(&[
            "-q",
            "-s",
            "ca",
            "-I",
            "id",
            "-n",
            principal,
            "-V",
            validity,
            "carol.pub",
        ]);
    }

    fn build(&self, name: &str) -> PathBuf {
        self.write(name, [elf(X86_64), name.as_bytes().to_vec()].concat())
    }

    fn sign(&self, artifact: &Path, key: &str, namespace: &str) {
        self.keygen(&[
            "-q",
            "-Y",
            "sign",
            "-n",
            namespace,
            "-f",
            key,
            artifact.to_str().unwrap(),
        ]);
    }

    fn trust(&self) -> Trust {
        Trust {
            allowed_signers: self.path("allowed_signers"),
            revoked_keys: Some(self.path("revoked")),
        }
    }

    fn service(&self) -> Service {
        Service {
            trust: Some(self.trust()),
            ..service()
        }
    }

    /// What `ssh-keygen -Y verify` says of the artifact, whoever of the file may have signed it.
    fn keygen_accepts(&self, artifact: &Path) -> bool {
        [
            "ann@example.net",
            "old@example.net",
            "rev@example.net",
            "carol@example.net",
            "git@example.net",
        ]
        .iter()
        .any(|who| {
            let mut verify = Command::new("ssh-keygen");
            verify.args([
                "-Y",
                "verify",
                "-n",
                "rollctl",
                "-I",
                who,
                "-f",
                "allowed_signers",
                "-r",
                "revoked",
                "-s",
            ]);
            verify
                .arg(format!("{}.sig", artifact.display()))
                .current_dir(self.folder.path());
            let mut verify = verify
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // It may not want to read all of it.
            let _ = verify
                .stdin
                .take()
                .unwrap()
                .write_all(&fs::read(artifact).unwrap());
            verify.wait().unwrap().success()
        })
    }

    /// Whose signature is on it, or why it is refused; never other than `ssh-keygen` itself.
    #[track_caller]
    fn signers(&self, artifact: &Path) -> Result<Vec<Signer>, String> {
        let read = read_path(&self.service(), artifact);
        assert_eq!(
            read.is_ok(),
            self.keygen_accepts(artifact),
            "{}: {read:?}",
            artifact.display()
        );
        read.map(|content| content.signers).map_err(|error| {
            assert!(
                matches!(error, ArtifactReadError::Untrusted(_)),
                "{error:?}"
            );
            error.to_string()
        })
    }
}

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

/// Serves the files of the folder, each request on a connection of its own.
fn serve(desk: &Desk) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = desk.path("");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let name = line.split([' ', '/', '?']).nth(2).unwrap().to_owned();
            while line.trim() != "" {
                line.clear();
                reader.read_line(&mut line).unwrap();
            }
            let (status, body) = match fs::read(folder.join(name)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let answer = [head.into_bytes(), body].concat();
            reader.get_mut().write_all(&answer).unwrap();
        }
    });
    url
}

#[tokio::test]
async fn what_is_named_by_url_has_its_signature_beside_it() {
    let desk = Desk::new();
    let (service, server) = (desk.service(), serve(&desk));
    let release = async |name: &str| -> Result<RevisionContent, ArtifactReadError> {
        let url = SecretUrl::new(format!("{server}/{name}?token=geheim"));
        let source = ArtifactSource::Any(ArtifactPlace::Url(url));
        let fetched = fetch(&source, true, &mut |_| {}).await?;
        read(&service, Some(&source), &fetched, &no_environment)
    };
    let build = desk.build("build");
    let error = release("build").await.unwrap_err().to_string();
    assert!(
        error.contains("build.sig?***") && error.contains("404"),
        "{error}"
    );
    desk.sign(&build, "ann", "rollctl");
    let signers = release("build").await.unwrap().signers;
    assert_eq!(signers[0].principal, "ann@example.net");
    desk.write("build", elf(X86_64));
    let error = release("build").await.unwrap_err();
    assert!(
        matches!(error, ArtifactReadError::Untrusted(_)),
        "{error:?}"
    );
    let error = error.to_string();
    assert!(error.contains("not the file that was signed"), "{error}");
    assert!(
        error.contains(&server) && !error.contains("geheim"),
        "{error}"
    );
}
