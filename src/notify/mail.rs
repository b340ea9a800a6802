//! Mail, through the machine's own `sendmail`.

use std::time::Duration;

use crate::core::notify::{Moment, Notify};
use crate::core::program::{Program, RunsOn};
use crate::ports::Message;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Who takes it, and what: the text is for its standard input.
pub(super) fn mail(notify: &Notify, message: &Message) -> (Program, String) {
    let program = Program {
        on: RunsOn::Controller,
        run: notify.sendmail.clone(),
        timeout: TIMEOUT,
    };
    (program, text(notify, message))
}

/// The mail with its head. What stands in the head was checked by the inventory, or is made of names.
fn text(notify: &Notify, message: &Message) -> String {
    let mut head = vec![
        format!("To: {}", notify.mail.join(", ")),
        format!("Subject: {}", subject(message)),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=utf-8".to_owned(),
        "Content-Transfer-Encoding: 8bit".to_owned(),
        // RFC 3834: no holiday notice answers it.
        "Auto-Submitted: auto-generated".to_owned(),
    ];
    head.extend(notify.from.as_ref().map(|from| format!("From: {from}")));
    format!("{}\n\n{}\n", head.join("\n"), message.text())
}

fn subject(message: &Message) -> String {
    let Some(rollout) = &message.rollout else {
        return format!("[{}] {}: held", message.fleet, message.service);
    };
    let what = match message.moment {
        Moment::Start => "began",
        Moment::Finish => "completed",
        Moment::Failure => "FAILED",
        Moment::Pause => "paused",
        Moment::Hold => "waits for approval",
    };
    format!(
        "[{}] {}: {} of {} {what}",
        message.fleet, message.service, rollout.kind, rollout.to
    )
}
