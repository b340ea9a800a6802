//! The hosts by address, and the revisions that they share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::host::Host;
use super::revision::Shipped;
use super::uplink::Uplink;
use super::uploads::Uploads;

/// All hosts. Each comes into being when it is first spoken to.
#[derive(Debug, Default)]
pub(super) struct ScriptedFleet {
    hosts: Mutex<HashMap<IpAddr, Arc<Host>>>,
    /// By rollctl's own files of a revision: ten thousand hosts keep one copy.
    revisions: Mutex<HashMap<Vec<u8>, Arc<Shipped>>>,
    pub(super) uploads: Uploads,
    /// What all of them are reached over; nothing: as fast as it goes.
    pub(super) uplink: Option<Arc<Uplink>>,
}

impl ScriptedFleet {
    pub(super) fn reached_over(uplink: Option<Uplink>) -> Self {
        Self {
            uplink: uplink.map(Arc::new),
            ..Self::default()
        }
    }

    /// Bytes of a revision came in.
    pub(super) fn came(&self, revision: &str, bytes: u64) {
        let carried = self.uplink.as_deref().map_or(0, Uplink::carried);
        self.uploads.came(revision, bytes, carried);
    }

    pub(super) fn host(&self, address: IpAddr) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            hosts
                .entry(address)
                .or_insert_with(|| Arc::new(Host::new(address))),
        )
    }

    /// What a host keeps of an upload.
    pub(super) fn shipped(&self, archive: Vec<u8>) -> std::io::Result<Arc<Shipped>> {
        let mut revisions = self
            .revisions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = revisions.get(&archive) {
            return Ok(Arc::clone(known));
        }
        let shipped = Arc::new(Shipped::read(&archive)?);
        revisions.insert(archive, Arc::clone(&shipped));
        Ok(shipped)
    }
}
