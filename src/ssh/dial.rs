//! The byte stream to a host: TCP, or a proxy command.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::client::printable;
use super::error::{ConnectFailure, Problem};

/// Connects, trying all addresses of the name within the deadline.
pub(crate) async fn tcp(address: &str, port: u16, deadline: Instant) -> Result<TcpStream, Problem> {
    let remaining = || deadline.saturating_duration_since(Instant::now());
    let addresses: Vec<SocketAddr> =
        match timeout(remaining(), tokio::net::lookup_host((address, port))).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => return Err(failed(ConnectFailure::Dns, Some(error))),
            Err(_) => return Err(failed(ConnectFailure::Dns, None)),
        };
    let mut problem = failed(ConnectFailure::Dns, None);
    for (index, address) in addresses.iter().enumerate() {
        // One address that swallows packets must not eat the time of the next.
        let share = remaining() / u32::try_from(addresses.len() - index).unwrap_or(1);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream
                    .set_nodelay(true)
                    .map_err(|error| failed(ConnectFailure::Other, Some(error)))?;
                return Ok(stream);
            }
            Ok(Err(error)) => problem = failed(kind(&error), Some(error)),
            Err(_) => problem = failed(ConnectFailure::TimedOut, None),
        }
    }
    Err(problem)
}

fn failed(failure: ConnectFailure, source: Option<io::Error>) -> Problem {
    Problem::Connect { failure, source }
}

fn kind(error: &io::Error) -> ConnectFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        io::ErrorKind::TimedOut => ConnectFailure::TimedOut,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ConnectFailure::Unreachable
        }
        _ => ConnectFailure::Other,
    }
}

/// The standard input and output of a proxy command, which is killed when this is dropped.
pub(crate) struct ProxyStream {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: Child,
}

/// The last line that a proxy command wrote to standard error.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastLine {
    line: Arc<Mutex<Option<String>>>,
    /// Cancelled when the command will say nothing more; nothing: there is no command.
    ended: Option<CancellationToken>,
}

/// A command whose output has ended may still be about to be read on its other stream.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl LastLine {
    /// What the command said last, once it has said all or had the time for it.
    pub(crate) async fn at_the_end(&self) -> Option<String> {
        if let Some(ended) = &self.ended {
            let _late = tokio::time::timeout(LAST_WORDS, ended.cancelled()).await;
        }
        self.line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Starts a proxy command, its tokens expanded already.
pub(crate) fn proxy(command: &str) -> Result<(ProxyStream, LastLine), Problem> {
    let start = || -> io::Result<(ProxyStream, LastLine)> {
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("exec {command}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("no pipe to the proxy command");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let ended = CancellationToken::new();
        let last = LastLine {
            line: Arc::default(),
            ended: Some(ended.clone()),
        };
        let (line, guard) = (Arc::clone(&last.line), ended.drop_guard());
        tokio::spawn(async move {
            listen(stderr, &line).await;
            drop(guard);
        });
        let stream = ProxyStream {
            stdin,
            stdout,
            _child: child,
        };
        Ok((stream, last))
    };
    start().map_err(|error| failed(ConnectFailure::Proxy, Some(error)))
}

/// Reads on to the end, so that the command never blocks on a full pipe.
async fn listen(stderr: tokio::process::ChildStderr, last: &Mutex<Option<String>>) {
    /// A longer line is cut.
    const LINE: u64 = 4096;
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut lines).take(LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = printable(&String::from_utf8_lossy(&line));
                tracing::debug!(%text, "proxy command");
                if !text.is_empty() {
                    *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
                }
            }
        }
    }
}

impl AsyncRead for ProxyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for ProxyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}
