//! Signals: the first asks for a pause, the second stops at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What a signal asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Finish what is in flight, then pause.
    Pause {
        /// `ctrl-c` or `SIGTERM`.
        by: &'static str,
    },
    /// Stop at once.
    Now,
}

/// Listens for SIGINT and SIGTERM; the first gives [`Stop::Pause`], every later one [`Stop::Now`]. SIGHUP of a lost
/// terminal ends nothing: the rollout goes on, and `rollctl status --watch` shows it from elsewhere.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn signals() -> std::io::Result<mpsc::Receiver<Stop>> {
    let (sender, receiver) = mpsc::channel(4);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            let by = tokio::select! {
                _ = interrupt.recv() => "ctrl-c",
                _ = terminate.recv() => "SIGTERM",
                _ = hangup.recv() => continue,
            };
            let stop = match asked {
                true => Stop::Now,
                false => Stop::Pause { by },
            };
            asked = true;
            if sender.send(stop).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
