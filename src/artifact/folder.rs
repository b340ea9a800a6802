//! A folder as an artifact.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::error::EntryProblem;
use super::hashing::hash_file;
use super::tree::{Flaw, Tree, clean_path};

/// Adds everything in `folder` to the tree; `below` is the path inside the revision, empty at the top.
pub(super) fn add_folder(tree: &mut Tree, folder: &Path, below: &str) -> Result<(), Flaw> {
    let unreadable = |_| (below.to_owned(), EntryProblem::Unreadable);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let shown = join(below, &name.to_string_lossy().escape_debug().to_string());
        let flaw = |problem| (shown.clone(), problem);
        let name = name.to_str().ok_or_else(|| flaw(EntryProblem::Name))?;
        let path = clean_path(&join(below, name)).map_err(flaw)?;
        let source = entry.path();
        let metadata = fs::symlink_metadata(&source).map_err(|_| flaw(EntryProblem::Unreadable))?;
        if metadata.is_dir() {
            add_folder(tree, &source, &path)?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&source).map_err(|_| flaw(EntryProblem::Unreadable))?;
            let target = target.to_str().ok_or_else(|| flaw(EntryProblem::Name))?;
            tree.add_link(&path, target)?;
        } else if metadata.is_file() {
            if metadata.len() > tree.room() {
                return Err(flaw(EntryProblem::TooLarge));
            }
            let content = hash_file(&source).map_err(|_| flaw(EntryProblem::Unreadable))?;
            let is_executable = metadata.permissions().mode() & 0o111 != 0;
            tree.add_file(&path, is_executable, source, content)?;
        } else {
            return Err(flaw(EntryProblem::Special));
        }
    }
    Ok(())
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
