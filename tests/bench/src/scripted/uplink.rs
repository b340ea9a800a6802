//! The line over which all hosts are reached: so many bytes a second for all of them together.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, Sleep, sleep_until};

/// What comes over the line at once: few enough bytes that many connections take turns.
const PIECE: usize = 16 * 1024;

/// What a pause may make up for: a line that was idle does not come back in a burst, but a late timer is no loss.
const SLACK: Duration = Duration::from_millis(20);

/// A line of a limited rate.
#[derive(Debug)]
pub(super) struct Uplink {
    bytes_per_second: f64,
    /// Up to when it is taken.
    taken: Mutex<Instant>,
    carried: AtomicU64,
}

impl Uplink {
    pub(super) fn new(megabits: u32) -> Self {
        Self {
            bytes_per_second: f64::from(megabits) * 1e6 / 8.0,
            taken: Mutex::new(Instant::now()),
            carried: AtomicU64::new(0),
        }
    }

    /// How many bytes came over it so far.
    pub(super) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Takes the line for so many bytes; when the last of them has come over it.
    fn take(&self, bytes: usize) -> Instant {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.carried.fetch_add(bytes.into(), Ordering::Relaxed);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (*taken).max(Instant::now().checked_sub(SLACK).unwrap_or(*taken));
        *taken = from + Duration::from_secs_f64(f64::from(bytes) / self.bytes_per_second);
        *taken
    }
}

/// What comes in on a connection over the line.
#[derive(Debug)]
pub(super) struct OverUplink {
    stream: OwnedReadHalf,
    uplink: Arc<Uplink>,
    /// Until what was read last has come over the line.
    coming: Option<Pin<Box<Sleep>>>,
}

impl OverUplink {
    pub(super) fn new(stream: OwnedReadHalf, uplink: Arc<Uplink>) -> Self {
        Self {
            stream,
            uplink,
            coming: None,
        }
    }
}

impl AsyncRead for OverUplink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(coming) = &mut self.coming {
            ready!(coming.as_mut().poll(context));
            self.coming = None;
        }
        let room = into.remaining().min(PIECE);
        let mut piece = ReadBuf::new(into.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
        let length = piece.filled().len();
        into.advance(length);
        let until = self.uplink.take(length);
        self.coming = Some(Box::pin(sleep_until(until)));
        Poll::Ready(Ok(()))
    }
}
