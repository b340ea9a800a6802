//! `address = "192.0.2.{n}:2222"`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::range::NUMBER;

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

/// Reads `name`, `name:port`, `192.0.2.1:22`, `2001:db8::1`, `[2001:db8::1]:22`; `{n}` becomes the number.
///
/// The number is put in as it is written, with its leading zeros (`db-{n}.example.net`, `127.0.0.1:22{n}`); only where it
/// begins a part of an IPv4 address they are dropped, since `192.0.2.01` is no address.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str, number: Option<&str>) -> Result<Address, String> {
    let (host, port) = split(text)?;
    let port = match port.map(|port| fill(port, number)) {
        None => None,
        Some(port) => Some(
            port.parse()
                .ok()
                .filter(|number| *number > 0 && port.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| format!("`{port}` is not a port (1 to 65535)"))?,
        ),
    };
    if let Some((user, rest)) = host.split_once('@') {
        return Err(format!(
            "address `{text}` holds a user; write `address = \"{rest}\"` and `user = \"{user}\"`"
        ));
    }
    let host = match number {
        Some(_) if is_dotted(host) => fill_octets(host, number),
        _ => fill(host, number),
    };
    check(&host)?;
    Ok(Address { host, port })
}

fn fill(text: &str, number: Option<&str>) -> String {
    number.map_or_else(|| text.to_owned(), |number| text.replace(NUMBER, number))
}

/// Whether it looks like an IPv4 address once `{n}` is a number.
fn is_dotted(host: &str) -> bool {
    let plain = host.replace(NUMBER, "0");
    plain.split('.').count() == 4 && plain.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn fill_octets(host: &str, number: Option<&str>) -> String {
    let octet = |template: &str| {
        let filled = fill(template, number);
        if !template.starts_with(NUMBER) {
            return filled;
        }
        match filled.trim_start_matches('0') {
            "" => "0".to_owned(),
            stripped => stripped.to_owned(),
        }
    };
    host.split('.').map(octet).collect::<Vec<_>>().join(".")
}

/// Host and port, neither checked.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| format!("address `{text}` lacks its `]`"))?;
        if !host.contains(':') {
            return Err(format!("address `{text}`: brackets are for IPv6 addresses"));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("address `{text}` has `{rest}` after its `]`")),
        };
    }
    match text.split_once(':') {
        // Two colons without brackets are an IPv6 address without a port.
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

fn check(host: &str) -> Result<(), String> {
    if host.contains(NUMBER) {
        return Err(format!(
            "`{host}`: `{NUMBER}` stands for the number of a range such as `[hosts.\"db-[01-40]\"]`"
        ));
    }
    if host.contains(':') {
        // A zone (`fe80::1%eth0`) belongs to the controller's interfaces.
        let (address, zone) = host.split_once('%').unwrap_or((host, "eth0"));
        let is_zone = !zone.is_empty()
            && zone
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        return match address.parse::<Ipv6Addr>() {
            Ok(_) if is_zone => Ok(()),
            _ => Err(format!(
                "`{host}` is not an IPv6 address (with a port: `[2001:db8::1]:22`)"
            )),
        };
    }
    if is_dotted(host) {
        return host
            .parse::<Ipv4Addr>()
            .map(drop)
            .map_err(|_| format!("`{host}` is not an IPv4 address"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    // A leading dash would be an option to ssh.
    let starts_well = host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if starts_well && host.len() <= 253 && host.chars().all(allowed) {
        Ok(())
    } else {
        Err(format!(
            "`{host}` is neither a host's name nor an IP address"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, number, expected) in [
            ("web-01", None, Some("web-01 -")),
            (
                "web-01.example.net:2222",
                None,
                Some("web-01.example.net 2222"),
            ),
            ("192.0.2.7", None, Some("192.0.2.7 -")),
            ("192.0.2.7:22", None, Some("192.0.2.7 22")),
            ("2001:db8::1", None, Some("2001:db8::1 -")),
            ("[2001:db8::1]", None, Some("2001:db8::1 -")),
            ("[2001:db8::1]:22", None, Some("2001:db8::1 22")),
            ("[fe80::1%eth0]:22", None, Some("fe80::1%eth0 22")),
            ("192.0.2.{n}", Some("07"), Some("192.0.2.7 -")),
            ("192.0.2.{n}", Some("00"), Some("192.0.2.0 -")),
            ("192.0.2.1{n}", Some("07"), Some("192.0.2.107 -")),
            ("10.{n}.0.{n}", Some("040"), Some("10.40.0.40 -")),
            ("127.0.0.1:22{n}", Some("07"), Some("127.0.0.1 2207")),
            (
                "db-{n}.example.net",
                Some("07"),
                Some("db-07.example.net -"),
            ),
            ("2001:db8::{n}", Some("07"), Some("2001:db8::07 -")),
            ("[2001:db8::{n}]:22", Some("12"), Some("2001:db8::12 22")),
            ("192.0.2.{n}", Some("300"), None),
            ("192.0.2.{n}", None, None),
            ("192.0.2.256", None, None),
            ("192.0.2.01", None, None),
            ("web:0", None, None),
            ("web:", None, None),
            ("web:+22", None, None),
            ("web:65536", None, None),
            ("web:ssh", None, None),
            ("me@web", None, None),
            ("-oProxyCommand=x", None, None),
            ("web 01", None, None),
            ("", None, None),
            (":22", None, None),
            ("[web]:22", None, None),
            ("[::1", None, None),
            ("[::1]22", None, None),
            ("::x", None, None),
            ("fe80::1%", None, None),
            ("größe", None, None),
        ] {
            let found = parse(text, number).ok().map(|address| {
                let port = address.port.map_or("-".to_owned(), |port| port.to_string());
                format!("{} {port}", address.host)
            });
            assert_eq!(found.as_deref(), expected, "{text} {number:?}");
        }
    }
}
