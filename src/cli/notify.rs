//! People who do not watch, told beside whoever does.

use std::sync::Arc;
use std::time::Duration;

use super::screen::Screen;
use crate::core::decision::Decision;
use crate::core::event::RecordedEvent;
use crate::core::fleet::Fleet;
use crate::core::ids::FleetName;
use crate::core::notify::Webhook;
use crate::core::rollout::RolloutState;
use crate::notify::{Delivery, Notifier, notifier};
use crate::ports::{Machines, Message, Progress, Reporter};
use crate::report::mask::Secrets;
use crate::report::telling::message;

/// How long the end of a rollout waits for its last messages.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reporter that also tells people who do not watch.
struct Telling {
    inner: Box<dyn Reporter>,
    notifier: Notifier,
    fleet: FleetName,
    secrets: Secrets,
}

impl Reporter for Telling {
    fn events(&self, recorded: &[RecordedEvent], state: &RolloutState) {
        self.inner.events(recorded, state);
        let told = recorded.iter();
        for message in told.filter_map(|event| message(event, state, &self.fleet)) {
            self.notifier.tell(masked(message, &self.secrets));
        }
    }

    fn waiting(&self, state: &RolloutState, decision: &Decision) {
        self.inner.waiting(state, decision);
    }

    fn progress(&self, progress: &Progress) {
        self.inner.progress(progress);
    }
}

fn masked(message: Message, secrets: &Secrets) -> Message {
    Message {
        summary: secrets.mask(&message.summary),
        details: message
            .details
            .iter()
            .map(|line| secrets.mask(line))
            .collect(),
        ..message
    }
}

/// The reporter, and what it has sent that is still on its way; nothing where nobody is to be told.
pub(crate) fn telling(
    inner: Box<dyn Reporter>,
    fleet: &Fleet,
    machines: &Arc<dyn Machines>,
    secrets: Secrets,
) -> (Arc<dyn Reporter>, Option<Delivery>) {
    let Some(notify) = &fleet.notify else {
        return (Arc::from(inner), None);
    };
    let masked = secrets.clone();
    let mask = Box::new(move |text: &str| masked.mask(text));
    let (notifier, delivery) = notifier(notify, fleet.folder.clone(), machines.clone(), mask);
    let reporter = Telling {
        inner,
        notifier,
        fleet: fleet.name.clone(),
        secrets,
    };
    (Arc::new(reporter), Some(delivery))
}

/// What tells people of something that is no rollout; nothing where nobody is to be told.
pub(crate) fn notifier_of(
    fleet: &Fleet,
    machines: Arc<dyn Machines>,
) -> Option<(Notifier, Delivery)> {
    let notify = fleet.notify.as_ref()?;
    let secrets = Secrets::of(secret(fleet));
    let mask = Box::new(move |text: &str| secrets.mask(text));
    Some(notifier(notify, fleet.folder.clone(), machines, mask))
}

/// Waits for what is on its way, unless somebody asks to stop, and says what did not arrive: that nobody was told fails no
/// rollout. Not under the lease: whoever goes on in the meantime does not wait for it.
pub(crate) async fn finish(delivery: Option<Delivery>, screen: &mut Screen) {
    let Some(delivery) = delivery else {
        return;
    };
    let failures = tokio::select! {
        failures = delivery.finish(PATIENCE) => failures,
        Ok(()) = tokio::signal::ctrl_c() => vec!["notifications on their way were not waited for".to_owned()],
    };
    for failure in failures {
        screen.note(&format!("warning: {failure}\n"));
    }
}

/// The webhook's URL, which no text may show.
pub(crate) fn secret(fleet: &Fleet) -> Option<String> {
    match fleet.notify.as_ref()?.webhook.as_ref()? {
        Webhook::Url(url) => Some(url.clone()),
        Webhook::Env(name) => std::env::var(name).ok(),
    }
}
