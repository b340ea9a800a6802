//! Command lines the way getopt reads them: options anywhere, values glued or apart.

use super::answer::Answer;

/// One option as it was given, or an operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The canonical name (`property`), and its value if it takes one.
    Option(&'static str, String),
    Operand(String),
}

/// An option that a tool knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) takes_value: bool,
}

pub(crate) const fn flag(long: &'static str, short: Option<char>) -> Known {
    Known {
        long,
        short,
        takes_value: false,
    }
}

pub(crate) const fn value(long: &'static str, short: Option<char>) -> Known {
    Known {
        long,
        short,
        takes_value: true,
    }
}

/// Reads all words; with `stop_at_operand` what follows the first operand is operands (as `systemd-run` needs it).
pub(crate) fn read(
    tool: &str,
    known: &[Known],
    arguments: &[String],
    stop_at_operand: bool,
) -> Result<Vec<Word>, Answer> {
    let mut words = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            words.extend(rest.cloned().map(Word::Operand));
            break;
        }
        if let Some(long) = argument.strip_prefix("--") {
            words.push(read_long(tool, known, long, &mut rest)?);
        } else if let Some(short) = argument.strip_prefix('-').filter(|short| !short.is_empty()) {
            read_short(tool, known, short, &mut rest, &mut words)?;
        } else {
            words.push(Word::Operand(argument.clone()));
            if stop_at_operand {
                words.extend(rest.cloned().map(Word::Operand));
                break;
            }
        }
    }
    Ok(words)
}

fn read_long(
    tool: &str,
    known: &[Known],
    long: &str,
    rest: &mut std::slice::Iter<'_, String>,
) -> Result<Word, Answer> {
    let (name, glued) = long
        .split_once('=')
        .map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
    let option = known.iter().find(|option| option.long == name);
    let option = option
        .ok_or_else(|| Answer::failure(1, format!("{tool}: unrecognized option '--{name}'")))?;
    if !option.takes_value {
        return Ok(Word::Option(option.long, glued.unwrap_or_default()));
    }
    let given = glued.or_else(|| rest.next().cloned());
    let missing = || Answer::failure(1, format!("{tool}: option '--{name}' requires an argument"));
    Ok(Word::Option(option.long, given.ok_or_else(missing)?))
}

fn read_short(
    tool: &str,
    known: &[Known],
    short: &str,
    rest: &mut std::slice::Iter<'_, String>,
    words: &mut Vec<Word>,
) -> Result<(), Answer> {
    for (at, letter) in short.char_indices() {
        let option = known.iter().find(|option| option.short == Some(letter));
        let option = option
            .ok_or_else(|| Answer::failure(1, format!("{tool}: invalid option -- '{letter}'")))?;
        if !option.takes_value {
            words.push(Word::Option(option.long, String::new()));
            continue;
        }
        let glued = &short[at + letter.len_utf8()..];
        let given = if glued.is_empty() {
            rest.next().cloned()
        } else {
            Some(glued.to_owned())
        };
        let missing = || {
            Answer::failure(
                1,
                format!("{tool}: option requires an argument -- '{letter}'"),
            )
        };
        words.push(Word::Option(option.long, given.ok_or_else(missing)?));
        return Ok(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Known; 3] = [
        flag("user", None),
        flag("quiet", Some('q')),
        value("property", Some('p')),
    ];

    fn words(line: &str) -> Result<Vec<Word>, Answer> {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        read("tool", &KNOWN, &arguments, false)
    }

    #[test]
    fn reading() {
        let option = |name, value: &str| Word::Option(name, value.to_owned());
        let operand = |text: &str| Word::Operand(text.to_owned());
        let cases = [
            (
                "options may come last",
                "a --user",
                vec![operand("a"), option("user", "")],
            ),
            (
                "values may be glued",
                "-pA --property=B",
                vec![option("property", "A"), option("property", "B")],
            ),
            (
                "values may be apart",
                "-p A --property B",
                vec![option("property", "A"), option("property", "B")],
            ),
            (
                "letters join",
                "-qp A",
                vec![option("quiet", ""), option("property", "A")],
            ),
            (
                "nothing is an option behind --",
                "-- --user",
                vec![operand("--user")],
            ),
        ];
        for (sentence, line, expected) in cases {
            assert_eq!(words(line), Ok(expected), "{sentence}");
        }
        assert_eq!(
            words("--foo"),
            Err(Answer::failure(1, "tool: unrecognized option '--foo'"))
        );
        assert_eq!(
            words("-p"),
            Err(Answer::failure(
                1,
                "tool: option requires an argument -- 'p'"
            ))
        );
    }
}
