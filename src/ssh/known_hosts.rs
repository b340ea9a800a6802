//! `known_hosts`, read as ssh reads it: hashed names, globs, `!`, `[host]:port`, `@cert-authority`, `@revoked`.
//!
//! Own, because russh's reader passes over markers, globs and negation, and so would call a revoked key known.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hmac::{Hmac, Mac};
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, HashAlg, PublicKey};
use sha1::Sha1;

use super::config_file::glob;

/// The lines of all files that are read for a host.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    lines: Vec<Line>,
    /// Places of the lines that name hosts as they are, by those names.
    named: HashMap<String, Vec<usize>>,
    /// Places of the lines with patterns and hashed names, which each have to be tried.
    others: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Line {
    file: PathBuf,
    number: usize,
    entry: Entry,
}

/// What `known_hosts` says about a key that a host has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the host's key.
    Known,
    /// No line of that kind of key is for this host.
    Unknown {
        /// `SHA256:...`
        fingerprint: String,
        /// Other kinds of key under which the host is known.
        known_as: Vec<String>,
    },
    /// The host is known with another key of that kind.
    Changed {
        /// `SHA256:...` of what was shown.
        fingerprint: String,
        /// The fingerprints on file.
        expected: Vec<String>,
        /// The first of these lines.
        file: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A `@revoked` line for this host names the key.
    Revoked {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
    },
}

impl KnownHosts {
    /// Reads the files in order. One that does not exist is passed over; a line that cannot be understood is passed
    /// over with a warning.
    ///
    /// # Errors
    /// The path and the cause, when a file exists and cannot be read.
    pub fn read(files: &[PathBuf]) -> Result<Self, (PathBuf, std::io::Error)> {
        let mut known = Self::default();
        for file in files {
            match std::fs::read(file) {
                Ok(text) => known.add(file, &String::from_utf8_lossy(&text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err((file.clone(), error)),
            }
        }
        Ok(known)
    }

    /// Adds the lines of one file.
    pub fn add(&mut self, file: &Path, text: &str) {
        for (index, line) in text.lines().enumerate() {
            // Comments start a line only; `#` is legal in the comment field.
            let normal = line.split_whitespace().collect::<Vec<_>>().join(" ");
            if normal.is_empty() || normal.starts_with('#') {
                continue;
            }
            let number = index + 1;
            match Entry::from_str(&normal) {
                Ok(entry) => self.take(Line {
                    file: file.to_owned(),
                    number,
                    entry,
                }),
                Err(error) => {
                    tracing::warn!(file = %file.display(), line = number, %error, "known_hosts line is not understood and passed over");
                }
            }
        }
    }

    fn take(&mut self, line: Line) {
        let place = self.lines.len();
        match line.entry.host_patterns() {
            HostPatterns::Patterns(patterns)
                if !patterns.iter().any(|one| one.contains(['*', '?', '!'])) =>
            {
                for pattern in patterns {
                    let places = self.named.entry(pattern.to_lowercase()).or_default();
                    places.push(place);
                }
            }
            _ => self.others.push(place),
        }
        self.lines.push(line);
    }

    /// The lines that may be about any of these names, in file order.
    fn candidates<'a>(&'a self, names: &[String]) -> impl Iterator<Item = &'a Line> + use<'a> {
        let named = names.iter().filter_map(|name| self.named.get(name));
        let mut places: Vec<usize> = named.flatten().chain(&self.others).copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|place| self.lines.get(place))
    }

    /// Judges a plain host key. As ssh: a line without a port also vouches for a host on another port, as long as no
    /// line with the port says otherwise. `port` is `None` for an alias.
    pub fn check(&self, host: &str, port: Option<u16>, key: &PublicKey) -> Verdict {
        if let Some((file, line)) = self.revoked(host, port, key) {
            return Verdict::Revoked { file, line };
        }
        let verdict = self.check_name(&lookup_name(host, port), key);
        let has_port = port.is_some_and(|port| port != 22);
        if has_port
            && matches!(verdict, Verdict::Unknown { .. })
            && self.check_name(&host.to_lowercase(), key) == Verdict::Known
        {
            return Verdict::Known;
        }
        verdict
    }

    fn check_name(&self, name: &str, key: &PublicKey) -> Verdict {
        let plain: Vec<&Line> = self.matching(name, None).collect();
        if plain.iter().any(|line| same_key(line, key)) {
            return Verdict::Known;
        }
        let fingerprint = fingerprint(key);
        let same_kind: Vec<&&Line> = plain
            .iter()
            .filter(|line| line.entry.public_key().algorithm() == key.algorithm())
            .collect();
        match same_kind.first() {
            Some(first) => Verdict::Changed {
                fingerprint,
                expected: same_kind
                    .iter()
                    .map(|line| self::fingerprint(line.entry.public_key()))
                    .collect(),
                file: first.file.clone(),
                line: first.number,
            },
            None => {
                let mut known_as: Vec<String> = plain
                    .iter()
                    .map(|line| line.entry.public_key().algorithm().to_string())
                    .collect();
                known_as.sort();
                known_as.dedup();
                Verdict::Unknown {
                    fingerprint,
                    known_as,
                }
            }
        }
    }

