//! `systemctl`: options, and which verb does what.

use super::answer::Answer;
use super::options::{self, Known, Word, flag, value};
use super::{query, verbs};
use crate::systemd::{Manager, SharedManager, TimeStyle};

const VERSION: &str = "systemd 252 (252.39-1~deb12u2)\n\
    +PAM +AUDIT +SELINUX +APPARMOR +IMA +SMACK +SECCOMP +GCRYPT -GNUTLS +OPENSSL +ACL +BLKID +CURL +ELFUTILS +FIDO2 +IDN2 -IDN \
    +IPTC +KMOD +LIBCRYPTSETUP +LIBFDISK +PCRE2 -PWQUALITY +P11KIT +QRENCODE +TPM2 +BZIP2 +LZ4 +XZ +ZLIB +ZSTD -BPF_FRAMEWORK \
    -XKBCOMMON +UTMP +SYSVINIT default-hierarchy=unified\n";

const KNOWN: [Known; 26] = [
    flag("user", None),
    flag("system", None),
    flag("quiet", Some('q')),
    flag("no-pager", None),
    flag("no-block", None),
    flag("now", None),
    flag("value", None),
    flag("all", Some('a')),
    flag("full", Some('l')),
    flag("no-legend", None),
    flag("plain", None),
    flag("failed", None),
    flag("force", Some('f')),
    flag("no-reload", None),
    flag("no-ask-password", None),
    flag("version", None),
    flag("wait", None),
    flag("no-warn", None),
    value("property", Some('p')),
    value("timestamp", None),
    value("signal", Some('s')),
    value("kill-whom", None),
    value("kill-who", None),
    value("lines", Some('n')),
    value("type", Some('t')),
    value("state", None),
];

/// The options that make a difference.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) user: bool,
    pub(super) quiet: bool,
    pub(super) no_block: bool,
    pub(super) now: bool,
    pub(super) value: bool,
    pub(super) all: bool,
    pub(super) failed: bool,
    pub(super) no_legend: bool,
    pub(super) plain: bool,
    pub(super) properties: Option<Vec<String>>,
    pub(super) timestamp: TimeStyle,
    pub(super) signal: Option<String>,
    pub(super) kill_whom: Option<String>,
}

pub(super) async fn run(manager: &SharedManager, arguments: &[String]) -> Answer {
    let words = match options::read("systemctl", &KNOWN, arguments, false) {
        Ok(words) => words,
        Err(answer) => return answer,
    };
    if words
        .iter()
        .any(|word| matches!(word, Word::Option("version", _)))
    {
        return Answer {
            out: VERSION.to_owned(),
            ..Answer::default()
        };
    }
    let (options, operands) = sort(words);
    let mut operands = operands.into_iter();
    let verb = operands.next().unwrap_or_else(|| "list-units".to_owned());
    let operands: Vec<String> = operands.collect();
    let units: Vec<String> = operands.iter().map(|name| unit_name(name)).collect();
    if units.is_empty() && needs_units(&verb) {
        return Answer::failure(1, "Too few arguments.");
    }
    if !options.user {
        return unprivileged(manager, &verb, &units, &options);
    }
    match verb.as_str() {
        "start" | "stop" | "restart" | "try-restart" => {
            verbs::jobs(manager, &verb, &units, &options).await
        }
        "daemon-reload" | "daemon-reexec" => {
            Manager::lock(manager).reload();
            Answer::default()
        }
        "reset-failed" => verbs::reset_failed(manager, &units),
        "kill" => verbs::kill(manager, &units, &options),
        "enable" | "disable" | "reenable" => verbs::enable(manager, &verb, &units, &options).await,
        "link" => verbs::link(manager, &units),
        _ => query::run(manager, &verb, &units, &options),
    }
}

fn needs_units(verb: &str) -> bool {
    let verbs = [
        "start",
        "stop",
        "restart",
        "try-restart",
        "kill",
        "enable",
        "disable",
        "reenable",
        "link",
        "is-active",
        "is-failed",
        "is-enabled",
        "cat",
    ];
    verbs.contains(&verb)
}

