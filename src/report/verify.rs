//! What `status --verify` found: does each host run what was released? Contract, section 4, attestation.

use serde_json::{Value, json};

use super::escape::printable;
use crate::core::ids::{HostName, RevisionName, ServiceName};
use crate::ports::Attestation;

/// One host that was to be compared with the manifest of what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Which.
    pub host: HostName,
    /// What was found, or why nobody could look.
    pub seen: Result<Compared, String>,
}

/// What the comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// What the host runs, and was compared.
    pub revision: Option<RevisionName>,
    /// How it was shown that the revision runs.
    pub attestation: Option<Attestation>,
    /// The differences, in words.
    pub drift: Vec<String>,
}

impl Verified {
    /// The differences that were found.
    pub fn drift(&self) -> &[String] {
        match &self.seen {
            Ok(compared) => &compared.drift,
            Err(_) => &[],
        }
    }
}

/// What was found on a host.
pub(crate) fn of<'a>(all: &'a [Verified], host: &HostName) -> Option<&'a Compared> {
    let one = all.iter().find(|one| one.host == *host)?;
    one.seen.as_ref().ok()
}

/// The cell of the table.
pub(crate) fn word(found: Option<&Compared>) -> &'static str {
    match found {
        Some(compared) if !compared.drift.is_empty() => "DRIFT",
        Some(Compared {
            attestation: Some(Attestation::RunningFile),
            ..
        }) => "running file",
        Some(Compared {
            attestation: Some(Attestation::FilesAndRestart),
            ..
        }) => "files + restart",
        _ => "-",
    }
}

/// Below the table: each difference, and what to do.
pub(crate) fn lines(all: &[Verified], service: &ServiceName) -> String {
    let mut text = String::new();
    for one in all {
        for difference in one.drift() {
            text.push_str(&format!(
                "drift on {}: {}\n",
                one.host,
                printable(difference)
            ));
        }
        if let Err(why) = &one.seen {
            text.push_str(&format!("{} not verified: {}\n", one.host, printable(why)));
        }
    }
    if !text.is_empty() {
        text.insert(0, '\n');
    }
    let drifted: Vec<_> = all
        .iter()
        .filter(|one| !one.drift().is_empty())
        .map(|one| &one.host)
        .collect();
    if !drifted.is_empty() {
        text.push_str(&format!("\nhint: {}\n", hint(service, &drifted)));
    }
    text
}

/// What to do about drift: a restart ships and switches anew, while a release finds that the revision runs already.
pub fn hint(service: &ServiceName, drifted: &[&HostName]) -> String {
    let names: Vec<&str> = drifted.iter().map(|host| host.as_str()).collect();
    let hosts = match names.as_slice() {
        [one] => (*one).to_owned(),
        several => format!("'{{{}}}'", several.join(",")),
    };
    format!("`rollctl restart {service} --hosts {hosts}` puts it right")
}

/// Adds what was found to the object of an instance.
pub(crate) fn add_json(compared: Option<&Compared>, object: &mut Value) {
    let word = compared
        .and_then(|one| one.attestation)
        .map(|attestation| match attestation {
            Attestation::RunningFile => "running_file",
            Attestation::FilesAndRestart => "files_and_restart",
        });
    let drift = compared.map_or(&[][..], |one| &one.drift);
    object["verified"] = json!(word);
    object["drift"] = json!(drift);
}