    /// The line that revokes this key for this host, on whatever port, if any; also asked about an authority's key.
    pub(crate) fn revoked(
        &self,
        host: &str,
        port: Option<u16>,
        key: &PublicKey,
    ) -> Option<(PathBuf, usize)> {
        self.revocation(&lookup_name(host, port), key)
            .or_else(|| self.revocation(&host.to_lowercase(), key))
            .map(|line| (line.file.clone(), line.number))
    }

    fn revocation(&self, name: &str, key: &PublicKey) -> Option<&Line> {
        self.matching(name, Some(Marker::Revoked))
            .find(|line| same_key(line, key))
    }

    /// Whether this key is an authority that may sign the host's certificate.
    pub(crate) fn is_authority(&self, host: &str, port: Option<u16>, key: &PublicKey) -> bool {
        self.for_host(host, port, Some(Marker::CertAuthority))
            .any(|line| same_key(line, key))
    }

    /// Whether any authority may sign for this host.
    pub(crate) fn has_authority(&self, host: &str, port: Option<u16>) -> bool {
        self.for_host(host, port, Some(Marker::CertAuthority))
            .next()
            .is_some()
    }

    /// The kinds of key on file for this host, in file order.
    pub(crate) fn algorithms(&self, host: &str, port: Option<u16>) -> Vec<Algorithm> {
        self.for_host(host, port, None)
            .map(|line| line.entry.public_key().algorithm())
            .collect()
    }

    fn for_host(
        &self,
        host: &str,
        port: Option<u16>,
        marker: Option<Marker>,
    ) -> impl Iterator<Item = &Line> {
        self.about([lookup_name(host, port), host.to_lowercase()], marker)
    }

    fn matching(&self, name: &str, marker: Option<Marker>) -> impl Iterator<Item = &Line> {
        self.about([name.to_owned()], marker)
    }

    /// The lines about any of these names, in file order.
    fn about<const N: usize>(
        &self,
        names: [String; N],
        marker: Option<Marker>,
    ) -> impl Iterator<Item = &Line> {
        self.candidates(&names).filter(move |line| {
            let patterns = line.entry.host_patterns();
            line.entry.marker() == marker.as_ref()
                && names.iter().any(|name| matches(patterns, name))
        })
    }
}

/// `SHA256:...`
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn same_key(line: &Line, key: &PublicKey) -> bool {
    line.entry.public_key().key_data() == key.key_data()
}

/// How a host stands in the file: `[host]:port` unless the port is 22 or does not count.
fn lookup_name(host: &str, port: Option<u16>) -> String {
    let host = host.to_lowercase();
    match port {
        None | Some(22) => host,
        Some(port) => format!("[{host}]:{port}"),
    }
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .is_ok_and(|mac| mac.chain_update(name).verify_slice(hash).is_ok()),
        HostPatterns::Patterns(patterns) => {
            let mut matched = false;
            for pattern in patterns {
                let pattern = pattern.to_lowercase();
                match pattern.strip_prefix('!') {
                    Some(pattern) if glob(pattern, name) => return false,
                    Some(_) => {}
                    None => matched |= glob(&pattern, name),
                }
            }
            matched
        }
    }
}

/// Appends a line for `rollctl trust`; makes the file (0600) and its folder (0700) where they are missing, and does
/// nothing when the very same key is there already.
///
/// # Errors
/// Whatever the file system says.
pub fn append_known_host(
    path: &Path,
    host: &str,
    port: u16,
    key: &PublicKey,
) -> std::io::Result<()> {
    let mut known = KnownHosts::default();
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    known.add(path, &String::from_utf8_lossy(&text));
    let name = lookup_name(host, Some(port));
    if known.check_name(&name, key) == Verdict::Known {
        return Ok(());
    }
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let key = PublicKey::new(key.key_data().clone(), "");
    let line = key.to_openssh().map_err(std::io::Error::other)?;
    // A file whose last line is not ended would swallow ours.
    let gap = if text.last().is_some_and(|byte| *byte != b'\n') {
        "\n"
    } else {
        ""
    };
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(format!("{gap}{name} {}\n", line.trim_end()).as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
#[path = "known_hosts_tests.rs"]
mod tests;
