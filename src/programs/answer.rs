//! Asks a program on this machine for something: what it writes to its standard output.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::run::Group;
use crate::core::program::Program;

/// The end of what it writes to stderr that an error tells, in characters.
const TOLD: usize = 300;

/// What it wrote, when it ended with 0 in its time; else why not, with the end of what it complained of.
///
/// # Errors
/// In words, when it cannot be run, fails, or takes too long.
pub async fn answer(program: &Program, folder: &Path) -> Result<String, String> {
    let mut words = program.run.iter();
    let name = words.next().map_or("", String::as_str);
    let child = Command::new(name)
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that its children end with it and Ctrl-C does not cut it off.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("`{name}` cannot be run in `{}`: {error}", folder.display()))?;
    let group = Group::of(&child);
    let ended = tokio::time::timeout(program.timeout, child.wait_with_output()).await;
    let Ok(ended) = ended else {
        drop(group);
        return Err(format!("`{name}` took longer than {:?}", program.timeout));
    };
    group.forget();
    let output = ended.map_err(|error| format!("`{name}`: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<char> = said.trim().chars().collect();
    let end: String = said
        .get(said.len().saturating_sub(TOLD)..)
        .unwrap_or_default()
        .iter()
        .collect();
    let how = match output.status.code() {
        Some(code) => format!("ended with {code}"),
        None => "was killed".to_owned(),
    };
    Err(format!("`{name}` {how}: {end}"))
}
