//! `check` and `trust`, joined to the rooms: the inventory's mistakes, what hosts say, host keys.

use futures::StreamExt;

use super::args::{CheckArgs, Global, TrustArgs};
use super::balancers::{LeftOut, left_out, with_traffic};
use super::check::{Checked, Finding, HostFinding};
use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use super::trust::{Key, Offered, Scan, trust as ask};
use super::wire::{Desk, Field, connector, file_mistakes, find_inventory, store};
use crate::artifact::distrusted;
use crate::core::fleet::{Fleet, Host, Service};
use crate::core::ids::{HostName, LedgerId};
use crate::host::{OF_ANOTHER, target};
use crate::inventory::{self, Loaded, Mistake, Severity, explain_no_match, parse_selector};
use crate::ports::{HostError, HostErrorKind, Hosts, Member};
use crate::report::counted;
use crate::report::verify;
use crate::ssh::{Connector, HostKey, Resolved, SshError, Verdict, append_known_host};

/// Hosts that are asked at once.
const AT_ONCE: usize = 64;

/// Looks for mistakes in the inventory and, when asked to, on the hosts.
///
/// # Errors
/// When the inventory cannot be found, or stdout cannot be written.
pub(crate) async fn check(
    args: CheckArgs,
    global: &Global,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let path = find_inventory(global)?;
    let loaded = match inventory::load(&path) {
        Ok(loaded) => loaded,
        Err(errors) => {
            let findings = errors
                .mistakes
                .iter()
                .map(|mistake| finding(mistake, screen.colour))
                .collect();
            return Checked {
                inventory: path.display().to_string(),
                findings,
                hosts: None,
            }
            .show(screen);
        }
    };
    let fleet = &loaded.fleet;
    let missing = file_mistakes(&loaded);
    let distrusted = distrusted_builds(&loaded);
    let findings = loaded
        .warnings
        .iter()
        .chain(&missing)
        .chain(&distrusted)
        .map(|mistake| finding(mistake, screen.colour))
        .collect();
    let (hosts, services) = (fleet.hosts.len(), fleet.services.len());
    let inventory = format!(
        "{}: {}, {}",
        fleet.name,
        counted(hosts, "host"),
        counted(services, "service")
    );
    let hosts = if args.connect {
        Some(check_hosts(fleet, args.hosts.as_deref()).await?)
    } else {
        None
    };
    Checked {
        inventory,
        findings,
        hosts,
    }
    .show(screen)
}

/// What `release` would refuse of the builds that the inventory names, as far as they are there; told where the
/// inventory says whose builds are trusted.
fn distrusted_builds(loaded: &Loaded) -> Vec<Mistake> {
    let services = loaded.fleet.services.iter();
    let refused = services.flat_map(|service| {
        let trust = service.trust.as_ref();
        let errors = distrusted(service).into_iter();
        errors.filter_map(move |error| {
            let place = loaded.mistake_of(&trust?.allowed_signers, error.to_string())?;
            Some(Mistake {
                severity: Severity::Warning,
                help: Some(error.hint()),
                ..place
            })
        })
    });
    refused.collect()
}

fn finding(mistake: &Mistake, colour: bool) -> Finding {
    Finding {
        is_warning: mistake.severity == Severity::Warning,
        text: mistake.render(colour),
        json: serde_json::to_value(mistake).unwrap_or_default(),
    }
}

