//! Driver `nginx`: a file with the service's `upstream` on every balancer, written there by one fixed script.
//!
//! A change is one step: the file is replaced, nginx tests it, is reloaded, and has to show workers that began after that.
//! What went before lies beside it until then, so that a change that was cut off is seen and brought to its end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use futures::future::join_all;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::guard::{Guard, Post, PutBack};
use super::nginx_file::{Strange, changed, fresh, is_in, lines_of};
use super::retry::{all_well, retried};
use super::site::Site;
use crate::core::traffic::RemoteFile;
use crate::core::traffic_state::TrafficSight;
use crate::ports::{Drained, Machines, Member, ScriptEnd, Traffic, TrafficError};

const SCRIPT: &str = include_str!("script/nginx.sh");
/// A test, a reload, and the wait for its workers (10 s); a queue for the file's lock comes before (60 s).
const PATIENCE: Duration = Duration::from_secs(120);
/// Somebody else changes the file between our look and our step, so often.
const AGAIN: u32 = 10;

/// The nginxs in front of a service.
pub(crate) struct Nginx {
    pub(crate) site: Site,
    pub(crate) endpoints: Vec<RemoteFile>,
    pub(crate) upstream: String,
    pub(crate) server: String,
    pub(crate) nginx: Vec<String>,
    pub(crate) drain_timeout: Duration,
    pub(crate) machines: Arc<dyn Machines>,
    pub(crate) guard: Guard,
}

/// What lies on a balancer.
struct Seen {
    /// The file's text; nothing where there is none.
    file: Option<String>,
    /// What it was before a change that nginx may not have taken in; empty: there was none.
    pending: Option<String>,
}

impl Nginx {
    async fn script(
        &self,
        endpoint: &RemoteFile,
        arguments: Vec<String>,
        patience: Duration,
    ) -> Result<ScriptEnd, TrafficError> {
        // A step that was cut off may be asked again: it compares before it writes.
        retried(|| async {
            self.machines
                .run(&endpoint.host, SCRIPT, &arguments, patience)
                .await
                .map_err(|error| TrafficError::of_host(&endpoint.to_string(), error))
        })
        .await
    }

