//! Where balancers listen, in `[services.*.traffic]`.

use std::path::PathBuf;

use crate::core::ids::HostName;
use crate::core::traffic::{HaproxyEndpoint, RemoteFile};

use super::mistake::Findings;
use super::reader::{Entry, Table};
use super::suggest::nearest;
use super::traffic::{Setting, required};

/// A list that is not empty and names nothing twice.
pub(crate) fn endpoints<T: PartialEq>(
    table: &mut Table<'_>,
    example: &str,
    f: &mut Findings<'_>,
    mut one: impl FnMut(&Entry<'_>, &mut Findings<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let entry = required(table, "endpoints", example, f)?;
    let elements = entry.list(f)?;
    if elements.is_empty() {
        f.wrong_help(
            &entry.at,
            "`endpoints` is empty",
            format!("write `endpoints = {example}`"),
        );
    }
    let mut found = Vec::new();
    for element in &elements {
        let Some(endpoint) = one(element, f) else {
            continue;
        };
        if found.contains(&endpoint) {
            f.wrong(&element.at, "this endpoint is named twice");
        }
        found.push(endpoint);
    }
    Some(found)
}

pub(crate) fn haproxy_endpoint(
    entry: &Entry<'_>,
    setting: Setting<'_>,
    f: &mut Findings<'_>,
) -> Option<HaproxyEndpoint> {
    let text = entry.text(f)?;
    if let Some(rest) = text.strip_prefix("tcp://") {
        let found = super::address::parse(rest, None);
        let (problem, address) = match found {
            Ok(address) => (None, Some(address)),
            Err(problem) => (Some(problem), None),
        };
        if let Some((host, Some(port))) = address.map(|address| (address.host, address.port)) {
            return Some(HaproxyEndpoint::Tcp { host, port });
        }
        f.wrong_help(
            &entry.at,
            problem.unwrap_or_else(|| format!("`{text}` has no port")),
            "write it as `tcp://192.0.2.5:9999`",
        );
        return None;
    }
    if let Some(rest) = text.strip_prefix("unix:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        return whole_path(entry, path, f).map(|path| HaproxyEndpoint::Unix(PathBuf::from(path)));
    }
    if let Some(rest) = text.strip_prefix("ssh://") {
        return remote_file(entry, rest, setting, f).map(HaproxyEndpoint::Ssh);
    }
    f.wrong_help(
        &entry.at,
        format!("`{text}` is no endpoint of HAProxy's runtime API"),
        "write `tcp://192.0.2.5:9999`, `unix:/run/haproxy/admin.sock` or `ssh://HOST/run/haproxy/admin.sock`",
    );
    None
}

/// `lb-01/etc/nginx/...`
pub(crate) fn remote_file(
    entry: &Entry<'_>,
    rest: &str,
    setting: Setting<'_>,
    f: &mut Findings<'_>,
) -> Option<RemoteFile> {
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let around = setting.around;
    let is_known = around.hosts.iter().any(|known| known.name.as_str() == host);
    if around.sound && !is_known {
        let message = format!("`ssh://{host}`: host `{host}` is not in the inventory");
        let known = around.hosts.iter().map(|host| host.name.as_str());
        match nearest(host, known) {
            Some(meant) => f.wrong_help(
                &entry.at,
                message,
                format!("did you mean `ssh://{meant}{path}`?"),
            ),
            None => f.wrong_help(
                &entry.at,
                message,
                format!("add `[hosts.{host}]`, so that rollctl knows how to log in to it"),
            ),
        }
        return None;
    }
    let path = whole_path(entry, path, f)?;
    Some(RemoteFile {
        host: HostName::new(host),
        path,
    })
}

pub(crate) fn whole_path(entry: &Entry<'_>, path: &str, f: &mut Findings<'_>) -> Option<String> {
    let is_whole = path.starts_with('/')
        && !path.ends_with('/')
        && !path.split('/').any(|part| matches!(part, "." | ".."))
        && !path.contains("//");
    if !is_whole {
        let message = match path {
            "" => "the path is missing".to_owned(),
            _ => format!("`{path}` is not a whole path"),
        };
        f.wrong_help(
            &entry.at,
            message,
            "it begins with `/` and has neither `.` nor `..` in it",
        );
        return None;
    }
    Some(path.to_owned())
}
