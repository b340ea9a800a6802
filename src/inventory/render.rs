//! Mistakes as a person reads them: the message, the place, the line with a mark under it, what would be right.

use std::fmt::Write as _;

use super::mistake::{InventoryErrors, Mistake, Severity};

/// How many mistakes are written out; a file of another kind has thousands.
const SHOWN: usize = 100;

impl Mistake {
    /// The mistake in several lines, without a line break at the end.
    ///
    /// ```text
    /// error: unknown key "max_unavailble", did you mean "max_unavailable"?
    ///   --> inventory/production.toml:23:1
    ///    |
    /// 23 | max_unavailble = 1
    ///    | ^^^^^^^^^^^^^^
    /// ```
    pub fn render(&self, color: bool) -> String {
        let paint = Paint(color);
        let (word, code) = match self.severity {
            Severity::Error => ("error", RED),
            Severity::Warning => ("warning", YELLOW),
        };
        let mut out = format!("{}: {}", paint.with(code, word), self.message);
        let number = self.line.map(|line| line.to_string()).unwrap_or_default();
        let gutter = " ".repeat(number.len());
        let arrow = paint.with(BLUE, "-->");
        // Writing to a `String` cannot fail.
        let _ = write!(out, "\n{gutter} {arrow} {}", self.location());
        if let Some(key) = &self.key {
            let _ = write!(out, " ({key})");
        }
        if let Some(text) = &self.text {
            let bar = paint.with(BLUE, "|");
            let mark = "^".repeat(self.mark.len().max(1));
            let _ = write!(out, "\n{gutter} {bar}");
            let _ = write!(
                out,
                "\n{} {bar} {}",
                paint.with(BLUE, &number),
                text.trim_end()
            );
            let _ = write!(
                out,
                "\n{gutter} {bar} {}{}",
                " ".repeat(self.mark.start),
                paint.with(code, &mark)
            );
        }
        if let Some(help) = &self.help {
            let equals = paint.with(BLUE, "=");
            let _ = write!(out, "\n{gutter} {equals} help: {help}");
        }
        out
    }
}

impl InventoryErrors {
    /// All mistakes, a blank line between two, and their number at the end; ends with a line break.
    pub fn render(&self, color: bool) -> String {
        let mut out = String::new();
        for mistake in self.mistakes.iter().take(SHOWN) {
            out.push_str(&mistake.render(color));
            out.push_str("\n\n");
        }
        let more = match self.mistakes.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" ({more} not shown)"),
        };
        let count = match self.mistakes.len() {
            1 => "1 mistake".to_owned(),
            count => format!("{count} mistakes"),
        };
        let _ = writeln!(out, "{count} in inventory `{}`{more}", self.path.display());
        out
    }
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";

struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_never_the_only_carrier() {
        let mistake = Mistake::whole("f.toml", "empty").with_help("write something");
        let plain = mistake.render(false);
        assert_eq!(plain, "error: empty\n --> f.toml\n = help: write something");
        let coloured = mistake.render(true);
        assert!(coloured.starts_with("\x1b[1;31merror\x1b[0m: empty"));
        assert_eq!(
            coloured
                .replace("\x1b[1;31m", "")
                .replace("\x1b[1;34m", "")
                .replace("\x1b[0m", ""),
            plain
        );
    }
}
