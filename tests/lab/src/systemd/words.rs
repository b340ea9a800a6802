//! systemd's quoting, specifiers and variables, as in `systemd.service(5)`, "COMMAND LINES".

use std::collections::BTreeMap;

/// Splits as systemd does: whitespace separates, quotes hold together, backslashes escape. `None`: a quote is open.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (_, '\\') => escape(&mut chars, word.get_or_insert_default()),
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut String) {
    let code = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>, digits: usize, radix: u32| {
        let text: String = (0..digits)
            .map_while(|_| chars.next_if(|c| c.is_digit(radix)))
            .collect();
        u32::from_str_radix(&text, radix)
            .ok()
            .and_then(char::from_u32)
    };
    let c = match chars.next() {
        None => Some('\\'),
        Some('n') => Some('\n'),
        Some('t') => Some('\t'),
        Some('r') => Some('\r'),
        Some('a') => Some('\u{7}'),
        Some('b') => Some('\u{8}'),
        Some('f') => Some('\u{c}'),
        Some('v') => Some('\u{b}'),
        Some('s') => Some(' '),
        Some('x') => code(chars, 2, 16),
        Some('u') => code(chars, 4, 16),
        Some(c @ ('\\' | '"' | '\'')) => Some(c),
        Some(other) => {
            word.push('\\');
            Some(other)
        }
    };
    word.extend(c);
}

/// What the specifiers of a unit stand for.
#[derive(Clone, Debug)]
pub(crate) struct Specifiers {
    pub(crate) unit: String,
    pub(crate) home: String,
    pub(crate) user: String,
    pub(crate) runtime_dir: String,
    pub(crate) host: String,
}

impl Specifiers {
    /// The text with its specifiers replaced; `None` if one is unknown.
    pub(crate) fn expand(&self, text: &str) -> Option<String> {
        let bare = self
            .unit
            .rsplit_once('.')
            .map_or(self.unit.as_str(), |(bare, _)| bare);
        let (prefix, instance) = bare.split_once('@').unwrap_or((bare, ""));
        let mut expanded = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            match chars.next() {
                Some('%') | None => expanded.push('%'),
                Some('n') => expanded.push_str(&self.unit),
                Some('N') => expanded.push_str(bare),
                Some('p') => expanded.push_str(prefix),
                Some('P') => expanded.push_str(&unescape_name(prefix)),
                Some('i') => expanded.push_str(instance),
                Some('I') => expanded.push_str(&unescape_name(instance)),
                Some('j' | 'J') => expanded.push_str(prefix.rsplit('-').next().unwrap_or(prefix)),
                Some('h') => expanded.push_str(&self.home),
                Some('u') => expanded.push_str(&self.user),
                Some('t') => expanded.push_str(&self.runtime_dir),
                Some('H' | 'l') => expanded.push_str(&self.host),
                Some('E') => expanded.push_str(&format!("{}/.config", self.home)),
                Some('S') => expanded.push_str(&format!("{}/.local/state", self.home)),
                Some('C') => expanded.push_str(&format!("{}/.cache", self.home)),
                Some('T' | 'V') => expanded.push_str("/tmp"),
                Some(_) => return None,
            }
        }
        Some(expanded)
    }
}

/// `a-b\x2dc` is `a/b-c`.
fn unescape_name(name: &str) -> String {
    let slashes = name.replace('-', "/");
    slashes
        .replace("\\x2d", "-")
        .replace("\\x40", "@")
        .replace("\\x20", " ")
        .replace("\\x5c", "\\")
}

/// Puts variables into the arguments: `${A}` anywhere, `$A` as a word of its own (split at blanks), `$$` is a dollar.
pub(crate) fn substitute(words: &[String], environment: &BTreeMap<String, String>) -> Vec<String> {
    let mut result = Vec::new();
    for word in words {
        let name = word.strip_prefix('$').filter(|name| is_name(name));
        match name {
            Some(name) => {
                let value = environment.get(name).map_or("", String::as_str);
                result.extend(split(value).unwrap_or_else(|| vec![value.to_owned()]));
            }
            None => result.push(braces(word, environment)),
        }
    }
    result
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn braces(word: &str, environment: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = rest
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        {
            result.push_str(environment.get(name).map_or("", String::as_str));
            rest = after;
        } else {
            result.push('$');
        }
    }
    result + rest
}

/// As `show` prints a list of strings: quoted only where a shell would need it.
pub(crate) fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "\\$")
        .replace('`', "\\`");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting() {
        let cases: [(&str, &str, Option<&[&str]>); 8] = [
            ("blanks separate", " a  b\t", Some(&["a", "b"])),
            (
                "quotes hold together",
                r#"a "b c" 'd "e'"#,
                Some(&["a", "b c", "d \"e"]),
            ),
            ("an empty quoted word is a word", "a \"\"", Some(&["a", ""])),
            (
                "quotes join to their neighbours",
                r#"A="x y"z"#,
                Some(&["A=x yz"]),
            ),
            (
                "escapes work inside and outside of quotes",
                r#"\x41 "a\"b" c\sd"#,
                Some(&["A", "a\"b", "c d"]),
            ),
            ("an unknown escape stays", r"a\.b", Some(&["a\\.b"])),
            ("nothing is no words", "", Some(&[])),
            ("an open quote is an error", "a 'b", None),
        ];
        for (sentence, line, words) in cases {
            let expected =
                words.map(|words| words.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(split(line), expected, "{sentence}");
        }
    }

    #[test]
    fn specifiers() {
        let specifiers = Specifiers {
            unit: "tp@a-b.service".to_owned(),
            home: "/home/lab".to_owned(),
            user: "lab".to_owned(),
            runtime_dir: "/run/user/2000".to_owned(),
            host: "oracle".to_owned(),
        };
        let expanded = specifiers.expand("{%i} {%I} {%n} {%N} {%p} {%h} {%u} {%t} {%%}");
        assert_eq!(
            expanded.as_deref(),
            Some(
                "{a-b} {a/b} {tp@a-b.service} {tp@a-b} {tp} {/home/lab} {lab} {/run/user/2000} {%}"
            )
        );
        assert_eq!(specifiers.expand("%q"), None);
    }

    #[test]
    fn variables() {
        let environment = BTreeMap::from([("B".to_owned(), "1 2".to_owned())]);
        let cases: [(&str, &str, &[&str]); 6] = [
            ("a word of its own is split", "$B", &["1", "2"]),
            ("braces are not split", "${B}", &["1 2"]),
            ("braces work inside a word", "x${B}y", &["x1 2y"]),
            (
                "without braces inside a word nothing happens",
                "x$B",
                &["x$B"],
            ),
            ("two dollars are one", "$$B", &["$B"]),
            ("an unset one as a word vanishes", "$A", &[]),
        ];
        for (sentence, word, expected) in cases {
            assert_eq!(
                substitute(&[word.to_owned()], &environment),
                expected,
                "{sentence}"
            );
        }
    }
}
