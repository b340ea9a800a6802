//! The first look at every host, before anything is decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;

use crate::core::event::{Runs, Sight, Started};
use crate::core::ids::HostName;
use crate::ports::{HostError, HostErrorKind, HostFacts, Hosts};

/// What every host looked like.
pub type Sights = BTreeMap<HostName, Result<HostFacts, HostError>>;

/// Hosts that are looked at at once. A login costs a host 60-140 ms of CPU, the controller about 2 ms.
const LOOKS_AT_ONCE: usize = 256;

/// Looks at all of them at once.
pub async fn look(hosts: &Arc<dyn Hosts>, names: impl IntoIterator<Item = HostName>) -> Sights {
    futures::stream::iter(names)
        .map(|name| async {
            let seen = hosts.observe(&name).await;
            hosts.rest(&name).await;
            (name, seen)
        })
        .buffer_unordered(LOOKS_AT_ONCE)
        .collect()
        .await
}

/// A look as the rollout's first event of that host.
pub fn sight(seen: &Result<HostFacts, HostError>) -> Sight {
    match seen {
        Ok(facts) => Sight::Reachable {
            runs: facts.runs.clone(),
            started: Some(Started {
                boot: facts.boot.clone(),
                units: facts
                    .units
                    .iter()
                    .map(|unit| unit.started.clone())
                    .collect(),
            })
            .filter(|_| facts.runs != Runs::Nothing),
            unproven: facts.unproven.clone(),
        },
        Err(error) if error.kind == HostErrorKind::Refused => Sight::Refused {
            reason: error.in_words(),
        },
        Err(error) => Sight::Unreachable {
            reason: error.in_words(),
        },
    }
}
