//! The `[ssh]` keys, which may stand in a host's own table too.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::fleet::{Become, SshSettings};

use super::mistake::Findings;
use super::paths::{NamedFile, named_file, on_controller};
use super::reader::{Entry, Table};

/// How long a login may take when nothing is said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many uploads run at once when nothing is said.
pub(crate) const MAX_UPLOADS: u32 = 16;

/// The `[ssh]` keys of one table; what it does not say is nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct SshKeys {
    user: Option<String>,
    identity: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
    jump: Option<String>,
    r#become: Option<Become>,
    connect_timeout: Option<Duration>,
}

impl SshKeys {
    pub(crate) fn read(
        table: &mut Table<'_>,
        f: &mut Findings<'_>,
        files: &mut Vec<NamedFile>,
    ) -> Self {
        Self {
            user: table.take("user").and_then(|entry| user(&entry, f)),
            identity: table
                .take("identity")
                .and_then(|entry| named_file(&entry, f, files)),
            known_hosts: table
                .take("known_hosts")
                .and_then(|entry| on_controller(&entry, f)),
            jump: table.take("jump").and_then(|entry| jump(&entry, f)),
            r#become: table.take("become").and_then(|entry| {
                entry.choice(f, &[("sudo", Become::Sudo), ("none", Become::LoginUser)])
            }),
            connect_timeout: table
                .take("connect_timeout")
                .and_then(|entry| entry.duration(f)),
        }
    }

    /// A host's own keys over the fleet's.
    pub(crate) fn over(self, fleet: &Self) -> SshSettings {
        let fleet = fleet.clone();
        SshSettings {
            user: self.user.or(fleet.user),
            identity: self.identity.or(fleet.identity),
            known_hosts: self.known_hosts.or(fleet.known_hosts),
            jump: self.jump.or(fleet.jump),
            r#become: self
                .r#become
                .or(fleet.r#become)
                .unwrap_or(Become::LoginUser),
            connect_timeout: self
                .connect_timeout
                .or(fleet.connect_timeout)
                .unwrap_or(CONNECT_TIMEOUT),
        }
    }
}

/// A word of a destination: it becomes an argument or a login name, so a dash may not begin it.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "'\"`$\\;&|<>(){}".contains(c))
}

fn user(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<String> {
    let text = entry.text(f)?;
    if !is_plain(text) || text.contains([',', '/', ':']) {
        f.wrong(&entry.at, format!("`{text}` is not the name of a user"));
        return None;
    }
    Some(text.to_owned())
}

/// `[user@]host[:port]`, several separated by commas; `none` for no jump host whatever `[ssh]` or `ssh_config` say.
fn jump(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<String> {
    let text = entry.text(f)?;
    let hops: Vec<_> = text.split(',').map(str::trim).collect();
    let is_hop = |hop: &&str| {
        let hop = hop.strip_prefix("ssh://").unwrap_or(hop);
        let (user, host) = hop.rsplit_once('@').unwrap_or(("me", hop));
        is_plain(user) && is_plain(host) && super::address::parse(host, None).is_ok()
    };
    if let Some(hop) = hops.iter().find(|hop| !is_hop(hop)) {
        f.wrong_help(
            &entry.at,
            format!("`{hop}` is not a jump host"),
            "write `[user@]host[:port]`, several separated by commas, or `none`",
        );
        return None;
    }
    Some(hops.join(","))
}
