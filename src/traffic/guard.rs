//! The dead-man's switch of an instance that is out of traffic: armed where the balancer is told, before it is taken out,
//! so that it gets its traffic again if no controller ever comes back.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use futures::future::join_all;
use sha2::{Digest, Sha256};
use url::Url;

use super::retry::{all_well, retried};
use super::site::Site;
use crate::core::fleet::{Scope, Service};
use crate::core::ids::HostName;
use crate::ports::{Machines, Member, TrafficError};

/// Arms, sets anew and disarms.
const SCRIPT: &str = concat!(
    include_str!("../host/script/timer.sh"),
    include_str!("script/place.sh"),
    include_str!("script/speak.sh"),
    include_str!("script/guard.sh"),
);
const STOPS: &str = include_str!("script/stops.sh");

/// What lies on the machine and runs when the time is over: `put_in`, and what all switches have in common.
macro_rules! when_over {
    ($own:literal $(, $shared:literal)?) => {
        concat!(
            include_str!("../host/script/timer.sh"),
            include_str!("script/place.sh"),
            $(include_str!($shared),)?
            "\nput_in() (\n",
            include_str!($own),
            ")\n",
            include_str!("script/fire.sh")
        )
    };
}
const READY: &str = when_over!("script/ready.sh", "script/speak.sh");
const RELEASE: &str = when_over!("script/nginx.sh");
const UNMARK: &str = when_over!("script/unmark.sh");

/// For one script: it may wait for a switch that is at work, and asks systemd a few things.
const PATIENCE: Duration = Duration::from_secs(150);
/// To learn how long units may take to stop.
const STOPS_PATIENCE: Duration = Duration::from_secs(10);
/// Units whose stop may take for ever are waited for no longer than this, on their host too.
const LONGEST_STOP: Duration = Duration::from_secs(600);
/// What the instance's own host adds to the times that a switch may take (contract, section 4).
const SLACK: Duration = Duration::from_secs(30);
/// The instance's name in that of its switch; a digest follows that tells all apart.
const NAME_MAX: usize = 100;

/// What a machine does when the time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PutBack {
    /// `set server ... state ready`.
    Ready {
        /// HAProxy's socket.
        socket: String,
        /// The backend.
        backend: String,
        /// The server in it.
        server: String,
    },
    /// The line of a server as it was, and a reload.
    Line {
        /// nginx's file.
        path: String,
        /// The line as the drain writes it, and as it finds it.
        lines: [String; 2],
        /// The program.
        nginx: Vec<String>,
    },
    /// The mark is removed.
    File(String),
    /// The mark is ended by a request.
    Url(String),
}

impl PutBack {
    /// What the machine needs for it, and the socket.
    fn needs(&self) -> [&str; 2] {
        match self {
            Self::Ready { socket, .. } => ["socket", socket],
            Self::Url(_) => ["curl", ""],
            Self::Line { .. } | Self::File(_) => ["nothing", ""],
        }
    }