    async fn look(&self, endpoint: &RemoteFile) -> Result<Seen, TrafficError> {
        let arguments = vec!["read".to_owned(), endpoint.path.clone()];
        let end = self.script(endpoint, arguments, PATIENCE).await?;
        if end.status != 0 {
            return Err(self.broken(endpoint, &end));
        }
        let answer = String::from_utf8_lossy(&end.stdout).into_owned();
        let text = |word: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(word))?;
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(line.trim())
                .ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Seen {
            file: text("file "),
            pending: text("pending "),
        })
    }

    fn address(&self, member: &Member) -> Result<String, TrafficError> {
        self.site.fill(&self.server, member)
    }

    /// All ordinary members, for a file that is not there yet.
    fn everybody(&self, member: &Member) -> Vec<String> {
        self.site
            .members
            .iter()
            .filter_map(|host| {
                let other = Member {
                    host: host.clone(),
                    port: member.port,
                };
                self.address(&other).ok()
            })
            .collect()
    }

    /// Writes the server in or down and reloads; the workers of before. Nothing when nginx runs so already.
    async fn change(
        &self,
        endpoint: &RemoteFile,
        member: &Member,
        wanted: bool,
    ) -> Result<Option<Vec<String>>, TrafficError> {
        let address = self.address(member)?;
        for _ in 0..AGAIN {
            let seen = self.look(endpoint).await?;
            let wished = match &seen.file {
                Some(text) => changed(text, &address, wanted)
                    .map_err(|strange| not_understood(endpoint, &strange))?,
                None if wanted => Some(fresh(&self.upstream, &address, &self.everybody(member))),
                None => None,
            };
            let content = match (wished, seen.pending) {
                (Some(content), _) => content,
                (None, None) => return Ok(None),
                // The file says so, but a change of it was cut off: nginx has to take it in.
                (None, Some(_)) => match &seen.file {
                    Some(text) => text.clone(),
                    None => return Ok(None),
                },
            };
            let before = seen.file.as_deref().map_or_else(
                || "none".to_owned(),
                |text| hex::encode(Sha256::digest(text.as_bytes())),
            );
            let mut arguments = vec!["apply".to_owned(), endpoint.path.clone(), before, content];
            arguments.extend(self.nginx.iter().cloned());
            let end = self.script(endpoint, arguments, PATIENCE).await?;
            match end.status {
                0 => return Ok(Some(workers(&end.stdout))),
                40 => {}
                _ => return Err(self.broken(endpoint, &end)),
            }
        }
        Err(TrafficError::passing(format!(
            "{endpoint}: the file changed whenever it was to be written"
        )))
    }

    /// Waits for the workers that began before the reload; how many are left.
    async fn wait_for(
        &self,
        endpoint: &RemoteFile,
        workers: &[String],
        deadline: Instant,
    ) -> Result<u64, TrafficError> {
        let time = deadline.saturating_duration_since(Instant::now());
        let mut arguments = vec![
            "wait".to_owned(),
            endpoint.path.clone(),
            (time.as_millis() / 100).to_string(),
            workers.len().to_string(),
        ];
        arguments.extend(workers.iter().cloned());
        arguments.extend(self.nginx.iter().cloned());
        // Each look takes the host a while, too.
        let end = self
            .script(endpoint, arguments, time * 4 + PATIENCE)
            .await?;
        let answer = String::from_utf8_lossy(&end.stdout).into_owned();
        match answer.lines().find_map(|line| line.strip_prefix("left ")) {
            Some(count) if end.status == 0 => Ok(count.trim().parse().unwrap_or(0)),
            _ => Err(self.broken(endpoint, &end)),
        }
    }

    fn post(&self, endpoint: &RemoteFile, member: &Member) -> Result<Post, TrafficError> {
        let (machine, name) = (&endpoint.host, endpoint.to_string());
        let address = self.address(member)?;
        Ok(self
            .guard
            .post(&self.site, member, machine, &name, &address))
    }

    fn posts(&self, member: &Member) -> Result<Vec<(Post, PutBack)>, TrafficError> {
        let posts = self.endpoints.iter().map(|endpoint| {
            let post = self.post(endpoint, member)?;
            Ok((
                post,
                self.put_back(endpoint, [String::new(), String::new()]),
            ))
        });
        posts.collect()
    }

    fn put_back(&self, endpoint: &RemoteFile, lines: [String; 2]) -> PutBack {
        PutBack::Line {
            path: endpoint.path.clone(),
            lines,
            nginx: self.nginx.clone(),
        }
    }

    /// Arms what puts the line back that is there now. A change that was cut off counts as out, but its line is what was
    /// there before it.
    async fn guard_at(
        &self,
        endpoint: &RemoteFile,
        member: &Member,
    ) -> Result<Option<String>, TrafficError> {
        let address = self.address(member)?;
        let seen = self.look(endpoint).await?;
        let lines = match &seen.file {
            Some(text) => {
                lines_of(text, &address).map_err(|strange| not_understood(endpoint, &strange))?
            }
            None => None,
        };
        let is_in = lines.is_some();
        let put_back = self.put_back(endpoint, lines.unwrap_or_default());
        let post = self.post(endpoint, member)?;
        let asked = self.guard.before_drain(member, &post, &put_back, is_in);
        Ok(asked.await)
    }

    async fn drain_at(
        &self,
        endpoint: &RemoteFile,
        member: &Member,
    ) -> Result<(u64, Option<String>), TrafficError> {
        let gap = self.guard_at(endpoint, member).await?;
        let workers = self.change(endpoint, member, false).await?;
        let deadline = Instant::now() + self.drain_timeout;
        let left = match workers {
            Some(workers) if workers.is_empty() => 0,
            Some(workers) => self.wait_for(endpoint, &workers, deadline).await?,
            // It was out: whoever still leaves may have requests with it.
            None => self.wait_for(endpoint, &[], deadline).await?,
        };
        self.read_back(endpoint, member, false).await?;
        Ok((left, gap))
    }

    async fn close_at(&self, endpoint: &RemoteFile, member: &Member) -> Result<(), TrafficError> {
        self.guard.disarm(&self.post(endpoint, member)?).await?;
        // Nothing serves there, so that no worker has anything to finish with it.
        self.change(endpoint, member, false).await?;
        self.read_back(endpoint, member, false).await
    }

    async fn attach_at(&self, endpoint: &RemoteFile, member: &Member) -> Result<(), TrafficError> {
        self.change(endpoint, member, true).await?;
        self.read_back(endpoint, member, true).await?;
        self.guard.disarm(&self.post(endpoint, member)?).await
    }

    async fn read_back(
        &self,
        endpoint: &RemoteFile,
        member: &Member,
        wanted: bool,
    ) -> Result<(), TrafficError> {
        if self.is_attached(endpoint, member).await? == wanted {
            return Ok(());
        }
        Err(TrafficError::lasting(
            format!("{endpoint}: what was written is not there any more"),
            "somebody else writes this file: leave it to rollctl",
        ))
    }

    /// As the file says, and as it said before a change that was cut off.
    async fn is_attached(
        &self,
        endpoint: &RemoteFile,
        member: &Member,
    ) -> Result<bool, TrafficError> {
        let address = self.address(member)?;
        let seen = self.look(endpoint).await?;
        for text in [seen.file.as_deref(), seen.pending.as_deref()]
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
        {
            if !is_in(text, &address).map_err(|strange| not_understood(endpoint, &strange))? {
                return Ok(false);
            }
        }
        Ok(seen.file.is_some())
    }

    fn broken(&self, endpoint: &RemoteFile, end: &ScriptEnd) -> TrafficError {
        let said = [String::from_utf8_lossy(&end.stdout).as_ref(), &end.stderr]
            .iter()
            .flat_map(|text| text.lines())
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let said = said
            .get(said.len().saturating_sub(4)..)
            .unwrap_or_default()
            .join("; ");
        let nginx = self.nginx.join(" ");
        let (what, hint) = match end.status {
            41 => (
                format!("`{nginx} -t` refuses the configuration; the file is as it was before"),
                "is another part of nginx's configuration broken, or the upstream there twice?".to_owned(),
            ),
            42 => (
                "nginx does not run there; the file is as it was before".to_owned(),
                format!("start it; its pid is looked for where `{nginx} -T` says"),
            ),
            43 => (
                "nginx did not take the new configuration in; the file is as it was before".to_owned(),
                "look at nginx's error log".to_owned(),
            ),
            44 => (
                "the file cannot be written".to_owned(),
                "is the folder there, and may who does the work write it? `become = \"sudo\"` in the host makes it root".to_owned(),
            ),
            status => (
                format!("the script ended with status {status}"),
                "the host needs coreutils, flock, grep, sed and /proc".to_owned(),
            ),
        };
        let separator = if said.is_empty() { "" } else { ": " };
        TrafficError::lasting(format!("{endpoint}: {what}{separator}{said}"), hint)
    }
}

