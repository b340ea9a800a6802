//! Answers, taken apart into fields, with what must differ between two hosts put into the same words.

use std::collections::BTreeMap;
use std::fmt::Debug;

use rollctl::core::ids::Digest;

/// One field of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// What was asked.
    pub(crate) step: String,
    /// Which field of the answer: `Ok.units.0.active`.
    pub(crate) path: String,
    /// What it says.
    pub(crate) value: String,
}

/// Everything that one host answered.
pub(crate) struct Answers {
    fields: Vec<Field>,
    /// Texts that are this host's own, and what stands for them; longer ones first.
    own: Vec<(String, String)>,
    /// Invocations and pids, by the order in which they were seen: who is the same stays the same.
    seen: BTreeMap<&'static str, Vec<String>>,
}

impl Answers {
    /// None yet. `own`: texts that are this host's own, and what stands for them.
    pub(crate) fn new(own: Vec<(String, String)>) -> Self {
        Self {
            fields: Vec::new(),
            own,
            seen: BTreeMap::new(),
        }
    }

    /// All fields in the order in which they were answered.
    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What a host ran before has a digest over paths of that host.
    pub(crate) fn adopted(&mut self, digest: &Digest, word: &str) {
        self.own.push((digest.to_string(), format!("({word})")));
        let short = digest.as_str()[..12].to_owned();
        self.own.push((short, format!("({word}, short)")));
    }

    /// Takes an answer.
    pub(crate) fn take(&mut self, step: &str, answer: &impl Debug) {
        for (path, value) in flattened(&format!("{answer:#?}")) {
            let value = self.in_common_words(&path, &value);
            self.fields.push(Field {
                step: step.to_owned(),
                path,
                value,
            });
        }
    }

    fn in_common_words(&mut self, path: &str, value: &str) -> String {
        if path.ends_with("main_pid") && value != "0" {
            return self.numbered("pid", value);
        }
        let mut text = value.to_owned();
        for (own, word) in &self.own {
            text = text.replace(own, word);
        }
        let text = without_date(&text);
        let text = without_pid(&text);
        let mut common = String::new();
        let mut run = String::new();
        for c in text.chars().chain(['\n']) {
            if c.is_ascii_alphanumeric() {
                run.push(c);
                continue;
            }
            let is_invocation = run.len() == 32 && run.chars().all(|c| c.is_ascii_hexdigit());
            match is_invocation {
                true => common.push_str(&self.numbered("invocation", &run)),
                false => common.push_str(&run),
            }
            run.clear();
            common.push(c);
        }
        common.pop();
        common
    }

    fn numbered(&mut self, what: &'static str, value: &str) -> String {
        let seen = self.seen.entry(what).or_default();
        let at = seen.iter().position(|one| one == value).unwrap_or_else(|| {
            seen.push(value.to_owned());
            seen.len() - 1
        });
        format!("({what} {})", at + 1)
    }
}

/// The fields of what `{:#?}` prints, each with its path. Strings have no line breaks there.
fn flattened(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    // Name, and how many came before without a name of their own.
    let mut path: Vec<(String, usize)> = vec![(String::new(), 0)];
    for line in text.lines() {
        let mut line = line.trim();
        line = line.strip_suffix(',').unwrap_or(line);
        if line.starts_with(['}', ')', ']']) {
            path.pop();
            line = line[1..].trim_start_matches(':').trim_start();
            if line.is_empty() {
                continue;
            }
        }
        let named = line
            .split_once(": ")
            .filter(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        let value = named.map_or(line, |(_, value)| value);
        let kind = value.trim_end_matches(['{', '(', '[']);
        let opens = kind.len() < value.len() && !value.starts_with('"');
        let name = match named {
            Some((name, _)) => name.to_owned(),
            None if opens && !kind.trim().is_empty() => kind.trim().to_owned(),
            None => {
                let last = path.last_mut().unwrap();
                last.1 += 1;
                (last.1 - 1).to_string()
            }
        };
        if opens {
            path.push((name, 0));
            continue;
        }
        let names: Vec<&str> = path[1..].iter().map(|(name, _)| name.as_str()).collect();
        fields.push((format!("{}.{name}", names.join(".")), value.to_owned()));
    }
    fields
}

/// A journal's line begins with `Nov 22 12:31:01 web-01 `, one of the host's own journal with `2025-11-22T12:31:01Z`.
fn without_date(text: &str) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let inner = text.strip_prefix('"').unwrap_or(text);
    let is_dated = MONTHS.iter().any(|month| inner.starts_with(month))
        && inner.get(9..10) == Some(":")
        && inner.get(12..13) == Some(":");
    if is_dated {
        let rest = inner.splitn(4, ' ').nth(3).unwrap_or_default();
        // A day below 10 has a blank before it.
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':' || c == ' ');
        return format!("\"{rest}");
    }
    let mut words: Vec<String> = text.split("\\n").map(str::to_owned).collect();
    for word in &mut words {
        let start = usize::from(word.starts_with('"'));
        let is_date = word.get(start + 10..start + 11) == Some("T")
            && word.get(start + 19..start + 20) == Some("Z");
        if is_date {
            word.replace_range(start..start + 20, "(date)");
        }
    }
    words.join("\\n")
}

/// `web[812]:` and `pid 812`.
fn without_pid(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = [rest.find("pid "), rest.find('[')]
        .into_iter()
        .flatten()
        .min()
    {
        let start = at + if rest[at..].starts_with('[') { 1 } else { 4 };
        result.push_str(&rest[..start]);
        rest = &rest[start..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            result.push_str("(pid)");
            rest = &rest[digits..];
        }
    }
    result + rest
}

#[test]
fn answers_are_taken_apart_and_told_in_common_words() {
    let mut answers = Answers::new(vec![("/home/svc".into(), "~".into())]);
    let invocations = [
        "0123456789abcdef0123456789abcdef",
        "f123456789abcdef0123456789abcdef",
    ];
    let answer: Result<_, ()> = Ok((
        vec![
            "Nov  2 12:31:01 web-01 systemd[77]: Started /home/svc/web.",
            "Nov 22 12:31:01 web-01 web[812]: starting v1, pid 812",
        ],
        Some(invocations),
        invocations[0],
    ));
    answers.take("asked", &answer);
    let told: Vec<String> = answers
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.path, field.value))
        .collect();
    assert_eq!(
        told,
        [
            "Ok.0.0.0 \"web-01 systemd[(pid)]: Started ~/web.\"",
            "Ok.0.0.1 \"web-01 web[(pid)]: starting v1, pid (pid)\"",
            "Ok.0.Some.0.0 \"(invocation 1)\"",
            "Ok.0.Some.0.1 \"(invocation 2)\"",
            "Ok.0.1 \"(invocation 1)\"",
        ]
    );
}
