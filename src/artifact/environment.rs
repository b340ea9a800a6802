//! The environment file that a unit reads by `EnvironmentFile=`, in systemd's quoting.
//!
//! systemd (`src/basic/env-file.c`) reads a value in double quotes literally up to the closing quote, newlines
//! included; a backslash there takes away the meaning of `"`, `\`, `` ` `` and `$`. Nothing else is special: there
//! are no `%` specifiers and nothing is expanded. Versions before 246 kept any character after a backslash, so these
//! four are the escapes that every version reads alike.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::core::fleet::{EnvironmentValue, Service};
use crate::core::ids::RevisionName;

use super::error::ArtifactReadError;

/// One line, or more when the value has newlines: `NAME="value"` and a newline.
pub fn quote_assignment(name: &str, value: &str) -> String {
    let mut line = String::with_capacity(name.len() + value.len() + 4);
    line.push_str(name);
    line.push_str("=\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '`' | '$') {
            line.push('\\');
        }
        line.push(character);
    }
    line.push_str("\"\n");
    line
}

/// The text of a service's own variables: what is stored, without the name of a revision.
pub(super) fn base_text(variables: &BTreeMap<String, String>) -> String {
    variables
        .iter()
        .map(|(name, value)| quote_assignment(name, value))
        .collect()
}

/// The variables of a text that [`quote_assignment`] wrote.
pub fn read_assignments(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = after.char_indices();
        let mut end = after.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                plain => value.push(plain),
            }
        }
        found.push((name.trim_start().to_owned(), value));
        rest = after.get(end..).unwrap_or_default();
    }
    found
}

/// The final environment file: `base` (see [`crate::ports::PackageContents::environment`]), then `ROLLCTL_REVISION`,
/// then `PORT` when the service has one.
///
/// Name and port come last and only here, because the same content may have several names and, side by side, ports.
pub fn environment_text(base: &str, revision: &RevisionName, port: Option<u16>) -> String {
    let mut text = base.to_owned();
    text.push_str(&quote_assignment("ROLLCTL_REVISION", revision.as_str()));
    if let Some(port) = port {
        text.push_str(&quote_assignment("PORT", &port.to_string()));
    }
    text
}

/// A service's variables with their values; secrets are looked up on the controller.
pub(super) fn resolve(
    service: &Service,
    lookup: &dyn Fn(&str) -> Option<OsString>,
) -> Result<BTreeMap<String, String>, ArtifactReadError> {
    let mut variables = BTreeMap::new();
    for (name, value) in &service.environment {
        let refuse = |problem| ArtifactReadError::Variable {
            service: service.name.clone(),
            variable: name.escape_debug().to_string(),
            problem,
        };
        check_name(name, service.port.is_some()).map_err(refuse)?;
        let value = match value {
            EnvironmentValue::Plain(value) => value.clone(),
            EnvironmentValue::Secret { env } => {
                secret(lookup(env)).map_err(|problem| ArtifactReadError::Secret {
                    service: service.name.clone(),
                    variable: name.clone(),
                    env: env.clone(),
                    problem,
                })?
            }
        };
        if value.contains('\0') {
            return Err(refuse("holds a NUL character, which no environment can"));
        }
        variables.insert(name.clone(), value);
    }
    Ok(variables)
}

fn secret(found: Option<OsString>) -> Result<String, &'static str> {
    found
        .ok_or("not set")?
        .into_string()
        .map_err(|_| "not text in UTF-8")
}

