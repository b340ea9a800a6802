//! One host: its connection and the scripts that run there. What was cut off is asked again, for every verb may be.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::sync::Mutex;

use super::facts::Facts;
use super::lane::Lane;
use super::script::{Manner, Request};
use super::shell::Shell;
use crate::core::fleet::Service;
use crate::core::ids::HostName;
use crate::ports::{HostError, HostErrorKind};

/// How long a host may take to answer what changes nothing and starts nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How often a request that was cut off is sent again.
const AGAIN: u32 = 2;

/// Which of a host's scripts is asked, so that a long step holds up neither polls nor looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Steps, one after the other.
    Work,
    /// The cheap poll of the units: one with the steps while there is none, each script being a process or two there.
    Poll,
    /// Health commands and journals.
    Look,
}

type Slot = Mutex<Option<Arc<Lane>>>;

/// One host.
pub(crate) struct Machine {
    pub(crate) name: HostName,
    pub(crate) shell: Box<dyn Shell>,
    pub(crate) manner: Manner,
    lanes: [Slot; 3],
    /// Digests of adopted folders by target: they may be large.
    pub(crate) folders: std::sync::Mutex<std::collections::BTreeMap<String, String>>,
}

impl Machine {
    pub(crate) fn new(name: HostName, shell: Box<dyn Shell>, manner: Manner) -> Self {
        Self {
            name,
            shell,
            manner,
            lanes: Default::default(),
            folders: std::sync::Mutex::default(),
        }
    }

    /// Asks something that changes nothing.
    pub(crate) async fn read(&self, queue: Queue, request: Request) -> Result<Vec<u8>, HostError> {
        self.ask(queue, request, PATIENCE)
            .await
            .map_err(|(error, _)| HostError {
                kind: match error.kind {
                    HostErrorKind::Lost => HostErrorKind::Unreachable,
                    kind => kind,
                },
                ..error
            })
    }

    /// Asks for a step. When it may have been done or not, the error says so.
    pub(crate) async fn step(
        &self,
        request: Request,
        patience: Duration,
    ) -> Result<Vec<u8>, HostError> {
        self.ask(Queue::Work, request, patience)
            .await
            .map_err(|(error, was_cut_off)| match error.kind {
                // Nobody knows what the request did that was cut off before this one was refused.
                HostErrorKind::Refused if was_cut_off => HostError {
                    kind: HostErrorKind::Failed,
                    ..error
                },
                _ => error,
            })
    }

    /// Everything about the service here.
    pub(crate) async fn facts(&self, service: &Service) -> Result<Facts, HostError> {
        let request = service
            .units
            .iter()
            .fold(Request::new("facts").arg(dir(service)), |request, unit| {
                request.arg(unit.as_str())
            });
        Facts::parse(&self.read(Queue::Work, request).await?, &service.units)
    }

    /// Asks, and again when the connection dies; with an error comes whether it died before.
    async fn ask(
        &self,
        queue: Queue,
        request: Request,
        patience: Duration,
    ) -> Result<Vec<u8>, (HostError, bool)> {
        let mut cut_off: Option<HostError> = None;
        for attempt in 0..=AGAIN {
            if attempt > 0 {
                pause(attempt).await;
            }
            match self.once(queue, request.clone(), patience).await {
                Err(error) if error.kind == HostErrorKind::Lost => cut_off = Some(error),
                // Never reached at all: nothing was done.
                Err(error) if error.kind == HostErrorKind::Unreachable => {
                    if cut_off.is_none() {
                        return Err((error, false));
                    }
                }
                answered => return answered.map_err(|error| (error, cut_off.is_some())),
            }
        }
        let lost = cut_off.unwrap_or_else(|| super::lane::lost("the connection was lost"));
        Err((lost, true))
    }

    async fn once(
        &self,
        queue: Queue,
        request: Request,
        patience: Duration,
    ) -> Result<Vec<u8>, HostError> {
        let slot = match queue {
            Queue::Poll if !self.is_at_work().await => &self.lanes[0],
            Queue::Work => &self.lanes[0],
            Queue::Poll => &self.lanes[1],
            Queue::Look => &self.lanes[2],
        };
        let mut lane = self.lane(slot).await?;
        let mut answer = lane.ask(&request, patience).await;
        if answer.is_none() {
            // It was given up just now: a new one takes its place.
            lane = self.lane(slot).await?;
            answer = lane.ask(&request, patience).await;
        }
        let answer = answer.unwrap_or_else(|| Err(super::lane::ended()));
        if matches!(&answer, Err(error) if error.kind == HostErrorKind::Lost) {
            let mut slot = slot.lock().await;
            if slot.as_ref().is_some_and(|held| Arc::ptr_eq(held, &lane)) {
                *slot = None;
            }
        }
        answer
    }

    /// Whether a step is under way, or was just asked for.
    async fn is_at_work(&self) -> bool {
        let work = self.lanes[0].lock().await;
        work.as_ref()
            .is_some_and(|lane| !lane.is_closed() && !lane.is_idle())
    }

    /// The script that runs there, or a new one.
    async fn lane(&self, slot: &Slot) -> Result<Arc<Lane>, HostError> {
        let mut slot = slot.lock().await;
        if let Some(lane) = slot.as_ref().filter(|lane| !lane.is_closed()) {
            return Ok(Arc::clone(lane));
        }
        let lane = Arc::new(Lane::open(self.shell.as_ref(), self.manner).await?);
        *slot = Some(Arc::clone(&lane));
        Ok(lane)
    }

    /// Ends the scripts. The connection, which others may use too, ends once nobody does.
    pub(crate) async fn rest(&self) {
        for slot in &self.lanes {
            *slot.lock().await = None;
        }
    }

    /// Ends the scripts and the connection.
    pub(crate) async fn close(&self) {
        self.rest().await;
        self.shell.close().await;
    }
}

/// The distance between two tries, jittered so that many hosts do not come at once.
pub(crate) async fn pause(attempt: u32) {
    let millis = rand::rng().random_range(500..1500) * u64::from(attempt);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// install_dir without a slash at its end.
pub(crate) fn dir(service: &Service) -> &str {
    match service.install_dir.trim_end_matches('/') {
        "" => "/",
        dir => dir,
    }
}
