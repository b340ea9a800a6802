//! Packing: files become a zstd-compressed tar archive, the same bytes for the same files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::core::revision::{FileContent, ManifestFile};

use super::hashing::Hashing;

/// An archive that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) size: u64,
    pub(super) unpacked_size: u64,
    pub(super) sha256: String,
}

/// Up to this size it pays to spend more time: it is packed once and sent to every host.
const SMALL: u64 = 8 << 20;
const LEVEL_SMALL: i32 = 9;
const LEVEL: i32 = 3;

/// Writes the archive to `destination`, which must not exist, and flushes it to the disk.
///
/// Folders are in it with mode 0755, so that they do not depend on the host's umask. Fails when a file's content is no
/// longer what its SHA-256 says.
pub(super) fn pack(
    files: &[ManifestFile],
    sources: &BTreeMap<String, PathBuf>,
    destination: &Path,
) -> io::Result<Packed> {
    let unpacked_size = files.iter().map(size_of).sum();
    let level = level_of(unpacked_size);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(destination)?;
    let mut encoder = zstd::Encoder::new(Hashing::new(BufWriter::new(file)), level)?;
    encoder.include_checksum(true)?;
    let mut builder = Builder::new(encoder);
    let mut folders = BTreeSet::new();
    for file in files {
        add_folders(&mut builder, &mut folders, &file.path)?;
        add(&mut builder, file, sources)?;
    }
    let (mut buffered, sha256, size) = builder.into_inner()?.finish()?.finish();
    buffered.flush()?;
    buffered.get_ref().sync_all()?;
    Ok(Packed {
        size,
        unpacked_size,
        sha256,
    })
}

/// How much time is spent on so many bytes.
pub(super) fn level_of(unpacked_size: u64) -> i32 {
    match unpacked_size <= SMALL {
        true => LEVEL_SMALL,
        false => LEVEL,
    }
}

fn size_of(file: &ManifestFile) -> u64 {
    match &file.content {
        FileContent::File { size, .. } => *size,
        FileContent::Link { .. } => 0,
    }
}

/// Adds the folders above `path` that are not there yet.
fn add_folders(
    builder: &mut Builder<impl Write>,
    done: &mut BTreeSet<String>,
    path: &str,
) -> io::Result<()> {
    for (index, _) in path.match_indices('/') {
        let folder = path.get(..index).unwrap_or_default();
        if done.insert(folder.to_owned()) {
            let mut header = header(EntryType::Directory, 0o755, 0);
            builder.append_data(&mut header, format!("{folder}/"), io::empty())?;
        }
    }
    Ok(())
}

fn add(
    builder: &mut Builder<impl Write>,
    file: &ManifestFile,
    sources: &BTreeMap<String, PathBuf>,
) -> io::Result<()> {
    let (sha256, size) = match &file.content {
        FileContent::Link { target } => {
            let mut header = header(EntryType::Symlink, file.mode, 0);
            return builder.append_link(&mut header, &file.path, target);
        }
        FileContent::File { sha256, size } => (sha256, *size),
    };
    let source = sources.get(&file.path).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("`{}` has no content", file.path),
        )
    })?;
    let mut reader = Hashing::new(io::Read::take(File::open(source)?, size));
    let mut header = header(EntryType::Regular, file.mode, size);
    builder.append_data(&mut header, &file.path, &mut reader)?;
    let (_, found, count) = reader.finish();
    if found != *sha256 || count != size {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("`{}` changed while it was read", source.display()),
        ));
    }
    Ok(())
}

/// Nobody's, of no time: only what the digest knows is in it.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}
