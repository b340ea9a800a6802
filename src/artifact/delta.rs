//! Deltas: a package as what has to be known beside the files of a revision that the host has already.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use tar::{Archive, EntryType};
use tempfile::NamedTempFile;
use zstd::stream::raw::CParameter;

use super::package::level_of;

/// More than this is not held in memory, here or on the host.
const MOST: u64 = 512 << 20;

/// The binary logarithm of how many places each of the compressor's two tables holds at most, of 4 bytes each: 128 MiB.
const MOST_OF_TABLES: u32 = 25;

/// Compresses what is in `package` against the files in `base` (both as the store has them, zstd-compressed tar archives).
///
/// The host puts it together again with `zstd -d --patch-from=REFERENCE`, where the reference is the content of all files of
/// `base`, one after the other in the order of their paths, and gets the tar archive of `package`. Nothing when that is too
/// much to be held in memory.
///
/// # Errors
/// When a package cannot be read, or a temporary file cannot be written.
pub fn delta(base: &Path, package: &Path, unpacked_size: u64) -> io::Result<Option<NamedTempFile>> {
    let Some(reference) = reference(base)? else {
        return Ok(None);
    };
    if unpacked_size > MOST {
        return Ok(None);
    }
    let mut archive = zstd::Decoder::new(File::open(package)?)?;
    let mut file = NamedTempFile::new()?;
    let level = level_of(unpacked_size);
    let mut encoder = zstd::Encoder::with_ref_prefix(file.as_file_mut(), level, &reference)?;
    encoder.include_checksum(true)?;
    encoder.long_distance_matching(true)?;
    // Everything has to be within reach of what it is compared with.
    let reach = unpacked_size.max(reference.len() as u64).max(1 << 20);
    encoder.window_log(reach.ilog2() + 1)?;
    // And found: the tables of the lower levels forget most of a large reference, and the delta is nearly twice as large.
    let tables = reach.ilog2().min(MOST_OF_TABLES);
    encoder.set_parameter(CParameter::HashLog(tables))?;
    encoder.set_parameter(CParameter::ChainLog(tables))?;
    io::copy(&mut archive, &mut encoder)?;
    encoder.finish()?.flush()?;
    Ok(Some(file))
}

/// All files of a package, one after the other.
fn reference(package: &Path) -> io::Result<Option<Vec<u8>>> {
    let archive = zstd::Decoder::new(File::open(package)?)?;
    let mut archive = Archive::new(BufReader::new(archive));
    // In the archive they are in the order of their paths.
    let mut all = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        if all.len() as u64 + entry.size() > MOST {
            return Ok(None);
        }
        entry.read_to_end(&mut all)?;
    }
    Ok(Some(all))
}