fn sort(words: Vec<Word>) -> (Options, Vec<String>) {
    let mut options = Options::default();
    let mut operands = Vec::new();
    for word in words {
        match word {
            Word::Operand(operand) => operands.push(operand),
            Word::Option("user", _) => options.user = true,
            Word::Option("system", _) => options.user = false,
            Word::Option("quiet", _) => options.quiet = true,
            Word::Option("no-block", _) => options.no_block = true,
            Word::Option("now", _) => options.now = true,
            Word::Option("value", _) => options.value = true,
            Word::Option("all", _) => options.all = true,
            Word::Option("failed", _) => options.failed = true,
            Word::Option("no-legend", _) => options.no_legend = true,
            Word::Option("plain", _) => options.plain = true,
            Word::Option("property", names) => {
                options
                    .properties
                    .get_or_insert_default()
                    .extend(names.split(',').map(str::to_owned));
            }
            Word::Option("timestamp", style) if style == "unix" => {
                options.timestamp = TimeStyle::Unix
            }
            Word::Option("signal", signal) => options.signal = Some(signal),
            Word::Option("kill-whom" | "kill-who", whom) => options.kill_whom = Some(whom),
            Word::Option("state", state) => options.failed |= state == "failed",
            Word::Option(..) => {}
        }
    }
    (options, operands)
}

/// `web` is `web.service`; paths and patterns stay.
pub(super) fn unit_name(text: &str) -> String {
    let suffixes = [
        ".service", ".timer", ".target", ".socket", ".path", ".slice", ".scope", ".mount",
    ];
    if text.starts_with('/')
        || text.contains('*')
        || suffixes.iter().any(|suffix| text.ends_with(suffix))
    {
        return text.to_owned();
    }
    format!("{text}.service")
}

/// Without `--user`: the machine's own manager, which has none of our units and lets nobody in.
fn unprivileged(
    manager: &SharedManager,
    verb: &str,
    units: &[String],
    options: &Options,
) -> Answer {
    let denied = "Interactive authentication required.";
    let each = |line: &dyn Fn(&str) -> String| {
        let mut answer = Answer {
            code: 1,
            ..Answer::default()
        };
        units.iter().for_each(|unit| answer.complain(line(unit)));
        answer
    };
    match verb {
        "daemon-reload" | "daemon-reexec" => {
            Answer::failure(1, format!("Reload daemon failed: {denied}"))
        }
        "enable" | "disable" | "reenable" | "link" => {
            Answer::failure(1, format!("Failed to {verb} unit: {denied}"))
        }
        "reset-failed" => each(&|unit| {
            format!("Failed to reset failed state of unit {unit}: Unit {unit} not loaded.")
        }),
        "kill" => each(&|unit| format!("Failed to kill unit {unit}: Unit {unit} not loaded.")),
        "start" | "stop" | "restart" | "try-restart" | "reload" => each(&|unit| {
            format!(
                "Failed to {verb} {unit}: {denied}\nSee system logs and 'systemctl status {unit}' for details."
            )
        }),
        "is-active" | "is-failed" => {
            let mut answer = Answer {
                code: if verb == "is-active" { 3 } else { 1 },
                ..Answer::default()
            };
            units
                .iter()
                .filter(|_| !options.quiet)
                .for_each(|_| answer.say("inactive"));
            answer
        }
        "is-enabled" => each(&|unit| {
            format!("Failed to get unit file state for {unit}: No such file or directory")
        }),
        "cat" => each(&|unit| format!("No files found for {unit}.")),
        "status" if !units.is_empty() => Answer {
            code: 4,
            ..each(&|unit| format!("Unit {unit} could not be found."))
        },
        "show" => query::show_foreign(manager, units, options),
        "is-system-running" | "list-units" | "status" => {
            query::run(manager, "is-system-running", &[], options)
        }
        _ => Answer::failure(1, format!("Unknown command verb {verb}.")),
    }
}
