//! One persistent script on a host. A task of its own owns the channel, so that a caller who stops waiting leaves
//! neither a half-read answer nor a step half told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::script::{Answer, Manner, Request, find, refused, tail, token};
use super::shell::{Ending, Shell, Wire};
use crate::ports::{HostError, HostErrorKind};

/// How long a script may take to answer its greeting; profile scripts of the login shell come first.
const GREETING: Duration = Duration::from_secs(30);

/// The room that is made for what is read next.
const PIECE: usize = 8 * 1024;

/// What of the greeting is written at once. russh keeps, for each connection and as long as that lives, two buffers as large
/// as the most that ever waited in them: 250 KB if the script were written as a whole.
const GREETING_PIECE: usize = 4 * 1024;

type Reply = oneshot::Sender<Result<Answer, HostError>>;

/// A handle to the running script. Dropping it ends the script, after the step it is at.
#[derive(Debug)]
pub(crate) struct Lane {
    requests: mpsc::Sender<(Request, Reply)>,
    token: String,
    /// How many requests were sent and are not answered.
    open: Arc<AtomicUsize>,
}

impl Lane {
    /// Starts the script on a host.
    pub(crate) async fn open(shell: &dyn Shell, manner: Manner) -> Result<Self, HostError> {
        let script = Script::start(shell, manner).await?;
        let token = script.token.clone();
        let (requests, received) = mpsc::channel(16);
        let open = Arc::new(AtomicUsize::new(0));
        let idle = shell.idle();
        tokio::spawn(serve(script, received, Arc::clone(&open), idle));
        Ok(Self {
            requests,
            token,
            open,
        })
    }

    /// Whether the script runs and has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_closed() && self.open.load(Ordering::SeqCst) == 0
    }

    /// Whether the script has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Asks, and gives the output of a verb that ended well; nothing: the script had ended before, and was not asked.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        patience: Duration,
    ) -> Option<Result<Vec<u8>, HostError>> {
        let verb = request.verb();
        let (reply, answered) = oneshot::channel();
        let asking = async {
            let place = self.requests.reserve().await.ok()?;
            self.open.fetch_add(1, Ordering::SeqCst);
            place.send((request.clone(), reply));
            Some(answered.await)
        };
        Some(match tokio::time::timeout(patience, asking).await {
            Ok(asked) => match asked? {
                Ok(answer) => answer.and_then(|answer| answer.output(&self.token, verb)),
                Err(_) => Err(ended()),
            },
            Err(_) => Err(lost(format!(
                "no answer to `{verb}` within {} s",
                patience.as_secs()
            ))),
        })
    }
}

/// What it was at, if anything, is lost with it.
pub(crate) fn ended() -> HostError {
    lost("the script on the host has ended")
}

async fn serve(
    mut script: Script,
    mut requests: mpsc::Receiver<(Request, Reply)>,
    open: Arc<AtomicUsize>,
    idle: Option<Duration>,
) {
    while let Some((request, reply)) = next(&mut requests, idle).await {
        let answer = script.answer(&request).await;
        open.fetch_sub(1, Ordering::SeqCst);
        let is_over = matches!(&answer, Err(error) if error.kind == HostErrorKind::Lost);
        let _ = reply.send(answer);
        if is_over {
            return;
        }
    }
}

/// The next request. One that comes at the moment at which the script is given up is still taken.
async fn next<T>(requests: &mut mpsc::Receiver<T>, idle: Option<Duration>) -> Option<T> {
    let Some(idle) = idle else {
        return requests.recv().await;
    };
    match tokio::time::timeout(idle, requests.recv()).await {
        Ok(next) => next,
        Err(_) => {
            requests.close();
            requests.recv().await
        }
    }
}

/// A running script and what has been read of its output.
pub(crate) struct Script {
    wire: Box<dyn Wire>,
    pub(crate) token: String,
    buffer: Vec<u8>,
    last: u64,
}

impl Script {
    /// Starts it and waits for its sign of life.
    pub(crate) async fn start(shell: &dyn Shell, manner: Manner) -> Result<Self, HostError> {
        let token = token();
        let mut script = Self {
            wire: shell.open(&manner.command()).await?,
            token,
            buffer: Vec::new(),
            last: 0,
        };
        let ready = format!("\n{} ready\n", script.token);
        let greeting = manner.greeting(&script.token);
        // A command that cannot be run closes its input: its ending says more than the failed write.
        let _ = script.greet(&greeting).await;
        let waiting = script.read_past(ready.as_bytes());
        match tokio::time::timeout(GREETING, waiting).await {
            Ok(Ok(())) => Ok(script),
            Ok(Err(ending)) => Err(not_started(manner, &ending)),
            Err(_) => Err(refused(
                format!(
                    "the login shell did not run `sh` within {} s",
                    GREETING.as_secs()
                ),
                Some("look for profile scripts that wait for a terminal".into()),
            )),
        }
    }

