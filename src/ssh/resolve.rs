//! Completes a target: the inventory's keys first, then `ssh_config`, then what ssh does by default.

use std::path::PathBuf;

use super::error::{Problem, SshError};
use super::ssh_config::{Answer, Question, SshConfig};
use super::target::{Resolved, Route, Target};
use super::tokens::{self, Tokens};

/// More jumps in a row than anybody has; a longer chain is a circle in the configuration.
const MAX_JUMPS: usize = 8;

/// Fills in what the target leaves open. `StrictHostKeyChecking` is taken as `yes` whatever is configured.
///
/// # Errors
/// [`Problem::Resolve`] when the configuration cannot be read or makes no sense.
pub async fn resolve(target: &Target, config: &SshConfig) -> Result<Resolved, SshError> {
    complete(target, config, 0)
        .await
        .map_err(|reason| SshError::new(&target.host, &target.address, Problem::Resolve { reason }))
}

async fn complete(target: &Target, config: &SshConfig, depth: usize) -> Result<Resolved, String> {
    if depth > MAX_JUMPS {
        return Err(format!(
            "more than {MAX_JUMPS} jump hosts in a row, or a circle of them"
        ));
    }
    check_name("host", &target.address)?;
    let answer = config
        .ask(Question {
            name: target.address.clone(),
            user: target.user.clone(),
            port: target.port,
        })
        .await?;
    let mut resolved = merge(target, &answer)?;
    resolved.route = route(target, &answer, &resolved, config, depth).await?;
    Ok(resolved)
}

fn merge(target: &Target, answer: &Answer) -> Result<Resolved, String> {
    let address = answer
        .host_name
        .clone()
        .unwrap_or_else(|| target.address.clone());
    check_name("host", &address)?;
    let user = target
        .user
        .clone()
        .or_else(|| answer.user.clone())
        .or_else(tokens::local_user)
        .ok_or("no login name: set `user` under [ssh]")?;
    check_name("user", &user)?;
    let port = target.port.or(answer.port).unwrap_or(22);
    let home = tokens::home();
    let tokens = Tokens {
        host: &address,
        original: &target.address,
        port,
        user: &user,
        home: home.as_deref(),
    };
    let expand_all = |paths: &[String]| -> Result<Vec<PathBuf>, String> {
        paths
            .iter()
            .filter(|path| !path.eq_ignore_ascii_case("none"))
            .map(|path| tokens.path(path))
            .collect()
    };
    let known_hosts = match &target.known_hosts {
        Some(file) => vec![tokens::tilde(&file.to_string_lossy(), home.as_deref())],
        None => expand_all(&known_hosts_files(answer))?,
    };
    Ok(Resolved {
        host: target.host.clone(),
        port,
        identity: target
            .identity
            .as_ref()
            .map(|path| tokens::tilde(&path.to_string_lossy(), home.as_deref())),
        identity_files: expand_all(&identity_files(answer))?,
        certificate_files: expand_all(&answer.certificate_files)?,
        identities_only: answer.identities_only,
        agent: agent(answer.identity_agent.as_deref(), &tokens)?,
        // As ssh: names are compared in lower case.
        known_as: answer
            .host_key_alias
            .clone()
            .unwrap_or_else(|| address.clone())
            .to_lowercase(),
        is_alias: answer.host_key_alias.is_some(),
        known_hosts,
        route: Route::Direct,
        connect_timeout: target.connect_timeout,
        user: user.clone(),
        address: address.clone(),
    })
}

fn identity_files(answer: &Answer) -> Vec<String> {
    if !answer.identity_files.is_empty() {
        return answer.identity_files.clone();
    }
    ["id_rsa", "id_ecdsa", "id_ed25519"]
        .map(|name| format!("~/.ssh/{name}"))
        .to_vec()
}

