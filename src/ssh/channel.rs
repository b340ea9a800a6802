//! One channel: a task of its own takes in whatever the server sends, so that it never blocks the others.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::error::{Problem, SshError};
use super::pipe::{ChannelReader, ChannelWriter};
use super::session::Session;

/// How long, and for how much further output, a channel that nobody wants is left open for the server to close.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_BYTES: usize = 1 << 20;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(u32),
    /// It was killed by this signal (`TERM`, `KILL`, ...).
    Signal(String),
}

impl ExitStatus {
    /// Whether it is exit code 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(name) => write!(f, "killed by SIG{name}"),
        }
    }
}

/// A running command. Dropping it closes its channel.
#[derive(Debug)]
pub struct Channel {
    /// The command's standard input; [`ChannelWriter::finish`] ends it.
    pub stdin: ChannelWriter,
    /// The command's standard output.
    pub stdout: ChannelReader,
    /// The last of the command's standard error.
    pub stderr: Stderr,
    ending: watch::Receiver<Option<Ending>>,
    session: Session,
    _close: CloseOnDrop,
}

/// The last bytes of standard error, taken in as they come.
#[derive(Debug, Clone)]
pub struct Stderr(Arc<Mutex<Tail>>);

#[derive(Debug)]
struct Tail {
    bytes: VecDeque<u8>,
    limit: usize,
    dropped: u64,
}

impl Stderr {
    fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Tail {
            bytes: VecDeque::new(),
            limit,
            dropped: 0,
        })))
    }

    /// What has come so far, and how many bytes before it were thrown away.
    pub fn snapshot(&self) -> (Vec<u8>, u64) {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (tail.bytes.iter().copied().collect(), tail.dropped)
    }

    /// Takes out what has come so far.
    pub fn take(&self) -> Vec<u8> {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut tail.bytes).into()
    }

    fn push(&self, data: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let data = data
            .get(data.len().saturating_sub(tail.limit)..)
            .map_or(data, |kept| {
                tail.dropped += (data.len() - kept.len()) as u64;
                kept
            });
        let excess = (tail.bytes.len() + data.len()).saturating_sub(tail.limit);
        tail.bytes.drain(..excess);
        tail.dropped += excess as u64;
        tail.bytes.extend(data);
    }
}

/// How a channel ended.
#[derive(Debug, Clone)]
enum Ending {
    Status(ExitStatus),
    /// Closed by the server without a status.
    Closed,
    /// The server did not run the command.
    Refused,
    /// Too much output that nobody read.
    Flooded,
    /// With the whole connection.
    Lost,
}

impl Channel {
    /// Waits for the command to end. Output that nobody has read yet stays readable.
    ///
    /// # Errors
    /// [`Problem::ConnectionLost`], or [`Problem::Channel`] when the channel was refused or broken off.
    pub async fn wait(&mut self) -> Result<ExitStatus, SshError> {
        let ending = match self.ending.wait_for(Option::is_some).await {
            Ok(ending) => ending.clone(),
            Err(_) => None,
        };
        let broken = |reason: &str| {
            Err(self.session.error(Problem::Channel {
                doing: "running a command",
                reason: reason.to_owned(),
            }))
        };
        match ending {
            Some(Ending::Status(status)) => Ok(status),
            Some(Ending::Closed) => broken("the server closed the channel without an exit status"),
            Some(Ending::Refused) => broken("the server refused to run a command"),
            Some(Ending::Flooded) => {
                broken("broken off because too much of its output was not read")
            }
            Some(Ending::Lost) | None => Err(self.session.lost()),
        }
    }

    pub(crate) fn of(
        session: &Session,
        channel: russh::Channel<Msg>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let Parts {
            reader,
            writer,
            stderr,
            ending,
            close,
        } = attend(session, channel, permit);
        Self {
            stdin: writer,
            stdout: reader,
            stderr,
            ending,
            session: session.clone(),
            _close: close,
        }
    }
}

/// What is left in our hands once a task attends to the channel.
pub(crate) struct Parts {
    pub(crate) reader: ChannelReader,
    pub(crate) writer: ChannelWriter,
    pub(crate) close: CloseOnDrop,
    stderr: Stderr,
    ending: watch::Receiver<Option<Ending>>,
}

