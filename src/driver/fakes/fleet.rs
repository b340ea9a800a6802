//! A fleet in memory: a start takes a second, readiness another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::core::event::{ActionKind, Event, Runs, Started, StartedUnit};
use crate::core::ids::*;
use crate::core::revision::{Architecture, Revision};
use crate::ports::*;

use super::ledger::FakeLedger;

/// One host of the fake fleet.
#[derive(Debug, Clone)]
pub(in crate::driver) struct FakeHost {
    pub(in crate::driver) runs: Runs,
    /// Side by side: the other one.
    pub(in crate::driver) beside: Option<Runs>,
    pub(in crate::driver) starts: u32,
    pub(in crate::driver) started_at: Option<tokio::time::Instant>,
    /// The new revision never becomes ready.
    pub(in crate::driver) bad: bool,
    /// What runs now never passes.
    pub(in crate::driver) sick: bool,
    pub(in crate::driver) boot: &'static str,
    /// At the next switch the connection dies: before anything is done, or after all of it.
    pub(in crate::driver) cut: Option<Cut>,
    /// Not reached before then.
    pub(in crate::driver) gone_until: Option<tokio::time::Instant>,
    /// The last switch by its event: asked for twice, the second does nothing.
    pub(in crate::driver) last_switch: String,
}

/// A connection that dies.
#[derive(Debug, Clone, Copy)]
pub(in crate::driver) struct Cut {
    pub(in crate::driver) after: bool,
    pub(in crate::driver) away: Duration,
}

/// A fleet in memory. A start takes a second, readiness another.
pub(in crate::driver) struct FakeFleet {
    pub(in crate::driver) hosts: Mutex<BTreeMap<HostName, FakeHost>>,
    pub(in crate::driver) calls: Mutex<Vec<String>>,
    pub(in crate::driver) ledger: Arc<FakeLedger>,
}

impl FakeFleet {
    fn log(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn host(&self, name: &HostName) -> FakeHost {
        self.hosts.lock().unwrap()[name].clone()
    }

    fn reached(&self, name: &HostName) -> Result<(), HostError> {
        let until = self.host(name).gone_until;
        match until.is_some_and(|until| tokio::time::Instant::now() < until) {
            true => Err(gone(HostErrorKind::Unreachable)),
            false => Ok(()),
        }
    }

    fn units_of(host: &FakeHost) -> Vec<UnitState> {
        vec![UnitState {
            started: StartedUnit {
                unit: UnitName::new("web.service"),
                invocation: InvocationId::new(format!("start-{}", host.starts)),
                restarts: 0,
            },
            load: "loaded".into(),
            active: "active".into(),
            sub: "running".into(),
            result: "success".into(),
            main_pid: 1,
        }]
    }

    fn cut_off(&self, name: &HostName, away: Duration) -> HostError {
        let until = tokio::time::Instant::now() + away;
        let mut hosts = self.hosts.lock().unwrap();
        hosts.get_mut(name).unwrap().gone_until = Some(until);
        gone(HostErrorKind::Lost)
    }

    fn start(&self, name: &HostName, switch: &Switch) -> Started {
        let mut hosts = self.hosts.lock().unwrap();
        let fake = hosts.get_mut(name).unwrap();
        if fake.last_switch != switch.event_hash {
            fake.last_switch.clone_from(&switch.event_hash);
            fake.sick = fake.bad
                && switch
                    .to
                    .revision()
                    .is_some_and(|r| r.name.as_str() == "v2");
            let old = std::mem::replace(&mut fake.runs, switch.to.clone());
            if switch.side.is_some_and(|side| side.keeps) {
                fake.beside = Some(old);
            }
            fake.starts += 1;
            fake.started_at = Some(tokio::time::Instant::now());
        }
        let units = Self::units_of(fake);
        Started {
            boot: BootId::new(fake.boot),
            units: units.into_iter().map(|unit| unit.started).collect(),
        }
    }

    /// The rule that the whole driver is built around: what is done is in the ledger before it is done.
    fn intended(&self, host: &HostName, kinds: &[ActionKind]) {
        let events = self.ledger.events.lock().unwrap();
        let last = events
            .iter()
            .rev()
            .find_map(|recorded| match &recorded.event {
                Event::ActionStarted { host: h, action } if h == host => Some(*action),
                _ => None,
            });
        assert!(
            last.is_some_and(|action| kinds.contains(&action)),
            "{host}: {kinds:?} is not in the ledger: {last:?}"
        );
    }
}

fn gone(kind: HostErrorKind) -> HostError {
    HostError {
        kind,
        message: "connection lost".into(),
        hint: None,
    }
}

#[async_trait]
impl Hosts for FakeFleet {
    async fn observe(&self, host: &HostName) -> Result<HostFacts, HostError> {
        self.reached(host)?;
        let fake = self.host(host);
        Ok(HostFacts {
            runs: fake.runs.clone(),
            port: None,
            beside: None,
            unadopted: None,
            unproven: None,
            units: Self::units_of(&fake),
            boot: BootId::new(fake.boot),
            architecture: Architecture("x86_64".into()),
            revisions: BTreeMap::new(),
            owner: None,
            epoch: None,
        })
    }

