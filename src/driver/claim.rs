//! Tells every reachable host who drives now: an older controller can act nowhere from here on.

use futures::StreamExt;

use super::job::Adapters;
use super::look::{Sights, sight};
use super::traffic::prolong;
use crate::core::event::Sight;
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
            let sight = claim_one(ports, controller, &host, seen, selected, resumes).await;
            balancers(ports, host, sight).await
        })
        .buffer_unordered(CLAIMS_AT_ONCE)
        .collect()
        .await;
    seen.sort_by(|a, b| a.host.cmp(&b.host));
    seen
}

/// Asks the balancers where they have it. A host whose balancers do not answer cannot take part.
async fn balancers(ports: &Adapters, host: HostName, sight: Sight) -> Claimed {
    let seen = traffic_of(ports, &host).await;
    let (sight, traffic) = match (seen, sight) {
        (Ok(traffic), sight) => (sight, traffic),
        (Err(error), Sight::Reachable { .. }) => {
            let reason = error.in_words();
            (Sight::Refused { reason }, None)
        }
        (Err(_), sight) => (sight, None),
    };
    Claimed {
        host,
        sight,
        traffic,
    }
}

async fn traffic_of(
    ports: &Adapters,
    host: &HostName,
) -> Result<Option<TrafficSight>, TrafficError> {
    let Some(balancers) = &ports.traffic else {
        return Ok(None);
    };
    let member = Member::on(host);
    let seen = balancers.observe(&member).await?;
    if seen.detached.is_empty() {
        return Ok(Some(seen));
    }
    prolong(ports, host).await;
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
) -> Sight {
    let Ok(facts) = seen else {
        return sight(&seen);
    };
    // A host that this rollout leaves alone has to know who drives too, unless it never had the service.
    if selected || facts.owner.is_some() {
        if let Err(error) = ports.hosts.claim(host, controller).await {
            return cannot_be_claimed(&error);
        }
        // Whoever was at work there before has finished by now, or was put back: what was seen before may be old.
        if resumes || facts.unproven.is_some() {
            return sight(&ports.hosts.observe(host).await);
        }
    }
    sight(&Ok(facts))
}

fn cannot_be_claimed(error: &HostError) -> Sight {
    let reason = error.in_words();
    match error.kind {
        HostErrorKind::Unreachable | HostErrorKind::Lost => Sight::Unreachable { reason },
        HostErrorKind::Refused | HostErrorKind::Failed => Sight::Refused { reason },
    }
}