/// Starts the task that takes in what the server sends. `permit` is given back when the channel has ended.
pub(crate) fn attend(
    session: &Session,
    channel: russh::Channel<Msg>,
    permit: Option<OwnedSemaphorePermit>,
) -> Parts {
    let tuning = session.tuning();
    let (read, write) = channel.split();
    let write = Arc::new(write);
    let (sender, received) = unbounded_channel();
    let (told, ending) = watch::channel(None);
    let unread = Arc::new(AtomicUsize::new(0));
    let stderr = Stderr::new(tuning.kept_output);
    let ended = CancellationToken::new();
    let abandoned = CancellationToken::new();
    let intake = Intake {
        write: Arc::clone(&write),
        stdout: Some(sender),
        stderr: stderr.clone(),
        unread: Arc::clone(&unread),
        unread_limit: tuning.unread_output,
        status: None,
    };
    let close = CloseOnDrop(abandoned.clone());
    let writer = ChannelWriter::new(write, ended.clone(), tuning.idle_timeout);
    tokio::spawn(async move {
        let ending = intake.run(read, abandoned).await;
        let _ = told.send(Some(ending));
        ended.cancel();
        drop(permit);
    });
    Parts {
        reader: ChannelReader::new(received, unread),
        writer,
        close,
        stderr,
        ending,
    }
}

/// The task that takes in what the server sends. It never waits for a reader: russh's loop would wait with it, and all
/// other channels too.
struct Intake {
    write: Arc<ChannelWriteHalf<Msg>>,
    stdout: Option<UnboundedSender<io::Result<Bytes>>>,
    stderr: Stderr,
    unread: Arc<AtomicUsize>,
    unread_limit: usize,
    status: Option<ExitStatus>,
}

impl Intake {
    async fn run(mut self, mut read: ChannelReadHalf, abandoned: CancellationToken) -> Ending {
        loop {
            let message = tokio::select! {
                biased;
                message = read.wait() => message,
                () = abandoned.cancelled() => return self.abandon(read).await,
            };
            let Some(message) = message else {
                return self.status.map_or(Ending::Lost, Ending::Status);
            };
            if let Some(ending) = self.take_in(message) {
                if matches!(ending, Ending::Flooded | Ending::Refused) {
                    // russh must not wait for us while we wait for it.
                    drop(read);
                    let _ = self.write.close().await;
                }
                return ending;
            }
        }
    }

    /// Nobody wants the channel any more. Where we close first, russh never forgets it; so its input is ended, and
    /// the other side is given a moment to close.
    async fn abandon(mut self, mut read: ChannelReadHalf) -> Ending {
        self.stdout = None;
        let write = Arc::clone(&self.write);
        // Not awaited here: russh must not wait for us while we wait for it.
        tokio::spawn(async move { write.eof().await });
        let mut patience = PATIENCE_BYTES;
        let wait_for_close = async {
            while let Some(message) = read.wait().await {
                match message {
                    ChannelMsg::Close => return true,
                    ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => {
                        match patience.checked_sub(data.len()) {
                            Some(left) => patience = left,
                            None => return false,
                        }
                    }
                    _ => {}
                }
            }
            true
        };
        let is_closed = tokio::time::timeout(PATIENCE, wait_for_close)
            .await
            .unwrap_or(false);
        drop(read);
        if !is_closed {
            let _ = self.write.close().await;
        }
        Ending::Closed
    }

    fn take_in(&mut self, message: ChannelMsg) -> Option<Ending> {
        match message {
            ChannelMsg::Data { data } => return (!self.take(data)).then_some(Ending::Flooded),
            ChannelMsg::ExtendedData { data, .. } => self.stderr.push(&data),
            ChannelMsg::Eof => self.stdout = None,
            ChannelMsg::ExitStatus { exit_status } => {
                self.status = Some(ExitStatus::Code(exit_status))
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                self.status = Some(ExitStatus::Signal(super::client::printable(&signal(
                    signal_name,
                ))));
            }
            ChannelMsg::Failure => return Some(Ending::Refused),
            ChannelMsg::Close => {
                return Some(self.status.take().map_or(Ending::Closed, Ending::Status));
            }
            _ => {}
        }
        None
    }

    /// Hands output on; `false` when too much of it lies unread.
    fn take(&mut self, data: Bytes) -> bool {
        let Some(stdout) = &self.stdout else {
            return true;
        };
        let unread = self.unread.fetch_add(data.len(), Ordering::AcqRel) + data.len();
        if unread > self.unread_limit {
            let _ = stdout.send(Err(io::Error::other("too much output was not read")));
            return false;
        }
        if stdout.send(Ok(data)).is_err() {
            // The reader is gone, so nothing needs to be kept.
            self.stdout = None;
        }
        true
    }
}

fn signal(signal: russh::Sig) -> String {
    match signal {
        russh::Sig::Custom(name) => name,
        known => format!("{known:?}"),
    }
}

/// Lets the channel's task end it, unless it has ended already.
#[derive(Debug)]
pub(crate) struct CloseOnDrop(CancellationToken);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
