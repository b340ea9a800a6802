//! One service's health check, asked of its hosts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::core::fleet::{Host, Probe, Service, Through};
use crate::core::ids::{HostName, RevisionName, ServiceName};
use crate::ports::{Hosts, ProbeAnswer, Prober};

use super::check_words::{Failure, in_words, of_failure, of_http, plain, timeout_words};
use super::direct::{DirectHttp, connect};
use super::error::ProberError;
use super::judge::{Expectation, body_snippet};
use super::template::{Place, Values, names_revision};
use super::tunnel::{Tunnel, of_host};

/// How much longer than its timeout a command may take: starting and ending it on the host.
const COMMAND_GRACE: Duration = Duration::from_secs(1);

/// Asks the instances of one service.
pub struct ServiceProber {
    service: ServiceName,
    port: Option<u16>,
    probe: Probe,
    through: Through,
    timeout: Duration,
    hosts: BTreeMap<HostName, Host>,
    remote: Arc<dyn Hosts>,
    tunnel: Tunnel,
    /// Nothing when no HTTP is asked from here.
    direct: Option<DirectHttp>,
}

/// What is to be asked, placeholders filled in.
enum Question {
    Http(Url, Expectation),
    Tcp(String, u16),
    Command(String),
    Unit,
}

impl ServiceProber {
    /// The prober of a service; `hosts` are the fleet's, of which the service's own are taken.
    ///
    /// # Errors
    /// When the check cannot be asked of one of the hosts: see [`ProberError`].
    pub fn new(
        service: &Service,
        hosts: &[Host],
        remote: Arc<dyn Hosts>,
    ) -> Result<Self, ProberError> {
        let check = &service.health;
        let hosts: BTreeMap<HostName, Host> = service
            .carriers_among(hosts)
            .map(|host| (host.name.clone(), host.clone()))
            .collect();
        let mut prober = Self {
            service: service.name.clone(),
            port: service.first_port(),
            probe: check.probe.clone(),
            through: check.through,
            timeout: check.timeout,
            tunnel: Tunnel::new(Arc::clone(&remote)),
            remote,
            direct: None,
            hosts,
        };
        let mut is_tls = false;
        let sample = RevisionName::adopted(&crate::core::ids::Digest::new("0".repeat(64)));
        for host in prober.hosts.values() {
            if let Question::Http(url, _) = prober.question(host, Some(&sample), prober.port)? {
                is_tls |= url.scheme() == "https";
            }
        }
        let is_http = matches!(prober.probe, Probe::Http { .. });
        if is_http && prober.through == Through::Direct {
            let client = DirectHttp::new(check.timeout, is_tls, prober.hosts.len());
            let client = client.map_err(|error| ProberError::Client {
                service: service.name.clone(),
                problem: super::check_words::innermost(&error),
            })?;
            prober.direct = Some(client);
        }
        Ok(prober)
    }

    /// What is asked of a host whose instance should run `revision`.
    fn question(
        &self,
        host: &Host,
        revision: Option<&RevisionName>,
        port: Option<u16>,
    ) -> Result<Question, ProberError> {
        let values = Values {
            service: &self.service,
            host,
            port,
            revision,
        };
        match &self.probe {
            Probe::Http {
                url,
                expect_status,
                expect_body,
                expect_json,
            } => {
                let url = self.url(host, values.fill(url, Place::Target)?)?;
                // Without a known revision nobody can say what the texts that name it should be.
                let is_asked = |text: &&String| revision.is_some() || !names_revision(text);
                let expect = |text: &String| values.fill(text, Place::Expectation);
                let body = expect_body.as_ref().filter(is_asked).map(expect);
                let json = expect_json
                    .iter()
                    .filter(|(_, text)| is_asked(text))
                    .map(|(pointer, text)| Ok((pointer.clone(), expect(text)?)))
                    .collect::<Result<_, ProberError>>()?;
                let expectation = Expectation {
                    status: *expect_status,
                    body: body.transpose()?,
                    json,
                    timeout: timeout_words(self.timeout),
                };
                Ok(Question::Http(url, expectation))
            }
            Probe::Tcp { address } => {
                let text = values.fill(address, Place::Target)?;
                let target = host_and_port(&text);
                let (address, port) =
                    target.ok_or_else(|| self.bad_target(host, "a host and port", text))?;
                Ok(Question::Tcp(address, port))
            }
            Probe::Command { command } => {
                Ok(Question::Command(values.fill(command, Place::Command)?))
            }
            Probe::Unit => Ok(Question::Unit),
        }
    }