    async fn greet(&mut self, greeting: &[u8]) -> std::io::Result<()> {
        for piece in greeting.chunks(GREETING_PIECE) {
            self.write(piece).await?;
            // The connection's task gets it onto the line meanwhile.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Sends a request and reads its answer; other output in between is noise.
    pub(crate) async fn answer(&mut self, request: &Request) -> Result<Answer, HostError> {
        let id = self.send(request).await?;
        self.answer_to(id).await
    }

    /// Sends a request; the number under which it is answered.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<u64, HostError> {
        let id = self.last + 1;
        let lines = request.lines(id)?;
        self.last = id;
        if self.write(&lines).await.is_err() {
            return Err(self.gone().await);
        }
        Ok(id)
    }

    /// Reads the answer to a request.
    pub(crate) async fn answer_to(&mut self, id: u64) -> Result<Answer, HostError> {
        let end = format!("\n{} end {id} ", self.token);
        let mut searched = 0;
        loop {
            // The line is whole when its newline is there too.
            if find(&self.buffer, end.as_bytes(), searched).is_some()
                && let Some((answer, at)) = Answer::take(&self.buffer, &self.token, id)
            {
                self.buffer.drain(..at);
                return Ok(answer);
            }
            searched = self.buffer.len().saturating_sub(end.len());
            if !self.read_some().await {
                return Err(self.gone().await);
            }
        }
    }

    /// Reads exactly `size` bytes that a verb announces by the line `bytes`, and hands them on piece by piece. Its
    /// answer is still to be read.
    pub(crate) async fn output_of<W>(
        &mut self,
        id: u64,
        size: u64,
        into: &mut W,
    ) -> Result<(), HostError>
    where
        W: tokio::io::AsyncWrite + Unpin,
    {
        let begin = format!("\n{} begin {id}\n", self.token).into_bytes();
        let mark = b"bytes\n";
        if self.read_past(&begin).await.is_err() {
            return Err(self.gone().await);
        }
        while self.buffer.len() < mark.len() {
            self.read_more().await?;
        }
        let mut left = 0;
        if self.buffer.starts_with(mark) {
            self.buffer.drain(..mark.len());
            left = size;
        }
        while left > 0 {
            if self.buffer.is_empty() {
                self.read_more().await?;
            }
            let length =
                usize::try_from(left).map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
            into.write_all(self.buffer.get(..length).unwrap_or_default())
                .await
                .map_err(|error| {
                    refused(format!("cannot write a temporary file: {error}"), None)
                })?;
            self.buffer.drain(..length);
            left -= length as u64;
        }
        // So that the rest is found as an answer.
        self.buffer.splice(..0, begin);
        Ok(())
    }

    async fn read_more(&mut self) -> Result<(), HostError> {
        match tokio::time::timeout(GREETING, self.read_some()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.gone().await),
            Err(_) => Err(lost(format!("nothing came for {} s", GREETING.as_secs()))),
        }
    }

    /// Sends bytes to the verb at work.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let (stdin, _) = self.wire.pipes();
        stdin.write_all(bytes).await?;
        stdin.flush().await
    }

    /// Ends the script's input.
    pub(crate) async fn finish(&mut self) -> std::io::Result<()> {
        self.wire.pipes().0.shutdown().await
    }

    async fn read_past(&mut self, mark: &[u8]) -> Result<(), Ending> {
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.buffer, mark, searched) {
                self.buffer.drain(..at + mark.len());
                return Ok(());
            }
            searched = self.buffer.len().saturating_sub(mark.len());
            if !self.read_some().await {
                return Err(self.wire.ending().await);
            }
        }
    }

    async fn read_some(&mut self) -> bool {
        self.buffer.reserve(PIECE);
        let (_, stdout) = self.wire.pipes();
        matches!(stdout.read_buf(&mut self.buffer).await, Ok(1..))
    }

    async fn gone(&mut self) -> HostError {
        let ending = self.wire.ending().await;
        lost(format!(
            "the script on the host ended: {}{}",
            ending.how,
            tail(&ending.stderr)
        ))
    }
}

/// Nobody knows what became of the step.
pub(crate) fn lost(message: impl Into<String>) -> HostError {
    HostError {
        kind: HostErrorKind::Lost,
        message: message.into(),
        hint: None,
    }
}

fn not_started(manner: Manner, ending: &Ending) -> HostError {
    if ending.is_lost {
        return HostError {
            kind: HostErrorKind::Unreachable,
            message: ending.how.clone(),
            hint: None,
        };
    }
    let stderr = &ending.stderr;
    let rule = "add `USER ALL=(root) NOPASSWD: /bin/sh, /usr/bin/sh` to /etc/sudoers.d/rollctl on the host (USER logs in)";
    if manner.uses_sudo() {
        let message =
            if stderr.contains("password is required") || stderr.contains("terminal is required") {
                Some("sudo asks for a password")
            } else if stderr.contains("not allowed") || stderr.contains("not in the sudoers") {
                Some("sudo does not allow the login user to run `sh`")
            } else if stderr.contains("not found") {
                Some("the host has no sudo")
            } else {
                None
            };
        if let Some(message) = message {
            return refused(message, Some(rule.to_owned()));
        }
    }
    refused(
        format!(
            "the login shell did not run `sh`: {}{}",
            ending.how,
            tail(stderr)
        ),
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_script_that_is_given_up_serves_who_has_a_place_and_nobody_else() {
        let idle = Duration::from_secs(1);
        let (sender, mut requests) = mpsc::channel(4);
        sender.send(1).await.unwrap();
        assert_eq!(next(&mut requests, Some(idle)).await, Some(1));
        let place = sender.reserve().await.unwrap();
        let late = async {
            tokio::time::sleep(2 * idle).await;
            place.send(2);
        };
        let (taken, ()) = tokio::join!(next(&mut requests, Some(idle)), late);
        assert_eq!(taken, Some(2));
        assert!(sender.reserve().await.is_err());
        assert_eq!(next(&mut requests, Some(idle)).await, None);
    }
}
