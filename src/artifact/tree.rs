//! The files of a revision, before they are packed: checked paths, normalised modes, links that stay inside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::core::revision::{FileContent, ManifestFile};

use super::error::EntryProblem;

/// The mode of every symbolic link; Linux shows no other.
pub const LINK_MODE: u32 = 0o777;
const EXECUTABLE_MODE: u32 = 0o755;
const PLAIN_MODE: u32 = 0o644;

/// The folder at a revision's top that is rollctl's own.
const RESERVED: &str = ".rollctl";
/// Linux' `NAME_MAX`, and room below `PATH_MAX` for the folder that the revision lies in.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 3_000;
/// As many links are followed as the kernel follows.
const LINK_HOPS: usize = 40;

/// How much a revision may hold: more is taken for a bomb or a mistake.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) entries: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        bytes: 8 << 30,
        entries: 1_000_000,
    };
}

/// Collects what a revision holds.
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    limits: Limits,
    bytes: u64,
}

struct Node {
    mode: u32,
    content: FileContent,
    source: Option<PathBuf>,
}

/// What went wrong, and where in the tree.
pub(super) type Flaw = (String, EntryProblem);

impl Tree {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            nodes: BTreeMap::new(),
            limits,
            bytes: 0,
        }
    }

    /// How many more bytes fit.
    pub(super) fn room(&self) -> u64 {
        self.limits.bytes.saturating_sub(self.bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a file whose content lies at `source`.
    pub(super) fn add_file(
        &mut self,
        path: &str,
        is_executable: bool,
        source: PathBuf,
        (sha256, size): (String, u64),
    ) -> Result<(), Flaw> {
        if size > self.room() {
            return Err((path.to_owned(), EntryProblem::TooLarge));
        }
        self.bytes += size;
        let mode = if is_executable {
            EXECUTABLE_MODE
        } else {
            PLAIN_MODE
        };
        let node = Node {
            mode,
            content: FileContent::File { sha256, size },
            source: Some(source),
        };
        self.insert(path, node)
    }

    /// Adds a symbolic link; where it leads is checked by [`Tree::finish`].
    pub(super) fn add_link(&mut self, path: &str, target: &str) -> Result<(), Flaw> {
        let target = clean_target(target).map_err(|problem| (path.to_owned(), problem))?;
        let node = Node {
            mode: LINK_MODE,
            content: FileContent::Link { target },
            source: None,
        };
        self.insert(path, node)
    }

    /// Adds what is at `existing` a second time, as a hard link does.
    pub(super) fn add_hard_link(&mut self, path: &str, existing: &str) -> Result<(), Flaw> {
        let flaw = || (path.to_owned(), EntryProblem::HardLink);
        let node = self.nodes.get(existing).ok_or_else(flaw)?;
        let (FileContent::File { sha256, size }, Some(source)) = (&node.content, &node.source)
        else {
            return Err(flaw());
        };
        let (is_executable, content) = (node.mode == EXECUTABLE_MODE, (sha256.clone(), *size));
        let source = source.clone();
        self.add_file(path, is_executable, source, content)
    }

    fn insert(&mut self, path: &str, node: Node) -> Result<(), Flaw> {
        if self.nodes.len() >= self.limits.entries {
            return Err((path.to_owned(), EntryProblem::TooLarge));
        }
        if self.nodes.insert(path.to_owned(), node).is_some() {
            return Err((path.to_owned(), EntryProblem::Twice));
        }
        Ok(())
    }

    /// Where the content of the file at `path` lies on the controller.
    pub(super) fn source(&self, path: &str) -> Option<&Path> {
        self.nodes.get(path)?.source.as_deref()
    }

    /// Makes a file executable, whatever its mode was: archives lose it on their way through some CI systems.
    pub(super) fn make_executable(&mut self, path: &str) {
        if let Some(node) = self.nodes.get_mut(path)
            && node.source.is_some()
        {
            node.mode = EXECUTABLE_MODE;
        }
    }

    /// The first path that ends with `/name`.
    pub(super) fn find_name(&self, name: &str) -> Option<&str> {
        self.nodes.keys().map(String::as_str).find(|path| {
            path.strip_suffix(name)
                .is_some_and(|folder| folder.ends_with('/'))
        })
    }

    /// What is at the end of `path`, links inside the revision followed.
    pub(super) fn resolve(&self, path: &str) -> Result<String, EntryProblem> {
        let mut todo: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let mut hops = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "" | "." => {}
                ".." => {
                    at.pop().ok_or(EntryProblem::LinkOutside)?;
                }
                _ => {
                    at.push(part);
                    let Some(Node {
                        content: FileContent::Link { target },
                        ..
                    }) = self.nodes.get(&at.join("/"))
                    else {
                        continue;
                    };
                    hops += 1;
                    if hops > LINK_HOPS {
                        return Err(EntryProblem::LinkLoop);
                    }
                    at.pop();
                    todo.extend(target.rsplit('/').map(str::to_owned));
                }
            }
        }
        Ok(at.join("/"))
    }

    /// Checks what can be checked only when everything is there; gives the files by path and where each lies.
    pub(super) fn finish(self) -> Result<(Vec<ManifestFile>, BTreeMap<String, PathBuf>), Flaw> {
        for (path, node) in &self.nodes {
            for (index, _) in path.match_indices('/') {
                let folder = path.get(..index).unwrap_or_default();
                if self.nodes.contains_key(folder) {
                    return Err((folder.to_owned(), EntryProblem::FileAndFolder));
                }
            }
            if matches!(node.content, FileContent::Link { .. }) {
                self.resolve(path)
                    .map_err(|problem| (path.clone(), problem))?;
            }
        }
        let mut sources = BTreeMap::new();
        let mut files = Vec::with_capacity(self.nodes.len());
        for (path, node) in self.nodes {
            if let Some(source) = node.source {
                sources.insert(path.clone(), source);
            }
            files.push(ManifestFile {
                path,
                mode: node.mode,
                content: node.content,
            });
        }
        Ok((files, sources))
    }
}

/// A path inside the revision without `.` and doubled slashes; empty for the top itself.
pub(super) fn clean_path(raw: &str) -> Result<String, EntryProblem> {
    if raw.starts_with('/') {
        return Err(EntryProblem::Absolute);
    }
    if raw.chars().any(char::is_control) {
        return Err(EntryProblem::Name);
    }
    let parts: Vec<&str> = raw
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return Err(EntryProblem::ParentFolder);
    }
    if parts.first() == Some(&RESERVED) {
        return Err(EntryProblem::Reserved);
    }
    let clean = parts.join("/");
    if clean.len() > PATH_MAX || parts.iter().any(|part| part.len() > NAME_MAX) {
        return Err(EntryProblem::TooLong);
    }
    Ok(clean)
}

/// A link's target without needless `.` and slashes; `..` is kept.
fn clean_target(raw: &str) -> Result<String, EntryProblem> {
    if raw.is_empty() || raw.starts_with('/') {
        return Err(EntryProblem::LinkOutside);
    }
    if raw.chars().any(char::is_control) {
        return Err(EntryProblem::Name);
    }
    if raw.len() > PATH_MAX {
        return Err(EntryProblem::TooLong);
    }
    let parts: Vec<&str> = raw
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    Ok(if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    })
}
