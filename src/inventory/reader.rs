//! Reads a TOML table key by key, keeps the place of each value, and reports the keys that nobody asked for.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::mistake::Findings;
use super::source::{At, Place};
use super::suggest::{list, nearest};
use super::text::{DurationError, parse_duration};

/// A table that is being read.
#[derive(Debug)]
pub(crate) struct Table<'t> {
    /// Its name's place and its dotted key.
    pub(crate) at: At,
    entries: Vec<Entry<'t>>,
    known: Vec<&'static str>,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'t> {
    /// The key's last part.
    pub(crate) name: &'t str,
    /// The value's place (the key's, where the value is a table) and the whole dotted key.
    pub(crate) at: At,
    /// The key's place.
    pub(crate) key: At,
    value: &'t DeValue<'t>,
}

impl<'t> Table<'t> {
    /// The whole document.
    pub(crate) fn document(table: &'t DeTable<'t>, file: usize) -> Self {
        let at = At {
            place: Place { file, span: 0..0 },
            key: String::new(),
        };
        Self::new(table, at)
    }

    fn new(table: &'t DeTable<'t>, at: At) -> Self {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(name, value)| {
                let name_span = name.span();
                let name = name.get_ref().as_ref();
                Entry::new(name, join(&at.key, name), at.place.file, name_span, value)
            })
            .collect();
        // The parser sorts by name; people expect the order in which they wrote.
        entries.sort_by_key(|entry| entry.key.place.span.start);
        Self {
            at,
            entries,
            known: Vec::new(),
        }
    }

    /// The value of a key, which is known from now on.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Entry<'t>> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.name == key).cloned()
    }

    /// Every key with its value, where the keys are names that people choose.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Entry<'t>> {
        self.entries.iter()
    }

    /// Reports the keys that nobody asked for; `hint` knows what is meant by some of them.
    pub(crate) fn finish(self, f: &mut Findings<'_>, hint: impl Fn(&str) -> Option<String>) {
        for entry in &self.entries {
            if self.known.contains(&entry.name) {
                continue;
            }
            let unknown = format!("unknown key \"{}\"", entry.name);
            if let Some(help) = hint(entry.name) {
                f.wrong_help(&entry.key, unknown, help);
            } else if let Some(meant) = nearest(entry.name, self.known.iter().copied()) {
                f.wrong(&entry.key, format!("{unknown}, did you mean \"{meant}\"?"));
            } else {
                let help = format!("known here: {}", list_all(&self.known));
                f.wrong_help(&entry.key, unknown, help);
            }
        }
    }
}

fn list_all(words: &[&str]) -> String {
    words.join(", ")
}

/// The dotted key, quoted where TOML would want it.
fn join(table: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let key = if bare {
        key.to_owned()
    } else {
        format!("\"{key}\"")
    };
    if table.is_empty() {
        key
    } else {
        format!("{table}.{key}")
    }
}

impl<'t> Entry<'t> {
    fn new(
        name: &'t str,
        dotted: String,
        file: usize,
        key_span: Range<usize>,
        value: &'t toml::Spanned<DeValue<'t>>,
    ) -> Self {
        let place = |span| At {
            place: Place { file, span },
            key: dotted.clone(),
        };
        let key = place(key_span);
        let at = match value.get_ref() {
            // A table's own span is its header or its first line; its name says more.
            DeValue::Table(_) => key.clone(),
            _ => place(value.span()),
        };
        Self {
            name,
            at,
            key,
            value: value.get_ref(),
        }
    }

    fn wrong_type(&self, f: &mut Findings<'_>, wanted: &str) {
        let message = format!(
            "`{}` must be {wanted}, not {}",
            self.shown(),
            type_name(self.value)
        );
        match self.retyped(wanted) {
            Some(help) => f.wrong_help(&self.at, message, help),
            None => f.wrong(&self.at, message),
        }
    }

    /// How the same value would be written in the type that is wanted.
    fn retyped(&self, wanted: &str) -> Option<String> {
        match self.value {
            DeValue::Integer(number) if wanted.contains("text") => {
                Some(format!("write \"{number}\""))
            }
            DeValue::Float(number) if wanted.contains("text") => {
                Some(format!("write \"{}\"", number.as_str()))
            }
            DeValue::Boolean(flag) if wanted.contains("text") => Some(format!("write \"{flag}\"")),
            DeValue::Integer(number) if wanted.contains("duration") => {
                Some(format!("write \"{number}s\" for seconds"))
            }
            DeValue::String(text) if wanted.contains("number") && text.parse::<i64>().is_ok() => {
                Some(format!("write {text} without quotes"))
            }
            DeValue::String(text)
                if wanted.contains("true or false") && text.parse::<bool>().is_ok() =>
            {
                Some(format!("write {text} without quotes"))
            }
            DeValue::String(text) if wanted.contains("list") => Some(format!("write [\"{text}\"]")),
            DeValue::Table(_) if wanted.contains("text") && !self.name.contains('.') => Some(
                "a dot in a key makes a table: put quotes around a key that has a dot".to_owned(),
            ),
            _ => None,
        }
    }

    /// What a message calls it: `port`, or `units[1]`.
    fn shown(&self) -> &str {
        let key = self.key.key.as_str();
        let element = key.rfind(self.name).and_then(|at| key.get(at..));
        element
            .filter(|_| key.ends_with(']') && !self.name.is_empty())
            .unwrap_or(self.name)
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// Whether it is that text.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.value.as_str() == Some(text)
    }

