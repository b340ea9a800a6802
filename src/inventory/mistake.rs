//! What is wrong with an inventory, each mistake with its place.

use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;

use super::source::{At, Source, presentable};

/// How grave a [`Mistake`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The inventory cannot be used.
    Error,
    /// It can be used, and is hardly what was meant.
    Warning,
}

/// One thing that is wrong with an inventory. Serialized, it is what `--output json` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// How grave it is.
    pub severity: Severity,
    /// The file (or the folder, when that is what is wrong), as it was given.
    pub file: PathBuf,
    /// The line, from 1; nothing when the file as a whole is wrong.
    pub line: Option<usize>,
    /// The column, from 1, in characters.
    pub column: Option<usize>,
    /// The bytes in the file.
    pub span: Option<Range<usize>>,
    /// The dotted key: `services.web.strategy.max_surge`.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The line, or a piece of a long one, passwords hidden.
    #[serde(skip)]
    pub text: Option<String>,
    /// Which characters of `text` are meant.
    #[serde(skip)]
    pub mark: Range<usize>,
}

impl Mistake {
    /// A mistake of a file or a folder as a whole.
    pub(crate) fn whole(file: impl Into<PathBuf>, message: impl AsRef<str>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            line: None,
            column: None,
            span: None,
            key: None,
            message: presentable(message.as_ref()),
            help: None,
            text: None,
            mark: 0..0,
        }
    }

    pub(crate) fn with_help(mut self, help: impl AsRef<str>) -> Self {
        self.help = Some(presentable(help.as_ref()));
        self
    }

    /// `file:line:column`, as far as it is known.
    pub fn location(&self) -> String {
        let file = self.file.display();
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            _ => file.to_string(),
        }
    }
}

/// All mistakes of an inventory; never empty. `Display` is one line, [`InventoryErrors::render`] shows them all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("inventory `{}` cannot be used: {} mistake(s), the first: {}", path.display(), mistakes.len(), first(mistakes))]
pub struct InventoryErrors {
    /// The file or the folder that was to be read.
    pub path: PathBuf,
    /// In the order of files and lines.
    pub mistakes: Vec<Mistake>,
}

fn first(mistakes: &[Mistake]) -> String {
    mistakes
        .first()
        .map(|mistake| format!("{}: {}", mistake.location(), mistake.message))
        .unwrap_or_default()
}

/// Collects mistakes while an inventory is read, so that all are shown at once.
#[derive(Debug)]
pub(crate) struct Findings<'s> {
    pub(crate) sources: &'s [Source],
    pub(crate) mistakes: Vec<Mistake>,
}

impl<'s> Findings<'s> {
    pub(crate) fn new(sources: &'s [Source]) -> Self {
        Self {
            sources,
            mistakes: Vec::new(),
        }
    }

    pub(crate) fn source(&self, at: &At) -> Option<&'s Source> {
        self.sources.get(at.place.file)
    }

    /// A mistake at that place, to be kept or changed by the caller.
    pub(crate) fn draft(&self, at: &At, message: impl AsRef<str>) -> Mistake {
        let Some(source) = self.source(at) else {
            return Mistake::whole("", message);
        };
        let excerpt = source.excerpt(&at.place.span);
        Mistake {
            line: Some(excerpt.line),
            column: Some(excerpt.column),
            span: Some(at.place.span.clone()),
            key: Some(presentable(&at.key)).filter(|key| !key.is_empty()),
            text: Some(excerpt.text),
            mark: excerpt.mark,
            ..Mistake::whole(&source.path, message)
        }
    }

    pub(crate) fn wrong(&mut self, at: &At, message: impl AsRef<str>) {
        let mistake = self.draft(at, message);
        self.mistakes.push(mistake);
    }

    pub(crate) fn wrong_help(&mut self, at: &At, message: impl AsRef<str>, help: impl AsRef<str>) {
        let mistake = self.draft(at, message).with_help(help);
        self.mistakes.push(mistake);
    }

    pub(crate) fn warn(&mut self, at: &At, message: impl AsRef<str>, help: impl AsRef<str>) {
        let mut mistake = self.draft(at, message).with_help(help);
        mistake.severity = Severity::Warning;
        self.mistakes.push(mistake);
    }

    /// `file:line:column` of a place, for a message about two places.
    pub(crate) fn location(&self, at: &At) -> String {
        self.draft(at, "").location()
    }

    /// How many of the mistakes so far make the inventory unusable.
    pub(crate) fn errors(&self) -> usize {
        self.mistakes
            .iter()
            .filter(|mistake| mistake.severity != Severity::Warning)
            .count()
    }
}
