//! The keys of each driver in `[services.*.traffic]`.

use std::time::Duration;

use crate::core::traffic::{DrainMark, Moves, TrafficDriver, TrafficRequest};

use super::mistake::Findings;
use super::paths::NamedFile;
use super::placeholder::{check_url, filled};
use super::program::{self, HERE, THERE};
use super::reader::{Entry, Table};
use super::traffic::{Setting, check_distinct, check_template, required, template};
use super::traffic_endpoints::{endpoints, haproxy_endpoint, remote_file, whole_path};

/// HAProxy's own `inter`, `fall` and `rise`.
const POLL: Duration = Duration::from_secs(2);
const FALL: u32 = 3;
const RISE: u32 = 2;
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

pub(crate) fn haproxy(
    table: &mut Table<'_>,
    setting: Setting<'_>,
    f: &mut Findings<'_>,
) -> Option<TrafficDriver> {
    let example = "[\"tcp://192.0.2.5:9999\", \"ssh://lb-01/run/haproxy/admin.sock\"]";
    let endpoints = endpoints(table, example, f, |entry, f| {
        haproxy_endpoint(entry, setting, f)
    });
    let backend = required(table, "backend", "\"web\"", f).and_then(|entry| word(&entry, f));
    let server = match table.take("server") {
        None => Some("{host}".to_owned()),
        Some(entry) => server(&entry, setting, f),
    };
    Some(TrafficDriver::Haproxy {
        endpoints: endpoints?,
        backend: backend?,
        server: server?,
    })
}

pub(crate) fn nginx(
    table: &mut Table<'_>,
    setting: Setting<'_>,
    f: &mut Findings<'_>,
) -> Option<TrafficDriver> {
    let example = "[\"ssh://lb-01/etc/nginx/conf.d/web-upstream.conf\"]";
    let endpoints = endpoints(table, example, f, |entry, f| {
        let text = entry.text(f)?;
        let Some(rest) = text.strip_prefix("ssh://") else {
            f.wrong_help(
                &entry.at,
                format!("`{text}` is not a file on a host"),
                "write `ssh://HOST/etc/nginx/conf.d/web-upstream.conf`, HOST being one of the inventory",
            );
            return None;
        };
        remote_file(entry, rest, setting, f)
    });
    let upstream = match table.take("upstream") {
        None => Some(setting.service.to_owned()),
        Some(entry) => word(&entry, f),
    };
    let server = match table.take("server") {
        Some(entry) => server(&entry, setting, f),
        None if !setting.values.port => {
            let at = table.at.clone();
            f.wrong_help(
                &at,
                "nginx knows instances by address and port, and the service has no `port`",
                "add `port = 8080` to the service",
            );
            None
        }
        None => Some("{address}:{port}".to_owned()),
    };
    let nginx = match table.take("nginx") {
        None => Some(vec!["nginx".to_owned()]),
        Some(entry) => {
            program::command_line(&entry, f, |nginx, f| nginx.text(f).map(str::to_owned))
        }
    };
    Some(TrafficDriver::Nginx {
        endpoints: endpoints?,
        upstream: upstream?,
        server: server?,
        nginx: nginx?,
    })
}

pub(crate) fn command(
    table: &mut Table<'_>,
    setting: Setting<'_>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<TrafficDriver> {
    let example = "{ on = \"controller\", run = [\"./lb\", \"...\"] }";
    let mut part = |key, timeout| {
        let entry = required(table, key, example, f)?;
        let on = |on: &Entry<'_>, f: &mut Findings<'_>| on.choice(f, &[HERE, THERE]);
        program::read(&entry, timeout, on, f, files)
    };
    let (attach, observe) = (
        part("attach", COMMAND_TIMEOUT),
        part("observe", COMMAND_TIMEOUT),
    );
    // A command that waits for sessions itself has the time for it.
    let drain = part("drain", COMMAND_TIMEOUT + setting.drain_timeout);
    Some(TrafficDriver::Command(Box::new(Moves {
        attach: attach?,
        drain: drain?,
        observe: observe?,
    })))
}

