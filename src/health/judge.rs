//! Whether an HTTP answer is the one that was expected.

use std::collections::BTreeMap;

use serde_json::Value;

/// How much of a body is read.
pub(super) const BODY_MAX: usize = 64 * 1024;
/// How much of a body is shown, in characters.
const SNIPPET: usize = 120;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    /// At most [`BODY_MAX`] bytes.
    pub(super) body: Vec<u8>,
    pub(super) end: BodyEnd,
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// As the server said it would.
    Whole,
    /// It was longer than is read.
    TooLong,
    /// The connection broke.
    Broken(String),
    /// It did not end in time.
    TimedOut,
}

/// What passes, placeholders filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expectation {
    pub(super) status: u16,
    pub(super) body: Option<String>,
    pub(super) json: BTreeMap<String, String>,
    /// The timeout in words, for a body that does not end.
    pub(super) timeout: String,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// With what the body holds.
    pub(super) shown: String,
    /// Without.
    pub(super) stored: String,
}

impl Fault {
    fn plain(text: String) -> Self {
        Self {
            shown: text.clone(),
            stored: text,
        }
    }
}

impl Expectation {
    /// What is wrong with the answer, in words that follow `answered 200`; nothing when it passes.
    pub(super) fn fault(&self, reply: &Reply) -> Option<Fault> {
        if reply.status != self.status {
            return Some(self.wrong_status(reply));
        }
        match &reply.end {
            BodyEnd::Broken(problem) => {
                return Some(Fault::plain(format!(" but the body broke off: {problem}")));
            }
            BodyEnd::TimedOut => {
                let text = format!(" but the body did not end within {}", self.timeout);
                return Some(Fault::plain(text));
            }
            BodyEnd::Whole | BodyEnd::TooLong => {}
        }
        if let Some(wanted) = &self.body
            && !String::from_utf8_lossy(&reply.body).contains(wanted.as_str())
        {
            return Some(Fault::plain(format!(
                " but the body lacks \"{}\"",
                printable(wanted)
            )));
        }
        self.wrong_json(reply)
    }

    fn wrong_status(&self, reply: &Reply) -> Fault {
        // 200 is what everybody expects; the rest needs saying.
        let stored = match self.status {
            200 => String::new(),
            status => format!(", not {status}"),
        };
        let shown = match &reply.location {
            Some(location) => format!(", a redirect to \"{}\"{stored}", snippet(location)),
            None => stored.clone(),
        };
        Fault { shown, stored }
    }

    fn wrong_json(&self, reply: &Reply) -> Option<Fault> {
        if self.json.is_empty() {
            return None;
        }
        if reply.end == BodyEnd::TooLong {
            let text = format!(" but the body is longer than {} KiB", BODY_MAX / 1024);
            return Some(Fault::plain(text));
        }
        let Ok(document) = serde_json::from_slice::<Value>(&reply.body) else {
            return Some(Fault::plain(" but the body is not JSON".to_owned()));
        };
        self.json.iter().find_map(|(pointer, wanted)| {
            let pointer_shown = printable(pointer);
            let Some(value) = document.pointer(pointer) else {
                let text = format!(" but the body has no {pointer_shown}");
                return Some(Fault::plain(text));
            };
            let found = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let wanted_shown = printable(wanted);
            (found != *wanted).then(|| Fault {
                shown: format!(
                    " but {pointer_shown} is \"{}\", not \"{wanted_shown}\"",
                    snippet(&found)
                ),
                stored: format!(" but {pointer_shown} is not \"{wanted_shown}\""),
            })
        })
    }
}

/// The start of a body in quotes, with a space before; empty when there is nothing to see.
pub(super) fn body_snippet(body: &[u8]) -> String {
    // Four bytes a character at most, so no more than this needs to be looked at.
    let start = body.get(..4 * (SNIPPET + 1)).unwrap_or(body);
    let text = String::from_utf8_lossy(start);
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    format!(" \"{}\"", snippet(text))
}

/// The first characters of a text, safe for a terminal.
pub(super) fn snippet(text: &str) -> String {
    let mut short: String = text.chars().take(SNIPPET).collect();
    let is_cut = text.chars().nth(SNIPPET).is_some();
    short = printable(short.trim_end());
    if is_cut {
        short.push('…');
    }
    short
}

/// Control and invisible characters escaped; quotes are left, since bodies are often JSON.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '"' | '\'' | '\\') {
            shown.push(character);
        } else {
            shown.extend(character.escape_debug());
        }
    }
    shown
}