    fn url(&self, host: &Host, text: String) -> Result<Url, ProberError> {
        let parsed = Url::parse(&text).ok();
        let url = parsed
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| self.bad_target(host, "a URL of http or https", text))?;
        if url.scheme() == "https" && self.through == Through::Ssh {
            return Err(ProberError::HttpsThroughSsh {
                service: self.service.clone(),
            });
        }
        Ok(url)
    }

    fn bad_target(&self, host: &Host, wanted: &'static str, text: String) -> ProberError {
        ProberError::Target {
            service: self.service.clone(),
            host: host.name.clone(),
            wanted,
            // What stands before an `@` may be a password.
            text: text
                .rsplit_once('@')
                .map_or(text.clone(), |(_, rest)| format!("...@{rest}")),
        }
    }

    /// Whether what is asked, not only what is expected, depends on the revision.
    fn asks_by_revision(&self) -> bool {
        match &self.probe {
            Probe::Http { url, .. } => names_revision(url),
            Probe::Tcp { address } => names_revision(address),
            Probe::Command { command } => names_revision(command),
            Probe::Unit => false,
        }
    }

    async fn ask(&self, host: &HostName, question: Question) -> ProbeAnswer {
        let started = Instant::now();
        let deadline = started + self.timeout;
        match question {
            Question::Http(url, expectation) => {
                let outcome = match &self.direct {
                    Some(direct) => direct.get(&url, deadline).await,
                    None => self.tunnel.get(host, &url, started, deadline).await,
                };
                let shown = without_credentials(url);
                of_http(shown.as_str(), &expectation, &outcome, started.elapsed())
            }
            Question::Tcp(address, port) => {
                let outcome = match self.through {
                    Through::Direct => connect(&address, port, deadline).await,
                    Through::Ssh => {
                        let dialled = self.tunnel.connect(host, &address, port, started, deadline);
                        dialled.await
                    }
                };
                let address = if address.contains(':') {
                    format!("[{address}]")
                } else {
                    address
                };
                self.of_tcp(&format!("TCP {address}:{port}"), outcome, started.elapsed())
            }
            Question::Command(command) => self.run(host, &command, started).await,
            Question::Unit => plain(Some(true), "units only".to_owned(), started.elapsed()),
        }
    }

    fn of_tcp(
        &self,
        subject: &str,
        outcome: Result<(), Failure>,
        latency: Duration,
    ) -> ProbeAnswer {
        let timeout = timeout_words(self.timeout);
        match outcome {
            Ok(()) => ProbeAnswer {
                passed: Some(true),
                shown: format!("{subject} accepted in {}", in_words(latency)),
                stored: format!("{subject} accepted"),
                latency,
            },
            Err(failure) => of_failure(subject, "accept", &failure, &timeout, latency),
        }
    }

    async fn run(&self, host: &HostName, command: &str, started: Instant) -> ProbeAnswer {
        let deadline = started + self.timeout + COMMAND_GRACE;
        let ran = async {
            let ran = self.remote.run_check(host, command, self.timeout);
            match timeout_at(deadline, ran).await {
                Ok(ran) => ran.map_err(of_host),
                Err(_) => Err(Failure::TimedOut),
            }
        };
        let ran = self.tunnel.tell_apart(host, started, deadline, ran).await;
        let latency = started.elapsed();
        match ran {
            Ok((status, output)) => {
                let stored = format!("health command exited {status}");
                let output = match status {
                    0 => String::new(),
                    _ => body_snippet(end_of(&output).as_bytes()),
                };
                ProbeAnswer {
                    passed: Some(status == 0),
                    shown: format!("{stored}{output} in {}", in_words(latency)),
                    stored,
                    latency,
                }
            }
            Err(failure) => {
                let timeout = timeout_words(self.timeout);
                of_failure("health command", "end", &failure, &timeout, latency)
            }
        }
    }
}

#[async_trait]
impl Prober for ServiceProber {
    async fn probe(
        &self,
        host: &HostName,
        expect: Option<&RevisionName>,
        port: Option<u16>,
    ) -> ProbeAnswer {
        let nobody_can_say = |text: String| plain(None, text, Duration::ZERO);
        let Some(known) = self.hosts.get(host) else {
            return nobody_can_say(format!("`{host}` is not a host of `{}`", self.service));
        };
        if expect.is_none() && self.asks_by_revision() {
            return nobody_can_say(
                "the health check asks by `{revision}`, and what runs has no revision of ours; put it into `expect_*`"
                    .to_owned(),
            );
        }
        match self.question(known, expect, port.or(self.port)) {
            Ok(question) => self.ask(host, question).await,
            // Every host was tried when the prober was made.
            Err(error) => nobody_can_say(error.to_string()),
        }
    }
}

impl fmt::Debug for ServiceProber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the probe: its URL may hold a password.
        f.debug_struct("ServiceProber")
            .field("service", &self.service)
            .field("hosts", &self.hosts.keys())
            .finish_non_exhaustive()
    }
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`, `web-01:80`.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if host.is_empty() || (bare.is_none() && host.contains([':', '/', ' ', '@', '['])) {
        return None;
    }
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((bare.unwrap_or(host).to_owned(), port))
}

fn without_credentials(mut url: Url) -> Url {
    // Neither fails on a URL that has a host.
    if url.set_username("").and(url.set_password(None)).is_err() {
        url.set_query(None);
    }
    url
}

/// The last line that says something: where a command that failed says why.
fn end_of(output: &str) -> &str {
    output
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}
