//! What the ledger's tests share: a clock that is set, machines with processes that die, and events.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Chain, Chained, Here, MemoryLedger};
use crate::core::budget::{Budget, Quantity};
use crate::core::event::Event;
use crate::core::fleet::OnFailure;
use crate::core::ids::{Digest, HostName, RevisionName, RevisionRef, ServiceName};
use crate::core::spec::{HostSpec, RolloutKind, Spec};
use crate::core::time::Timestamp;
use crate::ports::{Clock, Holder, Lease, NewRevision};

/// Some moment in 2023.
pub(crate) const START: i64 = 1_700_000_000_000;

pub(crate) struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// One ledger, in memory or in a file, and the machines around it.
pub(crate) struct World {
    clock: Arc<SetClock>,
    dead: Arc<Mutex<BTreeSet<u32>>>,
    store: Store,
}

enum Store {
    Memory(MemoryLedger),
    Sqlite(tempfile::TempDir),
}

impl World {
    pub(crate) fn memory() -> Self {
        let world = Self::sqlite();
        let memory = MemoryLedger::new(world.here("laptop", "boot-1"));
        Self {
            store: Store::Memory(memory),
            ..world
        }
    }

    pub(crate) fn sqlite() -> Self {
        Self {
            clock: Arc::new(SetClock(AtomicI64::new(START))),
            dead: Arc::default(),
            store: Store::Sqlite(tempfile::tempdir().unwrap()),
        }
    }

    /// The file, for worlds that have one.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.store {
            Store::Memory(_) => panic!("a ledger in memory has no path"),
            Store::Sqlite(folder) => folder.path().join("state/rollctl/fleet.db"),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    /// A machine, whose processes are alive unless [`World::kill`] was called.
    pub(crate) fn here(&self, machine: &str, boot: &str) -> Here {
        let dead = Arc::clone(&self.dead);
        Here {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            machine: machine.to_owned(),
            boot: boot.to_owned(),
            pid_is_alive: Arc::new(move |pid| !dead.lock().unwrap().contains(&pid)),
        }
    }

    /// The ledger as a process on that machine opens it.
    pub(crate) async fn open_on(&self, machine: &str, boot: &str) -> Box<dyn Chained> {
        let here = self.here(machine, boot);
        match &self.store {
            Store::Memory(memory) => Box::new(memory.seen_from(here)),
            Store::Sqlite(_) => Box::new(super::open(&self.url(), here).await.unwrap()),
        }
    }

    /// The ledger as a process on `laptop` opens it.
    pub(crate) async fn open(&self) -> Box<dyn Chained> {
        self.open_on("laptop", "boot-1").await
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn kill(&self, pid: u32) {
        self.dead.lock().unwrap().insert(pid);
    }
}

/// `anna@laptop (pid <pid>)`.
pub(crate) fn holder(pid: u32) -> Holder {
    Holder {
        by: "anna@laptop".to_owned(),
        machine: "laptop".to_owned(),
        pid,
        boot: "boot-1".to_owned(),
    }
}

pub(crate) fn service(name: &str) -> ServiceName {
    ServiceName::new(name)
}

/// A digest that begins with that letter.
pub(crate) fn digest(letter: char) -> Digest {
    Digest::new(letter.to_string().repeat(64))
}

pub(crate) fn name(text: &str) -> RevisionName {
    RevisionName::parse(text).unwrap()
}

pub(crate) fn revision(of: &str, digest_letter: char, named: Option<&str>) -> NewRevision {
    NewRevision {
        service: service(of),
        name: named.map(name),
        digest: digest(digest_letter),
        at: Timestamp::from_millis(START),
        by: "anna@laptop".to_owned(),
        cause: None,
        adopted: None,
        signers: Vec::new(),
    }
}

pub(crate) fn reference(digest_letter: char) -> RevisionRef {
    RevisionRef {
        name: name(&format!("v{digest_letter}")),
        digest: digest(digest_letter),
    }
}

/// The first event of a release of `to` to two hosts.
pub(crate) fn started(of: &str, to: char) -> Event {
    Event::RolloutStarted {
        spec: Box::new(spec(of, to)),
        by: "anna@laptop".to_owned(),
        cause: Some("the night's \"fix\"\n".to_owned()),
    }
}

pub(crate) fn spec(of: &str, to: char) -> Spec {
    Spec {
        service: service(of),
        kind: RolloutKind::Release,
        target: reference(to),
        from: Some(reference('0')),
        budget: Budget::resolve(2, Quantity::Count(0), Quantity::Count(1)),
        hosts: ["web-01", "web-02"]
            .map(|host| HostSpec::new(HostName::new(host), true))
            .to_vec(),
        min_ready: Duration::from_secs(2),
        deadline: Duration::from_secs(60),
        progress_deadline: Duration::from_secs(600),
        max_failures: 0,
        on_failure: OnFailure::Pause,
        max_uploads: 8,
        steps: Vec::new(),
        domains: Vec::new(),
        side_by_side: false,
        balanced: false,
        hooks: Default::default(),
        signed_by: Vec::new(),
        unattended: false,
        window: None,
    }
}

/// Asserts that a service's chain is whole; how many events it has.
pub(crate) async fn whole(ledger: &dyn Chained, of: &str) -> u64 {
    match ledger.verify_chain(&service(of)).await.unwrap() {
        Chain::Whole { events } => events,
        broken @ Chain::Broken { .. } => panic!("{broken:?}"),
    }
}

/// A lease of `web` for pid 812.
pub(crate) async fn lease(ledger: &dyn Chained) -> Lease {
    let web = service("web");
    ledger.acquire(&web, &holder(812), false).await.unwrap()
}
