//! Driver `health`: the instance's own health says no, and the balancer that polls it draws its conclusion.
//!
//! Nothing tells when it has. So the drain waits as long as the balancer needs to see `fall` failed polls, and then the
//! whole `drain_timeout` for what is under way; putting in waits for `rise` good polls, since the next instance must not be
//! taken out before the balancer uses this one again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Method};
use tokio::time::sleep;

use super::guard::{Guard, Post, PutBack};
use super::http::{client, parsed, presentable, send};
use super::retry::retried;
use super::site::Site;
use crate::core::fleet::Service;
use crate::core::traffic::DrainMark;
use crate::core::traffic_state::TrafficSight;
use crate::ports::{Drained, Machines, Member, Traffic, TrafficError};

/// The endpoint's name: the balancers behind it are not known.
const NAME: &str = "health";
/// For one script or one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// A poll that began before the mark, and its timeout, come on top; not more than this of slow polls.
const MARGIN: Duration = Duration::from_secs(2);

const SCRIPT: &str = r#"case $1 in
look) if [ -e "$2" ]; then echo there; else echo gone; fi ;;
mark) mkdir -p -- "${2%/*}" && : >"$2" && echo there ;;
unmark) rm -f -- "$2" && if [ -e "$2" ]; then echo there; else echo gone; fi ;;
esac
"#;

/// Marks that make instances say no.
pub(crate) struct Marks {
    site: Site,
    through: DrainMark,
    out_after: Duration,
    in_after: Duration,
    drain_timeout: Duration,
    machines: Arc<dyn Machines>,
    client: Client,
    guard: Guard,
}

/// How a balancer polls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Polling {
    /// How often.
    pub(crate) poll: Duration,
    /// So many failed polls in a row, and it sends nothing more.
    pub(crate) fall: u32,
    /// So many good ones, and it sends again.
    pub(crate) rise: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Look,
    Mark,
    Unmark,
}

impl Marks {
    pub(crate) fn new(
        service: &Service,
        site: Site,
        through: &DrainMark,
        polling: Polling,
        drain_timeout: Duration,
        machines: Arc<dyn Machines>,
    ) -> Result<Self, TrafficError> {
        let url = match through {
            DrainMark::Url(url) => Some(url.as_str()),
            DrainMark::File(_) => None,
        };
        let Polling { poll, fall, rise } = polling;
        let margin = poll.min(MARGIN);
        let out_after = poll.saturating_mul(fall) + margin;
        Ok(Self {
            client: client(url)?,
            guard: Guard::new(service, out_after + drain_timeout, Arc::clone(&machines)),
            site,
            through: through.clone(),
            out_after,
            in_after: poll.saturating_mul(rise) + margin,
            drain_timeout,
            machines,
        })
    }

    /// What would remove the mark again, on the instance's own host.
    fn posts(&self, member: &Member) -> Result<Vec<(Post, PutBack)>, TrafficError> {
        let (target, put_back) = match &self.through {
            DrainMark::File(path) => {
                let path = self.site.fill(path, member)?;
                (path.clone(), PutBack::File(path))
            }
            DrainMark::Url(url) => {
                let url = self.site.fill(url, member)?;
                (url.clone(), PutBack::Url(url))
            }
        };
        let post = (self.guard).post(&self.site, member, &member.host, NAME, &target);
        Ok(vec![(post, put_back)])
    }

    /// Whether the mark is there afterwards.
    async fn ask(&self, ask: Ask, member: &Member) -> Result<bool, TrafficError> {
        match &self.through {
            DrainMark::File(path) => self.file(ask, &self.site.fill(path, member)?, member).await,
            DrainMark::Url(url) => self.url(ask, &self.site.fill(url, member)?).await,
        }
    }

    async fn file(&self, ask: Ask, path: &str, member: &Member) -> Result<bool, TrafficError> {
        let verb = match ask {
            Ask::Look => "look",
            Ask::Mark => "mark",
            Ask::Unmark => "unmark",
        };
        let arguments = [verb.to_owned(), path.to_owned()];
        let name = format!("`{path}` on `{}`", member.host);
        let end = retried(|| async {
            self.machines
                .run(&member.host, SCRIPT, &arguments, PATIENCE)
                .await
                .map_err(|error| TrafficError::of_host(&name, error))
        })
        .await?;
        match String::from_utf8_lossy(&end.stdout).trim() {
            "there" => Ok(true),
            "gone" => Ok(false),
            _ => Err(TrafficError::lasting(
                format!("{name} cannot be changed: {}", end.stderr.trim()),
                "may who does the work on the host write there? `/run` belongs to root",
            )),
        }
    }