async fn check_hosts(
    fleet: &Fleet,
    selector_text: Option<&str>,
) -> Result<Vec<HostFinding>, CliError> {
    let selector = match selector_text {
        Some(text) => Some(
            parse_selector(text).map_err(|error| CliError::usage(format!("--hosts: {error}")))?,
        ),
        None => None,
    };
    if let Some(selector) = &selector
        && !fleet.hosts.iter().any(|host| selector.matches(host))
    {
        let text = selector_text.unwrap_or_default();
        return Err(CliError::usage(format!(
            "--hosts `{text}` matches no host of `{}`",
            fleet.name
        ))
        .hint(explain_no_match(selector, &fleet.hosts)));
    }
    // A fleet without a ledger: whoever manages a host, it is not this one.
    let desk = Desk::open_to_look(fleet).await?;
    let ledger = desk.as_ref().map(|desk| desk.ledger.id());
    let ledger = ledger.as_ref();
    let mut findings = Vec::new();
    for service in &fleet.services {
        let field = Field::of(fleet, service, store(fleet)?)?;
        let left_out = match &desk {
            Some(desk) => left_out(&*desk.ledger, service).await?,
            None => LeftOut::new(),
        };
        let asked = service
            .carriers_among(&fleet.hosts)
            .filter(|host| selector.as_ref().is_none_or(|one| one.matches(host)));
        let asked: Vec<_> = asked.cloned().collect();
        let mut seen: Vec<HostFinding> = futures::stream::iter(asked)
            .map(|host| {
                let (field, left_out) = (&field, &left_out);
                async move {
                    let (found, member) = host_finding(service, &host, &*field.hosts, ledger).await;
                    match &field.traffic {
                        Some(traffic) if found.ok => {
                            with_traffic(found, &member, service, &**traffic, left_out).await
                        }
                        _ => found,
                    }
                }
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        findings.append(&mut seen);
    }
    Ok(findings)
}

async fn host_finding(
    service: &Service,
    host: &Host,
    hosts: &dyn Hosts,
    ledger: Option<&LedgerId>,
) -> (HostFinding, Member) {
    let mut drift = Vec::new();
    let looked = look_closely(service, &host.name, hosts, ledger, &mut drift).await;
    let (ok, what, hint, port) = match looked {
        Ok((what, port)) => (true, what, None, port),
        Err(error) => (false, error.message, error.hint, None),
    };
    let port = port.or(service.first_port());
    let found = HostFinding {
        host: host.name.clone(),
        ok,
        what: format!("{}: {what}", service.name),
        hint: hint
            .or_else(|| (!drift.is_empty()).then(|| verify::hint(&service.name, &[&host.name]))),
        drift,
    };
    (found, Member::at(&host.name, port))
}

/// Whether the host can take part, whose it is, and whether it runs what was released; side by side, on which port.
async fn look_closely(
    service: &Service,
    host: &HostName,
    hosts: &dyn Hosts,
    ledger: Option<&LedgerId>,
    drift: &mut Vec<String>,
) -> Result<(String, Option<u16>), HostError> {
    let checked = hosts.check(host).await;
    // A unit that somebody edited may be why it cannot take part.
    match (&checked, hosts.attest(host).await) {
        (_, Ok(attested)) => *drift = attested.drift,
        (Ok(_), Err(error)) => return Err(error),
        (Err(_), Err(_)) => {}
    }
    let what = checked?;
    let facts = hosts.observe(host).await?;
    match facts.owner {
        Some(owner) if Some(&owner.ledger) != ledger => Err(HostError {
            kind: HostErrorKind::Refused,
            message: format!(
                "`{}` is managed by the ledger {} on {}",
                service.install_dir, owner.ledger, owner.machine
            ),
            hint: Some(OF_ANOTHER.into()),
        }),
        _ => Ok((what, facts.port)),
    }
}

/// Shows the keys of hosts, asks, and remembers them.
///
/// # Errors
/// When a host is not in the inventory, nobody can be asked, or a key cannot be written.
pub(crate) async fn trust(
    args: TrustArgs,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let connector = connector();
    let mut scans = Vec::new();
    let mut keys = Vec::new();
    for name in &args.hosts {
        let host = loaded.fleet.host(name).ok_or_else(|| {
            CliError::usage(format!(
                "host `{name}` is not in the inventory of `{}`",
                loaded.fleet.name
            ))
        })?;
        let (scan, offered) = scan(&connector, host).await;
        keys.push((name.clone(), offered));
        scans.push(scan);
    }
    ask(&args, &scans, screen, &mut |scan| {
        let found = keys
            .iter()
            .find(|(name, _)| *name == scan.host)
            .and_then(|(_, offered)| offered.as_ref());
        let (resolved, keys) =
            found.ok_or_else(|| CliError::usage("there is no key to remember"))?;
        remember(resolved, keys)
    })
}

type Seen = Option<(Resolved, Vec<HostKey>)>;

async fn scan(connector: &Connector, host: &Host) -> (Scan, Seen) {
    let failed = |address: String, error: &SshError| Scan {
        host: host.name.clone(),
        address,
        offered: Offered::Failed {
            reason: in_words(error),
        },
    };
    let resolved = match connector.resolve(&target(host)).await {
        Ok(resolved) => resolved,
        Err(error) => return (failed(host.address.clone(), &error), None),
    };
    let address = resolved.endpoint();
    match connector.scan(&resolved).await {
        Ok(keys) => {
            let scan = Scan {
                host: host.name.clone(),
                address,
                offered: offered(&keys),
            };
            (scan, Some((resolved, keys)))
        }
        Err(error) => (failed(address, &error), None),
    }
}

fn in_words(error: &SshError) -> String {
    match error.hint() {
        Some(hint) => format!("{}; hint: {hint}", error.problem),
        None => error.problem.to_string(),
    }
}

/// One changed or revoked key is worse than any number of known ones; one known key is enough, as it is for ssh.
fn offered(keys: &[HostKey]) -> Offered {
    let shown = |key: &HostKey| Key {
        algorithm: key.algorithm.clone(),
        fingerprint: key.fingerprint.clone(),
    };
    let bad = keys.iter().find_map(|key| match &key.verdict {
        Verdict::Changed { file, line, .. } | Verdict::Revoked { file, line } => {
            Some((key, format!("{}:{line}", file.display())))
        }
        Verdict::Known | Verdict::Unknown { .. } => None,
    });
    if let Some((key, known_at)) = bad {
        return Offered::Changed {
            key: shown(key),
            known_at,
        };
    }
    let of = |known: bool| {
        keys.iter()
            .filter(|key| (key.verdict == Verdict::Known) == known)
            .map(shown)
            .collect()
    };
    match keys.iter().any(|key| key.verdict == Verdict::Known) {
        true => Offered::Known { keys: of(true) },
        false => Offered::New { keys: of(false) },
    }
}

fn remember(resolved: &Resolved, keys: &[HostKey]) -> Result<String, CliError> {
    let file = resolved.trust_file().ok_or_else(|| {
        CliError::usage("there is no known_hosts file to add to")
            .hint("give one: `known_hosts` in `[ssh]`")
    })?;
    for key in keys {
        append_known_host(file, &resolved.known_as, resolved.trust_port(), &key.key).map_err(
            |error| {
                CliError::new(
                    ExitCode::Unexpected,
                    format!("{} cannot be written: {error}", file.display()),
                )
            },
        )?;
    }
    Ok(file.display().to_string())
}
