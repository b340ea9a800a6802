//! The smaller commands.

use super::answer::Answer;
use crate::systemd::{Manager, SharedManager};

/// A lab user lingers: its services live without a login.
pub(super) fn loginctl(manager: &SharedManager, arguments: &[String]) -> Answer {
    let user = Manager::lock(manager).facts.user.clone();
    let value_only = arguments.iter().any(|argument| argument == "--value");
    let wanted: Vec<&str> = arguments
        .iter()
        .enumerate()
        .filter_map(|(index, argument)| {
            let glued = argument
                .strip_prefix("--property=")
                .or_else(|| argument.strip_prefix("-p").filter(|rest| !rest.is_empty()));
            let apart = (argument == "-p" || argument == "--property")
                .then(|| arguments.get(index + 1).map(String::as_str));
            glued.or(apart.flatten())
        })
        .flat_map(|names| names.split(','))
        .collect();
    let properties = [
        ("Name", user.as_str()),
        ("State", "lingering"),
        ("Linger", "yes"),
    ];
    match arguments
        .iter()
        .find(|argument| !argument.starts_with('-'))
        .map(String::as_str)
    {
        Some("show-user") => {
            let mut answer = Answer::default();
            for (name, value) in properties
                .iter()
                .filter(|(name, _)| wanted.is_empty() || wanted.contains(name))
            {
                answer.say(if value_only {
                    (*value).to_owned()
                } else {
                    format!("{name}={value}")
                });
            }
            answer
        }
        Some("enable-linger") => Answer::default(),
        Some(verb) => Answer::failure(1, format!("Unknown command verb {verb}.")),
        None => Answer::default(),
    }
}

/// Nobody becomes root through a lab host, least of all where the lab itself runs on a machine with sudo.
pub(super) fn sudo() -> Answer {
    Answer::failure(1, "sudo: a password is required")
}
