//! What a command prints and how it exits.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl Answer {
    pub(crate) fn failure(code: i32, message: impl AsRef<str>) -> Self {
        let mut answer = Self {
            code,
            ..Self::default()
        };
        answer.complain(message);
        answer
    }

    /// A line on standard output.
    pub(crate) fn say(&mut self, line: impl AsRef<str>) {
        self.out.push_str(line.as_ref());
        self.out.push('\n');
    }

    /// A line on standard error.
    pub(crate) fn complain(&mut self, line: impl AsRef<str>) {
        self.err.push_str(line.as_ref());
        self.err.push('\n');
    }
}
