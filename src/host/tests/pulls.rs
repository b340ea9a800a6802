//! A revision that the host fetches by itself. curl is a fake that answers with a file, or fails as curl does.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::super::hosts::ServiceHosts;
use super::super::layout::sha256;
use super::bench::*;
use crate::core::revision::{Architecture, Revision};
use crate::core::source::SecretUrl;
use crate::ports::*;

const URL: &str = "https://store.example.net/a/b?X-Amz-Signature=geheim&x=[1]";

/// What the fake writes down and answers with.
const CURL: &str = r#"#!/bin/sh
printf '%s\n' "$@" >"$FAKE/curl.arguments"
cat >"$FAKE/curl.config"
tr '\0' '\n' </proc/$PPID/cmdline >"$FAKE/shell.arguments"
[ ! -f "$FAKE/curl.fails" ] || . "$FAKE/curl.fails"
while [ "$1" != --output ]; do shift; done
cat "$FAKE/served" >"$2"
"#;

struct Story {
    bench: Bench,
    hosts: ServiceHosts,
    me: Controller,
    one: Revision,
    package: Vec<u8>,
}

impl Story {
    async fn new(shell: &'static str) -> Self {
        let bench = Bench::new(shell);
        bench.program("bin/curl", CURL);
        let me = controller(1);
        let hosts = bench.hosts(service());
        hosts.claim(&host(), &me).await.unwrap();
        let one = bench.store.add("v1", 1, &v(1));
        let architecture = Architecture("any".to_owned());
        let package = bench.store.package(&one.digest, &architecture).await;
        let package = std::fs::read(&package.unwrap().unwrap().path).unwrap();
        Self {
            bench,
            hosts,
            me,
            one,
            package,
        }
    }

    /// The host is to get the revision from there, and is answered with these bytes.
    fn serve(&self, form: PullForm, promised: &[u8], served: &[u8], beside: &[&str]) {
        *self.bench.store.pull.lock().unwrap() = Some(Pull {
            url: SecretUrl::new(URL),
            size: promised.len() as u64,
            sha256: sha256(promised),
            form,
            beside: beside.iter().map(|path| (*path).to_owned()).collect(),
        });
        std::fs::write(self.bench.path("fake/served"), served).unwrap();
    }

    async fn stage(&self) -> Staged {
        self.hosts
            .stage(&host(), &self.me, &self.one, &no_progress)
            .await
            .unwrap()
    }

    /// It is there byte by byte, as if it had been sent, and nothing else is.
    #[track_caller]
    fn is_whole(&self) {
        let path = |name: &str| self.bench.path(&format!("web/revisions/v1/{name}"));
        let recipe = v(1);
        assert_eq!(
            std::fs::read_to_string(path("web")).unwrap(),
            recipe.program
        );
        for (name, mode, text) in &recipe.files {
            assert_eq!(std::fs::read_to_string(path(name)).unwrap(), *text);
            let found = std::fs::metadata(path(name)).unwrap();
            assert_eq!(found.permissions().mode() & 0o777, *mode, "{name}");
            assert_eq!(found.mtime(), 0, "{name}");
        }
        assert_eq!(
            std::fs::metadata(path("etc")).unwrap().permissions().mode() & 0o7777,
            0o755
        );
        assert!(!path(".pulled").exists());
        let there: Vec<_> = std::fs::read_dir(self.bench.path("web/revisions"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(there, ["v1"]);
    }
}

/// An archive as somebody else packs it: a folder that nobody gets into, other times, other modes.
fn foreign_tar() -> Vec<u8> {
    let recipe = v(1);
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o2700);
    header.set_mtime(1_700_000_000);
    tar.append_data(&mut header, "./etc/", std::io::empty())
        .unwrap();
    let files = recipe.files.iter().map(|(path, _, text)| (*path, *text));
    for (path, text) in files.chain([("web", recipe.program)]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o4777);
        header.set_mtime(1_700_000_000);
        tar.append_data(&mut header, format!("./{path}"), text.as_bytes())
            .unwrap();
    }
    tar.into_inner().unwrap()
}

