//! What each verb of the script answers. The texts are those of `src/host/script/*.sh`.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::host::{Host, Saved, State, Step};
use super::revision::Shipped;
use super::session::{Answer, Refusal, Request};

/// Answers everything but an upload.
pub(super) fn answer(host: &Host, request: &Request) -> Answer {
    match request.verb.as_str() {
        "facts" => Ok(facts(host, request)),
        "units" => Ok(units(host, request)),
        "claim" => claim(host, request),
        "preflight" => Ok("space 104857600 6553600 6500000\nwritable yes\nexec yes\n".to_owned()),
        "have" => have(host, request),
        "clean" => owned(&host.state(), request).map(|()| String::new()),
        "switch" => switch(host, request),
        "attest" => Ok(attest(&host.state(), request)),
        "differences" => Ok(String::new()),
        "confirm" => confirm(host, request),
        "prune" => prune(host, request),
        "text" => Ok(text(&host.state(), request)),
        "look" => Ok("path none\nlink =\nreal =\n".repeat(request.arguments.len())),
        "journal" => Ok("readable\n".to_owned()),
        _ => refuse("verb", "the scripted host does not know it"),
    }
}

/// What was uploaded is kept under its name.
pub(super) fn receive(host: &Host, request: &Request, shipped: Arc<Shipped>) -> Answer {
    let mut state = host.state();
    owned(&state, request)?;
    state
        .kept
        .insert(option(request, "name").to_owned(), shipped);
    Ok("placed\n".to_owned())
}

fn refuse(code: &'static str, text: impl Into<String>) -> Answer {
    let text = text.into();
    Err(Refusal { code, text })
}

fn option<'a>(request: &'a Request, name: &str) -> &'a str {
    request.every(name).last().unwrap_or_default()
}

/// Any bytes on one line; plain ones as they are.
fn field(name: &str, value: &str, into: &mut String) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/:@-".contains(c);
    let _ = match value.chars().all(is_plain) {
        true => writeln!(into, "{name} ={value}"),
        false => writeln!(into, "{name} {}", STANDARD.encode(value)),
    };
}

/// A step is refused to another ledger and to an earlier controller.
fn owned(state: &State, request: &Request) -> Result<(), Refusal> {
    let refused = |code, text: &str| {
        let text = text.to_owned();
        Err(Refusal { code, text })
    };
    if state.owner != option(request, "ledger") {
        return refused("owner", "another ledger owns it, or none does");
    }
    let epoch = option(request, "epoch").parse().unwrap_or(0);
    match state.epoch {
        Some(seen) if seen > epoch => refused("epoch", "a later controller is at work"),
        _ => Ok(()),
    }
}

fn facts(host: &Host, request: &Request) -> String {
    let state = host.state();
    let mut out = format!(
        "systemd 252\nboot {}\nuid 0\nmachine x86_64\nhome =/root\nlogin =root\ntool zstd\ntool gzip\n",
        host.boot()
    );
    let mut arguments = request.arguments.iter().map(String::as_str);
    field("dir", arguments.next().unwrap_or_default(), &mut out);
    let epoch = state.epoch.map(|epoch| epoch.to_string());
    let _ = writeln!(out, "epoch {}", epoch.unwrap_or_default());
    field("owner", &state.owner, &mut out);
    field("owner_machine", &state.machine, &mut out);
    field("owner_service", &state.service, &mut out);
    let kind = match state.current.is_empty() {
        true => "none",
        false => "link",
    };
    let _ = writeln!(out, "current_kind {kind}");
    field("current", &state.current, &mut out);
    for (name, shipped) in &state.kept {
        let _ = writeln!(out, "revision {name} {} -", shipped.digest);
    }
    if let Some(saved) = state.saved.as_ref().filter(|_| state.is_armed) {
        let (digest, name) = (&saved.from_digest, &saved.from_name);
        let _ = write!(out, "unproven_digest {digest}\nunproven_name {name}\n");
    }
    if let Some(step) = &state.step {
        field("step", &step.text(&host.boot()), &mut out);
    }
    let mut shown = String::new();
    for unit in arguments {
        state.shown(unit, &mut shown);
    }
    field("show", &shown, &mut out);
    out
}

impl Step {
    fn text(&self, boot: &str) -> String {
        let [rollout, hash, digest] = &self.key;
        let way = if self.is_back { "back" } else { "forth" };
        let Self {
            from,
            to,
            from_name,
            from_digest,
            units,
            ..
        } = self;
        format!(
            "state done\nrollout {rollout}\nhash {hash}\nway {way}\nfrom {from}\nto {to}\nfrom_name {from_name}\n\
             from_digest {from_digest}\nto_digest {digest}\nboot {boot}\n{units}"
        )
    }
}

fn units(host: &Host, request: &Request) -> String {
    let mut out = format!("{}\n", host.boot());
    let state = host.state();
    for unit in &request.arguments {
        state.shown(unit, &mut out);
    }
    out
}

fn claim(host: &Host, request: &Request) -> Answer {
    let mut state = host.state();
    if !state.owner.is_empty() {
        owned(&state, request)?;
    }
    option(request, "ledger").clone_into(&mut state.owner);
    option(request, "machine").clone_into(&mut state.machine);
    option(request, "service").clone_into(&mut state.service);
    state.epoch = option(request, "epoch").parse().ok();
    Ok(String::new())
}