fn check_name(name: &str, has_port: bool) -> Result<(), &'static str> {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(is_start) || !name.chars().all(|c| is_start(c) || c.is_ascii_digit()) {
        return Err("has a name that systemd ignores");
    }
    if name.starts_with("ROLLCTL_") {
        return Err("has a name that is reserved for rollctl");
    }
    if name == "PORT" && has_port {
        return Err("is set already, by the service's `port`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_quoted_is_read_back() {
        let variables = [
            ("PLAIN", "x"),
            ("EMPTY", ""),
            ("QUOTES", "a\"b\\c`d$e'f"),
            ("LINES", "first\nOTHER=\"no\"\n"),
        ];
        let text: String = variables
            .iter()
            .map(|(name, value)| quote_assignment(name, value))
            .collect();
        let expected: Vec<_> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(read_assignments(&text), expected);
        assert_eq!(read_assignments("garbage \" ="), []);
    }

    /// How systemd reads an environment file, its rules in our words: name, then quoted and bare pieces.
    fn read_as_systemd(text: &str, keep_unknown_escapes: bool) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut chars = text.chars().peekable();
        while chars.peek().is_some() {
            let name: String = chars.by_ref().take_while(|c| *c != '=').collect();
            let mut value = String::new();
            assert_eq!(
                chars.next(),
                Some('"'),
                "this reader knows double quotes only"
            );
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' => match chars.next().unwrap() {
                        c @ ('"' | '\\' | '`' | '$') => value.push(c),
                        '\n' => {}
                        c if keep_unknown_escapes => value.extend(['\\', c]),
                        c => value.push(c),
                    },
                    c => value.push(c),
                }
            }
            assert_eq!(chars.next(), Some('\n'), "one assignment, one line");
            found.push((name, value));
        }
        found
    }

    #[test]
    fn hostile_values_and_the_text_that_systemd_reads_back() {
        for (value, text, sentence) in [
            ("", r#"A="""#, "nothing"),
            ("info", r#"A="info""#, "a word"),
            ("a b  c ", r#"A="a b  c ""#, "spaces, also at the end"),
            ("#no;comment", "A=\"#no;comment\"", "what starts comments"),
            (r#"say "hi""#, r#"A="say \"hi\"""#, "double quotes"),
            ("it's", r#"A="it's""#, "a single quote"),
            (r"C:\dir\n", r#"A="C:\\dir\\n""#, "backslashes"),
            (
                r"end\",
                r#"A="end\\""#,
                "a backslash before the closing quote",
            ),
            (
                "$HOME ${X}",
                r#"A="\$HOME \${X}""#,
                "what a shell would expand",
            ),
            (
                "$(reboot)`reboot`",
                r#"A="\$(reboot)\`reboot\`""#,
                "commands",
            ),
            (
                "100%i %% %n",
                r#"A="100%i %% %n""#,
                "percent, no specifier here",
            ),
            (
                "two\nB=lines",
                "A=\"two\nB=lines\"",
                "a newline that looks like an assignment",
            ),
            ("tab\tcr\r", "A=\"tab\tcr\r\"", "other white space"),
            (
                "größe ✓ 日本",
                r#"A="größe ✓ 日本""#,
                "letters of the world",
            ),
        ] {
            let written = quote_assignment("A", value);
            assert_eq!(written, format!("{text}\n"), "{sentence}");
            for keeps in [true, false] {
                let back = read_as_systemd(&written, keeps);
                assert_eq!(back, [("A".to_owned(), value.to_owned())], "{sentence}");
            }
        }
    }

    #[test]
    fn name_and_port_come_last() {
        let base = base_text(&BTreeMap::from([
            ("B".into(), "2".into()),
            ("A".into(), "1".into()),
        ]));
        let name = RevisionName::given("v1.4.2").unwrap();
        assert_eq!(
            environment_text(&base, &name, Some(8080)),
            "A=\"1\"\nB=\"2\"\nROLLCTL_REVISION=\"v1.4.2\"\nPORT=\"8080\"\n"
        );
        assert_eq!(
            environment_text("", &name, None),
            "ROLLCTL_REVISION=\"v1.4.2\"\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_value_comes_back(value in "[^\0]*") {
            let text = environment_text(&quote_assignment("A", &value), &RevisionName::given("v1").unwrap(), None);
            for keeps in [true, false] {
                let back = read_as_systemd(&text, keeps);
                proptest::prop_assert_eq!(&back[0].1, &value);
                proptest::prop_assert_eq!(back.len(), 2);
            }
        }
    }
}
