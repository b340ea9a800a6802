//! Host keys, the one client key of a fleet, and its known_hosts.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::command::{FleetError, run};

/// Makes an ed25519 key pair: `path` and `path.pub`.
pub(crate) fn make(path: &Path, comment: &str) -> Result<(), FleetError> {
    run(
        "ssh-keygen",
        &[
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            comment,
            "-f",
            &path.display().to_string(),
        ],
    )?;
    Ok(())
}

/// One line of known_hosts, valid for the host's name and its address.
pub(crate) fn known_hosts_line(name: &str, address: Ipv4Addr, public_key: &str) -> String {
    let key: Vec<_> = public_key.split_whitespace().take(2).collect();
    format!("{name},{address} {}\n", key.join(" "))
}

#[cfg(test)]
mod tests {
    use super::known_hosts_line;

    #[test]
    fn a_line_has_both_names_and_no_comment() {
        let line = known_hosts_line(
            "web-01",
            [10, 213, 1, 11].into(),
            "ssh-ed25519 AAAAC3 root@web-01\n",
        );
        assert_eq!(line, "web-01,10.213.1.11 ssh-ed25519 AAAAC3\n");
    }
}