fn known_hosts_files(answer: &Answer) -> Vec<String> {
    let owned = |paths: [&str; 2]| paths.map(str::to_owned).to_vec();
    let user = answer
        .user_known_hosts
        .clone()
        .unwrap_or_else(|| owned(["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]));
    let global = answer
        .global_known_hosts
        .clone()
        .unwrap_or_else(|| owned(["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]));
    [user, global].concat()
}

/// The agent's socket: `IdentityAgent` may be a path, `none`, `SSH_AUTH_SOCK` or `$NAME`.
fn agent(setting: Option<&str>, tokens: &Tokens<'_>) -> Result<Option<PathBuf>, String> {
    let from_environment = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    match setting {
        None | Some("SSH_AUTH_SOCK") => Ok(from_environment("SSH_AUTH_SOCK")),
        Some(none) if none.eq_ignore_ascii_case("none") => Ok(None),
        Some(setting) => match setting.strip_prefix('$') {
            Some(name) if !name.starts_with('{') => Ok(from_environment(name)),
            _ => tokens.path(setting).map(Some),
        },
    }
}

async fn route(
    target: &Target,
    answer: &Answer,
    resolved: &Resolved,
    config: &SshConfig,
    depth: usize,
) -> Result<Route, String> {
    let is_none = |text: &str| text.eq_ignore_ascii_case("none");
    if let Some(jump) = target.jump.as_ref().or(answer.proxy_jump.as_ref()) {
        if is_none(jump) {
            return Ok(Route::Direct);
        }
        let hop = last_hop(target, jump)?;
        return Ok(Route::Jump(Box::new(
            Box::pin(complete(&hop, config, depth + 1)).await?,
        )));
    }
    match &answer.proxy_command {
        Some(command) if !is_none(command) => {
            let tokens = Tokens {
                host: &resolved.address,
                original: &target.address,
                port: resolved.port,
                user: &resolved.user,
                home: None,
            };
            Ok(Route::Command(tokens.expand(command)?))
        }
        _ => Ok(Route::Direct),
    }
}

/// The hop next to the host, with the hops before it as its own jump list, as `ssh -J` nests them. It uses the
/// target's identity and `known_hosts`, which an inventory states for the whole fleet, but not its user.
fn last_hop(target: &Target, jump: &str) -> Result<Target, String> {
    let (before, last) = match jump.rsplit_once(',') {
        Some((before, last)) => (Some(before.trim().to_owned()), last),
        None => (None, jump),
    };
    let last = last.trim();
    let bad = || format!("jump `{jump}` is not `[user@]host[:port][,...]`");
    let text = last
        .strip_prefix("ssh://")
        .unwrap_or(last)
        .trim_end_matches('/');
    let (user, place) = match text.rsplit_once('@') {
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, text),
    };
    let (address, port) = split_port(place).ok_or_else(bad)?;
    if address.is_empty() || user.as_ref().is_some_and(String::is_empty) {
        return Err(bad());
    }
    Ok(Target {
        host: last.to_owned(),
        address,
        port,
        user,
        jump: before,
        ..target.clone()
    })
}

fn split_port(place: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (address, tail) = rest.split_once(']')?;
        let port = match tail.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if tail.is_empty() => None,
            None => return None,
        };
        return Some((address.to_owned(), port));
    }
    match place.split_once(':') {
        // More than one colon: a bare IPv6 address.
        Some((_, rest)) if rest.contains(':') => Some((place.to_owned(), None)),
        Some((address, port)) => Some((address.to_owned(), Some(port.parse().ok()?))),
        None => Some((place.to_owned(), None)),
    }
}

/// Names go into command lines (`ssh -G`, proxy commands), so what a shell or an option parser would act on is refused.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    let is_bad =
        |c: char| c.is_whitespace() || c.is_control() || "'\"`$\\;&<>|(){}*?!#".contains(c);
    if name.is_empty() || name.starts_with('-') || name.contains(is_bad) {
        return Err(format!(
            "{what} name `{}` is not valid",
            name.escape_debug()
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
