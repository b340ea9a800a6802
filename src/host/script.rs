//! The fixed script: its text, how it is started, how arguments travel to it, how its answers are told from noise.

use rand::Rng;

use crate::core::fleet::{Become, Scope};
use crate::ports::{HostError, HostErrorKind};

/// What runs on every host. Nothing that a person wrote ever becomes part of it.
pub(crate) const SCRIPT: &str = concat!(
    include_str!("script/base.sh"),
    include_str!("script/facts.sh"),
    include_str!("script/stage.sh"),
    include_str!("script/switch.sh"),
    include_str!("script/commit.sh"),
    include_str!("script/confirm.sh"),
    include_str!("script/timer.sh"),
    include_str!("script/guard.sh"),
    include_str!("script/side.sh"),
    include_str!("script/attest.sh"),
    include_str!("script/loop.sh"),
);

/// What the login shell is asked to run: it takes in the script, byte-exact, from standard input. The script itself as
/// an argument would fill the logs of sudo (it logs commands) and the host's list of processes.
const START: &str = r#"sh -c 'IFS= read -r n && rollctl_script=$(dd bs=65536 iflag=fullblock,count_bytes count="$n" status=none) && eval "$rollctl_script"'"#;

/// How the script works on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) scope: Scope,
    pub(crate) acting: Become,
}

impl Manner {
    /// The command for the login shell. A user's own systemd is never reached as root.
    pub(crate) fn command(self) -> String {
        match self.uses_sudo() {
            true => format!("sudo -n {START}"),
            false => START.to_owned(),
        }
    }

    pub(crate) fn uses_sudo(self) -> bool {
        self.acting == Become::Sudo && self.scope == Scope::System
    }

    /// What the script is to be sent first.
    pub(crate) fn greeting(self, token: &str) -> Vec<u8> {
        let scope = match self.scope {
            Scope::System => "system",
            Scope::User => "user",
        };
        let acting = if self.uses_sudo() { "sudo" } else { "none" };
        format!("{}\n{SCRIPT}{token}\n{scope}\n{acting}\n", SCRIPT.len()).into_bytes()
    }
}

/// A word that nothing on the host can guess: lines that begin with it are ours.
pub(crate) fn token() -> String {
    format!("rollctl-{:032x}", rand::rng().random::<u128>())
}

/// A request: a verb and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    verb: &'static str,
    arguments: Vec<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(verb: &'static str) -> Self {
        Self {
            verb,
            arguments: Vec::new(),
        }
    }

    /// One more argument, any bytes but NUL.
    pub(crate) fn arg(mut self, value: impl AsRef<[u8]>) -> Self {
        self.arguments.push(value.as_ref().to_vec());
        self
    }

    /// One more argument of the form `name=value`.
    pub(crate) fn option(self, name: &str, value: impl std::fmt::Display) -> Self {
        self.arg(format!("{name}={value}"))
    }

    pub(crate) fn verb(&self) -> &'static str {
        self.verb
    }

    /// The lines that ask for it.
    pub(crate) fn lines(&self, id: u64) -> Result<Vec<u8>, HostError> {
        let mut lines = format!("{id} {} {}\n", self.verb, self.arguments.len()).into_bytes();
        for argument in &self.arguments {
            if argument.contains(&0) {
                return Err(refused("a name or path holds a NUL byte", None));
            }
            encode(argument, &mut lines);
            lines.push(b'\n');
        }
        Ok(lines)
    }
}

/// Printable ASCII stands for itself, every other byte and the backslash for `\0ooo`, as `printf %b` reads it.
pub(crate) fn encode(bytes: &[u8], into: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'\\' | 0..=0x1f | 0x7f..=0xff => {
                into.extend_from_slice(format!("\\0{byte:03o}").as_bytes());
            }
            _ => into.push(*byte),
        }
    }
}

