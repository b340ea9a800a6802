//! Artifacts and stores that are named by URL.

use url::{Host, Url};

use crate::core::source::{ArtifactPlace, SecretUrl};

/// The schemes of stores in a cloud.
const CLOUDS: [&str; 3] = ["s3", "gs", "az"];

/// Why a text is not a URL that rollctl reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UrlError {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

fn wrong(message: impl Into<String>, help: impl Into<String>) -> UrlError {
    UrlError {
        message: message.into(),
        help: help.into(),
    }
}

/// Whether a text means a URL: what stands before `://` is a scheme.
pub(crate) fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

/// What an artifact is named by: a URL (`https://`, `s3://`, `gs://`, `az://`), else a path, taken as it is.
///
/// # Errors
/// When it is a URL that rollctl does not read, or that names no file.
pub fn parse_artifact(text: &str) -> Result<ArtifactPlace, UrlError> {
    if !is_url(text) {
        return Ok(ArtifactPlace::Path(text.into()));
    }
    let shown = SecretUrl::new(text);
    let scheme = shown.scheme().to_ascii_lowercase();
    let url = match scheme.as_str() {
        "https" | "http" => web(text)?,
        scheme if CLOUDS.contains(&scheme) => cloud(text)?,
        "file" => {
            return Err(wrong(
                "an artifact on this machine is named by its path",
                "write the path alone, without `file://`",
            ));
        }
        scheme => {
            return Err(wrong(
                format!("rollctl does not read `{scheme}://`"),
                "write `https://`, `s3://`, `gs://` or `az://`, or a path",
            ));
        }
    };
    if url.path().len() <= 1 || url.path().ends_with('/') {
        return Err(wrong(
            format!("`{shown}` names no file"),
            "it is to be one file, or a .tar, .tar.gz or .tar.zst",
        ));
    }
    Ok(ArtifactPlace::Url(SecretUrl::new(url.as_str())))
}

/// `[artifacts] url` in a cloud: a bucket, and where in it.
pub(crate) fn parse_bucket(text: &str) -> Result<SecretUrl, UrlError> {
    let url = cloud(text)?;
    Ok(SecretUrl::new(url.as_str().trim_end_matches('/')))
}

/// Whether it begins as a store in a cloud does.
pub(crate) fn is_cloud(text: &str) -> bool {
    is_url(text) && CLOUDS.contains(&SecretUrl::new(text).scheme())
}

fn web(text: &str) -> Result<Url, UrlError> {
    let shown = SecretUrl::new(text);
    let mut url = Url::parse(text).map_err(|error| {
        wrong(
            format!("`{shown}` is not a URL: {error}"),
            "write it as `https://get.example.net/web`",
        )
    })?;
    // The server never sees it.
    url.set_fragment(None);
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !is_loopback {
        return Err(wrong(
            format!("`{shown}` could be changed on its way, and nobody would see it"),
            "write `https://`; `http://` is read from this machine itself only",
        ));
    }
    Ok(url)
}

fn cloud(text: &str) -> Result<Url, UrlError> {
    let shown = SecretUrl::new(text);
    let help = format!(
        "write it as `{}://bucket/folder`; credentials come from the environment",
        shown.scheme()
    );
    let url = Url::parse(text)
        .map_err(|error| wrong(format!("`{shown}` is not a URL: {error}"), &help))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong(format!("`{shown}` names no bucket"), help));
    }
    let has_more = url.query().is_some() || url.fragment().is_some() || url.port().is_some();
    if has_more || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            format!("`{shown}` is more than a bucket and a path in it"),
            help,
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_by_path_and_by_url() {
        for (text, expected) in [
            ("target/release/web", Ok(None)),
            ("./s3:/x", Ok(None)),
            (
                "https://get.example.net/web?sig=geheim",
                Ok(Some("https://get.example.net/web?sig=geheim")),
            ),
            (
                "https://get.example.net/web#top",
                Ok(Some("https://get.example.net/web")),
            ),
            (
                "http://127.0.0.1:8000/web",
                Ok(Some("http://127.0.0.1:8000/web")),
            ),
            ("http://[::1]/web", Ok(Some("http://[::1]/web"))),
            (
                "s3://builds/web-1.4.2.tar.zst",
                Ok(Some("s3://builds/web-1.4.2.tar.zst")),
            ),
            ("gs://builds/a/b", Ok(Some("gs://builds/a/b"))),
            ("az://builds/a", Ok(Some("az://builds/a"))),
            (
                "http://get.example.net/web",
                Err("could be changed on its way"),
            ),
            ("https://get.example.net/", Err("names no file")),
            ("https://get.example.net/dist/", Err("names no file")),
            ("https://", Err("not a URL")),
            ("s3://builds", Err("names no file")),
            ("s3:///web", Err("names no bucket")),
            ("s3://key:geheim@builds/web", Err("more than a bucket")),
            ("s3://builds/web?x=geheim", Err("more than a bucket")),
            ("ftp://get.example.net/web", Err("does not read `ftp://`")),
            ("file:///srv/web", Err("named by its path")),
        ] {
            let found = parse_artifact(text);
            match (&found, expected) {
                (Ok(ArtifactPlace::Path(path)), Ok(None)) => assert_eq!(path.to_str(), Some(text)),
                (Ok(ArtifactPlace::Url(url)), Ok(Some(expected))) => {
                    assert_eq!(url.secret(), expected);
                }
                (Err(error), Err(expected)) => {
                    assert!(error.message.contains(expected), "{text}: {error}");
                    assert!(!error.message.contains("geheim"), "{error}");
                }
                _ => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn stores_in_a_cloud() {
        for (text, expected) in [
            ("s3://builds", Some("s3://builds")),
            ("s3://builds/rollctl/", Some("s3://builds/rollctl")),
            ("az://container/x", Some("az://container/x")),
            ("gs://", None),
            ("s3://k:geheim@builds", None),
        ] {
            let found = parse_bucket(text).ok();
            assert_eq!(found.as_ref().map(SecretUrl::secret), expected, "{text}");
        }
    }
}
