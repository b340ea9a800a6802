//! Who is told of rollouts without watching them (`[notify]`).

use std::fmt;

use super::program::Program;

/// `[notify]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Notify {
    /// Where a JSON object is posted.
    pub webhook: Option<Webhook>,
    /// Who gets mail; empty: nobody.
    pub mail: Vec<String>,
    /// The sender of mail; nothing: as the mail system has it.
    pub from: Option<String>,
    /// The program that takes a mail, and its arguments.
    pub sendmail: Vec<String>,
    /// A program that is run.
    pub command: Option<Program>,
    /// What is told of.
    pub on: Vec<Moment>,
}

/// The URL of a webhook. Whoever knows it can post: it is a secret wherever it stands.
#[derive(Clone, PartialEq, Eq)]
pub enum Webhook {
    /// In the inventory.
    Url(String),
    /// In a variable of the controller's environment.
    Env(String),
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_) => write!(f, "Url(***)"),
            Self::Env(name) => write!(f, "Env({name:?})"),
        }
    }
}

/// What people are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A rollout began, or was gone on with.
    Start,
    /// It is complete, and nothing failed.
    Finish,
    /// It goes back, or ended otherwise.
    Failure,
    /// It paused: somebody, or the next window, has to go on with it.
    Pause,
    /// It stands at a step until somebody approves; or the service is held.
    Hold,
}

impl Moment {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 5] = [
        Self::Start,
        Self::Finish,
        Self::Failure,
        Self::Pause,
        Self::Hold,
    ];

    /// As the inventory names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Finish => "finish",
            Self::Failure => "failure",
            Self::Pause => "pause",
            Self::Hold => "hold",
        }
    }
}
