//! A service that the ledger lacks, read back from its hosts (contract, sections 4 and 5).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;

use super::error::CliError;
use super::exit::ExitCode;
use super::launch::under_lease;
use super::release::read_ledger;
use super::rollout::PAST;
use super::screen::Screen;
use super::wire::{Desk, Field, store, who};
use crate::core::fleet::{Fleet, Service};
use crate::core::ids::{HostName, LedgerId, RevisionRef};
use crate::core::recall::{Recalled, recall};
use crate::core::revision::Revision;
use crate::driver::{Sights, SystemClock};
use crate::ledger::{Chained, Here, MemoryLedger};
use crate::ports::{HostError, Hosts, Ledger, Owner, Remembered, RolloutRecord};
use crate::report::{counted, printable};

/// Hosts that are read at once.
const AT_ONCE: usize = 64;

/// What the hosts of a service remember.
pub(crate) struct ReadBack {
    /// Put together.
    pub(crate) past: Recalled,
    /// Who manages it there.
    pub(crate) owners: Owners,
    /// How many hosts were read.
    pub(crate) read: usize,
    /// Those that could not be.
    pub(crate) missing: BTreeMap<HostName, HostError>,
}

/// The ledgers that manage a service, and where.
pub(crate) type Owners = BTreeMap<LedgerId, (Owner, Vec<HostName>)>;

impl ReadBack {
    /// Reads every host that carries, or has carried, the service; changes nothing.
    pub(crate) async fn of(hosts: &Arc<dyn Hosts>, service: &Service) -> Self {
        let (mut memories, mut missing) = (BTreeMap::new(), BTreeMap::new());
        let mut owners = Owners::new();
        for (host, answer) in ask(hosts, service).await {
            match answer {
                Ok(Remembered { owner, memory }) => {
                    note_owner(&mut owners, owner.as_ref(), &host);
                    memories.insert(host, memory);
                }
                Err(error) => {
                    missing.insert(host, error);
                }
            }
        }
        Self {
            past: recall(&service.name, &memories),
            owners,
            read: memories.len(),
            missing,
        }
    }

    /// Whether there is nothing to go by.
    pub(crate) fn is_empty(&self) -> bool {
        self.past.revisions.is_empty() && self.past.rollouts.is_empty()
    }

    /// Says what was read back, and what was not.
    pub(crate) fn tell(&self, service: &Service, screen: &mut Screen) {
        let (revisions, rollouts) = (self.past.revisions.len(), self.past.rollouts.len());
        screen.note(&format!(
            "note: the ledger does not know `{}`: {} and {} were read back from {}\n",
            service.name,
            counted(revisions, "revision"),
            counted(rollouts, "rollout"),
            counted(self.read, "host"),
        ));
        for note in &self.past.notes {
            screen.note(&format!("note: {}\n", printable(note)));
        }
        for (host, error) in &self.missing {
            let words = error.in_words();
            let words = printable(&words);
            screen.note(&format!("warning: {host} was not read: {words}\n"));
        }
    }
}

/// What every host of a service remembers of it.
pub(crate) type Answers = BTreeMap<HostName, Result<Remembered, HostError>>;

