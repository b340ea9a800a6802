//! `rollctl check [--connect]`: mistakes in the inventory, and what hosts say.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use crate::core::ids::HostName;
use crate::report::{Output, printable};

/// One thing about the inventory, already rendered by the room that found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it only warns.
    pub is_warning: bool,
    /// For people: place, line, what would be right; several lines.
    pub text: String,
    /// For programs.
    pub json: Value,
}

/// One thing about a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFinding {
    /// Which.
    pub host: HostName,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was looked at and found: `systemd 252, x86_64, 12 GB free`.
    pub what: String,
    /// Where it differs from what was released, in words.
    pub drift: Vec<String>,
    /// What to do when it is not as it should be.
    pub hint: Option<String>,
}

/// What was checked and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// `production: 12 hosts, 2 services`.
    pub inventory: String,
    /// About the inventory.
    pub findings: Vec<Finding>,
    /// About the hosts, in inventory order; nothing when they were not asked.
    pub hosts: Option<Vec<HostFinding>>,
}

impl Checked {
    /// 2 when the inventory has mistakes, 11 when hosts drifted, 3 when hosts cannot take part.
    pub fn exit_code(&self) -> ExitCode {
        let hosts = || self.hosts.iter().flatten();
        if self.findings.iter().any(|one| !one.is_warning) {
            ExitCode::Usage
        } else if hosts().any(|one| !one.drift.is_empty()) {
            ExitCode::Mixed
        } else if hosts().any(|one| !one.ok) {
            ExitCode::Skipped
        } else {
            ExitCode::Done
        }
    }

    /// The text for people: a line per host and finding, hints below.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(finding.text.trim_end());
            text.push_str("\n\n");
        }
        let mistakes = self.findings.iter().filter(|one| !one.is_warning).count();
        text.push_str(&match mistakes {
            0 => format!("{}: no mistakes\n", self.inventory),
            1 => format!("{}: 1 mistake\n", self.inventory),
            many => format!("{}: {many} mistakes\n", self.inventory),
        });
        if let Some(hosts) = &self.hosts {
            text.push_str(&host_lines(hosts));
        }
        text
    }

    /// The object for programs.
    pub fn json(&self) -> Value {
        let hosts = self.hosts.as_ref().map(|hosts| {
            hosts
                .iter()
                .map(|one| {
                    json!({
                        "host": one.host,
                        "ok": one.ok,
                        "what": one.what,
                        "drift": one.drift,
                        "hint": one.hint,
                    })
                })
                .collect::<Vec<_>>()
        });
        json!({
            "version": 1,
            "findings": self.findings.iter().map(|one| one.json.clone()).collect::<Vec<_>>(),
            "hosts": hosts,
        })
    }

    /// Prints it.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn show(&self, screen: &mut Screen) -> Result<ExitCode, CliError> {
        match screen.output {
            Output::Human => screen.print(&self.text())?,
            Output::Json => screen.print_json(&self.json())?,
        }
        Ok(self.exit_code())
    }
}

fn host_lines(hosts: &[HostFinding]) -> String {
    let width = hosts
        .iter()
        .map(|one| one.host.as_str().chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for one in hosts {
        let verdict = if one.ok { "ok    " } else { "FAILED" };
        text.push_str(&format!(
            "{:width$}  {verdict}  {}\n",
            one.host,
            printable(&one.what)
        ));
        for difference in &one.drift {
            let difference = printable(difference);
            text.push_str(&format!("{:width$}  drift: {difference}\n", ""));
        }
        if let Some(hint) = &one.hint {
            text.push_str(&format!("{:width$}  hint: {}\n", "", printable(hint)));
        }
    }
    // A host stands there once for each of its services.
    let all: BTreeSet<&HostName> = hosts.iter().map(|one| &one.host).collect();
    let failed: BTreeSet<&HostName> = hosts
        .iter()
        .filter(|one| !one.ok)
        .map(|one| &one.host)
        .collect();
    text.push_str(&match failed.len() {
        0 => format!("{} of {} hosts can take part\n", all.len(), all.len()),
        some => format!(
            "{} of {} hosts can take part, {some} cannot\n",
            all.len() - some,
            all.len()
        ),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(host: &str, ok: bool, what: &str, hint: Option<&str>) -> HostFinding {
        HostFinding {
            host: HostName::new(host),
            ok,
            what: what.to_owned(),
            drift: Vec::new(),
            hint: hint.map(str::to_owned),
        }
    }

    fn mistake(is_warning: bool) -> Finding {
        Finding {
            is_warning,
            text:
                "production.toml:12:1: unknown key \"max_unavailble\"\n   12 | max_unavailble = 3\n"
                    .to_owned(),
            json: json!({"line": 12}),
        }
    }

    #[test]
    fn a_line_per_host_and_the_hint_below() {
        let checked = Checked {
            inventory: "production: 3 hosts, 1 service".to_owned(),
            findings: vec![],
            hosts: Some(vec![
                finding("web-01", true, "systemd 252, x86_64, 12 GB free", None),
                finding(
                    "web-02",
                    false,
                    "sudo asks for a password",
                    Some("allow `sudo -n` for this user"),
                ),
                finding("web-02", true, "web.service is loaded", None),
                finding("web-103", false, "\x1b[2Junreachable", None),
            ]),
        };
        assert_eq!(checked.exit_code(), ExitCode::Skipped);
        insta::assert_snapshot!(checked.text());
        let json = checked.json();
        assert_eq!(json["hosts"][1]["ok"], false);
        assert_eq!(json["hosts"][1]["hint"], "allow `sudo -n` for this user");
        assert_eq!(json["findings"], json!([]));
    }

    #[test]
    fn mistakes_come_first_and_win() {
        let checked = Checked {
            inventory: "production".to_owned(),
            findings: vec![mistake(false), mistake(true)],
            hosts: None,
        };
        assert_eq!(checked.exit_code(), ExitCode::Usage);
        insta::assert_snapshot!(checked.text());
        assert_eq!(checked.json()["hosts"], Value::Null);
    }

    #[test]
    fn drift_is_told_below_the_host_and_outweighs_a_host_that_cannot_take_part() {
        let drifted = HostFinding {
            drift: vec![
                "`web` of `v1` was changed on disk".to_owned(),
                "link `/usr/local/bin/web` does not lead into `current`".to_owned(),
            ],
            ..finding(
                "web-01",
                true,
                "web: systemd 252",
                Some("`rollctl restart web --hosts web-01` puts it right"),
            )
        };
        let checked = Checked {
            inventory: "production".to_owned(),
            findings: vec![],
            hosts: Some(vec![drifted, finding("web-02", false, "unreachable", None)]),
        };
        assert_eq!(checked.exit_code(), ExitCode::Mixed);
        let text = checked.text();
        insta::assert_snapshot!(text);
        let json = checked.json();
        assert_eq!(json["hosts"][0]["ok"], true);
        assert_eq!(
            json["hosts"][0]["drift"][1],
            "link `/usr/local/bin/web` does not lead into `current`"
        );
        assert_eq!(json["hosts"][1]["drift"], json!([]));
    }

    #[test]
    fn a_warning_is_no_mistake() {
        let checked = Checked {
            findings: vec![mistake(true)],
            ..Checked::default()
        };
        assert_eq!(checked.exit_code(), ExitCode::Done);
    }
}
