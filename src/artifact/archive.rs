//! A tar archive as an artifact. Its files are unpacked under numbers, so no name in it ever becomes a path here.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use crate::ports::PullForm;

use super::error::EntryProblem;
use super::hashing::Hashing;
use super::tree::{Flaw, Tree, clean_path};

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Tar,
    Gzip,
    Zstd,
}

impl Format {
    /// What the file's name says; nothing: it is no archive.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".tar"]) {
            Some(Self::Tar)
        } else if ends(&[".tar.gz", ".tgz"]) {
            Some(Self::Gzip)
        } else if ends(&[".tar.zst", ".tzst"]) {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.ending().trim_start_matches('.')
    }

    /// By which a file's name says it.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Tar => ".tar",
            Self::Gzip => ".tar.gz",
            Self::Zstd => ".tar.zst",
        }
    }

    /// How a host unpacks it.
    pub(super) fn pulled(self) -> PullForm {
        match self {
            Self::Tar => PullForm::Tar,
            Self::Gzip => PullForm::Gzip,
            Self::Zstd => PullForm::Zstd,
        }
    }
}

/// Why an archive was not taken.
pub(super) enum Failure {
    /// It is damaged.
    Damaged(io::Error),
    /// Something in it cannot be in a revision.
    Flaw(Flaw),
    /// The temporary folder cannot be written.
    Scratch(io::Error),
}

impl From<Flaw> for Failure {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

/// What may be read between two files: headers, long names, padding. More is an attempt to fill the memory.
const BETWEEN_FILES: u64 = 4 << 20;

/// Adds what is in the archive to the tree; contents go to numbered files in `scratch`. The SHA-256 of the archive's own
/// bytes, as they were read.
pub(super) fn add_archive(
    tree: &mut Tree,
    archive: &Path,
    format: Format,
    scratch: &Path,
) -> Result<String, Failure> {
    let file = File::open(archive).map_err(Failure::Damaged)?;
    let packed = Shared(Rc::new(RefCell::new(Hashing::new(file))));
    let buffered = io::BufReader::new(packed.clone());
    let plain: Box<dyn Read> = match format {
        Format::Tar => Box::new(buffered),
        Format::Gzip => Box::new(MultiGzDecoder::new(buffered)),
        Format::Zstd => Box::new(zstd::Decoder::with_buffer(buffered).map_err(Failure::Damaged)?),
    };
    let allowance = Rc::new(Cell::new(BETWEEN_FILES));
    let mut archive = Archive::new(Throttled {
        inner: plain,
        allowance: Rc::clone(&allowance),
    });
    let entries = archive.entries().map_err(Failure::Damaged)?;
    for (number, entry) in entries.enumerate() {
        let mut entry = entry.map_err(Failure::Damaged)?;
        allowance.set(u64::MAX);
        let blob = scratch.join(number.to_string());
        add_entry(tree, &mut entry, blob)?;
        allowance.set(BETWEEN_FILES);
    }
    // What is left is padding; reading it makes the decompressor check its checksum.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(Failure::Damaged)?;
    drop(rest);
    packed.finish().map_err(Failure::Damaged)
}

fn add_entry(
    tree: &mut Tree,
    entry: &mut Entry<'_, impl Read>,
    blob: PathBuf,
) -> Result<(), Failure> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(());
    }
    let raw = entry.path_bytes().into_owned();
    let shown = String::from_utf8_lossy(&raw).escape_debug().to_string();
    let flaw = |problem| Failure::Flaw((shown.clone(), problem));
    let path = std::str::from_utf8(&raw)
        .map_err(|_| EntryProblem::Name)
        .and_then(clean_path)
        .map_err(flaw)?;
    match kind {
        EntryType::Directory => Ok(()),
        // The top itself, as `./`, can only be a folder.
        _ if path.is_empty() => Err(flaw(EntryProblem::Special)),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            if is_pax_sparse(entry) {
                return Err(flaw(EntryProblem::Sparse));
            }
            // The header's bits; a damaged mode is taken for a plain file's.
            let is_executable = entry.header().mode().unwrap_or(0o644) & 0o111 != 0;
            let content =
                unpack(entry, &blob, tree.room())?.ok_or_else(|| flaw(EntryProblem::TooLarge))?;
            Ok(tree.add_file(&path, is_executable, blob, content)?)
        }
        EntryType::Symlink | EntryType::Link => {
            let target = entry
                .link_name_bytes()
                .ok_or_else(|| flaw(EntryProblem::Name))?;
            let target = std::str::from_utf8(&target).map_err(|_| flaw(EntryProblem::Name))?;
            if kind == EntryType::Symlink {
                return Ok(tree.add_link(&path, target)?);
            }
            let existing = clean_path(target).map_err(|_| flaw(EntryProblem::HardLink))?;
            Ok(tree.add_hard_link(&path, &existing)?)
        }
        _ => Err(flaw(EntryProblem::Special)),
    }
}

/// Writes an entry's content; nothing when it is longer than `room`.
fn unpack(entry: &mut impl Read, blob: &Path, room: u64) -> Result<Option<(String, u64)>, Failure> {
    let mut reader = Hashing::new(entry.take(room.saturating_add(1)));
    let mut file = File::create_new(blob).map_err(Failure::Scratch)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = reader.read(&mut buffer).map_err(Failure::Damaged)?;
        let Some(seen @ [_, ..]) = buffer.get(..count) else {
            break;
        };
        io::Write::write_all(&mut file, seen).map_err(Failure::Scratch)?;
    }
    let (_, sha256, size) = reader.finish();
    Ok((size <= room).then_some((sha256, size)))
}

/// Whether GNU tar wrote it with `--sparse --format=posix`, where the content is not what the header says.
fn is_pax_sparse(entry: &mut Entry<'_, impl Read>) -> bool {
    let Ok(Some(extensions)) = entry.pax_extensions() else {
        return false;
    };
    extensions
        .flatten()
        .any(|extension| extension.key_bytes().starts_with(b"GNU.sparse."))
}

/// The packed bytes on their way through a decompressor that does not give them back.
#[derive(Clone)]
struct Shared(Rc<RefCell<Hashing<File>>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Shared {
    /// The SHA-256 of the whole file, with what the decompressor left unread.
    fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        let hashing = Rc::into_inner(self.0).ok_or_else(|| io::Error::other("still being read"))?;
        Ok(hashing.into_inner().finish().1)
    }
}

/// Ends with an error when more is read than is allowed.
struct Throttled<R> {
    inner: R,
    allowance: Rc<Cell<u64>>,
}

impl<R: Read> Read for Throttled<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.allowance.get().checked_sub(count as u64);
        self.allowance.set(left.ok_or_else(|| {
            io::Error::other("more than 4 MiB of headers before a file, or of padding")
        })?);
        Ok(count)
    }
}
