//! `rollctl trust HOST...`: shows the keys that hosts offer, asks, remembers them. Nothing is accepted silently.

use serde_json::{Value, json};

use super::args::TrustArgs;
use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use crate::core::ids::HostName;
use crate::report::{Output, printable};

/// What a host offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Which host.
    pub host: HostName,
    /// What was connected to: `192.0.2.11:22`.
    pub address: String,
    /// What came of it.
    pub offered: Offered,
}

/// What came of asking a host for its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// Keys that are already known.
    Known {
        /// Which.
        keys: Vec<Key>,
    },
    /// Keys that nobody has confirmed yet.
    New {
        /// Which.
        keys: Vec<Key>,
    },
    /// Another key than the one that is known, or a revoked one: never accepted here.
    Changed {
        /// What is offered now.
        key: Key,
        /// Where the known one stands: `/home/ann/.ssh/known_hosts:12`.
        known_at: String,
    },
    /// Nobody answered, or not as an SSH server does.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A host key as people compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:...`.
    pub fingerprint: String,
}

/// Shows what was offered, asks, and has the new keys of each host remembered; `remember` says where.
///
/// # Errors
/// When nobody can be asked, or a key cannot be written.
pub fn trust(
    args: &TrustArgs,
    scans: &[Scan],
    screen: &mut Screen,
    remember: &mut dyn FnMut(&Scan) -> Result<String, CliError>,
) -> Result<ExitCode, CliError> {
    let text: String = scans.iter().map(lines).collect();
    match screen.output {
        Output::Human => screen.print(&text)?,
        // The question, if any, needs the fingerprints; stdout is for the answer.
        Output::Json => screen.note(&text),
    }
    let new: Vec<&Scan> = scans.iter().filter(|scan| is_new(scan)).collect();
    let agreed = !new.is_empty() && agree(args, &new, screen)?;
    let mut places = Vec::new();
    if agreed {
        for scan in &new {
            let place = remember(scan)?;
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    match screen.output {
        Output::Human if agreed => {
            let hosts = crate::report::words::hosts(new.len());
            screen.print(&format!("added {hosts} to {}\n", places.join(", ")))?;
        }
        Output::Human if !new.is_empty() => screen.print("nothing was added\n")?,
        Output::Human => {}
        Output::Json => screen.print_json(&as_json(scans, agreed))?,
    }
    Ok(exit_code(scans, !new.is_empty() && !agreed))
}

fn agree(args: &TrustArgs, new: &[&Scan], screen: &mut Screen) -> Result<bool, CliError> {
    if args.yes {
        return Ok(true);
    }
    if !screen.can_ask {
        let names: Vec<&str> = new.iter().map(|scan| scan.host.as_str()).collect();
        return Err(CliError::usage(
            "nobody can be asked whether these keys are right: this is no terminal",
        )
        .hint(format!(
            "compare the fingerprints, then `rollctl trust {} --yes`",
            names.join(" ")
        )));
    }
    let question = match new {
        [one] => format!("Is this the key of {}? Remember it?", one.host),
        many => format!("Are these the keys of {} hosts? Remember them?", many.len()),
    };
    Ok(screen.confirm(&question)?)
}

fn is_new(scan: &Scan) -> bool {
    matches!(scan.offered, Offered::New { .. })
}

fn exit_code(scans: &[Scan], declined: bool) -> ExitCode {
    let left_out = scans.iter().any(|scan| {
        matches!(
            scan.offered,
            Offered::Changed { .. } | Offered::Failed { .. }
        )
    });
    let mut code = ExitCode::Done;
    if left_out {
        code = code.worst(ExitCode::Skipped);
    }
    if declined {
        code = code.worst(ExitCode::Paused);
    }
    code
}

fn lines(scan: &Scan) -> String {
    let head = format!("{} ({})", scan.host, printable(&scan.address));
    let keys = |keys: &[Key]| -> String { keys.iter().map(key_line).collect() };
    match &scan.offered {
        Offered::Known { keys: known } => format!("{head}: known already\n{}", keys(known)),
        Offered::New { keys: new } => format!("{head}: not known yet\n{}", keys(new)),
        Offered::Changed { key, known_at } => format!(
            "{head}: CHANGED, another key stands in {known_at}: somebody may be in between\n{}  \
             hint: if the host was installed anew, remove that line (`ssh-keygen -R`), then trust it again\n",
            key_line(key),
            known_at = printable(known_at)
        ),
        Offered::Failed { reason } => format!("{head}: no key: {}\n", printable(reason)),
    }
}

fn key_line(key: &Key) -> String {
    format!(
        "  {:<20} {}\n",
        printable(&key.algorithm),
        printable(&key.fingerprint)
    )
}

fn as_json(scans: &[Scan], agreed: bool) -> Value {
    let hosts: Vec<Value> = scans
        .iter()
        .map(|scan| {
            let (state, keys, reason): (_, &[Key], _) = match &scan.offered {
                Offered::Known { keys } => ("known", keys, None),
                Offered::New { keys } if agreed => ("added", keys, None),
                Offered::New { keys } => ("unknown", keys, None),
                Offered::Changed { key, .. } => ("changed", std::slice::from_ref(key), None),
                Offered::Failed { reason } => ("failed", &[], Some(reason)),
            };
            let keys: Vec<Value> = keys
                .iter()
                .map(|key| json!({"algorithm": key.algorithm, "fingerprint": key.fingerprint}))
                .collect();
            json!({
                "host": scan.host,
                "address": scan.address,
                "state": state,
                "keys": keys,
                "reason": reason,
            })
        })
        .collect();
    json!({"version": 1, "hosts": hosts})
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
