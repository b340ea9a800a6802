//! Versions of the demo service, made by appending bytes to one executable.

use std::fmt::Write as _;
use std::time::Duration;

/// The compiled demo service (`service/main.rs`), without any settings.
static SERVICE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo-service"));

/// What a version of the demo service does. The default is a healthy service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Before it listens.
    pub start_delay: Duration,
    /// It answers 503 until then, counted from the moment it listens.
    pub ready_delay: Duration,
    /// It exits with code 101 so long after it listens.
    pub crash_after: Option<Duration>,
    /// The version it claims to be, instead of its own.
    pub says: Option<String>,
    /// So many of 100 health requests are answered with 503, evenly spread.
    pub error_percent: u8,
    /// It exits with this code before it listens.
    pub exit_at_once: Option<u8>,
    /// Only SIGKILL ends it.
    pub ignore_sigterm: bool,
    /// From SIGTERM to the end, with nothing listening any more; open requests are finished in any case.
    pub stop_delay: Duration,
    /// So many bytes that do not compress are added to the file.
    pub padding: usize,
    /// Which bytes: versions with the same seed share their padding, so that a delta between them is small.
    pub padding_seed: u64,
}

/// An executable that answers as `version` and behaves as told; each (version, behaviour) is a file of its own content.
///
/// An ELF file may have bytes after its end; the service reads its settings from there.
#[must_use]
pub fn demo_service(version: &str, behaviour: &Behaviour) -> Vec<u8> {
    let settings = settings(version, behaviour);
    let mut file = Vec::with_capacity(SERVICE.len() + behaviour.padding + settings.len() + 16);
    file.extend_from_slice(SERVICE);
    pad(&mut file, behaviour.padding, behaviour.padding_seed);
    file.extend_from_slice(settings.as_bytes());
    file.extend_from_slice(format!("{:08x}\nDEMOEND", settings.len()).as_bytes());
    file
}

/// `key=value` lines; only what differs from the default.
fn settings(version: &str, behaviour: &Behaviour) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        // Line ends would start a key of their own.
        let _ = writeln!(text, "{key}={}", value.replace('\n', " "));
    };
    line("version", version.to_owned());
    for (key, delay) in [
        ("start-delay", Some(behaviour.start_delay)),
        ("ready-delay", Some(behaviour.ready_delay)),
        ("crash-after", behaviour.crash_after),
        ("stop-delay", Some(behaviour.stop_delay)),
    ] {
        if let Some(delay) = delay.filter(|delay| key == "crash-after" || !delay.is_zero()) {
            line(key, format!("{}ms", delay.as_millis()));
        }
    }
    if let Some(says) = &behaviour.says {
        line("says", says.clone());
    }
    if behaviour.error_percent > 0 {
        line("error-percent", behaviour.error_percent.to_string());
    }
    if let Some(code) = behaviour.exit_at_once {
        line("exit-at-once", code.to_string());
    }
    if behaviour.ignore_sigterm {
        line("ignore-sigterm", "1".to_owned());
    }
    text
}

/// xorshift64*: quick, and nothing compresses it.
fn pad(file: &mut Vec<u8>, bytes: usize, seed: u64) {
    let end = file.len() + bytes;
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    while file.len() < end {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let word = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
        let room = (end - file.len()).min(word.len());
        file.extend_from_slice(&word[..room]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_and_padding_has_its_size() {
        let plain = demo_service("v1", &Behaviour::default());
        assert_ne!(plain, demo_service("v2", &Behaviour::default()));
        let padded = demo_service(
            "v1",
            &Behaviour {
                padding: 1_000_003,
                ..Behaviour::default()
            },
        );
        assert_eq!(padded.len(), plain.len() + 1_000_003);
    }

    #[test]
    fn settings_hold_only_what_was_set() {
        assert_eq!(settings("v1", &Behaviour::default()), "version=v1\n");
        let broken = Behaviour {
            ready_delay: Duration::from_secs(2),
            crash_after: Some(Duration::ZERO),
            says: Some("v0".to_owned()),
            exit_at_once: Some(3),
            ignore_sigterm: true,
            ..Behaviour::default()
        };
        let expected = "version=v1\nready-delay=2000ms\ncrash-after=0ms\nsays=v0\nexit-at-once=3\nignore-sigterm=1\n";
        assert_eq!(settings("v1", &broken), expected);
    }
}
