//! `[notify]`: who is told of rollouts without watching them.

use std::time::Duration;

use url::Url;

use crate::core::notify::{Moment, Notify, Webhook};

use super::content::from_environment;
use super::mistake::Findings;
use super::paths::{NamedFile, named_program};
use super::program::{self, HERE};
use super::reader::Entry;

/// How long a program that tells may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Reads the mail, with its recipients, from its standard input; a dot on a line of its own does not end it.
const SENDMAIL: [&str; 3] = ["/usr/sbin/sendmail", "-i", "-t"];

/// Reads the section.
pub(crate) fn read(
    entry: &Entry<'_>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<Notify> {
    let mut table = entry.table(f)?;
    let webhook = table.take("webhook");
    let mail = table.take("mail");
    let command = table.take("command");
    if webhook.is_none() && mail.is_none() && command.is_none() {
        f.wrong_help(
            &entry.key,
            "`notify` tells nobody",
            "write `webhook = { env = \"ROLLCTL_WEBHOOK\" }`, `mail = [\"ops@example.net\"]` or `command = { run = [\"./tell\"] }`",
        );
    }
    let from = table.take("from");
    let sendmail = table.take("sendmail");
    for entry in [&from, &sendmail]
        .into_iter()
        .flatten()
        .filter(|_| mail.is_none())
    {
        f.wrong(
            &entry.key,
            format!("`{}` is for `mail`, which is not there", entry.name),
        );
    }
    let notify = Notify {
        webhook: webhook.and_then(|entry| self::webhook(&entry, f)),
        from: from.and_then(|entry| address(&entry, f)),
        sendmail: sendmail
            .and_then(|entry| {
                program::command_line(&entry, f, |name, f| named_program(name, f, files))
            })
            .unwrap_or_else(|| SENDMAIL.map(str::to_owned).to_vec()),
        mail: mail.map_or_else(Vec::new, |entry| addresses(&entry, f)),
        command: command.and_then(|entry| {
            program::read(&entry, TIMEOUT, |on, f| on.choice(f, &[HERE]), f, files)
        }),
        on: table
            .take("on")
            .map_or_else(|| Moment::ALL.to_vec(), |entry| moments(&entry, f)),
    };
    table.finish(f, |key| {
        matches!(key, "slack" | "url").then(|| "a webhook of Slack is `webhook`".to_owned())
    });
    Some(notify)
}

/// A URL, or `{ env = "NAME" }`. No message holds its text: whoever knows it can post.
fn webhook(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<Webhook> {
    if entry.is_table() {
        return from_environment(entry, f).map(Webhook::Env);
    }
    let text = entry.text(f)?;
    let is_http = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_http {
        f.wrong_help(
            &entry.at,
            "`webhook` is no URL that begins with `https://` or `http://`",
            "write it as a text, or `{ env = \"ROLLCTL_WEBHOOK\" }`, which keeps it out of this file",
        );
        return None;
    }
    Some(Webhook::Url(text.to_owned()))
}

fn addresses(entry: &Entry<'_>, f: &mut Findings<'_>) -> Vec<String> {
    let entries = entry.list(f).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| address(entry, f))
        .collect()
}

/// An address as it may stand in the head of a mail.
fn address(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<String> {
    let text = entry.text(f)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@.!#$%&'*+/=?^_`{|}~-".contains(c);
    if !text.chars().all(is_plain) || text.starts_with('-') || text.matches('@').count() > 1 {
        f.wrong_help(
            &entry.at,
            format!("`{text}` is not an address"),
            "write `ops@example.net`, or the name of somebody who has mail on this machine",
        );
        return None;
    }
    Some(text.to_owned())
}

fn moments(entry: &Entry<'_>, f: &mut Findings<'_>) -> Vec<Moment> {
    let choices = Moment::ALL.map(|moment| (moment.as_str(), moment));
    let entries = entry.list(f).unwrap_or_default();
    if entries.is_empty() {
        f.wrong(&entry.at, "`on` is empty: nobody would ever be told");
    }
    entries
        .iter()
        .filter_map(|entry| entry.choice(f, &choices))
        .collect()
}
