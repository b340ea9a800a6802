//! A desk to sign at: keys and signatures by real `ssh-keygen`, and what that says of them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::core::fleet::Trust;
use crate::core::revision::Signer;

/// A folder with keys, a file of allowed signers and builds.
pub(super) struct Desk {
    folder: TempDir,
}

impl Desk {
    /// `ann` may sign, `old` could, `rev` and `list` are revoked, `carol` has a certificate, `git` may sign commits,
    /// `wrong` is unknown.
    pub(super) fn new() -> Self {
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

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    pub(super) fn keygen(&self, words: &[&str]) {
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

    pub(super) fn certify(&self, principal: &str, validity: &str) {
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

    pub(super) fn build(&self, name: &str) -> PathBuf {
        self.write(name, [elf(X86_64), name.as_bytes().to_vec()].concat())
    }

    pub(super) fn sign(&self, artifact: &Path, key: &str, namespace: &str) {
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

    pub(super) fn trust(&self) -> Trust {
        Trust {
            allowed_signers: self.path("allowed_signers"),
            revoked_keys: Some(self.path("revoked")),
        }
    }

    pub(super) fn service(&self) -> Service {
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
    pub(super) fn signers(&self, artifact: &Path) -> Result<Vec<Signer>, String> {
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
