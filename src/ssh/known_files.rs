//! `known_hosts` files that were read before: thousands of hosts share them, and each may have a line of its own there.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::known_hosts::KnownHosts;

/// What a run has read, and reads again where a file has changed since.
#[derive(Debug, Default)]
pub(crate) struct KnownFiles {
    read: Mutex<HashMap<Vec<PathBuf>, Read>>,
}

#[derive(Debug)]
struct Read {
    stamps: Vec<Stamp>,
    known: Arc<KnownHosts>,
}

/// By what a changed file is told from the one that was read: inode, size, and when it was written, to the nanosecond.
type Stamp = Option<(u64, u64, i64, i64)>;

impl KnownFiles {
    /// The lines of these files.
    ///
    /// # Errors
    /// As [`KnownHosts::read`].
    pub(crate) fn read(
        &self,
        files: &[PathBuf],
    ) -> Result<Arc<KnownHosts>, (PathBuf, std::io::Error)> {
        // Looked at before they are read: what is written meanwhile is noticed the next time.
        let stamp = |file: &PathBuf| std::fs::metadata(file).ok().map(|found| stamp(&found));
        let stamps: Vec<Stamp> = files.iter().map(stamp).collect();
        // Held while reading, so that the hosts that all come at once read once.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = read.get(files).filter(|before| before.stamps == stamps) {
            return Ok(Arc::clone(&before.known));
        }
        let known = Arc::new(KnownHosts::read(files)?);
        let now = Read {
            stamps,
            known: Arc::clone(&known),
        };
        read.insert(files.to_vec(), now);
        Ok(known)
    }
}

fn stamp(found: &Metadata) -> (u64, u64, i64, i64) {
    (found.ino(), found.size(), found.mtime(), found.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_again_once_they_have_changed() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("one"), folder.path().join("none")];
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        std::fs::write(&files[0], format!("web-01 {key}\n")).unwrap();
        let known = KnownFiles::default();
        let first = known.read(&files).unwrap();
        assert!(Arc::ptr_eq(&first, &known.read(&files).unwrap()));
        assert!(!Arc::ptr_eq(&first, &known.read(&files[..1]).unwrap()));
        assert_eq!(first.algorithms("web-02", None).len(), 0);
        std::fs::write(&files[1], format!("web-02 {key}\n")).unwrap();
        let second = known.read(&files).unwrap();
        assert_eq!(second.algorithms("web-02", None).len(), 1);
        std::fs::remove_file(&files[1]).unwrap();
        std::fs::create_dir(&files[1]).unwrap();
        assert!(known.read(&files).is_err());
    }
}
