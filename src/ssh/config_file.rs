//! A small reader of `ssh_config` for machines without ssh.
//!
//! Own, because the crates at hand either know no `Include`, or let a `Match` block leak into the `Host` above it: a
//! `Match` we cannot evaluate must apply to nothing. First value wins, lists add up, as ssh_config(5) says.

use std::path::{Path, PathBuf};

use super::ssh_config::Answer;
use super::tokens;

/// As deep as ssh itself follows `Include`.
const MAX_INCLUDES: usize = 16;

/// What these files say about a name.
pub(crate) fn look_up(files: &[PathBuf], name: &str) -> Result<Answer, String> {
    let mut reader = Reader {
        name,
        answer: Answer::default(),
    };
    for file in files {
        match std::fs::read_to_string(file) {
            Ok(text) => reader.read(file, &text, true, 0)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("`{}` cannot be read: {error}", file.display())),
        }
    }
    if let Some(host_name) = &reader.answer.host_name {
        reader.answer.host_name = Some(host_name.replace("%h", name).replace("%%", "%"));
    }
    Ok(reader.answer)
}

struct Reader<'a> {
    name: &'a str,
    answer: Answer,
}

impl Reader<'_> {
    /// Reads one file. `outer` is whether the block that includes it applies.
    fn read(&mut self, file: &Path, text: &str, outer: bool, depth: usize) -> Result<(), String> {
        let mut applies = outer;
        for (index, line) in text.lines().enumerate() {
            let place = |what: &str| format!("{}: line {}: {what}", file.display(), index + 1);
            let Some((keyword, words)) = words(line).map_err(|error| place(&error))? else {
                continue;
            };
            let Some(first) = words.first() else {
                return Err(place(&format!("no argument after keyword `{keyword}`")));
            };
            match keyword.as_str() {
                "host" => applies = outer && matches_host(&words, self.name),
                // Not evaluated: only `Match all` is certain to apply.
                "match" => applies = outer && words.len() == 1 && first.eq_ignore_ascii_case("all"),
                "include" if applies => self
                    .include(file, &words, depth)
                    .map_err(|error| place(&error))?,
                _ if applies => self
                    .take(&keyword, &words, line)
                    .map_err(|error| place(&error))?,
                _ => {}
            }
        }
        Ok(())
    }

    fn include(&mut self, file: &Path, patterns: &[String], depth: usize) -> Result<(), String> {
        if depth >= MAX_INCLUDES {
            return Err("too many nested includes".to_owned());
        }
        for pattern in patterns {
            for path in included(file, pattern)? {
                // As ssh: an included file that is not there, or not readable, is passed over.
                if let Ok(text) = std::fs::read_to_string(&path) {
                    self.read(&path, &text, true, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, keyword: &str, words: &[String], line: &str) -> Result<(), String> {
        let answer = &mut self.answer;
        let Some(first) = words.first() else {
            return Ok(());
        };
        let set = |slot: &mut Option<String>| {
            slot.get_or_insert_with(|| first.clone());
        };
        match keyword {
            "hostname" => set(&mut answer.host_name),
            "user" => set(&mut answer.user),
            "identityagent" => set(&mut answer.identity_agent),
            "hostkeyalias" => set(&mut answer.host_key_alias),
            // Whichever of the two comes first wins over the other.
            "proxyjump" if answer.proxy_command.is_none() => set(&mut answer.proxy_jump),
            "proxycommand" if answer.proxy_jump.is_none() => {
                let command = rest_of_line(line);
                answer.proxy_command.get_or_insert(command);
            }
            "identityfile" => answer.identity_files.push(first.clone()),
            "certificatefile" => answer.certificate_files.push(first.clone()),
            "identitiesonly" => answer.identities_only |= first.eq_ignore_ascii_case("yes"),
            "userknownhostsfile" => {
                answer
                    .user_known_hosts
                    .get_or_insert_with(|| words.to_vec());
            }
            "globalknownhostsfile" => {
                answer
                    .global_known_hosts
                    .get_or_insert_with(|| words.to_vec());
            }
            "port" => {
                let port = first.parse().map_err(|_| format!("bad port `{first}`"))?;
                answer.port.get_or_insert(port);
            }
            _ => {}
        }
        Ok(())
    }
}

/// A lower-case keyword and its arguments; `None` for blank lines and comments.
pub(super) fn words(line: &str) -> Result<Option<(String, Vec<String>)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line
        .find(|c: char| c.is_whitespace() || c == '=')
        .unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let mut words = Vec::new();
    let mut rest = rest.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, tail) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("quotes are not closed")?,
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = tail.trim_start();
    }
    Ok(Some((keyword.to_ascii_lowercase(), words)))
}

fn rest_of_line(line: &str) -> String {
    let line = line.trim();
    let end = line
        .find(|c: char| c.is_whitespace() || c == '=')
        .unwrap_or(line.len());
    let rest = line.get(end..).unwrap_or_default().trim_start();
    rest.strip_prefix('=')
        .unwrap_or(rest)
        .trim_start()
        .to_owned()
}

/// `Host` patterns: one must match, and no `!pattern` may.
pub(super) fn matches_host(patterns: &[String], name: &str) -> bool {
    let mut matched = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if glob(pattern, name) => return false,
            Some(_) => {}
            None => matched |= glob(pattern, name),
        }
    }
    matched
}

/// `*` and `?` as in ssh: no character is special otherwise, and `*` also crosses dots and slashes.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to go back to: the last star, and how much it had eaten.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || text.get(t) == Some(&c) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, eaten)) => {
                    p = at + 1;
                    t = eaten + 1;
                    star = Some((at, eaten + 1));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// The files an `Include` means: relative to `~/.ssh` (or to the including file), with globs in the last part, sorted.
fn included(file: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let home = tokens::home();
    let mut path = tokens::tilde(pattern, home.as_deref());
    if path.is_relative() {
        let is_system = file.starts_with("/etc/ssh");
        let base = match (is_system, file.parent(), home) {
            (true, _, _) => PathBuf::from("/etc/ssh"),
            (false, Some(parent), _) => parent.to_owned(),
            (false, None, Some(home)) => home.join(".ssh"),
            (false, None, None) => PathBuf::new(),
        };
        path = base.join(path);
    }
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let (Some(parent), Some(name)) = (path.parent(), name) else {
        return Err(format!("`Include {pattern}` names no file"));
    };
    if !name.contains(['*', '?']) {
        return Ok(vec![path]);
    }
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Ok(Vec::new());
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            !file.starts_with('.') && glob(&name, &file)
        })
        .collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
#[path = "config_file_tests.rs"]
mod tests;
