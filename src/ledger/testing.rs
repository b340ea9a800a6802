//! What the ledger's tests share: a clock that is set, machines with processes that die, and events.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollctl_postgres::Server;

use super::{Chain, Chained, Here, MemoryLedger};
use crate::core::budget::{Budget, Quantity};
use crate::core::event::Event;
use crate::core::fleet::OnFailure;
use crate::core::ids::{Digest, HostName, RevisionName, RevisionRef, ServiceName};
use crate::core::spec::{HostSpec, RolloutKind, Spec};
use crate::core::time::Timestamp;
use crate::ports::{Clock, Holder, Lease, Ledger, NewRevision};

/// Some moment in 2023.
pub(crate) const START: i64 = 1_700_000_000_000;

pub(crate) struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A server's clock, which reads what stands in a file: found before the real one in the path of schemas.
const SERVERS_CLOCK: &str = "CREATE SCHEMA set;
    CREATE FUNCTION set.clock_timestamp() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER AS
        $$ SELECT to_timestamp(pg_read_file('CLOCK')::numeric / 1000) $$;
    GRANT USAGE ON SCHEMA set TO rollctl;
    ALTER DATABASE DATABASE_NAME SET search_path = public, set, pg_catalog;";

/// One ledger, in memory, in a file or on a server, and the machines around it.
pub(crate) struct World {
    clock: Arc<SetClock>,
    dead: Arc<Mutex<BTreeSet<u32>>>,
    store: Store,
}

enum Store {
    Memory(MemoryLedger),
    Sqlite(tempfile::TempDir),
    Postgres {
        server: Arc<Server>,
        database: String,
    },
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

    /// On a server of its own; nothing where there can be none.
    pub(crate) fn postgres() -> Option<Self> {
        (!rollctl_postgres::skip()).then(|| Self::on(&Arc::new(Server::start().unwrap())))
    }

    /// In a new database on that server, whose clock is set as the machines' are.
    pub(crate) fn on(server: &Arc<Server>) -> Self {
        static NUMBER: AtomicI64 = AtomicI64::new(1);
        let database = format!("w{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        server.create_database(&database).unwrap();
        let world = Self {
            store: Store::Postgres {
                server: Arc::clone(server),
                database: database.clone(),
            },
            ..Self::sqlite()
        };
        world.set_servers_clock();
        let clock = world.servers_clock().unwrap().display().to_string();
        let sql = SERVERS_CLOCK.replace("CLOCK", &clock);
        let sql = sql.replace("DATABASE_NAME", &database);
        server.sql(&database, &sql).unwrap();
        world
    }

    fn servers_clock(&self) -> Option<PathBuf> {
        match &self.store {
            Store::Postgres { server, database } => Some(server.folder().join(database)),
            _ => None,
        }
    }

    fn set_servers_clock(&self) {
        if let Some(path) = self.servers_clock() {
            // Renamed: nobody ever reads half of it.
            let new = path.with_extension("new");
            std::fs::write(&new, self.now().as_millis().to_string()).unwrap();
            std::fs::rename(new, path).unwrap();
        }
    }

    /// The server, for worlds that have one.
    pub(crate) fn server(&self) -> &Arc<Server> {
        match &self.store {
            Store::Postgres { server, .. } => server,
            _ => panic!("it has no server"),
        }
    }

    /// Its name there.
    pub(crate) fn database(&self) -> &str {
        match &self.store {
            Store::Postgres { database, .. } => database,
            _ => panic!("it has no server"),
        }
    }

    /// The file, for worlds that have one.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.store {
            Store::Sqlite(folder) => folder.path().join("state/rollctl/fleet.db"),
            _ => panic!("it has no path"),
        }
    }

    pub(crate) fn url(&self) -> String {
        match &self.store {
            Store::Postgres { server, database } => server.url(database),
            _ => format!("sqlite:{}", self.path().display()),
        }
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
            _ => Box::new(super::open(&self.url(), here).await.unwrap()),
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
        self.set_servers_clock();
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

/// Eight processes open a ledger of schema 1 at once, some only to look; each finds it whole.
pub(crate) async fn upgraded_by_many(world: &World) {
    let tasks: Vec<_> = (0..8)
        .map(|process| {
            let (url, here) = (world.url(), world.here("laptop", "boot-1"));
            tokio::spawn(async move {
                let ledger = match process % 2 {
                    0 => super::open(&url, here).await.unwrap(),
                    _ => super::open_existing(&url, here).await.unwrap().unwrap(),
                };
                assert_eq!(ledger.find_request(1).await.unwrap(), None);
                assert_eq!(whole(&ledger, "web").await, 5);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Sixteen processes make one ledger at once and record a revision each: they have one identity, and every number once.
pub(crate) async fn made_by_many(world: &World) {
    let tasks: Vec<_> = ('a'..='p')
        .map(|letter| {
            let (url, here) = (world.url(), world.here("laptop", "boot-1"));
            tokio::spawn(async move {
                let ledger = super::open(&url, here).await.unwrap();
                let recorded = ledger.record_revision(&revision("web", letter, None)).await;
                (ledger.id(), recorded.unwrap().number.0)
            })
        })
        .collect();
    let mut numbers = Vec::new();
    let id = world.open().await.id();
    for task in tasks {
        let (made, number) = task.await.unwrap();
        assert_eq!(made, id);
        numbers.push(number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=16).collect::<Vec<u32>>());
}