/// The same as text, for a field of the host's journal.
pub(crate) fn encoded(text: &str) -> String {
    let mut bytes = Vec::new();
    encode(text.as_bytes(), &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Answer {
    /// Its output, when the verb ended well; else what it refused or failed at, in words.
    pub(crate) fn output(self, token: &str, verb: &str) -> Result<Vec<u8>, HostError> {
        for (word, kind) in [
            ("refused", HostErrorKind::Refused),
            ("failed", HostErrorKind::Failed),
        ] {
            let mark = format!("\n{token} {word} ");
            if let Some(at) = find(&self.stdout, mark.as_bytes(), 0) {
                let rest = self.stdout.get(at + mark.len()..).unwrap_or_default();
                let text = String::from_utf8_lossy(rest);
                let (code, message) = text.split_once('\n').unwrap_or((&text, ""));
                return Err(in_words(kind, code, message, &self.stderr));
            }
        }
        if self.status == 0 {
            return Ok(self.stdout);
        }
        Err(HostError {
            kind: HostErrorKind::Failed,
            message: format!(
                "`{verb}` ended with status {}{}",
                self.status,
                tail(&self.stderr)
            ),
            hint: None,
        })
    }

    /// Takes a whole answer out of what came so far: the answer and where it ends.
    pub(crate) fn take(buffer: &[u8], token: &str, id: u64) -> Option<(Self, usize)> {
        let begin = format!("\n{token} begin {id}\n");
        let start = find(buffer, begin.as_bytes(), 0)? + begin.len();
        let middle = format!("\n{token} stderr {id}\n");
        let out_end = find(buffer, middle.as_bytes(), start)?;
        let err_start = out_end + middle.len();
        let end = format!("\n{token} end {id} ");
        let err_end = find(buffer, end.as_bytes(), err_start)?;
        let status_start = err_end + end.len();
        let line_end = find(buffer, b"\n", status_start)?;
        let status = std::str::from_utf8(buffer.get(status_start..line_end)?)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(-1);
        let answer = Self {
            status,
            stdout: buffer.get(start..out_end)?.to_vec(),
            stderr: String::from_utf8_lossy(buffer.get(err_start..err_end)?).into_owned(),
        };
        Some((answer, line_end + 1))
    }
}

/// Where `needle` lies in `haystack`, from `from` on.
pub(crate) fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(haystack.get(from..)?, needle).map(|at| at + from)
}

/// An error that changed nothing.
pub(crate) fn refused(message: impl Into<String>, hint: Option<String>) -> HostError {
    HostError {
        kind: HostErrorKind::Refused,
        message: message.into(),
        hint,
    }
}

/// The last lines of standard error, as the end of a sentence.
pub(crate) fn tail(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    match lines.get(lines.len().saturating_sub(3)..) {
        Some(last) if !last.is_empty() => format!(": {}", last.join("; ")),
        _ => String::new(),
    }
}

/// What to do where another ledger manages the service.
pub const OF_ANOTHER: &str =
    "use that ledger; or `--take-over`, if it is not to manage the service any more";

fn in_words(kind: HostErrorKind, code: &str, message: &str, stderr: &str) -> HostError {
    let is_full = stderr.contains("No space left") || message.contains("No space left");
    let is_read_only = stderr.contains("Read-only file") || message.contains("Read-only file");
    let hint = match code {
        _ if is_full => Some("free space on that file system, then run the command again".into()),
        _ if is_read_only => Some("the file system is mounted read-only".into()),
        "guard" => Some(
            "every switch is guarded by a timer: look at `systemctl status` of it, free space, or enable lingering".into(),
        ),
        "owner" => Some(OF_ANOTHER.into()),
        "epoch" => Some("another controller has taken over: this one must stop".into()),
        "shared" => Some("give each service an `install_dir` of its own".into()),
        "unwritable" if message.contains("Permission denied") => Some(
            "make `install_dir` once: `sudo install -d -o USER DIR`, or set `become = \"sudo\"`"
                .into(),
        ),
        "taken" => Some("release under another `--name`".into()),
        "changed" => {
            Some("somebody changed the host in the meantime; run the command again".into())
        }
        "tool" => Some("rollctl needs coreutils, flock, tar and systemd on the hosts".into()),
        _ => None,
    };
    HostError {
        kind,
        message: format!("{}{}", message.trim_end(), tail(stderr)),
        hint,
    }
}
