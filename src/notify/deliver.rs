//! Takes messages and delivers them one after another, beside the rollout.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::{mail, webhook};
use crate::core::notify::{Moment, Notify};
use crate::core::program::Program;
use crate::ports::{Machines, Message, Rolled};
use crate::programs::{Ended, Mask, NotRun, Ran, Runner};

/// All variables that a program is told by.
const VARIABLES: [&str; 9] = [
    "ROLLCTL_MOMENT",
    "ROLLCTL_FLEET",
    "ROLLCTL_SERVICE",
    "ROLLCTL_ROLLOUT",
    "ROLLCTL_KIND",
    "ROLLCTL_FROM",
    "ROLLCTL_TO",
    "ROLLCTL_TEXT",
    "ROLLCTL_NEXT",
];

/// What a program that fails wrote last is told, so much of it.
const KEPT: usize = 200;

/// Takes messages; never blocks.
#[derive(Clone)]
pub struct Notifier {
    messages: UnboundedSender<Option<Message>>,
    on: Vec<Moment>,
}

/// What is being delivered.
pub struct Delivery {
    messages: UnboundedSender<Option<Message>>,
    task: JoinHandle<BTreeSet<String>>,
}

/// Begins to deliver what a notifier takes. `folder` is where programs run; `mask` takes secrets out of what they, and
/// servers, say of a failure.
pub fn notifier(
    notify: &Notify,
    folder: PathBuf,
    machines: Arc<dyn Machines>,
    mask: Mask,
) -> (Notifier, Delivery) {
    let (messages, waiting) = unbounded_channel();
    let courier = Courier {
        runner: Runner { folder, machines },
        mask,
        notify: notify.clone(),
    };
    let task = tokio::spawn(courier.deliver(waiting));
    let notifier = Notifier {
        messages: messages.clone(),
        on: notify.on.clone(),
    };
    (notifier, Delivery { messages, task })
}

impl Notifier {
    /// Sends it, if people want to be told of such.
    pub fn tell(&self, message: Message) {
        if self.on.contains(&message.moment) {
            // Whoever delivers has given up, and says so.
            let _ended = self.messages.send(Some(message));
        }
    }
}

impl Delivery {
    /// Waits until all is delivered, but no longer than that; what could not be, in words.
    pub async fn finish(mut self, patience: Duration) -> Vec<String> {
        let _ended = self.messages.send(None);
        match tokio::time::timeout(patience, &mut self.task).await {
            Ok(Ok(failures)) => failures.into_iter().collect(),
            Ok(Err(error)) => vec![format!("notifications: {error}")],
            Err(_) => {
                self.task.abort();
                vec![format!(
                    "notifications were not delivered within {patience:?}"
                )]
            }
        }
    }
}

struct Courier {
    runner: Runner,
    mask: Mask,
    notify: Notify,
}

impl Courier {
    async fn deliver(self, mut waiting: UnboundedReceiver<Option<Message>>) -> BTreeSet<String> {
        let mut failures = BTreeSet::new();
        while let Some(Some(message)) = waiting.recv().await {
            let (webhook, mail, command) =
                tokio::join!(self.post(&message), self.mail(&message), self.run(&message));
            for (way, sent) in [("webhook", webhook), ("mail", mail), ("command", command)] {
                if let Err(why) = sent {
                    let why = (self.mask)(&why);
                    tracing::warn!(way, %why, "nobody was told");
                    failures.insert(format!("notification by {way} failed: {why}"));
                }
            }
        }
        failures
    }

    async fn post(&self, message: &Message) -> Result<(), String> {
        match &self.notify.webhook {
            Some(url) => webhook::post(url, message).await,
            None => Ok(()),
        }
    }

    async fn mail(&self, message: &Message) -> Result<(), String> {
        match self.notify.mail.is_empty() {
            true => Ok(()),
            false => {
                let (program, text) = mail::mail(&self.notify, message);
                let ran = self.runner.hand(&program, text.into_bytes(), KEPT).await;
                went_well(&program, ran)
            }
        }
    }

    async fn run(&self, message: &Message) -> Result<(), String> {
        match &self.notify.command {
            Some(program) => self.run_program(program, message).await,
            None => Ok(()),
        }
    }

    async fn run_program(&self, program: &Program, message: &Message) -> Result<(), String> {
        let rollout = message.rollout.as_ref();
        let told = |what: fn(&Rolled) -> String| rollout.map_or_else(String::new, what);
        let values = [
            message.moment.as_str().to_owned(),
            message.fleet.to_string(),
            message.service.to_string(),
            told(|one| one.id.to_string()),
            told(|one| one.kind.to_string()),
            told(|one| {
                one.from
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string)
            }),
            told(|one| one.to.to_string()),
            message.text(),
            message.next.clone().unwrap_or_default(),
        ];
        let variables: Vec<_> = VARIABLES.into_iter().zip(values).collect();
        let ran = self
            .runner
            .run(program, None, &variables, &VARIABLES, KEPT)
            .await;
        went_well(program, ran)
    }
}

fn went_well(program: &Program, ran: Result<Ran, NotRun>) -> Result<(), String> {
    let ran = ran.map_err(|error| match error {
        NotRun::Here { message, hint } => format!("{message}; {hint}"),
        NotRun::There(error) => error.in_words(),
    })?;
    let said = String::from_utf8_lossy(&ran.output).trim().to_owned();
    match ran.ended {
        Ended::Exited(0) => Ok(()),
        Ended::Exited(status) => Err(format!("it ended with {status} {said:?}")),
        Ended::Killed => Err("it was killed".to_owned()),
        Ended::TimedOut => Err(format!("it took longer than {:?}", program.timeout)),
    }
}