    async fn url(&self, ask: Ask, url: &str) -> Result<bool, TrafficError> {
        let url = parsed(url)?;
        let (method, is_marked) = match ask {
            Ask::Look => (Method::GET, None),
            Ask::Mark => (Method::POST, Some(true)),
            Ask::Unmark => (Method::DELETE, Some(false)),
        };
        let reply = send(&self.client, &method, &url, None, PATIENCE).await?;
        match (reply.status, is_marked) {
            (200..=299, None) => Ok(true),
            (404, None) => Ok(false),
            (200..=299, Some(is_marked)) => Ok(is_marked),
            _ => Err(TrafficError::lasting(
                format!("{method} {} {}", presentable(&url), reply.shown()),
                "`POST` begins the drain, `DELETE` ends it, `GET` answers 200 while it lasts and 404 otherwise",
            )),
        }
    }

    /// Asks for it, and looks again.
    async fn put(&self, is_marked: bool, member: &Member) -> Result<(), TrafficError> {
        let ask = if is_marked { Ask::Mark } else { Ask::Unmark };
        self.ask(ask, member).await?;
        if self.ask(Ask::Look, member).await? == is_marked {
            return Ok(());
        }
        Err(TrafficError::lasting(
            format!(
                "the drain mark of `{}` is not as it was just made",
                member.host
            ),
            "somebody else makes or removes it",
        ))
    }
}

#[async_trait]
impl Traffic for Marks {
    async fn observe(&self, member: &Member) -> Result<TrafficSight, TrafficError> {
        let mut attachment = TrafficSight::default();
        match self.ask(Ask::Look, member).await? {
            true => attachment.detached.insert(NAME.to_owned()),
            false => attachment.attached.insert(NAME.to_owned()),
        };
        Ok(attachment)
    }

    async fn drain(&self, member: &Member) -> Result<Drained, TrafficError> {
        let is_marked = self.ask(Ask::Look, member).await?;
        let mut unguarded = Vec::new();
        for (post, put_back) in self.posts(member)? {
            let gap = self
                .guard
                .before_drain(member, &post, &put_back, !is_marked)
                .await;
            unguarded.push((NAME.to_owned(), gap));
        }
        self.put(true, member).await?;
        // Also where it was there before: how long, nobody knows.
        sleep(self.out_after + self.drain_timeout).await;
        Ok(Drained {
            sessions_left: 0,
            unguarded: self.guard.told_once(unguarded),
        })
    }

    /// What does not run yet cannot be asked to say no, and if it did it would never get ready.
    async fn close(&self, _member: &Member) -> Result<(), TrafficError> {
        Ok(())
    }

    async fn prolong(&self, member: &Member) -> Result<(), TrafficError> {
        self.guard.prolong(self.posts(member)?).await
    }

    async fn started(&self, member: &Member) -> Result<(), TrafficError> {
        self.put(false, member).await
    }

    async fn attach(
        &self,
        member: &Member,
        except: &BTreeSet<String>,
        works: bool,
    ) -> Result<(), TrafficError> {
        if except.contains(NAME) {
            return Ok(());
        }
        self.put(false, member).await?;
        match self.stays_out(member).await {
            // By a URL it is in without its host; what is armed there would only put it in once more.
            Err(error) if error.is_passing && matches!(self.through, DrainMark::Url(_)) => {
                tracing::warn!(error = %error.in_words(), "a dead-man's switch was not disarmed");
            }
            disarmed => disarmed?,
        }
        if works {
            sleep(self.in_after).await;
        }
        Ok(())
    }

    async fn stays_out(&self, member: &Member) -> Result<(), TrafficError> {
        self.guard.disarm_all(self.posts(member)?).await
    }

    async fn unguarded(&self, member: &Member) -> Result<Vec<String>, TrafficError> {
        Ok(self.guard.gaps(self.posts(member)?).await)
    }
}