    fn script(&self) -> &'static str {
        match self {
            Self::Ready { .. } => READY,
            Self::Line { .. } => RELEASE,
            Self::File(_) | Self::Url(_) => UNMARK,
        }
    }

    /// Whether a machine may have it in a file.
    fn may_be_left_at(&self, post: &Post) -> Result<(), TrafficError> {
        match self {
            Self::Url(url) if Url::parse(url).is_ok_and(|url| url.password().is_some()) => {
                Err(TrafficError::lasting(
                    format!(
                        "{} cannot be armed: its URL holds a password, which is not left on a host",
                        post.place()
                    ),
                    "`drain_file` needs none",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The script's arguments, a line each.
    fn arguments(&self) -> String {
        let words: Vec<&str> = match self {
            Self::Ready {
                socket,
                backend,
                server,
            } => vec![socket, backend, server],
            Self::Line {
                path,
                lines: [drained, found],
                nginx,
            } => ["release", path, drained, found]
                .into_iter()
                .chain(nginx.iter().map(String::as_str))
                .collect(),
            Self::File(path) => vec!["file", path],
            Self::Url(url) => vec!["url", url],
        };
        let engine = base64::engine::general_purpose::STANDARD;
        let lines = words.into_iter().map(|word| engine.encode(word) + "\n");
        lines.collect()
    }
}

/// Where a switch is armed, for one instance at one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Post {
    machine: HostName,
    endpoint: String,
    name: String,
    what: String,
}

impl Post {
    fn place(&self) -> String {
        let (endpoint, machine) = (&self.endpoint, &self.machine);
        format!("{endpoint}: the dead-man's switch on `{machine}`")
    }
}

/// The switches of one service.
pub(crate) struct Guard {
    service: Service,
    /// How long a drain may take by itself.
    drain: Duration,
    machines: Arc<dyn Machines>,
    /// Endpoints of which it was told that nothing can be armed there.
    told: Mutex<BTreeSet<String>>,
}

impl Guard {
    pub(crate) fn new(service: &Service, drain: Duration, machines: Arc<dyn Machines>) -> Self {
        Self {
            service: service.clone(),
            drain,
            machines,
            told: Mutex::default(),
        }
    }

    /// The switch of an instance at an endpoint, `target` in it, on that machine.
    pub(crate) fn post(
        &self,
        site: &Site,
        member: &Member,
        machine: &HostName,
        endpoint: &str,
        target: &str,
    ) -> Post {
        let port = site.port(member).map(|port| port.to_string());
        let port = port.unwrap_or_default();
        let parts = [
            self.service.name.as_str(),
            member.host.as_str(),
            &port,
            endpoint,
            target,
        ];
        let digest = hex::encode(Sha256::digest(parts.join("\0").as_bytes()));
        let plain = |text: &str| -> String {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let text = text.chars().map(|c| if is_plain(c) { c } else { '_' });
            text.take(NAME_MAX).collect()
        };
        let (service, host) = (
            plain(self.service.name.as_str()),
            plain(member.host.as_str()),
        );
        let digest = digest.get(..8).unwrap_or_default();
        Post {
            machine: machine.clone(),
            endpoint: endpoint.to_owned(),
            name: format!("rollctl-{service}-traffic-{host}-{digest}"),
            what: format!("{service} on {host}"),
        }
    }

    /// Arms it where the instance is in, before it is taken out; where it is out, what is armed already gets its whole time
    /// again. Why that cannot be, if so: the drain goes on without.
    pub(crate) async fn before_drain(
        &self,
        member: &Member,
        post: &Post,
        put_back: &PutBack,
        is_in: bool,
    ) -> Option<String> {
        let done = match is_in {
            true => self.arm(member, post, put_back).await,
            // Who was out before, with nothing armed, was taken out by somebody else.
            false => self.again(post).await,
        };
        done.err().map(|error| error.in_words())
    }

    /// Gives those that are armed their whole time again.
    pub(crate) async fn prolong(&self, posts: Vec<(Post, PutBack)>) -> Result<(), TrafficError> {
        let asked = posts
            .iter()
            .map(|(post, _)| async { (post.endpoint.clone(), self.again(post).await) });
        all_well("its dead-man's switch is set anew", join_all(asked).await).map(drop)
    }

    /// Disarms all of them.
    pub(crate) async fn disarm_all(&self, posts: Vec<(Post, PutBack)>) -> Result<(), TrafficError> {
        let asked = posts
            .iter()
            .map(|(post, _)| async { (post.endpoint.clone(), self.disarm(post).await) });
        all_well("it is disarmed", join_all(asked).await).map(drop)
    }

    /// Where none could be armed, told once of each endpoint.
    pub(crate) async fn gaps(&self, posts: Vec<(Post, PutBack)>) -> Vec<String> {
        let asked = posts.iter().map(|(post, put_back)| async {
            (post.endpoint.clone(), self.gap(post, put_back).await)
        });
        self.told_once(join_all(asked).await)
    }

    /// Those that were not told of their endpoint before.
    pub(crate) fn told_once(&self, gaps: Vec<(String, Option<String>)>) -> Vec<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let gaps = gaps.into_iter();
        let found = gaps.filter_map(|(endpoint, gap)| Some((endpoint, gap?)));
        found
            .filter_map(|(endpoint, gap)| told.insert(endpoint).then_some(gap))
            .collect()
    }

    async fn arm(
        &self,
        member: &Member,
        post: &Post,
        put_back: &PutBack,
    ) -> Result<(), TrafficError> {
        put_back.may_be_left_at(post)?;
        let window = self.window(member).await;
        let [needs, socket] = put_back.needs();
        let arguments = [
            needs,
            socket,
            put_back.script(),
            &put_back.arguments(),
            &window.as_secs().to_string(),
            &post.what,
        ];
        self.ask("arm", post, &arguments).await?;
        tracing::debug!(endpoint = %post.endpoint, name = %post.name, ?window, "armed");
        Ok(())
    }

    /// Gives the whole time again to one that is armed.
    async fn again(&self, post: &Post) -> Result<(), TrafficError> {
        self.ask("again", post, &[]).await
    }

    /// Disarms it and reads that back; nothing to do where nothing is armed.
    pub(crate) async fn disarm(&self, post: &Post) -> Result<(), TrafficError> {
        self.ask("disarm", post, &[]).await
    }

    /// Why nothing could be armed there.
    async fn gap(&self, post: &Post, put_back: &PutBack) -> Option<String> {
        let able = match put_back.may_be_left_at(post) {
            Ok(()) => self.ask("able", post, &put_back.needs()).await,
            Err(error) => Err(error),
        };
        able.err().map(|error| error.in_words())
    }

    async fn ask(&self, verb: &str, post: &Post, more: &[&str]) -> Result<(), TrafficError> {
        let mut arguments = vec![verb.to_owned(), post.name.clone()];
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        let end = retried(|| async {
            self.machines
                .run(&post.machine, SCRIPT, &arguments, PATIENCE)
                .await
                .map_err(|error| TrafficError::of_host(&post.place(), error))
        })
        .await?;
        let answer = String::from_utf8_lossy(&end.stdout).into_owned();
        let answer = answer.trim();
        if end.status == 0 && ["armed", "none"].contains(&answer) {
            return Ok(());
        }
        let cannot = answer.strip_prefix("cannot ");
        let (code, why) = cannot.and_then(|rest| rest.split_once(' ')).map_or_else(
            || {
                let complaint = end.stderr.trim();
                (
                    "",
                    format!("its script ended with {}: {complaint}", end.status),
                )
            },
            |(code, text)| (code, text.to_owned()),
        );
        let what = match verb {
            "able" | "arm" => "cannot be armed",
            "again" => "cannot be set anew",
            _ => "cannot be disarmed",
        };
        Err(TrafficError {
            message: format!("{} {what}: {why}", post.place()),
            hint: hint(code, &post.name),
            is_passing: code == "busy",
        })
    }

    /// The drain, then what the instance's own host needs to put itself back (its stop, and `deadline`, there and back), so
    /// that the instance is not sent anything before it is.
    async fn window(&self, member: &Member) -> Duration {
        let (health, strategy) = (&self.service.health, &self.service.strategy);
        let switch = self.stops(member).await + health.deadline;
        self.drain + switch * 2 + strategy.min_ready + SLACK
    }

    /// What the instance's units may take to stop, by their own timeouts.
    async fn stops(&self, member: &Member) -> Duration {
        let units = &self.service.units;
        let scope = match self.service.scope {
            Scope::System => "system",
            Scope::User => "user",
        };
        let mut arguments = vec![LONGEST_STOP.as_secs().to_string(), scope.to_owned()];
        arguments.extend(units.iter().map(ToString::to_string));
        let end = self
            .machines
            .run(&member.host, STOPS, &arguments, STOPS_PATIENCE)
            .await;
        let seconds = end.ok().and_then(|end| {
            let answer = String::from_utf8(end.stdout).ok()?;
            answer.trim().parse().ok().map(Duration::from_secs)
        });
        let most = LONGEST_STOP * u32::try_from(units.len()).unwrap_or(1);
        seconds.map_or(most, |seconds| seconds.min(most))
    }
}

fn hint(code: &str, name: &str) -> Option<String> {
    Some(match code {
        "linger" => {
            "`become = \"sudo\"` in the host, or `loginctl enable-linger` for that user".to_owned()
        }
        "tool" => {
            "install it there (for a socket: perl, python3, socat, or `nc` with `-U`)".to_owned()
        }
        "timer" => format!("`systemctl status {name}.timer` there"),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
