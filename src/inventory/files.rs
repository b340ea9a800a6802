//! The text of an inventory's files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::load::folder;
use super::mistake::Mistake;
use super::source::Source;

/// The largest inventory file in bytes: ten thousand hosts written out one by one are a quarter of it.
const LARGEST: u64 = 4 * 1024 * 1024;

/// What could be read, and what could not.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) sources: Vec<Source>,
    pub(crate) mistakes: Vec<Mistake>,
}

/// Reads the file, or every `*.toml` of the folder, sorted by name.
pub(crate) fn read(path: &Path) -> Read {
    let mut read = Read::default();
    let files = if path.is_dir() {
        match toml_files(path) {
            Ok(files) => files,
            Err(error) => {
                let message = format!("folder `{}` cannot be read: {error}", path.display());
                read.mistakes.push(Mistake::whole(path, message));
                return read;
            }
        }
    } else {
        vec![path.to_owned()]
    };
    if files.is_empty() {
        let message = format!("folder `{}` holds no `*.toml` file", path.display());
        let help =
            "an inventory is a TOML file, or a folder of them; `docs/inventory.md` has an example";
        read.mistakes
            .push(Mistake::whole(path, message).with_help(help));
    }
    for file in files {
        match text(&file) {
            Ok(text) => read
                .sources
                .push(Source::new(file.clone(), folder(&file), text)),
            Err(mistake) => read.mistakes.push(*mistake),
        }
    }
    read
}

/// The `*.toml` files of a folder, sorted; hidden ones (an editor's) are left out.
pub(crate) fn toml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension == "toml");
        if is_toml && !is_hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn text(path: &Path) -> Result<String, Box<Mistake>> {
    let shown = path.display();
    let whole = |message: String| Box::new(Mistake::whole(path, message));
    let mut bytes = Vec::new();
    // No look at the size first: a pipe (`<(...)`) has none.
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| whole(format!("inventory `{shown}` cannot be read: {error}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(whole(format!(
            "inventory `{shown}` is larger than {} MiB: hardly an inventory",
            LARGEST / (1024 * 1024)
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Box::new(Mistake {
            line: Some(line),
            column: Some(
                1 + before
                    .iter()
                    .rev()
                    .take_while(|byte| **byte != b'\n')
                    .count(),
            ),
            ..Mistake::whole(path, format!("inventory `{shown}` is not UTF-8 text"))
        })
    })
}
