//! What `status` shows: the ledger's memory, and a look at the hosts.

use std::sync::Arc;

use super::error::CliError;
use super::status::from_ledger;
use super::wire::{Desk, Field, store};
use crate::core::event::Runs;
use crate::core::fleet::{Fleet, Service};
use crate::core::ids::{HostName, RevisionName};
use crate::driver::{Sights, SystemClock, look};
use crate::ledger::{Here, MemoryLedger};
use crate::ports::{HostErrorKind, HostFacts, Ledger, Prober, UnitState};
use crate::report::status::{InstanceView, StatusView};

/// The services that are looked at. Connections are kept between two looks.
pub(crate) struct Overview<'a> {
    here: Here,
    ledger: Arc<dyn Ledger>,
    services: Vec<(&'a Service, Field)>,
}

impl<'a> Overview<'a> {
    /// Nothing is connected yet. Where there is no ledger, nothing was released.
    ///
    /// # Errors
    /// When the ledger cannot be used.
    pub(crate) async fn of(fleet: &Fleet, services: &[&'a Service]) -> Result<Self, CliError> {
        let (here, ledger) = match Desk::open_to_look(fleet).await? {
            Some(desk) => (desk.here.clone(), desk.ledger),
            None => {
                let here = Here::of_this_machine(Arc::new(SystemClock));
                let empty: Arc<dyn Ledger> = Arc::new(MemoryLedger::new(here.clone()));
                (here, empty)
            }
        };
        let store = store(fleet)?;
        let services = services
            .iter()
            .map(|service| Ok((*service, Field::of(fleet, service, store.clone())?)))
            .collect::<Result<_, CliError>>()?;
        Ok(Self {
            here,
            ledger,
            services,
        })
    }

    /// One look at all of them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) async fn look(&self) -> Result<Vec<StatusView>, CliError> {
        futures::future::try_join_all(
            self.services
                .iter()
                .map(|(service, field)| self.service(service, field)),
        )
        .await
    }

    async fn service(&self, service: &Service, field: &Field) -> Result<StatusView, CliError> {
        let (view, sights) = tokio::join!(
            from_ledger(service, &*self.ledger, self.here.clock.now()),
            look(&field.hosts, service.hosts.iter().cloned()),
        );
        let view = view?;
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

async fn seen(service: &Service, sights: &Sights, prober: &dyn Prober) -> Vec<InstanceView> {
    let looks = service.hosts.iter().filter_map(|host| {
        let sight = sights.get(host)?;
        Some(async move {
            let (revision, state) = match sight {
                Ok(facts) => (
                    facts.runs.revision().map(|one| one.name.clone()),
                    state(host, facts, prober).await,
                ),
                Err(error) if error.kind == HostErrorKind::Refused => (None, "refused"),
                Err(_) => (None, "unreachable"),
            };
            InstanceView {
                host: host.clone(),
                revision,
                state: state.to_owned(),
                since: None,
            }
        })
    });
    futures::future::join_all(looks).await
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
    match prober.probe(host, expect).await.passed {
        Some(true) => "available",
        Some(false) => "not-ready",
        None => "unknown",
    }
}
