//! Where the behaviour comes from: trailer, environment, command line.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

/// The last bytes of a file that carries settings; before it their length as eight hex digits, before that the settings.
pub(crate) const MAGIC: &[u8; 8] = b"\nDEMOEND";

/// Every key, as in the trailer and (with `--` before it) on the command line.
const KEYS: [&str; 11] = [
    "listen",
    "version-text",
    "start-delay",
    "ready-delay",
    "crash-after",
    "says",
    "error-percent",
    "exit-at-once",
    "ignore-sigterm",
    "stop-delay",
    "version",
];

/// What this process is to do.
pub(crate) struct Settings {
    pub(crate) listen: String,
    pub(crate) version: String,
    /// The revision that rollctl put into the environment.
    pub(crate) revision: Option<String>,
    /// Claimed instead of the version.
    pub(crate) says: Option<String>,
    /// Before it listens.
    pub(crate) start_delay: Duration,
    /// 503 until then, counted from listening.
    pub(crate) ready_delay: Duration,
    pub(crate) crash_after: Option<Duration>,
    pub(crate) error_percent: u32,
    pub(crate) exit_at_once: Option<u8>,
    pub(crate) ignore_sigterm: bool,
    /// Between SIGTERM and the end, with nothing listening any more.
    pub(crate) stop_delay: Duration,
}

impl Settings {
    /// Reads all three places.
    pub(crate) fn read() -> Result<Self, String> {
        let mut values = trailer().map_err(|error| format!("cannot read the own file: {error}"))?;
        for key in KEYS {
            let variable = format!("DEMO_{}", key.replace('-', "_").to_uppercase());
            if let Ok(value) = env::var(variable) {
                values.insert(key.to_owned(), value);
            }
        }
        arguments(&mut values)?;
        Self::parse(&values)
    }

    fn parse(values: &BTreeMap<String, String>) -> Result<Self, String> {
        let text = |key: &str| values.get(key).filter(|value| !value.is_empty()).cloned();
        let number = |key: &str| match text(key) {
            None => Ok(None),
            Some(value) => value
                .parse::<u8>()
                .map(Some)
                .map_err(|_| format!("`{key}` is no number up to 255: `{value}`")),
        };
        let time = |key: &str| text(key).map(|value| duration(key, &value)).transpose();
        let revision = env::var("ROLLCTL_REVISION").ok();
        let version = text("version-text")
            .or_else(|| text("version"))
            .or_else(|| revision.clone());
        Ok(Self {
            listen: text("listen").unwrap_or_else(default_listen),
            version: version.unwrap_or_else(|| "unknown".to_owned()),
            revision,
            says: text("says"),
            start_delay: time("start-delay")?.unwrap_or_default(),
            ready_delay: time("ready-delay")?.unwrap_or_default(),
            crash_after: time("crash-after")?,
            error_percent: number("error-percent")?.unwrap_or(0).min(100).into(),
            exit_at_once: number("exit-at-once")?,
            ignore_sigterm: text("ignore-sigterm")
                .is_some_and(|value| value != "0" && value != "false"),
            stop_delay: time("stop-delay")?.unwrap_or_default(),
        })
    }
}

/// On a lab host `HOST` is the host's own address, so that every host has its own port 8080.
fn default_listen() -> String {
    let host = env::var("HOST")
        .ok()
        .filter(|host| host.parse::<std::net::IpAddr>().is_ok());
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    format!("{}:{port}", host.as_deref().unwrap_or("0.0.0.0"))
}

/// `--key value`, `--key=value`; `--ignore-sigterm` alone means yes.
fn arguments(values: &mut BTreeMap<String, String>) -> Result<(), String> {
    let mut arguments = env::args().skip(1).peekable();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.strip_prefix("--") else {
            return Err(format!("unexpected argument `{argument}`"));
        };
        let (key, value) = match flag.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (flag, arguments.next_if(|next| !next.starts_with("--"))),
        };
        if !KEYS.contains(&key) {
            return Err(format!(
                "unknown flag `--{key}`; there are: --{}",
                KEYS.join(", --")
            ));
        }
        values.insert(key.to_owned(), value.unwrap_or_else(|| "1".to_owned()));
    }
    Ok(())
}

/// `250ms`, `2s`, `1m`, `1.5` (seconds).
fn duration(key: &str, value: &str) -> Result<Duration, String> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &value[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        _ => return Err(format!("`{key}` is no duration: `{value}`")),
    };
    let seconds: f64 = digits
        .parse()
        .map_err(|_| format!("`{key}` is no duration: `{value}`"))?;
    Duration::try_from_secs_f64(seconds * unit)
        .map_err(|_| format!("`{key}` is no duration: `{value}`"))
}

/// The settings at the end of the own file; none if there is no trailer.
fn trailer() -> std::io::Result<BTreeMap<String, String>> {
    let mut file = File::open(env::current_exe()?)?;
    let mut end = [0; 16];
    file.seek(SeekFrom::End(-16))?;
    file.read_exact(&mut end)?;
    if &end[8..] != MAGIC {
        return Ok(BTreeMap::new());
    }
    let length = std::str::from_utf8(&end[..8])
        .ok()
        .and_then(|hex| i64::from_str_radix(hex, 16).ok())
        .unwrap_or(0);
    file.seek(SeekFrom::End(-16 - length))?;
    let mut text = String::new();
    file.take(length.unsigned_abs()).read_to_string(&mut text)?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect())
}
