//! Reading back what a host remembers of a service: its manifests and its journal.

use super::adopt::parse_texts;
use super::facts::Facts;
use super::layout::folder_of;
use super::machine::{Machine, Queue};
use super::script::Request;
use crate::core::fleet::Service;
use crate::core::ids::RevisionName;
use crate::core::journal_line::JournalLine;
use crate::core::recall::Memory;
use crate::core::revision::Manifest;
use crate::core::time::Timestamp;
use crate::ports::{HostError, Remembered};

/// Reads it in two exchanges; what cannot be read of it is said, and the rest is given.
pub(crate) async fn remembered(
    machine: &Machine,
    service: &Service,
) -> Result<Remembered, HostError> {
    let facts = machine.facts(service).await?;
    let mut memory = Memory::default();
    if facts.owner.is_some() || !facts.kept.is_empty() {
        let texts = machine.read(Queue::Work, request(&facts)).await?;
        let mut texts = parse_texts(&texts).into_iter();
        read_journal(&texts.next().flatten().unwrap_or_default(), &mut memory);
        for (name, text) in facts.kept.keys().zip(texts) {
            read_manifest(name, text.as_deref(), &mut memory);
        }
    }
    Ok(Remembered {
        owner: facts.owner,
        memory,
    })
}

fn request(facts: &Facts) -> Request {
    let journal = Request::new("text").arg(format!("{}/.rollctl/journal", facts.dir));
    facts.kept.keys().fold(journal, |request, name| {
        let folder = folder_of(&facts.dir, name);
        request.arg(format!("{folder}/.rollctl/manifest.json"))
    })
}

fn read_journal(text: &str, memory: &mut Memory) {
    for (place, line) in text.lines().enumerate() {
        match JournalLine::parse(line, moment) {
            Ok(line) => memory.journal.push(line),
            Err(problem) => memory.unreadable.push(format!(
                "line {} of its journal is left out: {problem}",
                place + 1
            )),
        }
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(time.as_millisecond()))
}

fn read_manifest(name: &RevisionName, text: Option<&str>, memory: &mut Memory) {
    let manifest: Result<Manifest, String> = match text {
        Some(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
        None => Err("it is empty, or not readable".to_owned()),
    };
    match manifest {
        Ok(manifest) if manifest.names.contains(name) => memory.manifests.push(manifest),
        Ok(_) => memory.unreadable.push(format!(
            "revision `{name}` is left out: its manifest is another one's"
        )),
        Err(error) => memory.unreadable.push(format!(
            "revision `{name}` is left out: its manifest cannot be read: {error}"
        )),
    }
}
