//! systemd's words: `systemctl show` parsed, unit files looked into, paths quoted for it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::event::StartedUnit;
use crate::core::ids::{InvocationId, UnitName};
use crate::ports::UnitState;

/// A unit as `systemctl show` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) state: UnitState,
    /// `Type`: `simple`, `notify`, `oneshot` ...
    pub(crate) kind: String,
    /// `User`; empty: root or the user of the systemd.
    pub(crate) user: String,
    pub(crate) has_dynamic_user: bool,
    pub(crate) exec_start: Vec<Exec>,
    /// `FragmentPath`; empty: no unit file.
    pub(crate) fragment: String,
    /// The sockets in `TriggeredBy`: systemd holds them, and keeps what comes while the unit is down.
    pub(crate) sockets: Vec<UnitName>,
    /// How long a stop may take.
    pub(crate) stop_timeout: Duration,
}

/// One `ExecStart`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exec {
    pub(crate) path: String,
    /// The arguments as words, its own name first. An argument with blanks is several words.
    pub(crate) argv: Vec<String>,
}

impl Exec {
    /// Whether it starts, or hands over, something at or below one of the paths.
    pub(crate) fn reaches(&self, paths: &[String]) -> bool {
        std::iter::once(&self.path).chain(&self.argv).any(|word| {
            paths.iter().any(|path| {
                word.match_indices(path.as_str()).any(|(at, found)| {
                    let next = word
                        .get(at + found.len()..)
                        .and_then(|rest| rest.chars().next());
                    matches!(next, None | Some('/' | ':' | ',' | '"' | '\''))
                })
            })
        })
    }
}

/// What a stop may take where systemd does not say (its own default).
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(90);

/// Reads the blocks of `systemctl show`, one for each unit in the order in which they were asked for.
pub(crate) fn parse_show(text: &str, units: &[UnitName]) -> Option<Vec<Unit>> {
    let mut blocks = vec![Vec::new()];
    for line in text.lines() {
        match blocks.last_mut() {
            Some(block) if !line.is_empty() => block.push(line),
            Some(block) if !block.is_empty() => blocks.push(Vec::new()),
            _ => {}
        }
    }
    blocks.retain(|block| !block.is_empty());
    if blocks.len() != units.len() {
        return None;
    }
    Some(
        blocks
            .iter()
            .zip(units)
            .map(|(block, unit)| parse_unit(block, unit))
            .collect(),
    )
}

fn parse_unit(lines: &[&str], unit: &UnitName) -> Unit {
    let mut properties = BTreeMap::new();
    let mut exec_start = Vec::new();
    for line in lines {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        match key {
            "ExecStart" => exec_start.extend(parse_exec(value)),
            _ => {
                properties.insert(key, value);
            }
        }
    }
    let text = |key: &str| properties.get(key).copied().unwrap_or_default().to_owned();
    let number = |key: &str| text(key).parse::<u32>().unwrap_or(0);
    Unit {
        state: UnitState {
            started: StartedUnit {
                unit: unit.clone(),
                invocation: InvocationId::new(text("InvocationID")),
                restarts: number("NRestarts"),
            },
            load: text("LoadState"),
            active: text("ActiveState"),
            sub: text("SubState"),
            result: text("Result"),
            main_pid: number("MainPID"),
        },
        kind: text("Type"),
        user: text("User"),
        has_dynamic_user: text("DynamicUser") == "yes",
        exec_start,
        fragment: text("FragmentPath"),
        sockets: text("TriggeredBy")
            .split_whitespace()
            .filter(|name| name.ends_with(".socket"))
            .map(UnitName::new)
            .collect(),
        stop_timeout: parse_span(&text("TimeoutStopUSec")).unwrap_or(STOP_TIMEOUT),
    }
}

/// `{ path=/usr/bin/web ; argv[]=/usr/bin/web --port 80 ; ignore_errors=no ; ... }`
fn parse_exec(value: &str) -> Option<Exec> {
    let rest = value.strip_prefix("{ path=")?;
    let (path, rest) = rest.split_once(" ; argv[]=")?;
    let (argv, _) = rest.split_once(" ; ignore_errors=").unwrap_or((rest, ""));
    Some(Exec {
        path: path.to_owned(),
        argv: argv
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// `1min 30s`, `500ms`, `infinity` (nothing), as systemd prints spans.
fn parse_span(text: &str) -> Option<Duration> {
    let mut micros = 0_u64;
    let mut is_any = false;
    for word in text.split_whitespace() {
        let digits = word
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(word.len());
        let (number, unit) = word.split_at(digits);
        let factor = match unit {
            "us" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            "min" => 60e6,
            "h" => 3600e6,
            "d" => 86_400e6,
            "w" => 604_800e6,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a saturating cast of a small non-negative number"
        )]
        let part = (number * factor) as u64;
        micros = micros.saturating_add(part);
        is_any = true;
    }
    is_any.then(|| Duration::from_micros(micros))
}

/// What the text of a unit file says about how it starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UnitText {
    pub(crate) kind: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) exec_start: Vec<Exec>,
}

/// Reads the `[Service]` section; `%h` becomes the home folder of the systemd's user.
pub(crate) fn parse_unit_text(text: &str, home: &str) -> UnitText {
    let mut found = UnitText::default();
    let mut is_service = false;
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    for line in joined.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            is_service = line == "[Service]";
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| is_service) else {
            continue;
        };
        let value = value.trim().replace("%h", home).replace("%%", "%");
        match key.trim() {
            "Type" => found.kind = Some(value),
            "User" => found.user = Some(value),
            "ExecStart" if value.is_empty() => found.exec_start.clear(),
            "ExecStart" => found.exec_start.push(exec_of(&value)),
            _ => {}
        }
    }
    found
}

fn exec_of(value: &str) -> Exec {
    let words = words(value.trim_start_matches(['-', '@', ':', '+', '!', '|']));
    Exec {
        path: words.first().cloned().unwrap_or_default(),
        argv: words,
    }
}

/// Splits as systemd does: quotes of both kinds, `\x20`, `\s`, and the character itself after any other backslash.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => word.get_or_insert_default().push(escaped(&mut rest)),
            _ if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            _ if c.is_whitespace() && quote.is_none() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn escaped(rest: &mut std::str::Chars<'_>) -> char {
    match rest.next() {
        Some('x') => {
            let digits: String = rest.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16).map_or('x', char::from)
        }
        Some('s') => ' ',
        Some(other) => other,
        None => '\\',
    }
}

/// The drop-in that leads to the environment of whatever `current` points to.
pub(crate) fn drop_in(install_dir: &str) -> String {
    let path = format!("{install_dir}/current/.rollctl/environment");
    // A path here takes everything to the end of the line; `%` begins a specifier, and a backslash at the end
    // would continue the line.
    format!("[Service]\nEnvironmentFile={}\n", path.replace('%', "%%"))
}

/// One argument of a command line in a unit file: neither blanks nor variables nor specifiers mean anything in it.
pub(crate) fn quoted(argument: &str) -> String {
    let escaped = argument
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
#[path = "systemd_tests.rs"]
mod tests;
