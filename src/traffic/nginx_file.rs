//! A file with one `upstream`, read line by line: only its `server` lines are understood and changed.

use std::fmt::Write;

/// Why a file is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strange {
    /// The line, from 1; 0: the file as a whole.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) problem: String,
}

/// The `server` of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server<'t> {
    indent: &'t str,
    address: &'t str,
    parameters: Vec<&'t str>,
    /// What comes after the semicolon: a comment, or nothing.
    rest: &'t str,
}

impl Server<'_> {
    fn is_down(&self) -> bool {
        self.parameters.contains(&"down")
    }

    fn is(&self, address: &str) -> bool {
        with_port(self.address) == with_port(address)
    }

    fn written(&self, is_down: bool) -> String {
        let mut line = format!("{}server {}", self.indent, self.address);
        let kept = self.parameters.iter().filter(|word| **word != "down");
        for parameter in kept.copied().chain(is_down.then_some("down")) {
            let _ = write!(line, " {parameter}");
        }
        line.push(';');
        line.push_str(self.rest);
        line
    }
}

/// nginx's own port where none is written.
fn with_port(address: &str) -> String {
    let has_port = match address.rsplit_once(':') {
        Some((host, port)) => {
            !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
                && (host.ends_with(']') || !host.contains(':'))
        }
        None => false,
    };
    if has_port || address.starts_with("unix:") {
        address.to_owned()
    } else {
        format!("{address}:80")
    }
}

/// Whether the server is in the file and not `down`.
pub(crate) fn is_in(text: &str, address: &str) -> Result<bool, Strange> {
    let servers = read(text)?;
    Ok(servers
        .iter()
        .any(|(_, server)| server.is(address) && !server.is_down()))
}

/// The server's line as it would be `down`, and as it is; nothing where it is not in.
pub(crate) fn lines_of(text: &str, address: &str) -> Result<Option<[String; 2]>, Strange> {
    let servers = read(text)?;
    let found = servers.iter().find(|(_, server)| server.is(address));
    Ok(found
        .filter(|(_, server)| !server.is_down())
        .and_then(|(at, server)| {
            let line = text.lines().nth(*at)?;
            Some([server.written(true), line.to_owned()])
        }))
}

