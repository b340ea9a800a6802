//! What `status` shows: the ledger's memory, and a look at the hosts.

use std::sync::Arc;

use futures::StreamExt;

use super::error::CliError;
use super::read_back::to_look_at;
use super::screen::Screen;
use super::status::{WATCH_INTERVAL, from_ledger};
use super::wire::{Field, ledger_to_look_at, store};
use crate::core::event::Runs;
use crate::core::fleet::{Fleet, Service};
use crate::core::ids::{HostName, RevisionName};
use crate::driver::{Sights, look};
use crate::ledger::{Chained, Here};
use crate::ports::{Beside, HostErrorKind, HostFacts, Hosts, LedgerError, News, Prober, UnitState};
use crate::report::status::{InstanceView, StatusView};
use crate::report::verify::{Compared, Verified};

/// Hosts that are compared at once.
const AT_ONCE: usize = 64;

/// The services that are looked at. Connections are kept between two looks.
pub(crate) struct Overview<'a> {
    here: Here,
    ledger: Arc<dyn Chained>,
    services: Vec<Watched<'a>>,
    verify: bool,
}

/// One of them.
struct Watched<'a> {
    service: &'a Service,
    field: Field,
    ledger: Arc<dyn Chained>,
}

impl<'a> Overview<'a> {
    /// Only hosts of services that the ledger lacks are connected yet: what those remember is shown instead.
    ///
    /// # Errors
    /// When the ledger cannot be used.
    pub(crate) async fn of(
        fleet: &Fleet,
        services: &[&'a Service],
        screen: &mut Screen,
    ) -> Result<Self, CliError> {
        let (ledger, here) = ledger_to_look_at(fleet).await?;
        let store = store(fleet)?;
        let mut watched = Vec::new();
        for service in services {
            let field = Field::of(fleet, service, store.clone())?;
            let ledger = to_look_at(ledger.clone(), &here, service, &field.hosts, screen).await?;
            watched.push(Watched {
                service,
                field,
                ledger,
            });
        }
        Ok(Self {
            here,
            ledger,
            services: watched,
            verify: false,
        })
    }

    /// Each look compares hosts with the manifests of what they run, too.
    pub(crate) fn verifying(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// One look at all of them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) async fn look(&self) -> Result<Vec<StatusView>, CliError> {
        futures::future::try_join_all(self.services.iter().map(|one| self.service(one))).await
    }

    /// Waits until there is something new to be seen, and the ledger answers.
    pub(crate) async fn rest(&self) {
        // Events come in bursts, and each look asks the hosts too.
        tokio::time::sleep(WATCH_INTERVAL / 4).await;
        self.ledger
            .wait_for(News::Events, WATCH_INTERVAL * 3 / 4)
            .await;
        let mut is_told = false;
        for Watched { service, .. } in &self.services {
            while let Err(error @ LedgerError::Away { .. }) =
                self.ledger.holder(&service.name).await
            {
                if !is_told {
                    tracing::warn!("{error}; it is asked again until it answers");
                    is_told = true;
                }
                tokio::time::sleep(WATCH_INTERVAL).await;
            }
        }
    }

    async fn service(&self, one: &Watched<'_>) -> Result<StatusView, CliError> {
        let Watched {
            service,
            field,
            ledger,
        } = one;
        let (view, sights) = tokio::join!(
            from_ledger(service, &**ledger, self.here.clock.now()),
            look(&field.hosts, service.carriers().cloned()),
        );
        let mut view = view?;
        if self.verify {
            view.verified = Some(verified(&*field.hosts, service, &sights).await);
        }
        if view
            .rollout
            .as_ref()
            .is_some_and(|rollout| rollout.phase != "paused" && rollout.phase != "interrupted")
        {
            // Its controller sees the instances twice a second; what it wrote down is the better look.
            return Ok(view);
        }
        let seen = seen(service, &sights, &*field.prober).await;
        Ok(view.looked_at(seen))
    }
}

/// Compares hosts with the manifests of what they run, as many at once as are looked at.
async fn verified(hosts: &dyn Hosts, service: &Service, sights: &Sights) -> Vec<Verified> {
    futures::stream::iter(service.carriers())
        .map(|host| async move {
            Verified {
                host: host.clone(),
                seen: match sights.get(host) {
                    // Nobody waits for it a second time.
                    Some(Err(error)) if error.kind == HostErrorKind::Unreachable => {
                        Err(error.in_words())
                    }
                    _ => compared(hosts, host).await,
                },
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

async fn compared(hosts: &dyn Hosts, host: &HostName) -> Result<Compared, String> {
    let attested = hosts.attest(host).await.map_err(|error| error.in_words())?;
    Ok(Compared {
        revision: attested.runs.revision().map(|one| one.name.clone()),
        attestation: attested.attestation,
        drift: attested.drift,
    })
}

async fn seen(service: &Service, sights: &Sights, prober: &dyn Prober) -> Vec<InstanceView> {
    let looks = service.carriers().filter_map(|host| {
        let sight = sights.get(host)?;
        Some(async move {
            let found = match sight {
                Ok(facts) => both(host, facts, prober).await,
                Err(error) if error.kind == HostErrorKind::Refused => vec![(None, "refused")],
                Err(_) => vec![(None, "unreachable")],
            };
            found.into_iter().map(|(revision, state)| InstanceView {
                host: host.clone(),
                spare: service.spare_hosts.contains(host),
                revision,
                state: state.to_owned(),
                since: None,
            })
        })
    });
    let found = futures::future::join_all(looks).await;
    found.into_iter().flatten().collect()
}

/// What a host runs, and the other instance beside it.
async fn both(
    host: &HostName,
    facts: &HostFacts,
    prober: &dyn Prober,
) -> Vec<(Option<RevisionName>, &'static str)> {
    let main = async {
        let revision = facts.runs.revision().map(|one| one.name.clone());
        (revision, state(host, facts, prober).await)
    };
    let other = async {
        let beside = facts.beside.as_ref()?;
        Some((
            Some(beside.revision.name.clone()),
            state_beside(host, beside, prober).await,
        ))
    };
    let (main, other) = tokio::join!(main, other);
    std::iter::once(main).chain(other).collect()
}

/// A word for an instance that is in nobody's hand: one look, so its age counts.
async fn state(host: &HostName, facts: &HostFacts, prober: &dyn Prober) -> &'static str {
    let Runs::Revision { revision } = &facts.runs else {
        return "absent";
    };
    if !facts.units.iter().all(UnitState::is_active) {
        return "not-ready";
    }
    let expect: Option<&RevisionName> = Some(&revision.name).filter(|name| !name.is_adopted());
    answered(prober.probe(host, expect, facts.port).await.passed)
}

/// The same for the other one on its host. One that nobody confirmed is not available, however well it answers.
async fn state_beside(host: &HostName, beside: &Beside, prober: &dyn Prober) -> &'static str {
    if !beside.unit.is_active() {
        return "not-ready";
    }
    let expect = Some(&beside.revision.name);
    let answer = prober.probe(host, expect, Some(beside.port)).await;
    match answered(answer.passed) {
        "available" if beside.unproven => "ready",
        word => word,
    }
}

fn answered(passed: Option<bool>) -> &'static str {
    match passed {
        Some(true) => "available",
        Some(false) => "not-ready",
        None => "unknown",
    }
}
