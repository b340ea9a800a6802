//! `systemd-run`: transient services and timers. With `--pipe` the output comes back, but there is no input.

use super::answer::Answer;
use super::options::{self, Known, Word, flag, value};
use super::systemctl::unit_name;
use crate::systemd::{JobKind, Manager, Match, Outcome, SharedManager, Transient};

const KNOWN: [Known; 22] = [
    flag("user", None),
    flag("no-block", None),
    flag("wait", None),
    flag("collect", Some('G')),
    flag("quiet", Some('q')),
    flag("pipe", Some('P')),
    flag("same-dir", Some('d')),
    flag("remain-after-exit", Some('r')),
    flag("no-ask-password", None),
    flag("scope", None),
    value("unit", Some('u')),
    value("property", Some('p')),
    value("description", None),
    value("setenv", Some('E')),
    value("working-directory", None),
    value("service-type", None),
    value("on-active", None),
    value("on-boot", None),
    value("on-startup", None),
    value("timer-property", None),
    value("slice", None),
    value("uid", None),
];

#[derive(Default)]
struct Request {
    user: bool,
    no_block: bool,
    wait: bool,
    quiet: bool,
    pipe: bool,
    transient: Transient,
}

pub(super) async fn run(manager: &SharedManager, arguments: &[String]) -> Answer {
    let request = match options::read("systemd-run", &KNOWN, arguments, true) {
        Ok(words) => sort(words),
        Err(answer) => return answer,
    };
    if !request.user {
        return Answer::failure(
            1,
            "Failed to start transient service unit: Interactive authentication required.",
        );
    }
    if request.transient.command.is_empty() {
        return Answer::failure(1, "Command line to execute required.");
    }
    start(manager, request).await
}

fn sort(words: Vec<Word>) -> Request {
    let mut request = Request::default();
    let transient = &mut request.transient;
    for word in words {
        match word {
            Word::Operand(operand) => transient.command.push(operand),
            Word::Option("user", _) => request.user = true,
            Word::Option("collect", _) => transient.collect = true,
            Word::Option("no-block", _) => request.no_block = true,
            Word::Option("wait", _) => request.wait = true,
            Word::Option("quiet", _) => request.quiet = true,
            Word::Option("pipe", _) => {
                request.pipe = true;
                request.wait = true;
            }
            Word::Option("unit", unit) => transient.unit = unit_name(&unit),
            Word::Option("property", property) => transient.properties.push(property),
            Word::Option("description", text) => transient.description = Some(text),
            Word::Option("setenv", variable) => transient
                .properties
                .push(format!("Environment=\"{variable}\"")),
            Word::Option("working-directory", folder) => transient
                .properties
                .push(format!("WorkingDirectory={folder}")),
            Word::Option("service-type", kind) => transient.properties.push(format!("Type={kind}")),
            Word::Option("remain-after-exit", _) => {
                transient.properties.push("RemainAfterExit=yes".to_owned())
            }
            Word::Option("on-active" | "on-boot" | "on-startup", span) => {
                transient.timer.push(format!("OnActiveSec={span}"))
            }
            Word::Option("timer-property", property) => transient.timer.push(property),
            Word::Option(..) => {}
        }
    }
    if transient.unit.is_empty() {
        transient.unit = format!("run-r{}.service", crate::systemd::invocation_id());
    }
    request
}

async fn start(manager: &SharedManager, request: Request) -> Answer {
    let transient = &request.transient;
    let with_timer = !transient.timer.is_empty();
    let kind = if with_timer { "timer" } else { "service" };
    let first = if with_timer {
        transient.timer_unit()
    } else {
        transient.unit.clone()
    };
    let made = Manager::lock(manager).make_transient(transient);
    let refused = |reason: String| {
        Answer::failure(
            1,
            format!("Failed to start transient {kind} unit: {reason}"),
        )
    };
    match made {
        Ok(true) => {}
        Ok(false) => {
            return refused(format!(
                "Unit {} was already loaded or has a fragment file.",
                transient.unit
            ));
        }
        Err(error) => return refused(error.to_string()),
    }
    let job = Manager::lock(manager).submit(&first, JobKind::Start);
    let Ok(job) = job else {
        return refused(format!("Unit {first} has a bad unit file setting."));
    };
    let mut answer = Answer::default();
    if !request.quiet && with_timer {
        answer.complain(format!("Running timer as unit: {first}"));
        answer.complain(format!("Will run service as unit: {}", transient.unit));
    } else if !request.quiet {
        answer.complain(format!("Running as unit: {first}"));
    }
    if !request.no_block && job.await.is_err() {
        return refused("the host went down".to_owned());
    }
    if request.wait && !with_timer {
        finish(manager, &request, &mut answer).await;
    }
    answer
}

/// `--wait`: the exit code of the service is that of the command.
async fn finish(manager: &SharedManager, request: &Request, answer: &mut Answer) {
    let unit = &request.transient.unit;
    let end = Manager::lock(manager).end_of(unit);
    let (outcome, status) = end.await.unwrap_or((Outcome::Success, 0));
    answer.code = if outcome == Outcome::Signal {
        255
    } else {
        status
    };
    if request.pipe {
        let manager = Manager::lock(manager);
        let lines = manager.journal.select(
            &[vec![Match::Field(
                "_SYSTEMD_USER_UNIT".to_owned(),
                unit.clone(),
            )]],
            None,
        );
        lines.iter().for_each(|entry| answer.say(&entry.message));
    }
}
