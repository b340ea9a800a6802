//! Where a text stands in a file, and what may be shown of it.

use std::ops::Range;
use std::path::PathBuf;

/// One inventory file, read.
#[derive(Debug)]
pub(crate) struct Source {
    /// The path as it was given, for messages.
    pub(crate) path: PathBuf,
    /// The absolute folder that its relative paths are relative to.
    pub(crate) folder: PathBuf,
    /// Its content.
    pub(crate) text: String,
    line_starts: Vec<usize>,
}

/// A stretch of one of the sources, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The index of the source.
    pub(crate) file: usize,
    /// From where to where.
    pub(crate) span: Range<usize>,
}

/// A place with the dotted key that it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) place: Place,
    /// `services.web.strategy.max_surge`; empty for the document itself.
    pub(crate) key: String,
}

/// The longest piece of a line that a message shows, in characters.
const SHOWN: usize = 160;
/// How many characters of a longer line are shown before the mistake.
const SHOWN_BEFORE: usize = 60;

/// The line of a place, ready to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// The line (a piece of it when it is long), without control characters and passwords.
    pub(crate) text: String,
    /// Which characters of `text` are underlined.
    pub(crate) mark: Range<usize>,
}

impl Source {
    pub(crate) fn new(path: PathBuf, folder: PathBuf, text: String) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            path,
            folder,
            text,
            line_starts,
        }
    }

    pub(crate) fn excerpt(&self, span: &Range<usize>) -> Excerpt {
        let start = floor_char(&self.text, span.start);
        let line = self.line_starts.partition_point(|&at| at <= start).max(1) - 1;
        let from = self.line_starts.get(line).copied().unwrap_or(0);
        let rest = self.text.get(from..).unwrap_or("");
        let content = rest.split('\n').next().unwrap_or("");
        let content = content.strip_suffix('\r').unwrap_or(content);
        let before = chars_until(content, start - from);
        let end = chars_until(content, span.end.saturating_sub(from)).max(before + 1);
        let (text, skipped) = shown(&mask(content), before);
        let length = text.chars().count();
        let mark_start = (before - skipped).min(length);
        Excerpt {
            line: line + 1,
            column: before + 1,
            mark: mark_start..(end - skipped).min(length).max(mark_start + 1),
            text,
        }
    }
}

fn floor_char(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn chars_until(line: &str, bytes: usize) -> usize {
    line.char_indices()
        .take_while(|(at, _)| *at < bytes)
        .count()
}

/// A piece of the line around the mistake, and how many characters before it were left out.
fn shown(line: &str, column: usize) -> (String, usize) {
    let skipped = if line.chars().count() <= SHOWN {
        0
    } else {
        column.saturating_sub(SHOWN_BEFORE)
    };
    let piece = line
        .chars()
        .skip(skipped)
        .take(SHOWN)
        .map(visible)
        .collect();
    (piece, skipped)
}

/// What a terminal gets instead of a control character.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// A text from an inventory as it may stand in a message: no passwords, no control characters.
pub(crate) fn presentable(text: &str) -> String {
    mask(text).chars().map(visible).collect()
}

/// What a query holds that lets whoever has the URL in.
const SIGNED: [&str; 5] = ["signature=", "sig=", "token=", "key=", "password="];

/// Keys whose value is a secret as a whole, whoever knows a webhook's URL can post; and one that is written for it.
const SECRET_KEYS: [&str; 2] = ["webhook", "slack"];

/// Hides what nobody may read over somebody's shoulder: passwords of URLs and webhooks. Star by star, so that columns stay.
fn mask(text: &str) -> String {
    let hide = |text: String, key| hide_value(&text, key);
    hide_passwords(&SECRET_KEYS.into_iter().fold(text.to_owned(), hide))
}

/// Hides the text that is the value of that key, as far as it stands on the line.
fn hide_value(text: &str, key: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(key) {
        let (head, tail) = rest.split_at(at + key.len());
        masked.push_str(head);
        rest = tail;
        // Also where it is misspelt: `webhooks`, `webhook_url`.
        let is_key = |c: char| c.is_alphanumeric() || "_-\"' \t".contains(c);
        let value = tail.trim_start_matches(is_key);
        let Some(value) = value.strip_prefix('=').map(str::trim_start) else {
            continue;
        };
        let Some(quote) = value.chars().next().filter(|c| "\"'".contains(*c)) else {
            continue;
        };
        let value = value.trim_start_matches(quote);
        let (before, _) = tail.split_at(tail.len() - value.len());
        masked.push_str(before);
        let (secret, after) = value.split_at(value.find(quote).unwrap_or(value.len()));
        masked.extend(secret.chars().map(|_| '*'));
        rest = after;
    }
    masked.push_str(rest);
    masked
}

/// Hides the password of a URL (`postgres://user:password@host`) and a query that lets somebody in.
fn hide_passwords(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        masked.push_str(head);
        // Up to the last `@`, not the first: a password that was not percent-encoded may hold one.
        let authority = tail
            .find(|c: char| c.is_whitespace() || "\"'".contains(c))
            .unwrap_or(tail.len());
        let (authority, after) = tail.split_at(authority);
        match authority
            .rfind('@')
            .and_then(|sign| Some((authority.get(..sign)?.find(':')?, sign)))
        {
            Some((colon, sign)) => {
                let (user, password) = authority.split_at(colon + 1);
                let (password, host) = password.split_at(sign - colon - 1);
                masked.push_str(user);
                masked.extend(password.chars().map(|_| '*'));
                masked.push_str(&without_signature(host));
            }
            None => masked.push_str(&without_signature(authority)),
        }
        rest = after;
    }
    masked.push_str(rest);
    masked
}

