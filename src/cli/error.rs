//! The one error type that a person sees, and how it looks (architecture, section 4).
//!
//! ```text
//! error: rollout 12 of `web` paused: 2 of 12 instances failed on `v1.4.2`
//!   web-03: not ready within 60s
//! fleet: 4 on `v1.4.2`, 6 on `v1.4.1`, 2 unavailable (3 allowed)
//!
//! hint: `rollctl rollback web` returns to `v1.4.1`
//! ```
//!
//! With `--output json` the same goes to stdout as
//! `{"version":1,"error":{"code","message","details":[],"state","hint"}}`, because whoever asked for JSON reads stdout;
//! only what clap refuses before it knows the format is text.

use std::error::Error;
use std::io;

use serde_json::{Value, json};

use super::exit::ExitCode;
use super::screen::Screen;
use crate::core::time::Timestamp;
use crate::ports::{ArtifactError, HostError, HostErrorKind, LedgerError};
use crate::report::time::rfc3339;
use crate::report::{Notice, Output};

/// Why a command ended without doing what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    /// The exit code.
    pub code: ExitCode,
    /// What is wrong: lower-case fragment, object first, literals in backticks.
    pub message: String,
    /// More lines, shown indented below the message.
    pub details: Vec<String>,
    /// The state that the fleet is in, when that matters.
    pub state: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// When the same could be done: what `--wait` waits for.
    pub retry_at: Option<Timestamp>,
}

impl CliError {
    /// An error with nothing but a message.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            state: None,
            hint: None,
            retry_at: None,
        }
    }

    /// A mistake of who typed it or wrote the inventory; nothing was touched.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    /// An error with its causes as details, each on a line.
    pub fn of(code: ExitCode, error: &dyn Error) -> Self {
        let mut one = Self::new(code, error.to_string());
        let mut cause = error.source();
        while let Some(inner) = cause {
            one.details.push(format!("caused by: {inner}"));
            cause = inner.source();
        }
        one
    }

    /// Adds a line below the message.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Says what state the fleet is in.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The text for people. Colour only repeats what the words say.
    pub fn text(&self, colour: bool) -> String {
        Notice {
            message: self.message.clone(),
            details: self.details.clone(),
            state: self.state.clone(),
            hint: self.hint.clone(),
        }
        .error_text(colour)
    }

    /// The object for programs.
    pub fn json(&self) -> Value {
        json!({
            "version": 1,
            "error": {
                "code": self.code.code(),
                "message": self.message,
                "details": self.details,
                "state": self.state,
                "hint": self.hint,
                "retry_at": self.retry_at.map(rfc3339),
            }
        })
    }

    /// Prints it where it belongs.
    pub fn show(&self, screen: &mut Screen) {
        screen.speak();
        match screen.output {
            Output::Human => {
                let text = self.text(screen.colour);
                screen.note(&text);
            }
            // Nobody is left to be told that stdout cannot be written: the exit code says enough.
            Output::Json => drop(screen.print_json(&self.json())),
        }
    }
}

impl From<LedgerError> for CliError {
    fn from(error: LedgerError) -> Self {
        let code = match &error {
            LedgerError::LeaseHeld { .. } => ExitCode::LeaseHeld,
            LedgerError::NameTaken { .. } => ExitCode::Usage,
            // Seen when it is opened, before anything is touched.
            LedgerError::Unusable { .. } => ExitCode::Usage,
            LedgerError::LeaseLost { .. }
            | LedgerError::Away { .. }
            | LedgerError::Database { .. } => ExitCode::Unexpected,
        };
        Self {
            hint: error.hint(),
            ..Self::of(code, &error)
        }
    }
}

impl From<ArtifactError> for CliError {
    fn from(error: ArtifactError) -> Self {
        Self {
            hint: error.hint.clone(),
            ..Self::of(ExitCode::Usage, &error)
        }
    }
}

impl From<HostError> for CliError {
    fn from(error: HostError) -> Self {
        let code = match error.kind {
            HostErrorKind::Unreachable | HostErrorKind::Refused => ExitCode::Skipped,
            HostErrorKind::Failed | HostErrorKind::Lost => ExitCode::Unexpected,
        };
        Self {
            hint: error.hint.clone(),
            ..Self::of(code, &error)
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::new(ExitCode::Unexpected, format!("stdout: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::ServiceName;

    fn example() -> CliError {
        CliError::new(
            ExitCode::Paused,
            "rollout 12 of `web` paused: 2 of 12 instances failed on `v1.4.2`",
        )
        .detail("web-03: not ready within 60s; last probe: GET http://192.0.2.13:8080/healthz answered 503")
        .detail("web-07: cannot reach host: connection refused (192.0.2.17:22)")
        .state("fleet: 4 on `v1.4.2`, 6 on `v1.4.1`, 2 unavailable (3 allowed)")
        .hint("`rollctl rollback web` returns to `v1.4.1`")
    }

    #[test]
    fn looks_as_the_house_says() {
        insta::assert_snapshot!(example().text(false));
    }

    #[test]
    fn colour_adds_no_word() {
        let stripped = example()
            .text(true)
            .replace("\x1b[1;31m", "")
            .replace("\x1b[1;36m", "")
            .replace("\x1b[0m", "");
        assert_eq!(stripped, example().text(false));
    }

    #[test]
    fn programs_get_the_same_as_json() {
        let json = example().json();
        assert_eq!(json["version"], 1);
        assert_eq!(json["error"]["code"], 5);
        assert_eq!(json["error"]["message"], example().message);
        assert_eq!(json["error"]["details"][1], example().details[1]);
        assert_eq!(json["error"]["hint"], example().hint.unwrap());
    }

    #[test]
    fn what_a_host_says_cannot_steer_the_terminal() {
        let text = CliError::usage("web-01: \x1b[2Jgone\rerror: none").text(false);
        assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
    }

    #[test]
    fn ledger_errors_have_their_code_and_hint() {
        let held = LedgerError::LeaseHeld {
            service: ServiceName::new("web"),
            holder: "ann@desk (pid 812)".into(),
            since: "2026-11-22T10:41:07Z".into(),
        };
        let error = CliError::from(held);
        assert_eq!(error.code, ExitCode::LeaseHeld);
        assert!(error.hint.is_some_and(|hint| hint.contains("--watch")));
    }

    #[test]
    fn causes_are_listed_once() {
        let error = LedgerError::Database {
            location: "/var/lib/x.db".into(),
            doing: "reading",
            source: Box::new(io::Error::other("disk I/O error")),
        };
        insta::assert_snapshot!(CliError::from(error).text(false), @r"
        error: ledger /var/lib/x.db: reading failed
          caused by: disk I/O error
        ");
    }
}