pub(crate) fn http(
    table: &mut Table<'_>,
    setting: Setting<'_>,
    f: &mut Findings<'_>,
) -> Option<TrafficDriver> {
    let example = "{ url = \"http://192.0.2.5:8000/servers/{host}\" }";
    let mut part = |key, method| {
        required(table, key, example, f).and_then(|entry| request(&entry, method, setting, f))
    };
    let (attach, drain) = (part("attach", "POST"), part("drain", "POST"));
    let observe = part("observe", "GET");
    Some(TrafficDriver::Http(Box::new(Moves {
        attach: attach?,
        drain: drain?,
        observe: observe?,
    })))
}

pub(crate) fn health(
    table: &mut Table<'_>,
    setting: Setting<'_>,
    f: &mut Findings<'_>,
) -> Option<TrafficDriver> {
    let (file, url) = (table.take("drain_file"), table.take("drain_url"));
    let through = match (&file, &url) {
        (Some(_), Some(url)) => {
            f.wrong(&url.key, "`drain_file` and `drain_url` exclude each other");
            None
        }
        (None, None) => {
            let at = table.at.clone();
            f.wrong_help(
                &at,
                "nothing makes the instance's health answer 503",
                "write `drain_file = \"/run/web/drain\"`, a file that the service looks for",
            );
            None
        }
        (Some(file), None) => file.text(f).and_then(|text| {
            check_template(file, text, setting.values, f);
            whole_path(file, text, f).map(DrainMark::File)
        }),
        (None, Some(url)) => url_text(url, setting, f).map(DrainMark::Url),
    };
    let poll = table
        .take("poll")
        .map_or(Some(POLL), |entry| entry.duration(f));
    let mut times = |key, default| {
        table
            .take(key)
            .map_or(Some(default), |entry| entry.number(f, 1..=1000))
    };
    let (fall, rise) = (times("fall", FALL), times("rise", RISE));
    Some(TrafficDriver::Health {
        through: through?,
        poll: poll?,
        fall: fall?,
        rise: rise?,
    })
}

/// A name that is one word in a line of HAProxy's or nginx's language.
fn word(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<String> {
    let text = entry.text(f)?;
    is_word(entry, text, f).then(|| text.to_owned())
}

fn is_word(entry: &Entry<'_>, text: &str, f: &mut Findings<'_>) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._:-[]".contains(c);
    let is_word = text.chars().all(allowed);
    if !is_word {
        f.wrong_help(
            &entry.at,
            format!("`{}` cannot be `{text}`", entry.name),
            "letters, digits and `._:-` are allowed",
        );
    }
    is_word
}

fn server(entry: &Entry<'_>, setting: Setting<'_>, f: &mut Findings<'_>) -> Option<String> {
    let text = template(entry, setting.values, f)?;
    if !is_word(entry, &filled(text), f) {
        return None;
    }
    check_distinct(entry, text, setting.values, f);
    Some(text.to_owned())
}

fn request(
    entry: &Entry<'_>,
    method: &'static str,
    setting: Setting<'_>,
    f: &mut Findings<'_>,
) -> Option<TrafficRequest> {
    let mut table = entry.table(f)?;
    let url = required(
        &mut table,
        "url",
        "\"http://192.0.2.5:8000/servers/{host}\"",
        f,
    )
    .and_then(|entry| url_text(&entry, setting, f));
    let methods = METHODS.map(|method| (method, method));
    let method = match table.take("method") {
        None => Some(method),
        Some(entry) => entry.choice(f, &methods),
    };
    let expect_status = table
        .take("expect_status")
        .map_or(Some(200), |entry| entry.number(f, 100..=599))
        .and_then(|status| u16::try_from(status).ok());
    let mut text = |key| {
        let entry = table.take(key)?;
        let text = entry.any_text(f)?;
        super::placeholder::check(
            &entry,
            text,
            super::placeholder::Braces::Shell,
            setting.values,
            f,
        );
        Some(text.to_owned())
    };
    let (expect_body, body) = (text("expect_body"), text("body"));
    let timeout = table
        .take("timeout")
        .map_or(Some(REQUEST_TIMEOUT), |entry| entry.duration(f));
    table.finish(f, |_| None);
    Some(TrafficRequest {
        url: url?,
        method: method?.to_owned(),
        expect_status: expect_status?,
        expect_body,
        body,
        timeout: timeout?,
    })
}

fn url_text(entry: &Entry<'_>, setting: Setting<'_>, f: &mut Findings<'_>) -> Option<String> {
    let text = template(entry, setting.values, f)?;
    check_url(entry, text, "http://{address}:{port}/drain", f).then(|| text.to_owned())
}
