//! Driver `haproxy`: servers of a backend, moved by HAProxy's runtime API on every balancer at once.
//!
//! Out is `drain` first, so that what is under way ends and sticky sessions are not torn, and `maint` once nothing is left
//! (or `drain_timeout` is over): a draining server would still get whoever has its cookie, and a stopping one would be told
//! down. In is `ready`, and done when the server is up in HAProxy's own eyes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use super::guard::{Guard, Post, PutBack};
use super::haproxy_answers::ServerState;
use super::haproxy_api::Balancer;
use super::retry::all_well;
use super::site::Site;
use crate::core::traffic::HaproxyEndpoint;
use crate::core::traffic_state::TrafficSight;
use crate::ports::{Drained, Machines, Member, Traffic, TrafficError};

/// The distance between two looks at a balancer.
const POLL: Duration = Duration::from_millis(200);
/// How long a server may need to be up after `ready`: `rise` checks of HAProxy, with slow ones in mind.
const UP_PATIENCE: Duration = Duration::from_secs(60);

/// The HAProxys in front of a service.
pub(crate) struct Haproxy {
    site: Site,
    balancers: Vec<Balancer>,
    server: String,
    /// An entry for each port, so that none is ever switched.
    is_per_port: bool,
    drain_timeout: Duration,
    guard: Guard,
}

impl Haproxy {
    pub(crate) fn new(
        site: Site,
        endpoints: &[HaproxyEndpoint],
        backend: &str,
        server: &str,
        guard: Guard,
        drain_timeout: Duration,
        machines: Arc<dyn Machines>,
    ) -> Self {
        Self {
            site,
            guard,
            balancers: endpoints
                .iter()
                .map(|endpoint| Balancer::new(endpoint, backend, &machines))
                .collect(),
            server: server.to_owned(),
            is_per_port: server.contains("{port}"),
            drain_timeout,
        }
    }

    /// Whether the entry stands for this instance, not for its sibling on the other port.
    fn is_meant(&self, state: &ServerState, member: &Member) -> bool {
        self.is_per_port || member.port.is_none_or(|port| port == state.port)
    }

    /// What would put it in again, and where; nothing where nothing can be armed.
    fn post(&self, balancer: &Balancer, server: &str, member: &Member) -> Option<(Post, PutBack)> {
        let file = balancer.socket()?;
        let target = format!("{}/{server}", balancer.backend);
        let post = (self.guard).post(&self.site, member, &file.host, &balancer.name, &target);
        let put_back = PutBack::Ready {
            socket: file.path.clone(),
            backend: balancer.backend.clone(),
            server: server.to_owned(),
        };
        Some((post, put_back))
    }

    fn posts(&self, member: &Member) -> Result<Vec<(Post, PutBack)>, TrafficError> {
        let server = self.site.fill(&self.server, member)?;
        let posts = self.balancers.iter();
        Ok(posts
            .filter_map(|one| self.post(one, &server, member))
            .collect())
    }

    async fn drain_at(
        &self,
        balancer: &Balancer,
        server: &str,
        member: &Member,
    ) -> Result<(u64, Option<String>), TrafficError> {
        let state = balancer.state(server).await?;
        if let (false, Some(port)) = (self.is_meant(&state, member), member.port) {
            // The entry leads to the sibling already; what began before goes on with this one.
            let count = || balancer.sessions_with(server, port);
            let left = wait_for_none(Instant::now() + self.drain_timeout, count).await?;
            return Ok((left, None));
        }
        let mut gap = None;
        if let Some((post, put_back)) = self.post(balancer, server, member) {
            gap = self
                .guard
                .before_drain(member, &post, &put_back, state.is_ready())
                .await;
        }
        let left = self.take_out(balancer, server, &state).await?;
        Ok((left, gap))
    }

    async fn close_at(
        &self,
        balancer: &Balancer,
        server: &str,
        member: &Member,
    ) -> Result<(), TrafficError> {
        let state = balancer.state(server).await?;
        // An entry that leads to the sibling sends nothing here.
        if !self.is_meant(&state, member) {
            return Ok(());
        }
        if let Some((post, _)) = self.post(balancer, server, member) {
            self.guard.disarm(&post).await?;
        }
        self.take_out(balancer, server, &state).await.map(drop)
    }

    async fn take_out(
        &self,
        balancer: &Balancer,
        server: &str,
        state: &ServerState,
    ) -> Result<u64, TrafficError> {
        let deadline = Instant::now() + self.drain_timeout;
        let count = || balancer.sessions(server);
        if !state.is_in_maintenance() {
            if state.is_ready() {
                balancer.set(server, "state drain").await?;
            }
            wait_for_none(deadline, count).await?;
            balancer.set(server, "state maint").await?;
        }
        // Whoever has its cookie may have come in the very last moment.
        let left = wait_for_none(deadline, count).await?;
        if !balancer.state(server).await?.is_in_maintenance() {
            return Err(TrafficError::lasting(
                format!(
                    "{}: server `{server}` is not in maintenance although HAProxy was told so",
                    balancer.name
                ),
                "somebody else moves it: look at who uses this runtime API",
            ));
        }
        Ok(left)
    }