    pub(crate) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// A text that may be empty; NUL can reach neither a file name nor a process.
    pub(crate) fn any_text(&self, f: &mut Findings<'_>) -> Option<&'t str> {
        let DeValue::String(text) = self.value else {
            self.wrong_type(f, "a text");
            return None;
        };
        if text.contains('\0') {
            f.wrong(
                &self.at,
                format!("`{}` contains a NUL character", self.shown()),
            );
            return None;
        }
        Some(text)
    }

    /// A text that is not empty and fits on one line.
    pub(crate) fn text(&self, f: &mut Findings<'_>) -> Option<&'t str> {
        let text = self.any_text(f)?;
        if text.trim().is_empty() {
            f.wrong(&self.at, format!("`{}` is empty", self.shown()));
            return None;
        }
        if text.chars().any(char::is_control) {
            f.wrong(
                &self.at,
                format!(
                    "`{}` contains a control character or a line break",
                    self.shown()
                ),
            );
            return None;
        }
        Some(text)
    }

    pub(crate) fn flag(&self, f: &mut Findings<'_>) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.wrong_type(f, "true or false");
        }
        flag
    }

    pub(crate) fn number(&self, f: &mut Findings<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        let Some(number) = self.value.as_integer() else {
            self.wrong_type(f, "a whole number");
            return None;
        };
        let found = i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| range.contains(number));
        if found.is_none() {
            let bounds = match (*range.start(), *range.end()) {
                (start, u32::MAX) => format!("at least {start}"),
                (start, end) => format!("from {start} to {end}"),
            };
            f.wrong(
                &self.at,
                format!("`{}` is {number}; it must be {bounds}", self.shown()),
            );
        }
        found
    }

    /// The text of a number or of a text: what a quantity is made from.
    pub(crate) fn number_or_text(&self, f: &mut Findings<'_>) -> Option<(String, bool)> {
        match self.value {
            DeValue::Integer(number) if number.radix() == 10 => Some((number.to_string(), true)),
            DeValue::String(text) => Some((text.to_string(), false)),
            _ => {
                self.wrong_type(f, "a number or a percentage such as \"25%\"");
                None
            }
        }
    }

    /// A duration, which may be zero.
    pub(crate) fn duration_or_zero(&self, f: &mut Findings<'_>) -> Option<Duration> {
        let DeValue::String(text) = self.value else {
            self.wrong_type(f, "a duration such as \"10s\"");
            return None;
        };
        match parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                let help = match &error {
                    DurationError::Form(text) if text.trim().parse::<u64>().is_ok() => {
                        format!("write \"{}s\" for seconds", text.trim())
                    }
                    _ => "write it as \"10s\", \"1m30s\", \"500ms\" or \"1h\"".to_owned(),
                };
                f.wrong_help(&self.at, format!("`{}`: {error}", self.shown()), help);
                None
            }
        }
    }

    /// A duration above zero.
    pub(crate) fn duration(&self, f: &mut Findings<'_>) -> Option<Duration> {
        let duration = self.duration_or_zero(f)?;
        if duration.is_zero() {
            f.wrong(
                &self.at,
                format!("`{}` must be longer than 0", self.shown()),
            );
            return None;
        }
        Some(duration)
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &self,
        f: &mut Findings<'_>,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        if !self.is_text() {
            self.wrong_type(f, &list(choices.iter().map(|(word, _)| *word)));
            return None;
        }
        let text = self.text(f)?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words = || choices.iter().map(|(word, _)| *word);
            let message = format!("`{}` cannot be `{text}`", self.shown());
            match nearest(text, words()) {
                Some(meant) => f.wrong_help(&self.at, message, format!("did you mean `{meant}`?")),
                None => f.wrong_help(&self.at, message, format!("it is {}", list(words()))),
            }
        }
        found.map(|(_, value)| *value)
    }

    pub(crate) fn table(&self, f: &mut Findings<'_>) -> Option<Table<'t>> {
        let Some(table) = self.value.as_table() else {
            self.wrong_type(f, "a table");
            return None;
        };
        Some(Table::new(table, self.key.clone()))
    }

    /// The elements of a list, each with the list's name and its own key (`steps[0]`).
    pub(crate) fn list(&self, f: &mut Findings<'_>) -> Option<Vec<Self>> {
        let Some(array) = self.value.as_array() else {
            self.wrong_type(f, "a list");
            return None;
        };
        let element = |(index, value): (usize, &'t toml::Spanned<DeValue<'t>>)| {
            let dotted = format!("{}[{index}]", self.key.key);
            Self::new(self.name, dotted, self.key.place.file, value.span(), value)
        };
        Some(array.iter().enumerate().map(element).collect())
    }

    /// The place of a piece of the text, where the text stands in the file as it is.
    pub(crate) fn within(&self, f: &Findings<'_>, piece: Range<usize>) -> At {
        let span = &self.at.place.span;
        let written = f
            .source(&self.at)
            .and_then(|source| source.text.get(span.start + 1..span.end.saturating_sub(1)));
        let mut at = self.at.clone();
        if written.is_some() && written == self.value.as_str() {
            at.place.span = span.start + 1 + piece.start..span.start + 1 + piece.end;
        }
        at
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
