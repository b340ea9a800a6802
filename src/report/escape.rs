//! Text from hosts (journal lines, probe bodies, errors) may hold anything; a terminal obeys control characters.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text on one line, with everything escaped that could steer a terminal or reorder what is read:
/// control characters (C0, DEL, C1), line and paragraph separators, bidirectional overrides.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => shown.push_str("  "),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            c if steers(c) && u32::from(c) < 0x100 => {
                let _infallible = write!(shown, "\\x{:02x}", u32::from(c));
            }
            c if steers(c) => {
                let _infallible = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        for (sentence, text, expected) in [
            ("plain text is left alone", "größe 12 → ok", "größe 12 → ok"),
            ("an ANSI escape is shown", "\x1b[31mred", "\\x1b[31mred"),
            (
                "an OSC title with BEL is shown",
                "\x1b]0;owned\x07",
                "\\x1b]0;owned\\x07",
            ),
            (
                "a C1 control sequence introducer too",
                "\u{9b}2J",
                "\\x9b2J",
            ),
            ("a carriage return cannot overwrite", "ok\rno", "ok\\rno"),
            (
                "a line break cannot fake a line",
                "a\nerror: b",
                "a\\nerror: b",
            ),
            ("backspaces cannot erase", "ab\u{8}\u{8}", "ab\\x08\\x08"),
            (
                "a right-to-left override is shown",
                "a\u{202e}b",
                "a\\u{202e}b",
            ),
            ("a tab keeps columns apart", "a\tb", "a  b"),
        ] {
            assert_eq!(printable(text), expected, "{sentence}");
        }
    }
}