fn have(host: &Host, request: &Request) -> Answer {
    let state = host.state();
    let (digest, sums) = (option(request, "digest"), option(request, "sums"));
    Ok(match state.kept.get(option(request, "name")) {
        None => "absent\n",
        Some(shipped) if shipped.digest != digest => {
            return refuse("taken", "it is another revision");
        }
        Some(shipped) if sums.is_empty() || shipped.sums == sums => "whole\n",
        Some(_) => "damaged\n",
    }
    .to_owned())
}

fn switch(host: &Host, request: &Request) -> Answer {
    let mut state = host.state();
    owned(&state, request)?;
    let text = |name| option(request, name).to_owned();
    let key = [text("rollout"), text("hash"), text("digest")];
    let is_again = state.step.as_ref().is_some_and(|step| step.key == key);
    if !is_again {
        if state.current != option(request, "from") {
            let now = &state.current;
            return refuse("changed", format!("`current` points to `{now}`"));
        }
        let (digest, from_digest) = (text("digest"), text("from_digest"));
        let is_back = state.saved.take().is_some_and(|saved| {
            saved.from_digest == digest
                && saved.to_digest == from_digest
                && saved.from == option(request, "to")
        });
        state.before = std::mem::replace(&mut state.current, text("to"));
        state.drop_in = match state.running_revision() {
            Some(revision) if revision.has_environment => text("drop_in"),
            _ => String::new(),
        };
        match digest.as_str() {
            "-" => state.running.clear(),
            _ => host.restart(&mut state, request.every("unit")),
        }
        state.is_armed = !is_back && !option(request, "guard_input").is_empty();
        if !is_back {
            state.saved = Some(Saved {
                from: text("from"),
                from_name: text("from_name"),
                from_digest: from_digest.clone(),
                to_digest: digest,
            });
        }
        state.step = Some(Step {
            key,
            is_back,
            from: text("from"),
            to: text("to"),
            from_name: text("from_name"),
            from_digest,
            units: state.unit_lines(),
        });
    }
    let units = state.step.as_ref().map(|step| step.units.as_str());
    Ok(format!(
        "boot {}\n{}",
        host.boot(),
        units.unwrap_or_default()
    ))
}

fn attest(state: &State, request: &Request) -> String {
    let dir = option(request, "dir");
    let mut out = String::new();
    field("real", dir, &mut out);
    let _ = writeln!(out, "switched {}", state.starts);
    for unit in request.every("unit") {
        let Some(invocation) = state.running.get(unit) else {
            let _ = writeln!(
                out,
                "unit {unit}\nactive inactive\ninvocation \npid 0\nentered "
            );
            continue;
        };
        let _ = write!(
            out,
            "unit {unit}\nactive active\ninvocation {invocation}\npid 4242\nentered {}\n",
            state.starts
        );
        let revision = state.running_revision();
        let file = revision.and_then(|revision| revision.units.get(unit));
        if let (Some(revision), Some(file)) = (revision, file) {
            let program = file.exec_start().split(' ').next().unwrap_or_default();
            let binary = program
                .strip_prefix(&format!("{dir}/current/"))
                .unwrap_or(program);
            let path = format!("{dir}/{}/{binary}", state.current);
            field("exe", &path, &mut out);
            let sum = revision.files.get(binary);
            let _ = writeln!(out, "sha256 {}", sum.map_or("-", String::as_str));
            let _ = writeln!(out, "unit_file {}", file.sha256);
        }
        if !state.drop_in.is_empty() {
            field("drop_in", &format!("{}X", state.drop_in), &mut out);
        }
    }
    out
}

fn confirm(host: &Host, request: &Request) -> Answer {
    let mut state = host.state();
    owned(&state, request)?;
    let runs = state
        .running
        .values()
        .map(|invocation| format!("{invocation}:0"));
    let is_as_started = option(request, "digest") == "-" || runs.eq(request.every("expect"));
    if state.current != option(request, "to") || !is_as_started {
        return refuse("changed", "it does not run as it was started");
    }
    state.is_armed = false;
    state.saved = None;
    Ok("confirmed\n".to_owned())
}

fn prune(host: &Host, request: &Request) -> Answer {
    let mut state = host.state();
    owned(&state, request)?;
    let folder = |target: &str| target.trim_start_matches("revisions/").to_owned();
    let mut keep: Vec<String> = request.every("keep").map(str::to_owned).collect();
    keep.extend([folder(&state.current), folder(&state.before)]);
    keep.extend(state.saved.iter().map(|saved| folder(&saved.from)));
    let mut out = String::new();
    state.kept.retain(|name, _| {
        let stays = keep.contains(name);
        if !stays {
            field("pruned", name, &mut out);
        }
        stays
    });
    Ok(out)
}

/// Manifests and unit files; there are no others.
fn text(state: &State, request: &Request) -> String {
    let mut out = String::new();
    for path in &request.arguments {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let name = folder
            .split("/revisions/")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let revision = match name {
            Some(name) => state.kept.get(name),
            None => state.running_revision(),
        };
        let bytes = revision.and_then(|revision| match file {
            "manifest.json" => Some(revision.manifest.as_slice()),
            unit => revision.units.get(unit).map(|file| file.text.as_bytes()),
        });
        let _ = writeln!(out, "text {}", STANDARD.encode(bytes.unwrap_or_default()));
    }
    out
}
