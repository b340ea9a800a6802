//! What `check --connect` says of balancers.

use std::collections::BTreeSet;

use super::check::HostFinding;
use super::rollout::LeftOut;
use crate::core::fleet::Service;
use crate::ports::{Member, Traffic};

/// Adds where the balancers have the host's instance.
pub(crate) async fn with_traffic(
    found: HostFinding,
    service: &Service,
    traffic: &dyn Traffic,
    left_out: &LeftOut,
) -> HostFinding {
    let member = Member {
        host: found.host.clone(),
        port: None,
    };
    let list = |places: &BTreeSet<String>| {
        let places: Vec<_> = places.iter().map(|place| format!("`{place}`")).collect();
        places.join(", ")
    };
    match traffic.observe(&member).await {
        Err(error) => HostFinding {
            ok: false,
            what: format!("{}: {}", service.name, error.message),
            hint: error.hint,
            ..found
        },
        Ok(seen) if seen.detached.is_empty() => HostFinding {
            what: format!("{}, in traffic", found.what),
            ..found
        },
        Ok(seen) => HostFinding {
            what: format!("{}, out of traffic at {}", found.what, list(&seen.detached)),
            hint: left_out.contains_key(&found.host).then(|| {
                format!(
                    "a rollout took it out and has not put it back: `rollctl release {} --same` does",
                    service.name
                )
            }),
            ..found
        },
    }
}