#[tokio::test]
async fn a_host_fetches_what_it_can_and_is_sent_the_rest() {
    let tar = foreign_tar();
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &tar).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    let program = v(1).program.as_bytes().to_vec();
    for shell in SHELLS {
        let story = Story::new(shell).await;
        let package = story.package.clone();
        let files: Vec<_> = v(1).files.iter().map(|(path, ..)| *path).collect();
        for (form, served, beside, sentence) in [
            (PullForm::Zstd, &package, &[][..], "the store's package"),
            (PullForm::Tar, &tar, &[], "an archive"),
            (PullForm::Gzip, &gzip, &[], "the same by gzip"),
            (PullForm::Zstd, &zstd, &[], "the same by zstd"),
            (PullForm::File, &program, &files, "a file"),
        ] {
            story.serve(form, served, served, beside);
            let staged = story.stage().await;
            assert_eq!(staged.warning, None, "{shell}: {sentence}");
            assert_eq!(staged.bytes_sent > 0, !beside.is_empty(), "{sentence}");
            story.is_whole();
            std::fs::remove_dir_all(story.bench.path("web/revisions/v1")).unwrap();
        }
        assert!(!story.bench.path("pwned").exists());
    }
}

#[tokio::test]
async fn the_url_is_told_to_curl_alone() {
    for shell in SHELLS {
        let story = Story::new(shell).await;
        let package = story.package.clone();
        story.serve(PullForm::Zstd, &package, &package, &[]);
        story.stage().await;
        let config = story.bench.read("fake/curl.config");
        assert_eq!(config, format!("url = \"{URL}\"\n"), "{shell}");
        let arguments = story.bench.read("fake/curl.arguments");
        assert!(arguments.starts_with("--disable\n--config\n-\n"));
        assert!(arguments.contains("--proto\n=https\n"), "{arguments}");
        for file in ["fake/curl.arguments", "fake/shell.arguments"] {
            let seen = story.bench.read(file);
            assert!(!seen.is_empty() && !seen.contains("geheim"), "{seen}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_fetched_is_sent_with_one_warning_that_holds_no_secret() {
    let fails = [
        (
            "echo \"curl: (22) The requested URL returned error: 403 for $(sed 's/url = //' $FAKE/curl.config)\" >&2; exit 22",
            "error: 403 for",
            "denied",
        ),
        (
            "echo 'curl: (28) Operation too slow.' >&2; exit 28",
            "curl: (28) Operation too slow.",
            "slow",
        ),
        (
            "while [ \"$1\" != --output ]; do shift; done; head -c 20 $FAKE/served >\"$2\"; echo 'curl: (18) cut' >&2; exit 18",
            "curl: (18) cut",
            "cut off",
        ),
        (
            "while [ \"$1\" != --output ]; do shift; done; head -c 20 $FAKE/served >\"$2\"; exit 0",
            "fetched 20 bytes, not",
            "cut off, and nobody says so",
        ),
        (
            "while [ \"$1\" != --output ]; do shift; done; head -c 9000000 /dev/zero >\"$2\"; exit",
            "cannot fetch it",
            "without end",
        ),
    ];
    for shell in SHELLS {
        let story = Story::new(shell).await;
        let package = story.package.clone();
        let mut other = package.clone();
        if let Some(last) = other.last_mut() {
            *last ^= 1;
        }
        story.serve(PullForm::Zstd, &package, &other, &[]);
        let mut rows = vec![("", "another SHA-256", "another content")];
        rows.extend(fails);
        for (script, expected, sentence) in rows {
            story.bench.write("fake/curl.fails", script);
            let staged = story.stage().await;
            let warning = staged.warning.unwrap();
            assert!(warning.contains(expected), "{shell}, {sentence}: {warning}");
            assert!(warning.contains("`v1`") && warning.contains("through SSH"));
            assert!(!warning.contains("geheim"), "{sentence}: {warning}");
            assert!(staged.bytes_sent > 0, "{sentence}");
            let path = story.bench.path("web/revisions/v1");
            assert!(path.join("web").exists(), "{sentence}");
            std::fs::remove_dir_all(path).unwrap();
        }
        // What was promised is not what the controller has: it is fetched, and is no revision.
        story.bench.write("fake/curl.fails", "");
        story.serve(PullForm::File, b"#!/bin/sh\n", b"#!/bin/sh\n", &[]);
        let warning = story.stage().await.warning.unwrap();
        assert!(warning.contains("is not the revision"), "{warning}");
    }
}
