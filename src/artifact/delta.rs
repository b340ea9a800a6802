//! Deltas: a package as what has to be known beside the files of a revision that the host has already.

use std::collections::HashSet;
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
/// much to be held in memory, or when the two have hardly anything in common.
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
    if !are_alike(&reference, zstd::Decoder::new(File::open(package)?)?)? {
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

/// Whether a delta is worth trying: some of what is in `new` is in `reference`, too. What was compressed before it was packed
/// (a JAR, say) is new from end to end, and to find that out by compressing takes many times as long.
fn are_alike(reference: &[u8], mut new: impl Read) -> io::Result<bool> {
    let known: HashSet<u64> = marks(reference).collect();
    let mut fresh = HashSet::new();
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        (&mut new).take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            break;
        }
        fresh.extend(marks(&piece));
    }
    // Of little there are few marks: that is compressed soon enough.
    let shared = fresh.intersection(&known).count();
    Ok(fresh.len() < 64 || shared * 50 >= fresh.len())
}

/// How much is looked at at once; what lies across the border of two pieces is not looked at.
const PIECE: usize = 1 << 20;

/// The hashes of one in about a thousand of all runs of 16 bytes: by their content, so that it does not matter where they are.
fn marks(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.windows(16).filter_map(|run| {
        let (first, last) = run.split_first_chunk::<8>()?;
        let last = last.first_chunk::<8>()?;
        let mixed = u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29);
        // The multiplier of Fibonacci hashing: 2^64 divided by the golden ratio.
        let hash = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 54 == 0).then_some(hash)
    })
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

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngCore, SeedableRng};

    use super::*;

    fn noise(seed: u64, bytes: usize) -> Vec<u8> {
        let mut noise = vec![0; bytes];
        StdRng::seed_from_u64(seed).fill_bytes(&mut noise);
        noise
    }

    #[test]
    fn what_is_worth_a_delta() {
        let padding = vec![0; 1 << 20];
        let old = [noise(1, 3 << 20), padding.clone()].concat();
        let other = [noise(2, 3 << 20), padding.clone()].concat();
        let moved = [&noise(3, 777), &old[..]].concat();
        let a_tenth = [&other[..], &old[..400_000]].concat();
        for (sentence, new, expected) in [
            ("the same", old.clone(), true),
            ("the same, moved by some bytes", moved, true),
            ("new, but for a tenth", a_tenth, true),
            ("new from end to end, but for zeros", other, false),
            ("nothing but zeros", padding, true),
            ("too little to tell", noise(4, 2_000), true),
            ("nothing", Vec::new(), true),
        ] {
            assert_eq!(are_alike(&old, &new[..]).unwrap(), expected, "{sentence}");
        }
    }
}