    async fn attach_at(
        &self,
        balancer: &Balancer,
        server: &str,
        member: &Member,
        works: bool,
    ) -> Result<(), TrafficError> {
        self.put_in(balancer, server, member, works).await?;
        match self.post(balancer, server, member) {
            Some((post, _)) => self.guard.disarm(&post).await,
            None => Ok(()),
        }
    }

    async fn put_in(
        &self,
        balancer: &Balancer,
        server: &str,
        member: &Member,
        works: bool,
    ) -> Result<(), TrafficError> {
        let mut state = balancer.state(server).await?;
        if let (false, Some(port)) = (self.is_meant(&state, member), member.port) {
            state = self.switch(balancer, server, member, port, &state).await?;
        }
        if let Some((obstacle, hint)) = state.obstacle() {
            return Err(TrafficError::lasting(
                format!("{}: server `{server}` {obstacle}", balancer.name),
                hint,
            ));
        }
        if state.is_forced_out() {
            balancer.set(server, "state ready").await?;
        }
        let deadline = Instant::now() + UP_PATIENCE;
        loop {
            let state = balancer.state(server).await?;
            if state.is_ready() && (state.is_up() || !works) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let condition = balancer.condition(server).await.unwrap_or_default();
                return Err(TrafficError {
                    hint: Some(
                        "does HAProxy's own check (`option httpchk`) ask what the service answers?"
                            .into(),
                    ),
                    ..TrafficError::passing(format!(
                        "{}: server `{server}` is ready and not up after {} s: {condition}",
                        balancer.name,
                        UP_PATIENCE.as_secs()
                    ))
                });
            }
            sleep(POLL).await;
        }
    }

    /// Lets the entry lead to the other port; nothing is lost, for what is under way stays where it is.
    async fn switch(
        &self,
        balancer: &Balancer,
        server: &str,
        member: &Member,
        port: u16,
        state: &ServerState,
    ) -> Result<ServerState, TrafficError> {
        let address = self.address(balancer, server, member, state)?;
        if state.check_port != 0 && state.check_port == state.port {
            balancer.set(server, &format!("check-port {port}")).await?;
        }
        balancer
            .set(server, &format!("addr {address} port {port}"))
            .await?;
        let now = balancer.state(server).await?;
        if now.port != port {
            return Err(TrafficError::lasting(
                format!(
                    "{}: server `{server}` still leads to port {} although HAProxy was told {port}",
                    balancer.name, now.port
                ),
                "put `{port}` into `server` and give haproxy.cfg one entry per port",
            ));
        }
        Ok(now)
    }

    /// The address that the entry has; a slot of a `server-template` gets the host's.
    fn address(
        &self,
        balancer: &Balancer,
        server: &str,
        member: &Member,
        state: &ServerState,
    ) -> Result<IpAddr, TrafficError> {
        let own = state.address.parse::<IpAddr>().ok();
        let host = &self.site.host(member)?.address;
        own.filter(|address| !address.is_unspecified())
            .or_else(|| host.parse().ok())
            .ok_or_else(|| {
                TrafficError::lasting(
                    format!(
                        "{}: server `{server}` has no address, and `{host}` is a name: HAProxy takes only an address",
                        balancer.name
                    ),
                    "give the host an IP address in the inventory, or the server one in haproxy.cfg",
                )
            })
    }
}

/// Waits until nothing is counted any more; how much is, when the time is over.
async fn wait_for_none<W>(deadline: Instant, count: impl Fn() -> W) -> Result<u64, TrafficError>
where
    W: Future<Output = Result<u64, TrafficError>>,
{
    loop {
        let left = count().await?;
        if left == 0 || Instant::now() >= deadline {
            return Ok(left);
        }
        sleep(POLL).await;
    }
}

#[async_trait]
impl Traffic for Haproxy {
    async fn observe(&self, member: &Member) -> Result<TrafficSight, TrafficError> {
        let server = self.site.fill(&self.server, member)?;
        let looks = self
            .balancers
            .iter()
            .map(|balancer| async { (balancer.name.clone(), balancer.state(&server).await) });
        let mut attachment = TrafficSight::default();
        for (name, state) in all_well("seen", join_all(looks).await)? {
            if state.is_ready() && self.is_meant(&state, member) {
                attachment.attached.insert(name);
            } else {
                attachment.detached.insert(name);
            }
        }
        Ok(attachment)
    }

    async fn drain(&self, member: &Member) -> Result<Drained, TrafficError> {
        let server = self.site.fill(&self.server, member)?;
        let drains = self.balancers.iter().map(|balancer| async {
            let drained = self.drain_at(balancer, &server, member).await;
            (balancer.name.clone(), drained)
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
        let server = self.site.fill(&self.server, member)?;
        let closes = self.balancers.iter().map(|balancer| async {
            let closed = self.close_at(balancer, &server, member).await;
            (balancer.name.clone(), closed)
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
        works: bool,
    ) -> Result<(), TrafficError> {
        let server = self.site.fill(&self.server, member)?;
        let wanted = self
            .balancers
            .iter()
            .filter(|balancer| !except.contains(&balancer.name));
        let attaches = wanted.map(|balancer| async {
            let attached = self.attach_at(balancer, &server, member, works).await;
            (balancer.name.clone(), attached)
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
