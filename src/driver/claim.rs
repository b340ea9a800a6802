//! Tells every reachable host who drives now: an older controller can act nowhere from here on.

use futures::StreamExt;

use super::job::Adapters;
use super::look::{Sights, sight};
use super::traffic::prolong;
use crate::core::event::{Runs, SiblingSight, Sight, Started};
use crate::core::ids::HostName;
use crate::core::rollout::RolloutState;
use crate::core::traffic_state::TrafficSight;
use crate::ports::{Controller, HostError, HostErrorKind, HostFacts, Member, TrafficError};

/// Hosts that are claimed at once.
const CLAIMS_AT_ONCE: usize = 256;

/// What a host looks like once it knows who drives.
pub(super) struct Claimed {
    pub(super) host: HostName,
    pub(super) sight: Sight,
    pub(super) traffic: Option<TrafficSight>,
    /// Side by side: the other instance.
    pub(super) sibling: Option<Box<SiblingSight>>,
    /// What was read of it.
    pub(super) facts: Option<HostFacts>,
}

/// Claims them, and says what each looks like then.
pub(super) async fn claim(
    ports: &Adapters,
    controller: &Controller,
    state: &RolloutState,
    sights: Sights,
    resumes: bool,
) -> Vec<Claimed> {
    let mut seen: Vec<_> = futures::stream::iter(sights)
        .map(|(host, seen)| async move {
            let selected = state.instance(&host).is_some_and(|i| i.selected);
            let seen = claim_one(ports, controller, &host, seen, selected, resumes).await;
            ports.hosts.rest(&host).await;
            balancers(ports, host, seen).await
        })
        .buffer_unordered(CLAIMS_AT_ONCE)
        .collect()
        .await;
    seen.sort_by(|a, b| a.host.cmp(&b.host));
    seen
}

/// Asks the balancers where they have it. A host whose balancers do not answer cannot take part.
async fn balancers(ports: &Adapters, host: HostName, seen: Result<HostFacts, Sight>) -> Claimed {
    let (sight, facts) = match seen {
        Ok(facts) => {
            let seen = Ok(facts);
            (sight(&seen), seen.ok())
        }
        Err(sight) => (sight, None),
    };
    let port = facts.as_ref().and_then(|facts| facts.port);
    let beside = facts.as_ref().and_then(|facts| facts.beside.as_ref());
    let traffic = traffic_of(ports, &host, port).await;
    let other = match beside {
        Some(beside) => traffic_of(ports, &host, Some(beside.port)).await,
        None => Ok(None),
    };
    let (sight, traffic, other) = match (traffic, other, sight) {
        (Ok(traffic), Ok(other), sight) => (sight, traffic, other),
        (Err(error), _, Sight::Reachable { .. }) | (_, Err(error), Sight::Reachable { .. }) => {
            let reason = error.in_words();
            (Sight::Refused { reason }, None, None)
        }
        (_, _, sight) => (sight, None, None),
    };
    let boot = facts.as_ref().map(|facts| facts.boot.clone());
    let sibling = beside.zip(boot).map(|(beside, boot)| {
        Box::new(SiblingSight {
            runs: Runs::Revision {
                revision: beside.revision.clone(),
            },
            // A boot starts only the one that is enabled: the other is there, and does not run.
            started: beside.unit.is_active().then(|| Started {
                boot,
                units: vec![beside.unit.started.clone()],
            }),
            unproven: beside.unproven,
            traffic: other,
        })
    });
    Claimed {
        host,
        sight,
        traffic,
        sibling,
        facts,
    }
}

async fn traffic_of(
    ports: &Adapters,
    host: &HostName,
    port: Option<u16>,
) -> Result<Option<TrafficSight>, TrafficError> {
    let Some(balancers) = &ports.traffic else {
        return Ok(None);
    };
    let member = Member::at(host, port);
    let seen = balancers.observe(&member).await?;
    if seen.detached.is_empty() {
        return Ok(Some(seen));
    }
    prolong(ports, &member).await;
    // The dead-man's switch may have put it in just before that: what gets requests is not to pass for drained.
    balancers.observe(&member).await.map(Some)
}

async fn claim_one(
    ports: &Adapters,
    controller: &Controller,
    host: &HostName,
    seen: Result<HostFacts, HostError>,
    selected: bool,
    resumes: bool,
) -> Result<HostFacts, Sight> {
    let facts = seen.map_err(|error| sight(&Err(error)))?;
    // A host that this rollout leaves alone has to know who drives too, unless it never had the service.
    if selected || facts.owner.is_some() {
        if let Err(error) = ports.hosts.claim(host, controller).await {
            return Err(cannot_be_claimed(&error));
        }
        // Whoever was at work there before has finished by now, or was put back: what was seen before may be old.
        if resumes || facts.unproven.is_some() || facts.beside.is_some() {
            let again = ports.hosts.observe(host).await;
            return again.map_err(|error| sight(&Err(error)));
        }
    }
    Ok(facts)
}

fn cannot_be_claimed(error: &HostError) -> Sight {
    let reason = error.in_words();
    match error.kind {
        HostErrorKind::Unreachable | HostErrorKind::Lost => Sight::Unreachable { reason },
        HostErrorKind::Refused | HostErrorKind::Failed => Sight::Refused { reason },
    }
}
