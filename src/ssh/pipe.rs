//! The two ends of a channel as byte streams.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use russh::ChannelWriteHalf;
use russh::client::Msg;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

/// What is in flight per write; the idle timeout applies to so much.
const PIECE: usize = 128 * 1024;

/// What comes out of a channel.
#[derive(Debug)]
pub struct ChannelReader {
    received: UnboundedReceiver<io::Result<Bytes>>,
    /// Shared with the task that fills the queue, which gives up when too much is unread.
    unread: Arc<AtomicUsize>,
    current: Bytes,
}

impl ChannelReader {
    pub(crate) fn new(
        received: UnboundedReceiver<io::Result<Bytes>>,
        unread: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            received,
            unread,
            current: Bytes::new(),
        }
    }

    /// The next piece as it came; `None` at the end. Spares a copy.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.current.has_remaining() {
            return Some(Ok(std::mem::take(&mut self.current)));
        }
        let piece = self.received.recv().await?;
        if let Ok(piece) = &piece {
            self.unread.fetch_sub(piece.len(), Ordering::AcqRel);
        }
        Some(piece)
    }
}

impl AsyncRead for ChannelReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.current.has_remaining() {
            match ready!(this.received.poll_recv(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(piece)) => {
                    this.unread.fetch_sub(piece.len(), Ordering::AcqRel);
                    this.current = piece;
                }
            }
        }
        let length = this.current.len().min(buf.remaining());
        buf.put_slice(&this.current.split_to(length));
        Poll::Ready(Ok(()))
    }
}

type Sending = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// What goes into a channel. A write fails with `BrokenPipe` when the channel has ended and with `TimedOut` when
/// nothing moves for the idle timeout. Shutting it down sends the end of file.
pub struct ChannelWriter {
    half: Arc<ChannelWriteHalf<Msg>>,
    ended: CancellationToken,
    idle_timeout: Duration,
    pending: Option<Sending>,
    is_finished: bool,
}

impl std::fmt::Debug for ChannelWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelWriter")
            .field("half", &self.half)
            .finish_non_exhaustive()
    }
}

impl ChannelWriter {
    pub(crate) fn new(
        half: Arc<ChannelWriteHalf<Msg>>,
        ended: CancellationToken,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            half,
            ended,
            idle_timeout,
            pending: None,
            is_finished: false,
        }
    }

    /// Sends all of it without copying.
    ///
    /// # Errors
    /// As for writing.
    pub async fn send(&mut self, mut data: Bytes) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_pending(cx)).await?;
        while data.has_remaining() {
            let piece = data.split_to(data.len().min(PIECE));
            self.pending = Some(self.sending(piece));
            std::future::poll_fn(|cx| self.poll_pending(cx)).await?;
        }
        Ok(())
    }

    /// Sends the end of file. Done twice, the second does nothing.
    ///
    /// # Errors
    /// As for writing.
    pub async fn finish(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_shutdown(cx)).await
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(pending) = &mut self.pending else {
            return Poll::Ready(Ok(()));
        };
        let result = ready!(pending.as_mut().poll(cx));
        self.pending = None;
        Poll::Ready(result)
    }

    fn sending(&self, piece: Bytes) -> Sending {
        let half = Arc::clone(&self.half);
        self.guarded(async move { half.data_bytes(piece).await })
    }

    /// Without the guard, a write that waits for window on a channel that has ended would wait for ever.
    fn guarded(
        &self,
        work: impl Future<Output = Result<(), russh::Error>> + Send + 'static,
    ) -> Sending {
        let ended = self.ended.clone();
        let idle_timeout = self.idle_timeout;
        Box::pin(async move {
            tokio::select! {
                biased;
                () = ended.cancelled() => Err(io::ErrorKind::BrokenPipe.into()),
                done = tokio::time::timeout(idle_timeout, work) => match done {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                },
            }
        })
    }
}

impl AsyncWrite for ChannelWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if this.is_finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.poll_pending(cx))?;
        let piece = Bytes::copy_from_slice(buf.get(..PIECE).unwrap_or(buf));
        let length = piece.len();
        this.pending = Some(this.sending(piece));
        // Taken over: what becomes of it is told by the next call.
        match this.poll_pending(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(length)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_pending(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        if !this.is_finished {
            this.is_finished = true;
            let half = Arc::clone(&this.half);
            this.pending = Some(this.guarded(async move { half.eof().await }));
        }
        this.poll_pending(cx)
    }
}
