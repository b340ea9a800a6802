//! A balancer in memory that can be away for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;

use crate::core::ids::HostName;
use crate::core::traffic_state::TrafficSight;
use crate::ports::{Drained, Member, Traffic, TrafficError};

const NAME: &str = "lb";

/// Whether each host gets traffic, and what was asked for.
#[derive(Default)]
pub(in crate::driver) struct FakeTraffic {
    pub(in crate::driver) attached: Mutex<BTreeMap<HostName, bool>>,
    pub(in crate::driver) calls: Mutex<Vec<String>>,
    /// So many of the next requests to move something are not answered.
    pub(in crate::driver) away: Mutex<u32>,
    /// What it refuses for good.
    pub(in crate::driver) refuses: Mutex<Option<&'static str>>,
    /// Sessions that a drain cuts off.
    pub(in crate::driver) sessions: Mutex<u64>,
    /// What the next drain says of switches that cannot be armed.
    pub(in crate::driver) unguarded: Mutex<Vec<String>>,
    /// A dead-man's switch puts the next one in just before it is set anew.
    pub(in crate::driver) fires: Mutex<bool>,
}

impl FakeTraffic {
    fn answer(&self, what: &'static str, member: &Member) -> Result<(), TrafficError> {
        if *self.refuses.lock().unwrap() == Some(what) {
            return Err(TrafficError::lasting("lb: no such server", "name it"));
        }
        let mut away = self.away.lock().unwrap();
        if what != "observe" && *away > 0 {
            *away -= 1;
            return Err(TrafficError::passing("lb: connection refused"));
        }
        let mut calls = self.calls.lock().unwrap();
        calls.push(format!("{what} {}", member.host));
        Ok(())
    }

    fn put(&self, member: &Member, attached: bool) {
        let mut all = self.attached.lock().unwrap();
        all.insert(member.host.clone(), attached);
    }
}

#[async_trait]
impl Traffic for FakeTraffic {
    async fn observe(&self, member: &Member) -> Result<TrafficSight, TrafficError> {
        self.answer("observe", member)?;
        let name = BTreeSet::from([NAME.to_owned()]);
        let all = self.attached.lock().unwrap();
        let (attached, detached) = match all.get(&member.host) {
            Some(false) => (BTreeSet::new(), name),
            _ => (name, BTreeSet::new()),
        };
        Ok(TrafficSight { attached, detached })
    }

    async fn drain(&self, member: &Member) -> Result<Drained, TrafficError> {
        self.answer("drain", member)?;
        self.put(member, false);
        Ok(Drained {
            sessions_left: *self.sessions.lock().unwrap(),
            unguarded: self.unguarded.lock().unwrap().drain(..).collect(),
        })
    }

    async fn started(&self, member: &Member) -> Result<(), TrafficError> {
        self.answer("started", member)
    }

    async fn attach(
        &self,
        member: &Member,
        except: &BTreeSet<String>,
        _works: bool,
    ) -> Result<(), TrafficError> {
        self.answer("attach", member)?;
        self.put(member, !except.contains(NAME));
        Ok(())
    }

    async fn prolong(&self, member: &Member) -> Result<(), TrafficError> {
        if std::mem::take(&mut *self.fires.lock().unwrap()) {
            self.put(member, true);
        }
        self.answer("prolong", member)
    }

    async fn stays_out(&self, member: &Member) -> Result<(), TrafficError> {
        self.answer("stays_out", member)
    }
}
