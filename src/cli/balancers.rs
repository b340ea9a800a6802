//! Where balancers have instances, and which of them a rollout left out of traffic.

use std::collections::{BTreeMap, BTreeSet};

use super::check::HostFinding;
use super::error::CliError;
use super::exit::ExitCode;
use crate::core::fleet::Service;
use crate::core::ids::HostName;
use crate::core::rollout::RolloutState;
use crate::ports::{Ledger, Member, Traffic};

/// Hosts that a rollout left out of traffic, with the endpoints at which an operator had taken them out before.
pub(crate) type LeftOut = BTreeMap<HostName, BTreeSet<String>>;

/// What the service's last rollout left out of traffic; nothing where rollctl does not see to that.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) async fn left_out(ledger: &dyn Ledger, service: &Service) -> Result<LeftOut, CliError> {
    if service.traffic.is_none() {
        return Ok(LeftOut::new());
    }
    let newest = ledger.rollouts(&service.name, 1).await?;
    let Some(last) = newest.first() else {
        return Ok(LeftOut::new());
    };
    let events = ledger.events(last.id, 0).await?;
    let state =
        RolloutState::fold(&events).map_err(|error| CliError::of(ExitCode::Unexpected, &error))?;
    let left = state.left_out().into_iter();
    Ok(left
        .map(|(host, kept_out)| (host.clone(), kept_out.clone()))
        .collect())
}

/// Adds where the balancers have the host's instance.
pub(crate) async fn with_traffic(
    found: HostFinding,
    member: &Member,
    service: &Service,
    traffic: &dyn Traffic,
    left_out: &LeftOut,
) -> HostFinding {
    let list = |places: &BTreeSet<String>| {
        let places: Vec<_> = places.iter().map(|place| format!("`{place}`")).collect();
        places.join(", ")
    };
    let found = match traffic.observe(member).await {
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
                    "no rollout has put it into traffic since: `rollctl release {} --same` does",
                    service.name
                )
            }),
            ..found
        },
    };
    if !found.ok {
        return found;
    }
    let gaps = match traffic.unguarded(member).await {
        Ok(gaps) => gaps,
        Err(error) => vec![error.in_words()],
    };
    HostFinding {
        what: [vec![found.what.clone()], gaps].concat().join("; "),
        ..found
    }
}
