//! Jump hosts: one login each, shared by all targets behind it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::session::Session;
use super::target::Resolved;

/// The jump hosts of a run.
#[derive(Debug, Default)]
pub(crate) struct JumpHosts(Mutex<HashMap<Resolved, Arc<JumpHost>>>);

/// One jump host.
#[derive(Debug)]
pub(crate) struct JumpHost {
    /// Locked while somebody logs in, so that the others wait for that login instead of making their own.
    pub(crate) session: tokio::sync::Mutex<Option<Session>>,
    /// Logins through it that may be under way at once.
    pub(crate) logins: Semaphore,
}

impl JumpHosts {
    pub(crate) fn get(&self, resolved: &Resolved, logins: usize) -> Arc<JumpHost> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(resolved.clone()).or_insert_with(|| {
            Arc::new(JumpHost {
                session: tokio::sync::Mutex::new(None),
                logins: Semaphore::new(logins),
            })
        });
        Arc::clone(host)
    }

    /// Forgets them all and returns the open sessions.
    pub(crate) async fn take(&self) -> Vec<Session> {
        let hosts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut sessions = Vec::new();
        for host in hosts.into_values() {
            sessions.extend(host.session.lock().await.take());
        }
        sessions
    }
}
