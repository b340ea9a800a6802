//! What commands and requests have in common: nothing tells of sessions, only whether an instance is in or out.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::core::traffic_state::TrafficSight;
use crate::ports::{Drained, Member, Traffic, TrafficError};

/// The distance between two looks.
const POLL: Duration = Duration::from_millis(250);
/// How long `observe` may need to say that an instance is in after `attach` said that it is done.
const IN_PATIENCE: Duration = Duration::from_secs(30);

/// Moves instances by means of the operator's own.
#[async_trait]
pub(crate) trait Lever: Send + Sync {
    /// Puts it in.
    async fn attach(&self, member: &Member) -> Result<(), TrafficError>;
    /// Takes it out; may wait for sessions itself.
    async fn drain(&self, member: &Member) -> Result<(), TrafficError>;
    /// Whether it is in; what is still draining is in.
    async fn is_attached(&self, member: &Member) -> Result<bool, TrafficError>;
}

/// A lever as [`Traffic`]: one endpoint, named after the driver.
pub(crate) struct Levers<L> {
    pub(crate) name: &'static str,
    pub(crate) drain_timeout: Duration,
    pub(crate) lever: L,
}

impl<L: Lever> Levers<L> {
    /// Looks until it is so, or the time is over.
    async fn becomes(
        &self,
        member: &Member,
        wanted: bool,
        patience: Duration,
    ) -> Result<bool, TrafficError> {
        let deadline = Instant::now() + patience;
        loop {
            if self.lever.is_attached(member).await? == wanted {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(POLL).await;
        }
    }
}

#[async_trait]
impl<L: Lever> Traffic for Levers<L> {
    async fn observe(&self, member: &Member) -> Result<TrafficSight, TrafficError> {
        let mut attachment = TrafficSight::default();
        match self.lever.is_attached(member).await? {
            true => attachment.attached.insert(self.name.to_owned()),
            false => attachment.detached.insert(self.name.to_owned()),
        };
        Ok(attachment)
    }

    async fn drain(&self, member: &Member) -> Result<Drained, TrafficError> {
        self.lever.drain(member).await?;
        if self.becomes(member, false, self.drain_timeout).await? {
            return Ok(Drained::default());
        }
        Err(TrafficError {
            hint: Some(
                "`drain` has to take it out, and `observe` has to say so within `drain_timeout`"
                    .into(),
            ),
            ..TrafficError::passing(format!(
                "{}: `drain` ended well, and after {} s `observe` still says that the instance is in",
                self.name,
                self.drain_timeout.as_secs()
            ))
        })
    }

    async fn attach(
        &self,
        member: &Member,
        except: &BTreeSet<String>,
        _works: bool,
    ) -> Result<(), TrafficError> {
        if except.contains(self.name) {
            return Ok(());
        }
        self.lever.attach(member).await?;
        if self.becomes(member, true, IN_PATIENCE).await? {
            return Ok(());
        }
        Err(TrafficError {
            hint: Some("`attach` has to put it in, and `observe` has to say so".into()),
            ..TrafficError::passing(format!(
                "{}: `attach` ended well, and after {} s `observe` still says that the instance is out",
                self.name,
                IN_PATIENCE.as_secs()
            ))
        })
    }
}