fn without_signature(url: &str) -> String {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let lower = query.to_ascii_lowercase();
    match SIGNED.iter().any(|word| lower.contains(word)) {
        true => format!("{before}?{}", "*".repeat(query.chars().count())),
        false => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("f.toml".into(), "/".into(), text.to_owned())
    }

    #[test]
    fn a_place_becomes_line_and_column_in_characters() {
        for (text, span, expected) in [
            ("abc", 0..3, (1, 1, "abc", 0..3)),
            ("a\nbc\n", 2..4, (2, 1, "bc", 0..2)),
            ("größe = 1", 7..8, (1, 6, "größe = 1", 5..6)),
            ("a\r\nb\tc\r\n", 5..6, (2, 3, "b c", 2..3)),
            ("abc", 3..3, (1, 4, "abc", 3..4)),
            ("abc", 90..99, (1, 4, "abc", 3..4)),
            ("", 0..0, (1, 1, "", 0..1)),
            ("a\n", 2..2, (2, 1, "", 0..1)),
            ("ab\ncd", 1..5, (1, 2, "ab", 1..2)),
        ] {
            let found = source(text).excerpt(&span);
            assert_eq!(
                (found.line, found.column, found.text.as_str(), found.mark),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_long_line_is_shown_in_part() {
        let text = format!("{}X{}", "a".repeat(1000), "b".repeat(1000));
        let found = source(&text).excerpt(&(1000..1001));
        assert_eq!(found.column, 1001);
        assert_eq!(found.text.chars().count(), SHOWN);
        assert_eq!(found.text.chars().nth(found.mark.start), Some('X'));
    }

    #[test]
    fn webhooks_are_hidden_whatever_they_are() {
        for (text, shown) in [
            (
                "webhook = \"https://x/geheim\" # a",
                "webhook = \"****************\" # a",
            ),
            (
                "notify = { webhook='ab', on = []}",
                "notify = { webhook='**', on = []}",
            ),
            ("notify.\"webhook\"  =  \"ab", "notify.\"webhook\"  =  \"**"),
            ("webhook = \"\"\"ab\"\"\"", "webhook = \"\"\"**\"\"\""),
            (
                "webhook = \"a\", webhook = \"b\"",
                "webhook = \"*\", webhook = \"*\"",
            ),
            (
                "webhook = { env = \"HOOK\" }",
                "webhook = { env = \"HOOK\" }",
            ),
            ("webhook = \"\"", "webhook = \"\""),
            ("`webhook` is no URL", "`webhook` is no URL"),
            ("webhook", "webhook"),
            ("webhook_urls = \"ab\"", "webhook_urls = \"**\""),
        ] {
            assert_eq!(mask(text), shown);
        }
    }

    #[test]
    fn passwords_of_urls_are_hidden() {
        for (text, shown) in [
            (
                "url = \"postgres://me:geheim@db/x\"",
                "url = \"postgres://me:******@db/x\"",
            ),
            ("postgres://me:a@b:c@db", "postgres://me:*****@db"),
            ("postgres://me:a/b#c?@db/x", "postgres://me:******@db/x"),
            (
                "a://u:p@h b://u:pw@h 'c://h:1'",
                "a://u:*@h b://u:**@h 'c://h:1'",
            ),
            ("http://{address}:8080/x", "http://{address}:8080/x"),
            ("ssh://me@host:22", "ssh://me@host:22"),
            ("no url", "no url"),
            ("https://h/x?v=1", "https://h/x?v=1"),
            (
                "\"https://h/x?X-Amz-Signature=ab\"",
                "\"https://h/x?******************\"",
            ),
        ] {
            assert_eq!(mask(text), shown);
        }
    }
}
