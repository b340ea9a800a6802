//! Which hosts: `role=web,zone in (a,b),!web-03`.

use std::ops::Range;

use globset::{Glob, GlobMatcher};

use crate::core::fleet::Host;

/// A condition on hosts. Made by [`parse_selector`].
#[derive(Debug, Clone)]
pub struct Selector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone)]
pub(crate) enum Term {
    /// `label=value`, `label in (a,b)`.
    Is { label: String, values: Vec<String> },
    /// `label!=value`; holds for a host without the label too, as in kubectl.
    IsNot { label: String, value: String },
    /// `web-*`.
    Name { glob: GlobMatcher },
    /// `!web-03`.
    NotName { glob: GlobMatcher },
}

/// Why a text is not a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("selector `{text}`: {problem}")]
pub struct SelectorError {
    /// The whole text.
    pub text: String,
    /// The bytes of `text` that are wrong.
    pub span: Range<usize>,
    /// What is wrong with them.
    pub problem: String,
    hint: String,
}

impl SelectorError {
    /// What would be right.
    pub fn hint(&self) -> Option<String> {
        Some(self.hint.clone())
    }
}

/// Reads a selector: `label=value`, `label!=value`, `label in (a,b)`, globs of host names, `!glob`; a comma means and.
///
/// # Errors
/// When a part is none of these.
pub fn parse_selector(text: &str) -> Result<Selector, SelectorError> {
    let terms: Result<Vec<_>, _> = split(text)?
        .into_iter()
        .map(|span| parse_term(text, span))
        .collect();
    Ok(Selector { terms: terms? })
}

impl Selector {
    /// Whether every condition holds for the host.
    pub fn matches(&self, host: &Host) -> bool {
        self.terms.iter().all(|term| term.matches(host))
    }

    pub(crate) fn terms(&self) -> &[Term] {
        &self.terms
    }
}

impl Term {
    pub(crate) fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Is { label, values } => host
                .labels
                .get(label)
                .is_some_and(|found| values.contains(found)),
            Self::IsNot { label, value } => host.labels.get(label) != Some(value),
            Self::Name { glob } => glob.is_match(host.name.as_str()),
            Self::NotName { glob } => !glob.is_match(host.name.as_str()),
        }
    }
}

const GRAMMAR: &str = "parts are `label=value`, `label!=value`, `label in (a,b)`, a host's name or glob such as `web-*`, \
                       or `!` and a glob; a comma means and";

fn error(text: &str, span: Range<usize>, problem: impl Into<String>, hint: &str) -> SelectorError {
    SelectorError {
        text: text.to_owned(),
        span,
        problem: problem.into(),
        hint: hint.to_owned(),
    }
}

/// The parts between commas; a comma inside brackets belongs to its part.
fn split(text: &str) -> Result<Vec<Range<usize>>, SelectorError> {
    let mut parts = Vec::new();
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => open.push((at, ')')),
            '{' => open.push((at, '}')),
            ')' | '}' if open.pop().map(|(_, closing)| closing) != Some(c) => {
                return Err(error(
                    text,
                    at..at + 1,
                    format!("`{c}` closes nothing"),
                    GRAMMAR,
                ));
            }
            ',' if open.is_empty() => {
                parts.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
    }
    if let Some((at, closing)) = open.pop() {
        let problem = format!("`{closing}` is missing");
        return Err(error(text, at..at + 1, problem, GRAMMAR));
    }
    parts.push(start..text.len());
    Ok(parts.into_iter().map(|part| trimmed(text, part)).collect())
}

fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let part = text.get(span.clone()).unwrap_or("");
    let start = span.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

fn parse_term(text: &str, span: Range<usize>) -> Result<Term, SelectorError> {
    let part = text.get(span.clone()).unwrap_or("");
    let wrong = |problem: String, hint: &str| error(text, span.clone(), problem, hint);
    if part.is_empty() {
        let problem = if text.trim().is_empty() {
            "it is empty"
        } else {
            "there is nothing between two commas"
        };
        return Err(wrong(problem.to_owned(), "`*` is every host"));
    }
    let word = |word: &str| is_word(word).then(|| word.to_owned());
    if let Some((label, value)) = part.split_once("!=") {
        let (label, value) = (label.trim(), value.trim());
        return match (word(label), word(value)) {
            (Some(label), Some(value)) => Ok(Term::IsNot { label, value }),
            _ => Err(wrong(format!("`{part}` is not `label!=value`"), GRAMMAR)),
        };
    }
    if let Some((label, value)) = part.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value).trim();
        let label = label.trim();
        if let Some(label) = label.strip_prefix('!') {
            let hint = format!("write `{label}!={value}`");
            return Err(wrong(format!("`{part}` is not a condition"), &hint));
        }
        return match (word(label), word(value)) {
            (Some(label), Some(value)) => Ok(Term::Is {
                label,
                values: vec![value],
            }),
            _ => Err(wrong(format!("`{part}` is not `label=value`"), GRAMMAR)),
        };
    }
    if part.contains('(') {
        return parse_in(part)
            .ok_or_else(|| wrong(format!("`{part}` is not `label in (a,b)`"), GRAMMAR));
    }
    parse_glob(part).ok_or_else(|| wrong(format!("`{part}` is not a host's name or glob"), GRAMMAR))
}

/// `label in (a,b)`
fn parse_in(part: &str) -> Option<Term> {
    let (head, values) = part.strip_suffix(')')?.split_once('(')?;
    let label = head.trim().strip_suffix("in")?;
    if !label.ends_with(char::is_whitespace) || !is_word(label.trim()) {
        return None;
    }
    let values: Vec<String> = values.split(',').map(|v| v.trim().to_owned()).collect();
    values.iter().all(|value| is_word(value)).then(|| Term::Is {
        label: label.trim().to_owned(),
        values,
    })
}

fn parse_glob(part: &str) -> Option<Term> {
    let (negated, pattern) = match part.strip_prefix('!') {
        Some(pattern) => (true, pattern.trim()),
        None => (false, part),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-*?[]{},!^".contains(c);
    if pattern.is_empty() || !pattern.chars().all(allowed) {
        return None;
    }
    let glob = Glob::new(pattern).ok()?.compile_matcher();
    Some(if negated {
        Term::NotName { glob }
    } else {
        Term::Name { glob }
    })
}

/// What a label and its value are made of, so that a selector can always name them.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "._-/:@+".contains(c))
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod tests;
