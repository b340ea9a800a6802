//! News from a PostgreSQL server: who wrote something tells whoever listens, over a connection of its own.
//!
//! It only makes things faster. Whoever waits looks again after a while anyway: while nobody listens, because the server is
//! away or a pooler in between forgets who did, nothing is missed.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::{Mutex, OnceCell, watch};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::ports::News;

/// Before the server is asked again for a connection to listen on.
const AGAIN_IN: Duration = Duration::from_secs(5);

const ALL: [News; 2] = [News::Events, News::Requests];

/// Listens from the first time that somebody waits.
#[derive(Debug, Default)]
pub(crate) struct Bell(OnceCell<Listening>);

#[derive(Debug)]
struct Listening {
    /// Each kind of news with what is told of it: that there is some, not what.
    heard: BTreeMap<News, Mutex<watch::Receiver<()>>>,
    _task: AbortOnDropHandle<()>,
}

impl Bell {
    /// Waits until there has been news of that kind since the last time, or for so long.
    pub(crate) async fn wait(&self, url: &Url, news: News, at_most: Duration) {
        let listening = self
            .0
            .get_or_init(|| async { Listening::to(url.clone()) })
            .await;
        let Some(heard) = listening.heard.get(&news) else {
            return tokio::time::sleep(at_most).await;
        };
        let mut heard = heard.lock().await;
        tokio::select! {
            Ok(()) = heard.changed() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }
}

impl Listening {
    fn to(url: Url) -> Self {
        let channels: Vec<_> = ALL.map(|news| (news, watch::channel(()))).into();
        let mut heard = BTreeMap::new();
        let mut tell = BTreeMap::new();
        for (news, (sender, receiver)) in channels {
            tell.insert(channel(news), sender);
            heard.insert(news, Mutex::new(receiver));
        }
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = listen(&url, &tell).await {
                    tracing::debug!(%error, "nobody listens to the ledger for a while");
                }
                tokio::time::sleep(AGAIN_IN).await;
            }
        });
        Self {
            heard,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

fn channel(news: News) -> &'static str {
    match news {
        News::Events => "rollctl_events",
        News::Requests => "rollctl_requests",
    }
}

/// Until the connection is lost.
async fn listen(
    url: &Url,
    tell: &BTreeMap<&'static str, watch::Sender<()>>,
) -> Result<(), sqlx::Error> {
    let options = PgConnectOptions::from_url(url)?.disable_statement_logging();
    // A pool of one, because that is what a listener takes; a slow server is nobody's business here.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_slow_threshold(Duration::MAX)
        .connect_with(options)
        .await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.ignore_pool_close_event(true);
    listener.eager_reconnect(false);
    listener.listen_all(tell.keys().copied()).await?;
    // What came before may be news to whoever waits.
    tell.values().for_each(|sender| sender.send_replace(()));
    while let Some(told) = listener.try_recv().await? {
        if let Some(sender) = tell.get(told.channel()) {
            sender.send_replace(());
        }
    }
    Ok(())
}
