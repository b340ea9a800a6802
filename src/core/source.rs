//! Where an artifact comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::revision::Architecture;

/// Where an artifact comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum ArtifactSource {
    /// The same for every architecture.
    Any(ArtifactPlace),
    /// One for each architecture; together one revision.
    PerArchitecture(BTreeMap<Architecture, ArtifactPlace>),
}

impl ArtifactSource {
    /// All the places that it names.
    pub fn places(&self) -> impl Iterator<Item = &ArtifactPlace> {
        let (any, each) = match self {
            Self::Any(place) => (Some(place), None),
            Self::PerArchitecture(places) => (None, Some(places.values())),
        };
        any.into_iter().chain(each.into_iter().flatten())
    }
}

/// One place.
#[derive(Debug, Clone, PartialEq)]
pub enum ArtifactPlace {
    /// On the controller: a file, a folder or a tar archive.
    Path(PathBuf),
    /// Where the controller and the hosts can read it: a file or a tar archive.
    Url(SecretUrl),
}

impl From<PathBuf> for ArtifactPlace {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

/// A URL that may let whoever has it read something: it is shown without user, password and query.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Of a text that begins with a scheme and `://`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// All of it, for whoever asks the server.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// `https`, `s3` ...
    pub fn scheme(&self) -> &str {
        self.0.split("://").next().unwrap_or_default()
    }

    /// The URL of what lies beside it under the same name with that ending.
    #[must_use]
    pub fn beside(&self, ending: &str) -> Self {
        match self.0.split_once('?') {
            Some((path, query)) => Self(format!("{path}{ending}?{query}")),
            None => Self(format!("{}{ending}", self.0)),
        }
    }

    /// A text without this URL, and without what is secret in it.
    #[must_use]
    pub fn hidden_in(&self, text: &str) -> String {
        let text = text.replace(&self.0, &self.to_string());
        let (user, _, query) = self.parts();
        [user, query]
            .into_iter()
            .flatten()
            // Less is no secret, and stands in any word.
            .filter(|part| part.len() > 3)
            .fold(text, |text, part| text.replace(part, "***"))
    }

    /// User and password, then what may be shown of the rest, then the query.
    fn parts(&self) -> (Option<&str>, &str, Option<&str>) {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let (before, query) = match rest.split_once('?') {
            Some((before, query)) => (before, Some(query)),
            None => (rest, None),
        };
        let authority = before.split('/').next().unwrap_or_default();
        match authority.rsplit_once('@') {
            Some((user, _)) => (
                Some(user),
                before.get(user.len() + 1..).unwrap_or(""),
                query,
            ),
            None => (None, before, query),
        }
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, rest, query) = self.parts();
        let user = user.map_or("", |_| "***@");
        let query = query.map_or("", |_| "?***");
        write!(f, "{}://{user}{rest}{query}", self.scheme())
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_somebody_in_is_not_shown() {
        for (url, shown) in [
            ("https://get.example.net/web", "https://get.example.net/web"),
            ("s3://builds/web/1.4.2", "s3://builds/web/1.4.2"),
            ("https://a:geheim@h:8443/web", "https://***@h:8443/web"),
            ("https://geheim@h/a@b/web", "https://***@h/a@b/web"),
            ("https://h/web?X-Amz-Signature=geheim", "https://h/web?***"),
            ("https://h/web?a/b@geheim", "https://h/web?***"),
        ] {
            let url = SecretUrl::new(url);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
            let said = format!("cannot get {} from {}", url.secret(), url.secret());
            assert!(!url.hidden_in(&said).contains("geheim"), "{said}");
        }
    }
}
