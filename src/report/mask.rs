//! Values that no text may show. Hosts repeat them: a service prints its settings into the journal, a health page shows
//! them.

use crate::core::decision::Decision;
use crate::core::event::RecordedEvent;
use crate::core::rollout::RolloutState;
use crate::ports::{JournalExcerpt, ProbeAnswer, Progress, Reporter};

/// What stands in place of a secret.
const MASK: &str = "***";

/// Shorter values are words that stand everywhere: masking them would hide the rest and protect nothing.
const SHORTEST: usize = 4;

/// Values that no text may show.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Of these values, in every form in which texts from hosts show them: whole, line by line, escaped.
    pub fn of(values: impl IntoIterator<Item = String>) -> Self {
        let mut forms: Vec<String> = values
            .into_iter()
            .flat_map(|value| {
                let lines: Vec<_> = value.lines().map(|line| line.trim().to_owned()).collect();
                let escaped = value.escape_debug().to_string();
                lines.into_iter().chain([escaped, value])
            })
            .filter(|form| form.len() >= SHORTEST)
            .collect();
        // The longest first: what holds another one is masked as a whole.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms)
    }

    /// The text without them.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// Keeps secrets from a reporter. Events need no masking: they hold nothing that a service said.
pub struct Masking {
    inner: Box<dyn Reporter>,
    secrets: Secrets,
}

impl Masking {
    /// In front of that reporter.
    pub fn new(inner: Box<dyn Reporter>, secrets: Secrets) -> Self {
        Self { inner, secrets }
    }

    fn answer(&self, answer: &ProbeAnswer) -> ProbeAnswer {
        ProbeAnswer {
            shown: self.secrets.mask(&answer.shown),
            ..answer.clone()
        }
    }
}

impl Reporter for Masking {
    fn events(&self, recorded: &[RecordedEvent], state: &RolloutState) {
        self.inner.events(recorded, state);
    }

    fn waiting(&self, state: &RolloutState, decision: &Decision) {
        self.inner.waiting(state, decision);
    }

    fn progress(&self, progress: &Progress) {
        let masked = match progress {
            Progress::Upload { .. } => progress.clone(),
            Progress::Warning { host, text } => Progress::Warning {
                host: host.clone(),
                text: self.secrets.mask(text),
            },
            Progress::Polled { host, answer } => Progress::Polled {
                host: host.clone(),
                answer: self.answer(answer),
            },
            Progress::Diagnosis {
                host,
                last_probe,
                journal,
            } => Progress::Diagnosis {
                host: host.clone(),
                last_probe: last_probe.as_ref().map(|answer| self.answer(answer)),
                journal: match journal {
                    JournalExcerpt::Lines(lines) => JournalExcerpt::Lines(
                        lines.iter().map(|line| self.secrets.mask(line)).collect(),
                    ),
                    JournalExcerpt::NotReadable => JournalExcerpt::NotReadable,
                },
            },
        };
        self.inner.progress(&masked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_secret_is_shown() {
        let secrets = Secrets::of([
            "hunter2".to_owned(),
            "hunter2-long".to_owned(),
            "first line\nsecond \"line\"".to_owned(),
            "no".to_owned(),
            String::new(),
        ]);
        for (sentence, text, expected) in [
            ("whole", "pw=hunter2!", "pw=***!"),
            ("the longer of two", "pw=hunter2-long", "pw=***"),
            ("twice", "hunter2 hunter2", "*** ***"),
            ("a line of several", "key: second \"line\"", "key: ***"),
            (
                "escaped",
                "answered \"first line\\nsecond \\\"line\\\"\"",
                "answered \"***\"",
            ),
            (
                "a short word is no secret worth hiding everything for",
                "no journal",
                "no journal",
            ),
        ] {
            assert_eq!(secrets.mask(text), expected, "{sentence}");
        }
        assert_eq!(format!("{secrets:?}"), "Secrets(6)");
    }
}
