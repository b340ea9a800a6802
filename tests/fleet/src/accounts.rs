//! The logins of a host, beside root: `deploy` (full sudo), `limited` (sudo for one service only), `locked` (sudo asks for a password),
//! `svc` and `limited` (lingering user managers). `scripts/base.sh` makes them.

/// The sudoers text of the restricted set-up: `user` may start, stop, restart and reset the `units`, read their journal, and hash files;
/// nothing else. Install it as `/etc/sudoers.d/NAME`, mode 0440.
#[must_use]
pub fn restricted_sudoers(user: &str, units: &[&str]) -> String {
    let mut commands = Vec::new();
    for unit in units {
        for verb in ["start", "stop", "restart", "reset-failed"] {
            commands.push(format!("/usr/bin/systemctl {verb} {unit}"));
        }
        commands.push(format!("/usr/bin/journalctl -u {unit} *"));
        commands.push(format!("/usr/bin/journalctl --unit={unit} *"));
    }
    commands.push("/usr/bin/sha256sum *".to_owned());
    commands
        .iter()
        .map(|command| format!("{user} ALL=(root) NOPASSWD: {command}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::restricted_sudoers;

    #[test]
    fn each_unit_is_named_in_each_right() {
        let text = restricted_sudoers("limited", &["web.service", "web-worker.service"]);
        assert!(text.contains(
            "limited ALL=(root) NOPASSWD: /usr/bin/systemctl restart web-worker.service\n"
        ));
        assert_eq!(
            text.lines()
                .filter(|line| line.contains("web.service"))
                .count(),
            6
        );
        assert_eq!(text.lines().count(), 13);
    }
}
