//! How the units start the artifact: only what is executed directly has to be a program.

use std::collections::BTreeMap;

use crate::core::fleet::Service;
use crate::core::ids::UnitName;

/// How the binary is started, as far as the revision's own unit files tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Launch {
    /// An `ExecStart=` names it as the program.
    Direct,
    /// Every `ExecStart=` names another program, such as an interpreter.
    ByAnother,
    /// The units are the host's own.
    Unknown,
}

impl Launch {
    pub(super) fn of(binary: &str, units: &BTreeMap<UnitName, String>) -> Self {
        let programs: Vec<&str> = units.values().flat_map(|text| programs(text)).collect();
        if programs.is_empty() {
            return Self::Unknown;
        }
        let is_binary = |program: &&str| {
            program
                .strip_suffix(binary)
                .is_some_and(|folder| folder.ends_with('/'))
        };
        if programs.iter().any(is_binary) {
            Self::Direct
        } else {
            Self::ByAnother
        }
    }

    /// Whether the folder or archive is useless without the binary: somebody named it, or something points to it.
    pub(super) fn needs_binary(self, service: &Service) -> bool {
        self == Self::Direct || service.link.is_some() || service.binary != service.name.as_str()
    }
}

/// The programs of a unit file's `ExecStart=` lines, systemd's prefixes taken off.
fn programs(unit: &str) -> impl Iterator<Item = &str> {
    unit.lines().filter_map(|line| {
        let (key, command) = line.trim().split_once('=')?;
        (key.trim_end() == "ExecStart").then_some(())?;
        let program = command.split_whitespace().next()?;
        Some(
            program
                .trim_start_matches(['@', '-', ':', '+', '!', '|'])
                .trim_matches('"'),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_files_and_who_starts_the_binary() {
        for (unit, expected, sentence) in [
            (
                "[Service]\nExecStart=/opt/web/current/web --fast",
                Launch::Direct,
                "the program itself",
            ),
            (
                "ExecStart = -/opt/web/current/web",
                Launch::Direct,
                "spaces and a prefix",
            ),
            (
                "ExecStart=\"/opt/web/revisions/%i/web\"",
                Launch::Direct,
                "quoted, a template",
            ),
            (
                "ExecStart=/usr/bin/python3 /opt/web/current/web",
                Launch::ByAnother,
                "an interpreter",
            ),
            (
                "ExecStart=/opt/web/current/other-web",
                Launch::ByAnother,
                "a longer name",
            ),
            (
                "ExecStartPre=/opt/web/current/web check\nExecStart=/bin/true",
                Launch::ByAnother,
                "only checked by it",
            ),
            ("[Service]\nExecStart=\n", Launch::Unknown, "a reset only"),
        ] {
            let units = BTreeMap::from([(UnitName::new("web.service"), unit.to_owned())]);
            assert_eq!(Launch::of("web", &units), expected, "{sentence}");
        }
        assert_eq!(Launch::of("web", &BTreeMap::new()), Launch::Unknown);
    }
}
