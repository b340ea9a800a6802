//! How an error and the end of a rollout look: what, where, in what state the fleet is, what to do next.

use std::fmt::Write as _;

use super::escape::printable;

/// Something that a person has to know and can act on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notice {
    /// What it is: lower-case fragment, object first, literals in backticks.
    pub message: String,
    /// More lines, shown indented below the message.
    pub details: Vec<String>,
    /// The state that the fleet is in, when that matters.
    pub state: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl Notice {
    /// The text for people, as an error. Colour only repeats what the words say.
    pub fn error_text(&self, colour: bool) -> String {
        self.render("error: ", colour)
    }

    /// The text for people, as good news.
    pub fn text(&self, colour: bool) -> String {
        self.render("", colour)
    }

    fn render(&self, label: &str, colour: bool) -> String {
        let (red, cyan, plain) = if colour {
            ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let mut text = String::new();
        if label.is_empty() {
            let _infallible = writeln!(text, "{}", lines(&self.message));
        } else {
            let _infallible = writeln!(text, "{red}{label}{plain}{}", lines(&self.message));
        }
        for detail in &self.details {
            let _infallible = writeln!(text, "  {}", lines(detail));
        }
        if let Some(state) = &self.state {
            let _infallible = writeln!(text, "{}", lines(state));
        }
        if let Some(hint) = &self.hint {
            let _infallible = writeln!(text, "\n{cyan}hint:{plain} {}", lines(hint));
        }
        text
    }
}

/// Text that may come from a host: its own line breaks are kept, what else could steer a terminal is escaped.
fn lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n  ")
}
