//! SHA-256 of what flows by.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// SHA-256 and length of what it is shown.
#[derive(Default)]
pub(super) struct Hasher {
    hash: Sha256,
    bytes: u64,
}

impl Hasher {
    pub(super) fn saw(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }

    /// How many it was shown.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 as hex, and the number of bytes.
    pub(super) fn finish(self) -> (String, u64) {
        (hex::encode(self.hash.finalize()), self.bytes)
    }
}

/// Passes on what it reads or writes, and keeps its SHA-256 and length.
pub(super) struct Hashing<T> {
    inner: T,
    hasher: Hasher,
}

impl<T> Hashing<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            hasher: Hasher::default(),
        }
    }

    /// What it was made of, the SHA-256 as hex, and the number of bytes.
    pub(super) fn finish(self) -> (T, String, u64) {
        let (sha256, bytes) = self.hasher.finish();
        (self.inner, sha256, bytes)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(seen) = buffer.get(..count) {
            self.hasher.saw(seen);
        }
        Ok(count)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        if let Some(seen) = buffer.get(..count) {
            self.hasher.saw(seen);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The SHA-256 and size of a file.
pub(super) fn hash_file(path: &Path) -> io::Result<(String, u64)> {
    let mut reader = Hashing::new(File::open(path)?);
    let mut buffer = vec![0; 256 * 1024];
    while reader.read(&mut buffer)? > 0 {}
    let (_, sha256, size) = reader.finish();
    Ok((sha256, size))
}
