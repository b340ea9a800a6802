//! What `EnvironmentFile=` leads to.

/// Where the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Comment,
    Key,
    /// After `=` or a closing quote: only here does a quote open.
    ValueStart,
    Value,
    Single,
    Double,
}

/// The assignments, in their order. Quoted values go on over line ends; nothing is expanded.
pub(super) fn read(text: &str) -> Vec<(String, String)> {
    let mut reader = Reader {
        at: At::LineStart,
        key: String::new(),
        value: String::new(),
        kept: 0,
        found: Vec::new(),
    };
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (reader.at, c) {
            (At::Comment | At::Value | At::ValueStart, '\\') => {
                // Before a line end: the line goes on.
                let next = chars.next().filter(|next| *next != '\n');
                if reader.at != At::Comment {
                    reader.at = At::Value;
                    next.into_iter().for_each(|c| reader.keep(c));
                }
            }
            (At::Double, '\\') => match chars.next() {
                Some(c @ ('"' | '\\' | '`' | '$')) => reader.keep(c),
                Some('\n') | None => {}
                Some(other) => ['\\', other].into_iter().for_each(|c| reader.keep(c)),
            },
            _ => reader.plain(c),
        }
    }
    if matches!(
        reader.at,
        At::Value | At::ValueStart | At::Single | At::Double
    ) {
        reader.push();
    }
    reader.found
}

struct Reader {
    at: At,
    key: String,
    value: String,
    /// What stands before this in the value is not cut off as blanks at its end.
    kept: usize,
    found: Vec<(String, String)>,
}

impl Reader {
    fn plain(&mut self, c: char) {
        match (self.at, c) {
            (At::LineStart, '#' | ';') => self.at = At::Comment,
            (At::LineStart, c) if c.is_whitespace() => {}
            (At::Comment, '\n') => self.at = At::LineStart,
            (At::Comment, _) => {}
            (At::Key, '=') => self.at = At::ValueStart,
            (At::Key, '\n') => {
                self.key.clear();
                self.at = At::LineStart;
            }
            (At::LineStart | At::Key, c) => {
                self.at = At::Key;
                self.key.push(c);
            }
            (At::ValueStart | At::Value, '\n') => self.push(),
            (At::ValueStart, '\'') => self.at = At::Single,
            (At::ValueStart, '"') => self.at = At::Double,
            (At::Single, '\'') | (At::Double, '"') => self.at = At::ValueStart,
            (At::ValueStart, c) if c.is_whitespace() => {}
            (At::Value, c) if c.is_whitespace() => self.value.push(c),
            (At::ValueStart | At::Value, c) => {
                self.at = At::Value;
                self.keep(c);
            }
            (At::Single | At::Double, c) => self.keep(c),
        }
    }

    fn keep(&mut self, c: char) {
        self.value.push(c);
        self.kept = self.value.len();
    }

    fn push(&mut self) {
        self.value.truncate(self.kept);
        self.kept = 0;
        let key = std::mem::take(&mut self.key).trim_end().to_owned();
        self.found.push((key, std::mem::take(&mut self.value)));
        self.at = At::LineStart;
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn values_are_read_as_systemd_reads_them() {
        for (sentence, text, expected) in [
            (
                "a bare value is cut at both ends",
                "A = b c \n",
                &[("A", "b c")] as &[_],
            ),
            (
                "comments and empty lines are left out",
                "# A=1\n;B=2\n\nC=3",
                &[("C", "3")],
            ),
            ("a line without = is none", "nothing\nA=1\n", &[("A", "1")]),
            (
                "double quotes hold blanks and lines",
                "A=\" x\ny \"\nB=1\n",
                &[("A", " x\ny "), ("B", "1")],
            ),
            (
                "four characters lose their meaning in them, others keep the backslash",
                "A=\"\\\" \\\\ \\` \\$ \\n\"\n",
                &[("A", "\" \\ ` $ \\n")],
            ),
            (
                "single quotes hold everything",
                "A='a\\n\"$'\n",
                &[("A", "a\\n\"$")],
            ),
            (
                "quotes may follow each other",
                "A=\"a\"'b'c\n",
                &[("A", "abc")],
            ),
            (
                "a quote inside a bare value is nothing special",
                "A=it's\n",
                &[("A", "it's")],
            ),
            (
                "a backslash takes away any meaning, also of a line end",
                "A=a\\'b\\\nc\n",
                &[("A", "a'bc")],
            ),
            (
                "nothing is a value too",
                "A=\nB=\"\"\n",
                &[("A", ""), ("B", "")],
            ),
        ] {
            let found = read(text);
            let found: Vec<_> = found
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect();
            assert_eq!(found, expected, "{sentence}");
        }
    }
}
