//! What in the configuration of ssh can tell hosts apart: where nothing else can, one answer of `ssh -G` serves many.
//!
//! Hosts that the same `Host` lines match get the same answer, but for their own name in it, unless something else looks
//! at the name: a `Match`, a token, `HostName`, or a canonical form of the name. Wherever one of these stands in a file
//! that ssh says it has read, or a line is not as plain as we would have it, every host is asked about by itself.

use std::path::PathBuf;

use super::config_file::{matches_host, words};

/// The `Host` lines of all files that ssh reads, where nothing else tells hosts apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HostLines(Vec<Vec<String>>);

impl HostLines {
    /// Reads the files that ssh names; nothing: something else may tell hosts apart.
    pub(crate) fn read(files: &[PathBuf]) -> Option<Self> {
        let mut lines = Vec::new();
        for file in files {
            let text = std::fs::read_to_string(file).ok()?;
            for line in text.lines() {
                lines.extend(host_line(line)?);
            }
        }
        Some(Self(lines))
    }

    /// Which of the lines match a name; nothing where ssh might see more in it than a name.
    pub(crate) fn matching(&self, name: &str) -> Option<Vec<bool>> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
        let is_name = !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain);
        let matches = |patterns: &Vec<String>| matches_host(patterns, name);
        is_name.then(|| self.0.iter().map(matches).collect())
    }
}

/// The patterns of a `Host` line, or none of another line; nothing for a line that looks at the name in another way.
#[expect(clippy::option_option, reason = "read at once by its only caller")]
fn host_line(line: &str) -> Option<Option<Vec<String>>> {
    let Some((keyword, words)) = words(line).ok()? else {
        return Some(None);
    };
    let is_plain = |word: &String| {
        word.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._*?!".contains(c))
    };
    match keyword.as_str() {
        "host" => words.iter().all(is_plain).then_some(Some(words)),
        "match" => {
            let is_all = words.len() == 1 && words.iter().all(|word| word == "all");
            is_all.then_some(None)
        }
        "hostname" => None,
        // Not asked for: connections are our own.
        "controlpath" => Some(None),
        _ if keyword.starts_with("canonical") || line.contains('%') => None,
        _ => keyword
            .chars()
            .all(|c| c.is_ascii_alphanumeric())
            .then_some(None),
    }
}

/// The files that `ssh -v` says it has read; nothing: that is not what OpenSSH says.
pub(crate) fn files_read(said: &str) -> Option<Vec<PathBuf>> {
    let is_openssh = said.lines().any(|line| line.starts_with("OpenSSH_"));
    let file = |line: &str| {
        line.strip_prefix("debug1: Reading configuration data ")
            .map(PathBuf::from)
    };
    is_openssh.then(|| said.lines().filter_map(file).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &str) -> Option<HostLines> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        HostLines::read(&[file.path().to_owned()])
    }

    #[test]
    fn whatever_else_looks_at_the_name_is_noticed() {
        for (text, is_shared) in [
            ("", true),
            ("# %h\n\nUser deploy\n", true),
            ("Host *\n  User deploy\nMatch all\n  Port 22\n", true),
            ("Host web-?? !web-01\n  ProxyJump bastion\n", true),
            ("Host *\n  HostName 10.0.0.1\n", false),
            ("hostname=10.0.0.1\n", false),
            ("Match host web-*\n  User deploy\n", false),
            ("Match final all\n  User deploy\n", false),
            ("Match exec true\n", false),
            ("ControlPath ~/.ssh/cm-%r@%h:%p\n", true),
            ("ProxyCommand nc %h 22\n", false),
            ("IdentityFile ~/.ssh/%n\n", false),
            ("CanonicalizeHostname yes\n", false),
            ("CanonicalDomains example.net\n", false),
            ("Host \"web 1\"\n", false),
            ("Host web,db\n", false),
            ("\"User\" deploy\n", false),
            ("IdentityFile \"~/open\n", false),
        ] {
            assert_eq!(lines_of(text).is_some(), is_shared, "{text}");
        }
        assert_eq!(HostLines::read(&[PathBuf::from("/no/such/file")]), None);
    }

    #[test]
    fn hosts_are_alike_that_the_same_lines_match() {
        let lines = lines_of("Host web-*\nHost * !web-02\n").unwrap();
        for (name, expected) in [
            ("web-01", Some(vec![true, true])),
            ("web-02", Some(vec![true, false])),
            ("192.0.2.1", Some(vec![false, true])),
            ("WEB-01", None),
            ("2001:db8::1", None),
            ("ann@web-01", None),
            ("-v", None),
            ("", None),
        ] {
            assert_eq!(lines.matching(name), expected, "{name}");
        }
    }

    #[test]
    fn ssh_says_what_it_has_read() {
        let said = "OpenSSH_9.2p1 Debian-2\ndebug1: Reading configuration data /home/ann/.ssh/config\r\n\
                    debug1: /etc/ssh/ssh_config line 19: include /etc/ssh/ssh_config.d/*.conf matched no files\n\
                    debug1: Reading configuration data /etc/ssh/ssh_config\n";
        let files = ["/home/ann/.ssh/config", "/etc/ssh/ssh_config"].map(PathBuf::from);
        assert_eq!(files_read(said), Some(files.to_vec()));
        assert_eq!(files_read("OpenSSH_9.2p1\n"), Some(Vec::new()));
        assert_eq!(files_read("usage: ssh destination\n"), None);
    }
}
