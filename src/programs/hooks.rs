//! A service's hooks: what they are told, and what is kept of what they write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::run::{Ended, NotRun, Runner, Variable};
use crate::core::fleet::{Fleet, Service};
use crate::core::hooks::{HookEnd, HookKind, HookResult};
use crate::core::ids::{HostName, ServiceName};
use crate::core::program::Program;
use crate::ports::{HookCall, HookRunner, Machines};

/// The end of a hook's output that an event keeps.
const KEPT: usize = 4 << 10;

/// What is read of it: so much more that a secret which is cut in two at its beginning is not in what is kept.
const READ: usize = 64 << 10;

/// All variables that hooks are told by.
const VARIABLES: [&str; 10] = [
    "ROLLCTL_HOOK",
    "ROLLCTL_SERVICE",
    "ROLLCTL_ROLLOUT",
    "ROLLCTL_KIND",
    "ROLLCTL_FROM",
    "ROLLCTL_TO",
    "ROLLCTL_OUTCOME",
    "ROLLCTL_HOST",
    "ROLLCTL_ADDRESS",
    "ROLLCTL_PORT",
];

/// Takes secrets out of a text.
pub type Mask = Box<dyn Fn(&str) -> String + Send + Sync>;

/// The hooks of a service; `mask` takes secrets out of what they write.
pub fn hooks_of(
    service: &Service,
    fleet: &Fleet,
    machines: Arc<dyn Machines>,
    mask: Mask,
) -> Arc<dyn HookRunner> {
    Arc::new(Hooks {
        runner: Runner {
            folder: fleet.folder.clone(),
            machines,
        },
        hooks: service.hooks.clone(),
        service: service.name.clone(),
        addresses: fleet
            .hosts
            .iter()
            .map(|host| (host.name.clone(), host.address.clone()))
            .collect(),
        port: service.port,
        mask,
    })
}

struct Hooks {
    runner: Runner,
    hooks: BTreeMap<HookKind, Program>,
    service: ServiceName,
    addresses: BTreeMap<HostName, String>,
    port: Option<u16>,
    mask: Mask,
}

#[async_trait]
impl HookRunner for Hooks {
    async fn run(&self, call: &HookCall) -> HookEnd {
        let Some(program) = self.hooks.get(&call.hook) else {
            return HookEnd {
                result: HookResult::Removed,
                took: Duration::ZERO,
                output: String::new(),
            };
        };
        let variables = self.variables(call);
        let host = call.host.as_ref();
        let ran = self
            .runner
            .run(program, host, &variables, &VARIABLES, READ)
            .await;
        match ran {
            Ok(ran) => HookEnd {
                result: match ran.ended {
                    Ended::Exited(status) => HookResult::Exited { status },
                    Ended::Killed => HookResult::Killed,
                    Ended::TimedOut => HookResult::TimedOut,
                },
                took: ran.took,
                output: kept(&ran.output, &self.mask),
            },
            Err(NotRun::Here { message, hint }) => {
                HookEnd::not_run((self.mask)(&format!("{message}; hint: {hint}")))
            }
            Err(NotRun::There(error)) => HookEnd::not_run((self.mask)(&error.in_words())),
        }
    }
}

impl Hooks {
    fn variables(&self, call: &HookCall) -> Vec<Variable> {
        let mut variables = vec![
            ("ROLLCTL_HOOK", call.hook.to_string()),
            ("ROLLCTL_SERVICE", self.service.to_string()),
            ("ROLLCTL_ROLLOUT", call.rollout.to_string()),
            ("ROLLCTL_KIND", call.kind.to_string()),
            ("ROLLCTL_FROM", call.from.clone().unwrap_or_default()),
            ("ROLLCTL_TO", call.to.clone()),
        ];
        if let Some(rest) = call.rest {
            variables.push(("ROLLCTL_OUTCOME", rest.to_string()));
        }
        if let Some(host) = &call.host {
            let address = self.addresses.get(host).cloned().unwrap_or_default();
            let port = call.port.or(self.port);
            let port = port.map(|port| port.to_string()).unwrap_or_default();
            variables.extend([
                ("ROLLCTL_HOST", host.to_string()),
                ("ROLLCTL_ADDRESS", address),
                ("ROLLCTL_PORT", port),
            ]);
        }
        variables
    }
}

/// The end of what was written: without secrets, and without what a terminal would obey; line breaks stay.
fn kept(written: &[u8], mask: &Mask) -> String {
    let mut text = mask(&String::from_utf8_lossy(written));
    if written.len() >= READ && text.len() <= KEPT {
        // Its beginning may be the rest of a secret.
        text = text
            .split_once('\n')
            .map(|(_, rest)| rest.to_owned())
            .unwrap_or_default();
    }
    let harmless: String = text
        .replace("\r\n", "\n")
        .chars()
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect();
    let end = harmless.trim();
    let mut from = end.len().saturating_sub(KEPT);
    while !end.is_char_boundary(from) {
        from += 1;
    }
    end.get(from..).unwrap_or_default().to_owned()
}

fn steers(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
#[path = "hooks_tests.rs"]
mod tests;
