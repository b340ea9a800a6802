//! An operator's hooks in memory: each takes a second, and some fail.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::core::event::Event;
use crate::core::hooks::{HookEnd, HookKind, HookResult};
use crate::ports::{HookCall, HookRunner};

use super::ledger::FakeLedger;

/// What was run, and what fails.
pub(in crate::driver) struct FakeHooks {
    pub(in crate::driver) calls: Mutex<Vec<String>>,
    /// These end with exit status 3; an instance's only on `h0`.
    pub(in crate::driver) failing: BTreeSet<HookKind>,
    /// These never end.
    pub(in crate::driver) hanging: BTreeSet<HookKind>,
    pub(in crate::driver) ledger: Arc<FakeLedger>,
}

impl FakeHooks {
    /// What runs is in the ledger before it runs.
    fn is_intended(&self, call: &HookCall) {
        let events = self.ledger.events.lock().unwrap();
        let is_it = |event: &Event| match event {
            Event::HookStarted { hook, rest } => *hook == call.hook && *rest == call.rest,
            Event::ActionStarted { host, action } => {
                call.host.as_ref() == Some(host) && action.hook() == Some(call.hook)
            }
            _ => false,
        };
        assert!(events.iter().any(|one| is_it(&one.event)), "{call:?}");
    }
}

#[async_trait]
impl HookRunner for FakeHooks {
    async fn run(&self, call: &HookCall) -> HookEnd {
        self.is_intended(call);
        let place = match (&call.host, call.rest) {
            (Some(host), _) => format!(" {host}"),
            (None, Some(rest)) => format!(" {rest}"),
            (None, None) => String::new(),
        };
        self.calls
            .lock()
            .unwrap()
            .push(format!("{}{place}", call.hook));
        if self.hanging.contains(&call.hook) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let is_here = call.host.as_ref().is_none_or(|host| host.as_str() == "h0");
        let status = match self.failing.contains(&call.hook) && is_here {
            true => 3,
            false => 0,
        };
        HookEnd {
            result: HookResult::Exited { status },
            took: Duration::from_secs(1),
            output: "said".to_owned(),
        }
    }
}
