//! The port to machines of the inventory, whatever they are for: those where balancers run, too.

use std::time::Duration;

use async_trait::async_trait;

use super::{HostError, Stream};
use crate::core::ids::HostName;

/// How a script on a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptEnd {
    /// Its exit status.
    pub status: i32,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// The end of what it complained.
    pub stderr: String,
}

/// The machines of a fleet. One SSH connection each, opened when first needed.
#[async_trait]
pub trait Machines: Send + Sync {
    /// A stream to a Unix socket on the machine, with the login user's rights.
    async fn dial_unix(&self, host: &HostName, path: &str) -> Result<Box<dyn Stream>, HostError>;

    /// Runs a fixed POSIX script with arguments as data, with the rights that the host's `become` gives. On an error that
    /// is [`super::HostErrorKind::Lost`] it may have run or not; it is not asked again.
    async fn run(
        &self,
        host: &HostName,
        script: &'static str,
        arguments: &[String],
        timeout: Duration,
    ) -> Result<ScriptEnd, HostError>;
}
