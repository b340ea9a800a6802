//! `{host}`, `{address}`, `{port}`, `{label.NAME}`, `{revision}` in what is asked and expected.

use crate::core::fleet::Host;
use crate::core::ids::{RevisionName, ServiceName};

use super::error::ProberError;

/// Where a text goes, which decides about braces that are no placeholder and about how values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A URL or `host:port`: an IPv6 address gets brackets, other braces are mistakes.
    Target,
    /// A shell command: `${...}` and other braces are the shell's, values must be harmless to it.
    Command,
    /// What a body must hold: other braces are JSON.
    Expectation,
}

/// What placeholders stand for on one host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) service: &'a ServiceName,
    pub(super) host: &'a Host,
    pub(super) port: Option<u16>,
    pub(super) revision: Option<&'a RevisionName>,
}

/// Whether a text needs to know the revision.
pub(super) fn names_revision(text: &str) -> bool {
    text.contains("{revision}")
}

impl Values<'_> {
    /// The text with every placeholder replaced. `{revision}` stays as it is when there is none.
    pub(super) fn fill(&self, text: &str, place: Place) -> Result<String, ProberError> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, from_brace) = rest.split_at(at);
            filled.push_str(before);
            let end = from_brace.find('}').map_or(from_brace.len(), |end| end + 1);
            let (placeholder, after) = from_brace.split_at(end);
            let is_shell = place == Place::Command && before.ends_with('$');
            let value = if is_shell {
                None
            } else {
                self.value(placeholder, place)?
            };
            if let Some(value) = value {
                filled.push_str(&value);
                rest = after;
            } else if place == Place::Target && placeholder != "{revision}" {
                return Err(ProberError::UnknownPlaceholder {
                    service: self.service.clone(),
                    placeholder: placeholder.to_owned(),
                });
            } else {
                // Only the brace: what follows may hold a placeholder, as in `{"version":"{revision}"}`.
                filled.push('{');
                rest = from_brace.get(1..).unwrap_or_default();
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// What `{...}` stands for; nothing when it is no placeholder.
    fn value(&self, placeholder: &str, place: Place) -> Result<Option<String>, ProberError> {
        let name = placeholder
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
            .unwrap_or_default();
        let value = match name {
            "host" => self.host.name.to_string(),
            "address" if place == Place::Target && self.host.address.contains(':') => {
                format!("[{}]", self.host.address.trim_matches(['[', ']']))
            }
            "address" => self.host.address.clone(),
            "port" => self
                .port
                .ok_or_else(|| ProberError::NoPort {
                    service: self.service.clone(),
                })?
                .to_string(),
            "revision" => match self.revision {
                Some(revision) => revision.to_string(),
                None => return Ok(None),
            },
            _ => match name.strip_prefix("label.") {
                Some(label) => self.label(label)?,
                None => return Ok(None),
            },
        };
        if place == Place::Command && !value.chars().all(is_harmless) {
            return Err(ProberError::ShellCharacters {
                service: self.service.clone(),
                host: self.host.name.clone(),
                placeholder: placeholder.to_owned(),
            });
        }
        Ok(Some(value))
    }

    fn label(&self, label: &str) -> Result<String, ProberError> {
        let found = self.host.labels.get(label).cloned();
        found.ok_or_else(|| ProberError::NoLabel {
            service: self.service.clone(),
            host: self.host.name.clone(),
            label: label.to_owned(),
        })
    }
}

/// Whether a shell takes it for text, with or without quotes around it.
fn is_harmless(character: char) -> bool {
    character.is_ascii_alphanumeric() || "._:/@%+=,-".contains(character)
}
