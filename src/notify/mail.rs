//! Mail, through the machine's own `sendmail`.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::core::notify::{Moment, Notify};
use crate::ports::Message;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Hands it over.
pub(super) async fn send(notify: &Notify, message: &Message) -> Result<(), String> {
    let name = notify.sendmail.first().map_or("", String::as_str);
    let handed = hand_over(notify, text(notify, message));
    match tokio::time::timeout(TIMEOUT, handed).await {
        Ok(sent) => sent.map_err(|error| format!("`{name}`: {error}"))?,
        Err(_) => Err(format!("`{name}` took longer than {TIMEOUT:?}")),
    }
}

async fn hand_over(notify: &Notify, text: String) -> std::io::Result<Result<(), String>> {
    let mut words = notify.sendmail.iter();
    let mut child = Command::new(words.next().map_or("", String::as_str))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not want to read says why by its status.
        let _closed = stdin.write_all(text.as_bytes()).await;
    }
    let output = child.wait_with_output().await?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(Err(format!("it ended with {} {said:?}", output.status)))
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
    let what = match message.moment {
        Moment::Start => "began",
        Moment::Finish => "completed",
        Moment::Failure => "FAILED",
        Moment::Pause => "paused",
        Moment::Hold => "waits for approval",
    };
    format!(
        "[{}] {}: {} of {} {what}",
        message.fleet, message.service, message.kind, message.to
    )
}