/// Asks every host that carries, or has carried, a service; changes nothing.
pub(crate) async fn ask(hosts: &Arc<dyn Hosts>, service: &Service) -> Answers {
    let names = service.carriers().chain(&service.out_of_service).cloned();
    futures::stream::iter(names)
        .map(|host| async move {
            let answer = hosts.remembered(&host).await;
            hosts.rest(&host).await;
            (host, answer)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

/// Whether a ledger has anything of a service.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn knows(ledger: &dyn Ledger, service: &Service) -> Result<bool, CliError> {
    let name = &service.name;
    Ok(!ledger.revisions(name).await?.is_empty() || !ledger.rollouts(name, 1).await?.is_empty())
}

fn note_owner(owners: &mut Owners, owner: Option<&Owner>, host: &HostName) {
    if let Some(owner) = owner {
        let (_, hosts) = owners
            .entry(owner.ledger.clone())
            .or_insert_with(|| (owner.clone(), Vec::new()));
        hosts.push(host.clone());
    }
}

/// Refuses to begin where another ledger manages the service: on every host that answered, or on any where this one has not
/// brought anything yet. On single hosts of a service that is ours it is the host that refuses.
///
/// # Errors
/// Exit code 5: which ledger, on which machine, and the way out.
pub(crate) fn refuse_foreign(
    service: &Service,
    ours: &LedgerId,
    sights: &Sights,
    is_new: bool,
) -> Result<(), CliError> {
    let owners = foreign(ours, sights);
    let answered = sights.values().flatten().count();
    let count: usize = owners.values().map(|(_, hosts)| hosts.len()).sum();
    match count > 0 && (is_new || count == answered) {
        true => Err(belongs_to(service, &owners)),
        false => Ok(()),
    }
}

/// The other ledgers that manage a service on hosts that answered.
fn foreign(ours: &LedgerId, sights: &Sights) -> Owners {
    let mut owners = Owners::new();
    for (host, seen) in sights {
        if let Ok(facts) = seen {
            note_owner(&mut owners, facts.owner.as_ref(), host);
        }
    }
    owners.remove(ours);
    owners
}

/// Before what the ledger says is to run is brought to hosts that are taken from another ledger: that one may have brought
/// something else since.
///
/// # Errors
/// Exit code 5 where they run something else: then a person has to name what is to run.
pub(crate) fn refuse_stale(
    service: &Service,
    ours: &LedgerId,
    sights: &Sights,
    target: &RevisionRef,
) -> Result<(), CliError> {
    let owners = foreign(ours, sights);
    let taken = owners.values().flat_map(|(_, hosts)| hosts);
    let mut others = taken.filter_map(|host| {
        let facts = sights.get(host)?.as_ref().ok()?;
        let runs = facts.runs.revision()?;
        (runs.digest != target.digest).then_some((host, runs))
    });
    let Some((host, runs)) = others.next() else {
        return Ok(());
    };
    let name = &service.name;
    Err(CliError::new(
        ExitCode::Paused,
        format!("`{name}` runs `{runs}` on {host}, by another ledger: nobody said that it is to run `{target}`"),
    )
    .state("nothing was touched")
    .hint(format!(
        "say what is to run: `rollctl rollback {name} --to NAME --take-over`, or release it with `--take-over`"
    )))
}

/// The error that says who manages it.
pub(crate) fn belongs_to(service: &Service, owners: &Owners) -> CliError {
    let name = &service.name;
    let machines: Vec<_> = owners
        .values()
        .map(|(owner, _)| owner.machine.as_str())
        .collect();
    let error = CliError::new(
        ExitCode::Paused,
        format!(
            "`{name}` is managed by another ledger, from {}",
            machines.join(", ")
        ),
    );
    owners
        .values()
        .fold(error, |error, (owner, hosts)| {
            let names: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            error.detail(format!(
                "ledger {} on {}: {}",
                owner.ledger,
                owner.machine,
                names.join(", ")
            ))
        })
        .state("nothing was touched")
        .hint(format!(
            "run it there, or with that `[ledger] url`; if that ledger is lost, or is to manage `{name}` no more, \
             `--take-over` makes this one the owner"
        ))
}

/// What is known of a service's past.
pub(crate) struct Known {
    /// Newest first.
    pub(crate) revisions: Vec<Revision>,
    /// Newest first.
    pub(crate) records: Vec<RolloutRecord>,
    /// Set where the ledger has nothing of it and the hosts have: what is to be taken in first.
    pub(crate) read_back: Option<ReadBack>,
}

impl From<(Vec<Revision>, Vec<RolloutRecord>)> for Known {
    fn from((revisions, records): (Vec<Revision>, Vec<RolloutRecord>)) -> Self {
        Self {
            revisions,
            records,
            read_back: None,
        }
    }
}

impl Known {
    /// From the ledger or, where it has nothing, from the hosts. Makes no ledger.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) async fn of(
        fleet: &Fleet,
        service: &Service,
        screen: &mut Screen,
    ) -> Result<Self, CliError> {
        let known = read_ledger(fleet, service).await?;
        if !known.0.is_empty() || !known.1.is_empty() {
            return Ok(known.into());
        }
        let field = Field::of(fleet, service, store(fleet)?)?;
        let read_back = ReadBack::of(&field.hosts, service).await;
        if read_back.is_empty() {
            return Ok(known.into());
        }
        read_back.tell(service, screen);
        let here = Here::of_this_machine(Arc::new(SystemClock));
        let memory = in_memory(here, service, &read_back.past).await?;
        Ok(Self {
            revisions: memory.revisions(&service.name).await?,
            records: memory.rollouts(&service.name, PAST).await?,
            read_back: Some(read_back),
        })
    }

    /// Before something is rolled out forth: what is taken over has a past, whose numbers and names are not given twice.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) async fn before(
        fleet: &Fleet,
        service: &Service,
        take_over: bool,
        screen: &mut Screen,
    ) -> Result<Self, CliError> {
        match take_over {
            true => Self::of(fleet, service, screen).await,
            false => Ok(read_ledger(fleet, service).await?.into()),
        }
    }

    /// Takes what was read back into the ledger.
    ///
    /// # Errors
    /// When another ledger manages the hosts and they are not taken from it, somebody else works on the service, or the
    /// ledger cannot be written.
    pub(crate) async fn keep(
        &self,
        desk: &Desk,
        service: &Service,
        take_over: bool,
    ) -> Result<(), CliError> {
        let Some(read_back) = &self.read_back else {
            return Ok(());
        };
        let mut foreign = read_back.owners.clone();
        foreign.remove(&desk.ledger.id());
        if !take_over && !foreign.is_empty() {
            return Err(belongs_to(service, &foreign));
        }
        restore(desk, service, take_over, &read_back.past).await
    }
}

/// Takes a past into the ledger, under the service's lease.
///
/// # Errors
/// When somebody else works on the service, or the ledger cannot be written.
pub(crate) async fn restore(
    desk: &Desk,
    service: &Service,
    take_over: bool,
    past: &Recalled,
) -> Result<(), CliError> {
    under_lease(desk, service, take_over, async |lease| {
        Ok(desk.books.restore(lease, past).await?)
    })
    .await
}

/// A past that is only looked at.
///
/// # Errors
/// When it does not fit together.
pub(crate) async fn in_memory(
    here: Here,
    service: &Service,
    past: &Recalled,
) -> Result<MemoryLedger, CliError> {
    let holder = here.holder(who());
    let memory = MemoryLedger::new(here);
    let lease = memory.acquire(&service.name, &holder, false).await?;
    memory.restore(&lease, past).await?;
    memory.release(&lease).await?;
    Ok(memory)
}

/// The ledger of a service that is looked at: its own or, where that has nothing of it, what its hosts remember.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) async fn to_look_at(
    ledger: Arc<dyn Chained>,
    here: &Here,
    service: &Service,
    hosts: &Arc<dyn Hosts>,
    screen: &mut Screen,
) -> Result<Arc<dyn Chained>, CliError> {
    if knows(&*ledger, service).await? {
        return Ok(ledger);
    }
    let read_back = ReadBack::of(hosts, service).await;
    if read_back.is_empty() {
        return Ok(ledger);
    }
    read_back.tell(service, screen);
    Ok(Arc::new(
        in_memory(here.clone(), service, &read_back.past).await?,
    ))
}
