//! `[hosts.*]`.

use std::collections::BTreeMap;

use crate::core::fleet::Host;
use crate::core::ids::HostName;

use super::address;
use super::mistake::Findings;
use super::paths::NamedFile;
use super::range::{self, Member, NUMBER};
use super::reader::{Entry, Table};
use super::selector::is_word;
use super::source::At;
use super::ssh::SshKeys;

/// The hosts of all files so far.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    pub(crate) hosts: Vec<Host>,
    by_name: BTreeMap<String, At>,
    by_address: BTreeMap<(String, Option<u16>), String>,
}

impl Hosts {
    /// Reads `[hosts.<name>]`, a range included.
    pub(crate) fn read(
        &mut self,
        entry: &Entry<'_>,
        ssh: &SshKeys,
        f: &mut Findings<'_>,
        files: &mut Vec<NamedFile>,
    ) {
        let members = match range::expand(entry.name) {
            Ok(members) => members,
            Err(problem) => {
                f.wrong(&entry.key, problem);
                Vec::new()
            }
        };
        let Some(mut table) = entry.table(f) else {
            return;
        };
        let is_range = members.iter().any(|member| member.number.is_some());
        let keys = HostKeys::read(&mut table, is_range, f, files);
        table.finish(f, hint);
        if let Some(address) = keys.address.as_ref().filter(|_| members.len() > 1)
            && !address.text.contains(NUMBER)
        {
            f.wrong_help(
                &address.at,
                format!(
                    "{} hosts would share the address `{}`",
                    members.len(),
                    address.text
                ),
                format!("`{NUMBER}` stands for the number of each host: `192.0.2.{NUMBER}`"),
            );
        }
        // The first that is wrong is told; the others of a range are wrong in the same way.
        let mut sound = true;
        for member in members {
            sound &= self.add(entry, &member, &keys, ssh, f, sound);
        }
    }

    fn add(
        &mut self,
        entry: &Entry<'_>,
        member: &Member,
        keys: &HostKeys,
        ssh: &SshKeys,
        f: &mut Findings<'_>,
        tell: bool,
    ) -> bool {
        if !is_host_name(&member.name) {
            if tell {
                f.wrong_help(
                    &entry.key,
                    format!("`{}` cannot be the name of a host", member.name),
                    "letters, digits, `.`, `_` and `-` are allowed; a letter or a digit begins it",
                );
            }
            return false;
        }
        if let Some(first) = self.by_name.get(&member.name) {
            if tell {
                let message = format!(
                    "host `{}` is defined twice: here and at {}",
                    member.name,
                    f.location(first)
                );
                f.wrong(&entry.key, message);
            }
            return false;
        }
        let address = match &keys.address {
            None => Ok(address::Address {
                host: member.name.clone(),
                port: None,
            }),
            Some(written) => {
                address::parse(&written.text, member.number.as_deref()).map_err(|problem| {
                    if tell {
                        f.wrong(&written.at, problem);
                    }
                })
            }
        };
        let sound = address.is_ok();
        let address = address.unwrap_or_else(|()| address::Address {
            host: member.name.clone(),
            port: None,
        });
        let is_shared = member.number.is_some()
            && !keys
                .address
                .as_ref()
                .is_some_and(|written| written.text.contains(NUMBER));
        // A range that shares one address has been told so.
        if keys.address.is_none() || !is_shared {
            self.warn_of_twin(entry, member, &address, f);
        }
        let fill = |text: &String| match &member.number {
            Some(number) => text.replace(NUMBER, number),
            None => text.clone(),
        };
        let host = Host {
            name: HostName::new(&member.name),
            address: address.host,
            port: address.port,
            labels: keys
                .labels
                .iter()
                .map(|(k, v)| (k.clone(), fill(v)))
                .collect(),
            out_of_service: keys.out_of_service,
            ssh: keys.ssh.clone().over(ssh),
        };
        self.by_name.insert(member.name.clone(), entry.key.clone());
        self.hosts.push(host);
        sound
    }

    /// One machine under two names would be counted twice in every budget.
    fn warn_of_twin(
        &mut self,
        entry: &Entry<'_>,
        member: &Member,
        address: &address::Address,
        f: &mut Findings<'_>,
    ) {
        let place = (address.host.clone(), address.port);
        if let Some(twin) = self.by_address.get(&place) {
            f.warn(
                &entry.key,
                format!(
                    "hosts `{twin}` and `{}` have the same address `{}`",
                    member.name, address.host
                ),
                "one machine under two names is counted twice in every budget",
            );
        } else {
            self.by_address.insert(place, member.name.clone());
        }
    }
}

struct Written {
    text: String,
    at: At,
}

/// What a host's table says, before `{n}` is put in.
struct HostKeys {
    address: Option<Written>,
    labels: BTreeMap<String, String>,
    out_of_service: bool,
    ssh: SshKeys,
}

impl HostKeys {
    fn read(
        table: &mut Table<'_>,
        is_range: bool,
        f: &mut Findings<'_>,
        files: &mut Vec<NamedFile>,
    ) -> Self {
        Self {
            address: table.take("address").and_then(|entry| {
                Some(Written {
                    text: entry.text(f)?.to_owned(),
                    at: entry.at,
                })
            }),
            labels: table
                .take("labels")
                .and_then(|entry| entry.table(f))
                .map(|table| labels(&table, is_range, f))
                .unwrap_or_default(),
            out_of_service: table
                .take("out_of_service")
                .and_then(|entry| entry.flag(f))
                .unwrap_or(false),
            ssh: SshKeys::read(table, f, files),
        }
    }
}

fn labels(table: &Table<'_>, is_range: bool, f: &mut Findings<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for entry in table.names() {
        let Some(value) = entry.text(f) else {
            continue;
        };
        for (word, at) in [(entry.name, &entry.key), (value, &entry.at)] {
            let number = if is_range { "0" } else { NUMBER };
            if !is_word(&word.replace(NUMBER, number)) {
                f.wrong_help(
                    at,
                    format!("`{word}` cannot be a label or its value: no selector could name it"),
                    "letters, digits and `._-/:@+` are allowed",
                );
            }
        }
        labels.insert(entry.name.to_owned(), value.to_owned());
    }
    labels
}

fn is_host_name(name: &str) -> bool {
    name.len() <= 253
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn hint(key: &str) -> Option<String> {
    let hint = match key {
        "port" => "the SSH port belongs to the address: `address = \"192.0.2.11:2222\"`",
        "ssh" => "the keys of `[ssh]` stand in the host's table themselves: `user = \"root\"`",
        "max_uploads" => "it counts over the whole fleet: put it into `[ssh]`",
        "label" => "labels are a table: `labels = { role = \"web\" }`",
        "host" | "hostname" | "ip" => "write `address = \"...\"`",
        _ => return None,
    };
    Some(hint.to_owned())
}
