//! A way to run commands on one host. Over SSH in earnest; a local process in the tests of the scripts.

use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::ports::{HostError, Stream};

/// What a command reads from.
pub(crate) type Input<'a> = &'a mut (dyn AsyncWrite + Send + Unpin);
/// What a command writes to.
pub(crate) type Output<'a> = &'a mut (dyn AsyncRead + Send + Unpin);

/// One host.
#[async_trait]
pub(crate) trait Shell: Send + Sync {
    /// Runs a command by the login shell; connects when necessary.
    async fn open(&self, command: &str) -> Result<Box<dyn Wire>, HostError>;

    /// A stream to a port as seen from the host.
    async fn dial(&self, address: &str, port: u16) -> Result<Box<dyn Stream>, HostError>;

    /// Ends the connection.
    async fn close(&self);

    /// How long a script is kept that nobody asks anything; nothing: as long as the connection.
    fn idle(&self) -> Option<Duration> {
        None
    }
}

/// A running command. Dropping it ends its input.
#[async_trait]
pub(crate) trait Wire: Send {
    /// Its standard input and output.
    fn pipes(&mut self) -> (Input<'_>, Output<'_>);

    /// After the end of its output: how it ended.
    async fn ending(&mut self) -> Ending;
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// `exit status 1`, or what became of the connection.
    pub(crate) how: String,
    /// The end of its standard error.
    pub(crate) stderr: String,
    /// Whether the connection died.
    pub(crate) is_lost: bool,
}
