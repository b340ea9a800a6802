//! `journalctl`.

use super::answer::Answer;
use super::options::{self, Known, Word, flag, value};
use super::systemctl::unit_name;
use crate::systemd::{Entry, Manager, Match, SharedManager};

const KNOWN: [Known; 20] = [
    flag("user", None),
    flag("system", None),
    flag("no-pager", None),
    flag("quiet", Some('q')),
    flag("all", Some('a')),
    flag("full", Some('l')),
    flag("no-full", None),
    flag("reverse", Some('r')),
    flag("pager-end", Some('e')),
    flag("catalog", Some('x')),
    flag("no-hostname", None),
    flag("utc", None),
    flag("merge", Some('m')),
    value("unit", Some('u')),
    value("user-unit", None),
    value("lines", Some('n')),
    value("output", Some('o')),
    value("boot", Some('b')),
    value("since", Some('S')),
    value("identifier", Some('t')),
];

const HINT: &str = "Hint: You are currently not seeing messages from other users and the system.
      Users in groups 'adm', 'systemd-journal' can see all messages.
      Pass -q to turn off this notice.";

#[derive(Default)]
struct Request {
    user: bool,
    quiet: bool,
    reverse: bool,
    hostname: bool,
    last: Option<usize>,
    output: String,
    any_of: Vec<Vec<Match>>,
}

pub(super) fn run(manager: &SharedManager, arguments: &[String]) -> Answer {
    let request =
        match options::read("journalctl", &KNOWN, &normalized(arguments), false).and_then(sort) {
            Ok(request) => request,
            Err(answer) => return answer,
        };
    let manager = Manager::lock(manager);
    let mut entries = if request.user {
        manager.journal.select(&request.any_of, request.last)
    } else {
        Vec::new()
    };
    if request.reverse {
        entries.reverse();
    }
    let mut answer = Answer::default();
    if !request.user && !request.quiet {
        answer.complain(HINT);
    }
    if entries.is_empty()
        && !request.quiet
        && !matches!(request.output.as_str(), "json" | "cat" | "export")
    {
        answer.say("-- No entries --");
    }
    let host = if request.hostname {
        format!("{} ", manager.facts.name)
    } else {
        String::new()
    };
    for entry in entries {
        answer.say(print(entry, &request.output, &host));
    }
    answer
}

/// `-b` and `-n` may stand without a value, which getopt takes only if it is glued.
fn normalized(arguments: &[String]) -> Vec<String> {
    let mut result = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let next_is_number = arguments
            .get(index + 1)
            .is_some_and(|next| next.parse::<usize>().is_ok() || next == "all");
        match argument.as_str() {
            "-b" | "--boot" => result.push("--boot=0".to_owned()),
            "-n" | "--lines" if !next_is_number => result.push("--lines=10".to_owned()),
            _ => result.push(argument.clone()),
        }
    }
    result
}

fn sort(words: Vec<Word>) -> Result<Request, Answer> {
    let mut request = Request {
        hostname: true,
        output: "short".to_owned(),
        ..Request::default()
    };
    let mut group = Vec::new();
    for word in words {
        match word {
            Word::Option("user", _) => request.user = true,
            Word::Option("quiet", _) => request.quiet = true,
            Word::Option("reverse", _) => request.reverse = true,
            Word::Option("no-hostname", _) => request.hostname = false,
            Word::Option("user-unit", unit) => {
                request.user = true;
                group.push(Match::Unit(unit_name(&unit)));
            }
            Word::Option("unit", unit) => group.push(Match::Unit(unit_name(&unit))),
            Word::Option("identifier", name) => {
                group.push(Match::Field("SYSLOG_IDENTIFIER".to_owned(), name))
            }
            Word::Option("lines", lines) if lines == "all" => request.last = None,
            Word::Option("lines", lines) => {
                let invalid = |_| Answer::failure(1, format!("Failed to parse lines '{lines}'"));
                request.last = Some(lines.parse().map_err(invalid)?);
            }
            Word::Option("output", output) => request.output = output,
            Word::Operand(operand) if operand == "+" => {
                request.any_of.push(std::mem::take(&mut group))
            }
            Word::Operand(operand) => match operand.split_once('=') {
                Some((field, value)) => {
                    group.push(Match::Field(field.to_owned(), value.to_owned()))
                }
                None => {
                    return Err(Answer::failure(
                        1,
                        format!("Failed to add match '{operand}': Invalid argument"),
                    ));
                }
            },
            Word::Option(..) => {}
        }
    }
    if !group.is_empty() {
        request.any_of.push(group);
    }
    Ok(request)
}

fn print(entry: &Entry, output: &str, host: &str) -> String {
    let moment = entry.moment();
    let line = |time: String| {
        format!(
            "{time} {host}{}[{}]: {}",
            entry.identifier, entry.pid, entry.message
        )
    };
    match output {
        "cat" => entry.message.clone(),
        "json" => json(entry),
        "short-iso" => line(moment.iso()),
        "short-unix" => line(format!(
            "{}.{:06}",
            moment.realtime / 1_000_000,
            moment.realtime % 1_000_000
        )),
        "short-full" => line(moment.date()),
        _ => line(moment.short()),
    }
}

fn json(entry: &Entry) -> String {
    let mut fields = serde_json::Map::new();
    let mut add = |name: &str, value: String| fields.insert(name.to_owned(), value.into());
    let moment = entry.moment();
    add("__REALTIME_TIMESTAMP", moment.realtime.to_string());
    add("__MONOTONIC_TIMESTAMP", moment.monotonic.to_string());
    add("_PID", entry.pid.to_string());
    add("PRIORITY", "6".to_owned());
    let names = [
        "MESSAGE",
        "SYSLOG_IDENTIFIER",
        "_SYSTEMD_INVOCATION_ID",
        "USER_INVOCATION_ID",
        "_SYSTEMD_USER_UNIT",
        "USER_UNIT",
    ];
    for name in names {
        if let Some(value) = entry.field(name) {
            add(name, value.to_owned());
        }
    }
    serde_json::Value::Object(fields).to_string()
}
