//! Side by side behind a balancer with an entry for each port: what is left of dead-man's switches.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::Adapters;
use super::bench::{Bench, bench};
use crate::core::budget::{Budget, Quantity};
use crate::core::event::Outcome;
use crate::core::ids::HostName;
use crate::core::rollout::RolloutPhase;
use crate::core::traffic_state::TrafficSight;
use crate::ports::{Drained, Member, Traffic, TrafficError};

const PORTS: [u16; 2] = [8080, 8081];

/// Entries that the balancer sends requests to, and those that a dead-man's switch will open.
#[derive(Default)]
struct Entries {
    open: Mutex<BTreeSet<u16>>,
    armed: Mutex<BTreeSet<u16>>,
    calls: Mutex<Vec<String>>,
}

impl Entries {
    fn port(&self, what: &str, member: &Member) -> u16 {
        let port = member.port.unwrap_or(PORTS[0]);
        self.calls.lock().unwrap().push(format!("{what} {port}"));
        port
    }

    fn set(&self, port: u16, is_open: bool, is_armed: bool) {
        for (all, is_in) in [(&self.open, is_open), (&self.armed, is_armed)] {
            let mut all = all.lock().unwrap();
            all.remove(&port);
            all.extend(is_in.then_some(port));
        }
    }

    fn is_open(&self, port: u16) -> bool {
        self.open.lock().unwrap().contains(&port)
    }

    fn is_armed(&self, port: u16) -> bool {
        self.armed.lock().unwrap().contains(&port)
    }
}

#[async_trait]
impl Traffic for Entries {
    async fn observe(&self, member: &Member) -> Result<TrafficSight, TrafficError> {
        let name = BTreeSet::from(["lb".to_owned()]);
        let none = BTreeSet::new();
        let (attached, detached) = match self.is_open(self.port("observe", member)) {
            true => (name, none),
            false => (none, name),
        };
        Ok(TrafficSight { attached, detached })
    }

    async fn drain(&self, member: &Member) -> Result<Drained, TrafficError> {
        let port = self.port("drain", member);
        let is_armed = self.is_open(port) || self.is_armed(port);
        self.set(port, false, is_armed);
        Ok(Drained::default())
    }

    async fn close(&self, member: &Member) -> Result<(), TrafficError> {
        self.set(self.port("close", member), false, false);
        Ok(())
    }

    async fn attach(
        &self,
        member: &Member,
        _: &BTreeSet<String>,
        _: bool,
    ) -> Result<(), TrafficError> {
        self.set(self.port("attach", member), true, false);
        Ok(())
    }

    async fn started(&self, member: &Member) -> Result<(), TrafficError> {
        self.port("started", member);
        Ok(())
    }

    async fn stays_out(&self, member: &Member) -> Result<(), TrafficError> {
        let port = self.port("stays_out", member);
        self.set(port, self.is_open(port), false);
        Ok(())
    }
}

/// One host as a letter of [`bench`], with both entries open as a new configuration has them.
fn pair(letter: &str, surge: u32, unavailable: u32) -> (Bench, Arc<Entries>) {
    let mut bench = bench(letter, 1);
    let entries = Arc::new(Entries::default());
    entries.open.lock().unwrap().extend(PORTS);
    let count = Quantity::Count;
    bench.job.ports = Some(PORTS);
    bench.job.spec.budget = Budget::resolve(1, count(surge), count(unavailable));
    bench.job.spec.side_by_side = true;
    bench.job.spec.balanced = true;
    bench.ports = Arc::new(Adapters {
        hosts: bench.ports.hosts.clone(),
        prober: bench.ports.prober.clone(),
        traffic: Some(entries.clone()),
        hooks: None,
        ledger: bench.ports.ledger.clone(),
        reporter: bench.ports.reporter.clone(),
        clock: bench.ports.clock.clone(),
    });
    (bench, entries)
}

#[tokio::test(start_paused = true)]
async fn no_switch_is_left_that_opens_an_entry_where_nobody_serves() {
    const DONE: RolloutPhase = RolloutPhase::Ended(Outcome::Completed);
    let paused = RolloutPhase::Paused;
    // host, surge, unavailable -> how it ends, which entries are open then; what was asked for
    for (letter, surge, unavailable, phase, open, asked) in [
        // Started beside, then the old one leaves.
        (
            "o",
            1,
            0,
            DONE,
            &[8081][..],
            "close 8081, started 8081, attach 8081, drain 8080, stays_out 8080",
        ),
        // Stopped first; until the new one is confirmed the switch of the old one is what heals the host.
        (
            "o",
            0,
            1,
            DONE,
            &[8081],
            "drain 8080, close 8081, started 8081, stays_out 8080, attach 8081",
        ),
        // The new one fails beside the old one, which keeps its traffic.
        (
            "!",
            1,
            0,
            paused,
            &[8080],
            "close 8081, started 8081, stays_out 8081",
        ),
        // The new one fails where the old one was stopped: that gets its traffic back.
        (
            "!",
            0,
            1,
            paused,
            &[8080],
            "drain 8080, close 8081, started 8081, stays_out 8081, started 8080, attach 8080",
        ),
        // A first release; nothing was ever started on the other port.
        (
            "-",
            1,
            0,
            DONE,
            &[8080, 8081],
            "drain 8080, close 8080, started 8080, stays_out 8081, attach 8080",
        ),
    ] {
        let what = format!("`{letter}` with surge {surge} and unavailable {unavailable}");
        let (mut bench, entries) = pair(letter, surge, unavailable);
        let finished = bench.run().await.unwrap();
        let moves = entries.calls.lock().unwrap().clone();
        let moves: Vec<_> = (moves.into_iter())
            .filter(|call| !call.starts_with("observe"))
            .collect();
        assert_eq!(finished.state.phase, phase, "{what}: {moves:?}");
        assert_eq!(moves.join(", "), asked, "{what}");
        let left = entries.armed.lock().unwrap().clone();
        assert_eq!(left, BTreeSet::new(), "armed after {what}");
        let is_open = entries.open.lock().unwrap().clone();
        assert_eq!(is_open, open.iter().copied().collect(), "{what}");
        assert_eq!(
            *bench.reporter.warnings.lock().unwrap(),
            Vec::<String>::new()
        );
        let host = HostName::new("h0");
        assert_eq!(bench.fleet.hosts.lock().unwrap()[&host].beside, None);
    }
}
