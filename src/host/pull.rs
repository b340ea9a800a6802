//! A host that fetches by itself what would be sent through SSH.

use std::collections::BTreeSet;

use super::script::Request;
use crate::core::fleet::Service;
use crate::core::source::ArtifactPlace;
use crate::ports::{Pull, PullForm};

/// Tells the script what it is to fetch.
pub(super) fn with_pull(request: Request, pull: &Pull) -> Request {
    // What is asked for by https is never got by http, wherever the server leads.
    let protocols = match pull.url.scheme() {
        "http" => "http,https",
        _ => "https",
    };
    request
        .option("url", quoted(pull.url.secret()))
        .option("protocols", protocols)
        .option("form", form(pull.form))
        .option("pulled_size", pull.size)
        .option("pulled_sha256", &pull.sha256)
}

fn form(form: PullForm) -> &'static str {
    match form {
        PullForm::File => "file",
        PullForm::Tar => "tar",
        PullForm::Gzip => "gzip",
        PullForm::Zstd => "zstd",
    }
}

/// As curl's configuration has it in double quotes.
fn quoted(url: &str) -> String {
    url.replace('\\', "\\\\").replace('"', "\\\"")
}

/// What the host lacks for it.
pub(super) fn missing(tools: &BTreeSet<String>, form: PullForm) -> Option<&'static str> {
    [Some("curl"), form.tool()]
        .into_iter()
        .flatten()
        .find(|tool| !tools.contains(*tool))
}

/// What the hosts of a service need to fetch its artifacts by themselves; nothing where they are not to.
pub(super) fn wanted_tools(service: &Service, from_store: bool) -> &'static [&'static str] {
    let is_remote = |place: &ArtifactPlace| match place {
        ArtifactPlace::Url(url) => url.scheme() != "http",
        ArtifactPlace::Path(_) => false,
    };
    let source = service.artifact.as_ref();
    match from_store {
        true => &["curl", "zstd"],
        false if source.is_some_and(|source| source.places().any(is_remote)) => &["curl"],
        false => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::source::SecretUrl;

    fn pull(url: &str) -> Pull {
        Pull {
            url: SecretUrl::new(url),
            size: 3,
            sha256: "ab".to_owned(),
            form: PullForm::Zstd,
            beside: BTreeSet::new(),
        }
    }

    #[test]
    fn https_stays_https_and_curl_reads_back_the_same_url() {
        for (url, told, protocols) in [
            ("https://h/a?b=c&d", "https://h/a?b=c&d", "https"),
            ("http://h/a", "http://h/a", "http,https"),
            ("https://h/a?\"\\n", "https://h/a?\\\"\\\\n", "https"),
        ] {
            let request = with_pull(Request::new("receive"), &pull(url));
            let expected = Request::new("receive")
                .option("url", told)
                .option("protocols", protocols)
                .option("form", "zstd")
                .option("pulled_size", 3)
                .option("pulled_sha256", "ab");
            assert_eq!(request, expected, "{url}");
        }
    }

    #[test]
    fn what_a_host_needs_to_fetch() {
        for (tools, form, expected) in [
            (vec!["curl", "zstd"], PullForm::Zstd, None),
            (vec!["curl"], PullForm::File, None),
            (vec!["curl"], PullForm::Tar, None),
            (vec!["curl"], PullForm::Gzip, Some("gzip")),
            (vec!["curl", "gzip"], PullForm::Zstd, Some("zstd")),
            (vec!["zstd"], PullForm::Zstd, Some("curl")),
        ] {
            let tools = tools.into_iter().map(str::to_owned).collect();
            assert_eq!(missing(&tools, form), expected, "{tools:?} {form:?}");
        }
    }
}