    async fn remembered(&self, _: &HostName) -> Result<Remembered, HostError> {
        Ok(Remembered::default())
    }

    async fn check(&self, _: &HostName) -> Result<String, HostError> {
        Ok(String::new())
    }

    async fn attest(&self, host: &HostName) -> Result<Attested, HostError> {
        self.reached(host)?;
        Ok(Attested {
            runs: self.host(host).runs,
            attestation: Some(Attestation::RunningFile),
            drift: Vec::new(),
        })
    }

    async fn claim(&self, host: &HostName, _: &Controller) -> Result<(), HostError> {
        self.log(format!("claim {host}"));
        self.reached(host)
    }

    async fn stage(
        &self,
        host: &HostName,
        _: &Controller,
        _: &Revision,
        _: UploadProgress<'_>,
    ) -> Result<Staged, HostError> {
        self.intended(host, &[ActionKind::Stage]);
        self.log(format!("stage {host}"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Staged {
            bytes_sent: 1,
            warning: None,
            adopted: None,
        })
    }

    async fn switch(
        &self,
        host: &HostName,
        _: &Controller,
        switch: &Switch,
    ) -> Result<Started, HostError> {
        let starts = [ActionKind::Activate, ActionKind::Start, ActionKind::Revert];
        self.intended(host, &starts);
        self.reached(host)?;
        let cut = self.hosts.lock().unwrap().get_mut(host).unwrap().cut.take();
        if let Some(Cut { after: false, away }) = cut {
            return Err(self.cut_off(host, away));
        }
        self.log(format!(
            "switch {host} to {}",
            switch.to.revision().map_or("nothing", |r| r.name.as_str())
        ));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = self.start(host, switch);
        match cut {
            Some(Cut { away, .. }) => Err(self.cut_off(host, away)),
            None => Ok(started),
        }
    }

    async fn confirm(
        &self,
        host: &HostName,
        _: &Controller,
        _: &Switch,
        _: &Started,
    ) -> Result<Confirmed, HostError> {
        self.intended(host, &[ActionKind::Confirm]);
        self.reached(host)?;
        self.log(format!("confirm {host}"));
        Ok(Confirmed {
            attestation: Attestation::RunningFile,
        })
    }

    async fn prune(
        &self,
        host: &HostName,
        _: &Controller,
        keep: &[RevisionName],
    ) -> Result<Vec<RevisionName>, HostError> {
        let keep: Vec<_> = keep.iter().map(RevisionName::as_str).collect();
        self.log(format!("prune {host} but {}", keep.join(" ")));
        Ok(Vec::new())
    }

    async fn stop(&self, host: &HostName, _: &Controller, stop: &Stop) -> Result<(), HostError> {
        self.intended(host, &[ActionKind::StopSibling, ActionKind::Revert]);
        self.log(format!("stop {} on {host}", stop.revision.name));
        let mut hosts = self.hosts.lock().unwrap();
        let fake = hosts.get_mut(host).unwrap();
        let beside = fake.beside.take();
        if fake.runs.is(&stop.revision) {
            fake.runs = beside.unwrap_or(Runs::Nothing);
            fake.sick = false;
        }
        Ok(())
    }

    async fn units(
        &self,
        host: &HostName,
        _: Option<&RevisionName>,
    ) -> Result<(BootId, Vec<UnitState>), HostError> {
        self.reached(host)?;
        let fake = self.host(host);
        Ok((BootId::new(fake.boot), Self::units_of(&fake)))
    }

    async fn run_check(
        &self,
        _: &HostName,
        _: &str,
        _: Duration,
    ) -> Result<(i32, String), HostError> {
        Ok((0, String::new()))
    }

    async fn journal(
        &self,
        host: &HostName,
        _: Option<&RevisionName>,
        _: usize,
    ) -> Result<JournalExcerpt, HostError> {
        self.log(format!("journal {host}"));
        Ok(JournalExcerpt::Lines(vec!["panicked".into()]))
    }

    async fn dial(&self, _: &HostName, _: &str, _: u16) -> Result<Box<dyn Stream>, HostError> {
        Err(HostError {
            kind: HostErrorKind::Failed,
            message: "no".into(),
            hint: None,
        })
    }

    async fn rest(&self, _: &HostName) {}

    async fn close(&self, _: &HostName) {}
}

#[async_trait]
impl Prober for FakeFleet {
    async fn probe(
        &self,
        host: &HostName,
        expect: Option<&RevisionName>,
        _: Option<u16>,
    ) -> ProbeAnswer {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let fake = self.host(host);
        let up = fake
            .started_at
            .is_none_or(|at| at.elapsed() >= Duration::from_secs(1));
        let is_on = |runs: &Runs, name| runs.revision().is_some_and(|one| &one.name == name);
        let is_beside =
            expect.is_some_and(|name| fake.beside.as_ref().is_some_and(|runs| is_on(runs, name)));
        let right = expect.is_none_or(|name| is_on(&fake.runs, name));
        ProbeAnswer {
            passed: Some(is_beside || (up && right && !fake.sick)),
            shown: "GET / answered".into(),
            stored: "GET / answered".into(),
            latency: Duration::from_millis(5),
        }
    }
}