/// The file with the server in or `down`; nothing when it is so already. Who was never in is not written as down.
pub(crate) fn changed(text: &str, address: &str, wanted: bool) -> Result<Option<String>, Strange> {
    let servers = read(text)?;
    let found: Vec<_> = servers
        .iter()
        .filter(|(_, server)| server.is(address))
        .collect();
    if let [_, (at, _), ..] = found.as_slice() {
        return Err(Strange {
            line: at + 1,
            problem: format!("server {address} is there twice"),
        });
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match found.first() {
        Some((_, server)) if server.is_down() != wanted => return Ok(None),
        Some((at, server)) => {
            if let Some(line) = lines.get_mut(*at) {
                *line = server.written(!wanted);
            }
        }
        None if !wanted => return Ok(None),
        None => {
            let indent = servers.last().map_or("    ", |(_, server)| server.indent);
            let new = format!("{indent}server {address};");
            let end = match servers.last() {
                Some((at, _)) => at + 1,
                None => closing(&lines)?,
            };
            lines.insert(end.min(lines.len()), new);
        }
    }
    Ok(Some(lines.join("\n") + "\n"))
}

/// The file where there was none: one server in, the others `down` until their turn comes.
pub(crate) fn fresh(upstream: &str, address: &str, others: &[String]) -> String {
    let mut text = format!("upstream {upstream} {{\n    server {address};\n");
    for other in others.iter().filter(|other| *other != address) {
        let _ = writeln!(text, "    server {other} down;");
    }
    text.push_str("}\n");
    text
}

fn closing(lines: &[String]) -> Result<usize, Strange> {
    lines
        .iter()
        .rposition(|line| code_of(line).trim_start().starts_with('}'))
        .ok_or_else(|| Strange {
            line: 0,
            problem: "no line begins with the `}` of the upstream".to_owned(),
        })
}

/// A line without its comment.
fn code_of(line: &str) -> &str {
    line.split('#').next().unwrap_or_default()
}

/// The servers, each with its line from 0.
fn read(text: &str) -> Result<Vec<(usize, Server<'_>)>, Strange> {
    let mut servers = Vec::new();
    let mut upstreams = 0;
    for (at, line) in text.lines().enumerate() {
        let strange = |problem: &str| Strange {
            line: at + 1,
            problem: problem.to_owned(),
        };
        let code = code_of(line);
        let words: Vec<&str> = code
            .split(|c: char| c.is_whitespace() || ";{}".contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        match words.first() {
            Some(&"server") => servers.push((at, server(line, code).map_err(strange)?)),
            Some(&"upstream") => {
                upstreams += 1;
                if upstreams > 1 {
                    return Err(strange("a second upstream"));
                }
                if words.contains(&"server") {
                    return Err(strange("a server on the line of the upstream"));
                }
            }
            Some(_) if words.contains(&"server") => {
                return Err(strange("a server that does not begin its line"));
            }
            Some(&"include") => return Err(strange("an include, which may hold servers")),
            Some(&("location" | "http" | "proxy_pass" | "listen")) => {
                return Err(strange("more than an upstream"));
            }
            _ => {}
        }
    }
    if upstreams == 0 {
        return Err(Strange {
            line: 0,
            problem: "there is no upstream in it".to_owned(),
        });
    }
    Ok(servers)
}

fn server<'t>(line: &'t str, code: &'t str) -> Result<Server<'t>, &'static str> {
    if code.contains(['{', '}']) {
        return Err("a server with braces");
    }
    if code.contains(['"', '\'', '\\', '$']) {
        return Err("a server with quotes or variables");
    }
    let (statement, after) = code
        .split_once(';')
        .ok_or("a server whose `;` is not on the same line")?;
    if !after.trim().is_empty() {
        return Err("more than one server on a line");
    }
    let mut words = statement.split_whitespace().skip(1);
    let address = words.next().ok_or("a server without an address")?;
    Ok(Server {
        indent: line
            .get(..line.len() - line.trim_start().len())
            .unwrap_or_default(),
        address,
        parameters: words.collect(),
        rest: line.get(statement.len() + 1..).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# by hand\nupstream web {\n  least_conn;\n  server 10.0.0.1:80 weight=2; # old\n  #server 10.0.0.9:80;\n  \
                        server 10.0.0.2:8080 max_fails=0 down;\n  keepalive 8;\n}\n";

    #[test]
    fn only_the_lines_of_the_server_change() {
        for (address, wanted, expected) in [
            ("10.0.0.1:80", true, None),
            ("10.0.0.1", true, None),
            ("10.0.0.2:8080", false, None),
            ("10.0.0.9:80", false, None),
            (
                "10.0.0.1:80",
                false,
                Some(FILE.replace("80 weight=2; # old", "80 weight=2 down; # old")),
            ),
            ("10.0.0.2:8080", true, Some(FILE.replace(" down;", ";"))),
            (
                "10.0.0.9:80",
                true,
                Some(FILE.replace("down;\n", "down;\n  server 10.0.0.9:80;\n")),
            ),
        ] {
            assert_eq!(
                changed(FILE, address, wanted),
                Ok(expected),
                "{address} {wanted}"
            );
        }
        assert_eq!(is_in(FILE, "10.0.0.1:80"), Ok(true));
        assert_eq!(is_in(FILE, "10.0.0.2:8080"), Ok(false));
        assert_eq!(is_in(FILE, "10.0.0.9:80"), Ok(false));
        let lines = [
            "  server 10.0.0.1:80 weight=2 down; # old",
            "  server 10.0.0.1:80 weight=2; # old",
        ];
        assert_eq!(
            lines_of(FILE, "10.0.0.1"),
            Ok(Some(lines.map(str::to_owned)))
        );
        assert_eq!(lines_of(FILE, "10.0.0.2:8080"), Ok(None));
        assert_eq!(lines_of(FILE, "10.0.0.9"), Ok(None));
    }

    #[test]
    fn there_and_back_is_the_file_that_it_was() {
        let out = changed(FILE, "10.0.0.1:80", false).unwrap().unwrap();
        assert_eq!(changed(&out, "10.0.0.1:80", true).unwrap().unwrap(), FILE);
    }

    #[test]
    fn the_first_file_and_an_empty_upstream() {
        let others = ["10.0.0.1:80".to_owned(), "10.0.0.2:80".to_owned()];
        let text = fresh("web", "10.0.0.1:80", &others);
        assert_eq!(
            text,
            "upstream web {\n    server 10.0.0.1:80;\n    server 10.0.0.2:80 down;\n}\n"
        );
        assert_eq!(
            changed("upstream web {\n}\n", "[::1]:80", true)
                .unwrap()
                .unwrap(),
            "upstream web {\n    server [::1]:80;\n}\n"
        );
    }

    #[test]
    fn what_cannot_be_understood_is_left_alone() {
        for (text, line, problem) in [
            ("", 0, "there is no upstream in it"),
            ("upstream a {\n}\nupstream b {\n}", 3, "a second upstream"),
            (
                "upstream a { server x:1; }",
                1,
                "a server on the line of the upstream",
            ),
            (
                "upstream a {\nserver x:1; server y:1;\n}",
                2,
                "more than one server on a line",
            ),
            (
                "upstream a {\nserver x:1\n;\n}",
                2,
                "a server whose `;` is not on the same line",
            ),
            ("upstream a {\n}\nserver {\n}", 3, "a server with braces"),
            (
                "upstream a {\nkeepalive 2; server x:1;\n}",
                2,
                "a server that does not begin its line",
            ),
            (
                "upstream a {\ninclude more;\n}",
                2,
                "an include, which may hold servers",
            ),
            (
                "upstream a {\nserver \"x:1\";\n}",
                2,
                "a server with quotes or variables",
            ),
            (
                "upstream a {\nserver x:1;\nserver x:1 backup;\n}",
                3,
                "server x:1 is there twice",
            ),
        ] {
            let strange = changed(text, "x:1", false).unwrap_err();
            assert_eq!(
                (strange.line, strange.problem.as_str()),
                (line, problem),
                "{text}"
            );
        }
    }
}
