//! An artifact that is named by URL, with its signature beside it.

use std::fs;

use super::desk::Desk;
use super::server::{answer, serve};
use super::*;
use crate::artifact::{Beside, TrustError, fetch};
use crate::core::source::{ArtifactPlace, SecretUrl};

#[tokio::test]
async fn what_is_named_by_url_has_its_signature_beside_it() {
    let desk = Desk::new();
    let folder = desk.path("");
    let server = serve(move |name| match fs::read(folder.join(name)) {
        Ok(body) => answer("200 OK", body.len(), &body),
        Err(_) => answer("404 Not Found", 0, b""),
    });
    let (service, server) = (desk.service(), format!("http://{server}"));
    let release = async |name: &str| -> Result<RevisionContent, ArtifactReadError> {
        let url = SecretUrl::new(format!("{server}/{name}?token=geheim"));
        let source = ArtifactSource::Any(ArtifactPlace::Url(url));
        let with = Beside {
            signature: true,
            digest: false,
        };
        let fetched = fetch(&source, with, &mut |_| {}).await?;
        read(&service, Some(&source), &fetched, &no_environment)
    };
    let build = desk.build("build");
    let error = release("build").await.unwrap_err();
    assert!(
        matches!(
            error,
            ArtifactReadError::Untrusted(TrustError::Failed { .. })
        ),
        "{error:?}"
    );
    let why = std::error::Error::source(&error).map(ToString::to_string);
    let error = format!("{error}: {why:?}");
    assert!(
        error.contains("build.sig?***") && error.contains("404") && !error.contains("geheim"),
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
