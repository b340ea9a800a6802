//! `{host}`, `{address}`, `{port}`, `{revision}`, `{label.NAME}` in the texts of a health check.

use std::ops::Range;

use crate::core::fleet::Host;

use super::mistake::Findings;
use super::reader::Entry;
use super::suggest::nearest;

const KNOWN: [&str; 4] = ["host", "address", "port", "revision"];

/// How strict a text is about braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Braces {
    /// Whatever stands in braces is a placeholder: URLs, addresses, expected texts.
    Placeholders,
    /// Braces mean other things too (`awk '{print}'`, `${HOME}`): only what is close to a placeholder must be one.
    Shell,
}

/// What the placeholders of a service's texts can stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) hosts: &'a [&'a Host],
    /// Whether the service has a `port`.
    pub(crate) port: bool,
}

/// Words in braces: letters first, so that `{"ok": true}` is none.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    text.match_indices('{').filter_map(|(open, _)| {
        let rest = text.get(open + 1..)?;
        let word = rest.get(..rest.find('}')?)?;
        let is_word = word.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && word
                .chars()
                .all(|c| c.is_alphanumeric() || "._-/:@+".contains(c));
        is_word.then_some((open..open + word.len() + 2, word))
    })
}

/// Reports placeholders that are unknown or that some host cannot fill.
pub(crate) fn check(
    entry: &Entry<'_>,
    text: &str,
    braces: Braces,
    values: Values<'_>,
    f: &mut Findings<'_>,
) {
    for (span, word) in words(text) {
        let at = entry.within(f, span.clone());
        if braces == Braces::Shell
            && text
                .get(..span.start)
                .is_some_and(|before| before.ends_with('$'))
        {
            continue;
        }
        if word == "port" && !values.port {
            f.wrong_help(
                &at,
                "`{port}` stands for nothing: the service has no `port`",
                "add `port = 8080` to the service",
            );
        } else if let Some(label) = word.strip_prefix("label.") {
            if let Some(host) = values
                .hosts
                .iter()
                .find(|host| !host.labels.contains_key(label))
            {
                let known = host.labels.keys().map(String::as_str);
                let message = format!("`{{{word}}}`: host `{}` has no label `{label}`", host.name);
                match nearest(label, known) {
                    Some(meant) => {
                        f.wrong_help(&at, message, format!("did you mean `{{label.{meant}}}`?"))
                    }
                    None => f.wrong(&at, message),
                }
            }
        } else if !KNOWN.contains(&word) {
            let message = format!("unknown placeholder `{{{word}}}`");
            match nearest(word, KNOWN) {
                Some(meant) => f.wrong_help(&at, message, format!("did you mean `{{{meant}}}`?")),
                None if braces == Braces::Shell => {}
                None => f.wrong_help(
                    &at,
                    message,
                    "known are `{host}`, `{address}`, `{port}`, `{revision}` and `{label.NAME}`",
                ),
            }
        }
    }
}

/// The text with every placeholder filled with something harmless, to see whether the rest holds together.
pub(crate) fn filled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (span, word) in words(text) {
        out.push_str(text.get(done..span.start).unwrap_or(""));
        out.push_str(match word {
            "port" => "8080",
            "address" => "192.0.2.1",
            _ => "x",
        });
        done = span.end;
    }
    out.push_str(text.get(done..).unwrap_or(""));
    out
}

/// Whether a text is an HTTP URL once it is filled; reports what is wrong with it.
pub(crate) fn check_url(
    entry: &Entry<'_>,
    text: &str,
    example: &str,
    f: &mut Findings<'_>,
) -> bool {
    let problem = match url::Url::parse(&filled(text)) {
        Err(error) => error.to_string(),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            format!("`{}` is neither http nor https", url.scheme())
        }
        Ok(_) => return true,
    };
    f.wrong_help(
        &entry.at,
        format!("`{}` is not a URL: {problem}", entry.name),
        format!("write it as `{example}`"),
    );
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_braces() {
        for (text, expected, full) in [
            (
                "http://{address}:{port}/x",
                "address port",
                "http://192.0.2.1:8080/x",
            ),
            ("{label.zone}", "label.zone", "x"),
            ("{\"ok\": true}", "", "{\"ok\": true}"),
            ("{", "", "{"),
            ("{}", "", "{}"),
            ("{{host}}", "host", "{x}"),
            ("no", "", "no"),
        ] {
            let found: Vec<_> = words(text).map(|(_, word)| word).collect();
            assert_eq!(found.join(" "), expected, "{text}");
            assert_eq!(filled(text), full, "{text}");
        }
    }
}
