//! What is named by URL, from a server on this machine.

use std::net::SocketAddr;

use crate::core::source::{ArtifactPlace, ArtifactSource, SecretUrl};

use super::super::{ArtifactReadError, Beside, Fetched, fetch, read};
use super::server::{answer, serve};
use super::{RevisionContent, entry, no_environment, read_path, service, tar_of};

async fn fetched(address: SocketAddr, path: &str) -> Result<RevisionContent, ArtifactReadError> {
    let url = SecretUrl::new(format!("http://{address}/{path}"));
    let source = ArtifactSource::Any(ArtifactPlace::Url(url));
    let mut begun = 0;
    let fetched = fetch(&source, Beside::default(), &mut |_| begun += 1).await?;
    assert_eq!(begun, 1);
    read(&service(), Some(&source), &fetched, &no_environment)
}

#[tokio::test]
async fn the_same_by_url_is_the_same_revision() {
    let at = tempfile::tempdir().unwrap();
    let program = b"#!/bin/sh\n";
    let tar = tar_of(&[entry(b"web", b'0', 0o700, b"", program)]);
    for (name, content) in [("web", program.to_vec()), ("web.tar", tar)] {
        let path = at.path().join(name);
        std::fs::write(&path, &content).unwrap();
        let from_path = read_path(&service(), &path).unwrap();
        let told = answer("200 OK", content.len(), &content);
        let address = serve(move |_| told.clone());
        let from_url = fetched(address, &format!("{name}?token=geheim"))
            .await
            .unwrap();
        assert_eq!(from_url.digest(), from_path.digest(), "{name}");
        let variant = from_url.variants.values().next().unwrap();
        assert!(variant.origin.is_none(), "no host reads from this machine");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_told_without_secrets() {
    for (answer, expected, sentence) in [
        (
            answer("403 Forbidden", 0, b""),
            "the server answered 403",
            "denied",
        ),
        (
            answer("200 OK", 100, b"#!/bin/sh\n"),
            "cannot be fetched",
            "cut off",
        ),
        (answer("200 OK", 0, b""), "web?***` is empty", "nothing"),
        (
            answer("200 OK", 5, b"<xml>"),
            "is not executable",
            "something else",
        ),
    ] {
        let error = fetched(serve(move |_| answer.clone()), "web?token=geheim")
            .await
            .unwrap_err();
        let text = format!("{error} {:?}", error.hint());
        assert!(text.contains(expected), "{sentence}: {text}");
        assert!(
            text.contains("http://127.0.0.1") && text.contains("?***"),
            "{text}"
        );
        assert!(!text.contains("geheim"), "{sentence}: {text}");
    }
}

#[test]
fn what_was_not_fetched_is_not_read_from_a_path() {
    let url = SecretUrl::new("https://get.example.net/web");
    let source = ArtifactSource::Any(ArtifactPlace::Url(url));
    let found = read(
        &service(),
        Some(&source),
        &Fetched::default(),
        &no_environment,
    );
    assert!(matches!(found, Err(ArtifactReadError::Fetch { .. })));
}