/// The workers that `apply` says were there before.
fn workers(answer: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(answer)
        .lines()
        .find_map(|line| line.strip_prefix("before"))
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

fn not_understood(endpoint: &RemoteFile, strange: &Strange) -> TrafficError {
    let place = match strange.line {
        0 => String::new(),
        line => format!(" line {line}:"),
    };
    TrafficError::lasting(
        format!(
            "{endpoint}:{place} {}: rollctl leaves a file alone that it does not understand",
            strange.problem
        ),
        "the file holds one `upstream`, each `server ADDRESS:PORT ...;` on a line of its own, and nothing of other kinds",
    )
}

#[async_trait]
impl Traffic for Nginx {
    async fn observe(&self, member: &Member) -> Result<TrafficSight, TrafficError> {
        let looks = self.endpoints.iter().map(|endpoint| async {
            (
                endpoint.to_string(),
                self.is_attached(endpoint, member).await,
            )
        });
        let mut attachment = TrafficSight::default();
        for (name, is_attached) in all_well("seen", join_all(looks).await)? {
            match is_attached {
                true => attachment.attached.insert(name),
                false => attachment.detached.insert(name),
            };
        }
        Ok(attachment)
    }

    async fn drain(&self, member: &Member) -> Result<Drained, TrafficError> {
        let drains = self.endpoints.iter().map(|endpoint| async {
            (endpoint.to_string(), self.drain_at(endpoint, member).await)
        });
        let drained = all_well("it is out", join_all(drains).await)?;
        Ok(Drained {
            sessions_left: drained.iter().map(|(_, (left, _))| left).sum(),
            unguarded: self.guard.told_once(
                drained
                    .into_iter()
                    .map(|(name, (_, gap))| (name, gap))
                    .collect(),
            ),
        })
    }

    async fn close(&self, member: &Member) -> Result<(), TrafficError> {
        let closes = self.endpoints.iter().map(|endpoint| async {
            (endpoint.to_string(), self.close_at(endpoint, member).await)
        });
        all_well("it is closed", join_all(closes).await).map(drop)
    }

    async fn prolong(&self, member: &Member) -> Result<(), TrafficError> {
        self.guard.prolong(self.posts(member)?).await
    }

    async fn attach(
        &self,
        member: &Member,
        except: &BTreeSet<String>,
        _works: bool,
    ) -> Result<(), TrafficError> {
        let wanted = self
            .endpoints
            .iter()
            .filter(|endpoint| !except.contains(&endpoint.to_string()));
        let attaches = wanted.map(|endpoint| async {
            (endpoint.to_string(), self.attach_at(endpoint, member).await)
        });
        all_well("it is in", join_all(attaches).await).map(drop)
    }

    async fn stays_out(&self, member: &Member) -> Result<(), TrafficError> {
        self.guard.disarm_all(self.posts(member)?).await
    }

    async fn unguarded(&self, member: &Member) -> Result<Vec<String>, TrafficError> {
        Ok(self.guard.gaps(self.posts(member)?).await)
    }
}
