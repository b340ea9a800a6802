//! `rollctl resume`: goes on with a rollout that paused or whose controller died.

use super::args::{ResumeArgs, WindowArgs};
use super::error::CliError;
use super::exit::ExitCode;
use super::launch::under_lease;
use super::notify::finish;
use super::screen::Screen;
use super::signers::still_trusted;
use super::unattended::may_go_on;
use super::window::{enter, go_on, waiting};
use super::wire::{Desk, Field, service};
use super::work::Work;
use crate::core::event::Event;
use crate::core::fleet::{Fleet, Service};
use crate::core::rollout::RolloutState;
use crate::core::spec::RolloutKind;
use crate::core::window::Windowed;
use crate::driver::{Resumed, look};
use crate::inventory::Loaded;
use crate::notify::Delivery;
use crate::ports::{Lease, RolloutRecord};

/// Goes on with the newest rollout of a service.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn resume(
    args: ResumeArgs,
    loaded: &Loaded,
    verbose: u8,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let fleet = &loaded.fleet;
    let service = service(fleet, &args.service)?;
    let desk = open(fleet, service).await?;
    let drive = Drive {
        fleet,
        service,
        desk: &desk,
        abort: false,
        window: &args.window,
        unattended: false,
        verbose,
    };
    let once = async |screen: &mut Screen| drive.run(args.take_over, screen).await;
    waiting(&args.window, screen, once).await
}

/// The ledger, where there is one: without it there is nothing to go on with.
///
/// # Errors
/// Exit code 2 when there is none.
pub(crate) async fn open(fleet: &Fleet, service: &Service) -> Result<Desk, CliError> {
    if Desk::open_to_look(fleet).await?.is_none() {
        return Err(nothing(service));
    }
    Desk::open(fleet).await
}

fn nothing(service: &Service) -> CliError {
    CliError::usage(format!(
        "`{}` was never released from this ledger: there is nothing to go on with",
        service.name
    ))
    .hint(format!("`rollctl status {}` shows it", service.name))
}

/// Becomes the controller of a rollout that nobody drives.
pub(crate) struct Drive<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) service: &'a Service,
    pub(crate) desk: &'a Desk,
    /// Whether it is only to be ended where it stands.
    pub(crate) abort: bool,
    pub(crate) window: &'a WindowArgs,
    /// Whether nobody watches: what failed is not tried again.
    pub(crate) unattended: bool,
    pub(crate) verbose: u8,
}

impl Drive<'_> {
    /// Takes the lease, looks at the hosts and goes on.
    ///
    /// # Errors
    /// What the person is to be told.
    pub(crate) async fn run(
        &self,
        take_over: bool,
        screen: &mut Screen,
    ) -> Result<ExitCode, CliError> {
        let mut told = None;
        let ended = under_lease(self.desk, self.service, take_over, async |lease| {
            self.go_on(lease, screen, &mut told).await
        })
        .await;
        finish(told, screen).await;
        ended
    }

    async fn go_on(
        &self,
        lease: &mut Lease,
        screen: &mut Screen,
        told: &mut Option<Delivery>,
    ) -> Result<ExitCode, CliError> {
        let (service, desk) = (self.service, self.desk);
        let ledger = &desk.ledger;
        let newest = ledger.rollouts(&service.name, 1).await?;
        let Some(record) = newest.first() else {
            return Err(nothing(service));
        };
        if self.unattended {
            may_go_on(desk, service, record).await?;
        }
        let is_paused = match record.outcome.as_str() {
            "paused" => true,
            // Under our lease nobody else drives it any more.
            "interrupted" | "running" => false,
            _ => return Err(is_over(service, record)),
        };
        let events = ledger.events(record.id, 0).await?;
        let Some(Event::RolloutStarted { spec, cause, .. }) =
            events.first().map(|first| first.event.clone())
        else {
            return Err(CliError::new(
                ExitCode::Unexpected,
                format!("rollout {} has no first event", record.id),
            )
            .hint(format!(
                "`rollctl describe {}` shows what is there",
                record.id
            )));
        };
        let revisions = ledger.revisions(&service.name).await?;
        let target = revisions
            .iter()
            .find(|revision| revision.digest == spec.target.digest)
            .cloned()
            .ok_or_else(|| {
                CliError::new(
                    ExitCode::Unexpected,
                    format!("the ledger no longer has `{}`", spec.target),
                )
            })?;
        let state = RolloutState::fold(&events)
            .map_err(|error| CliError::of(ExitCode::Unexpected, &error))?;
        // On the way back the target is what the hosts are to be rid of.
        if !self.abort && !state.goes_back() {
            still_trusted(service, &target).await?;
        }
        let window = self.enter(&state, is_paused)?;
        let field = Field::of(self.fleet, service, desk.store.clone())?;
        let hosts = spec.hosts.iter().map(|host| host.name.clone());
        let sights = look(&field.hosts, hosts).await;
        screen.speak();
        let work = Work {
            fleet: self.fleet,
            service,
            desk,
            revisions: &revisions,
            cause,
            verbose: self.verbose,
            spec: *spec,
            target,
            // What was begun before another ledger took them is not gone on with on its hosts.
            takes_hosts: false,
            resumed: Some(Resumed {
                events,
                retry: is_paused && !self.abort && !self.unattended,
                abort: self.abort,
                window,
                unattended: self.unattended,
            }),
        };
        work.run(lease, field, sights, screen, told).await
    }

    /// What going on has to do with the service's window: nothing on the way back or to an end.
    fn enter(&self, state: &RolloutState, is_paused: bool) -> Result<Option<Windowed>, CliError> {
        let is_way_back = state.goes_back() || state.spec.kind == RolloutKind::Rollback;
        if self.abort || is_way_back {
            return Ok(None);
        }
        let now = self.desk.now();
        match is_paused {
            true => enter(self.service, self.window, now),
            false => Ok(go_on(self.service, self.window, now)),
        }
    }
}

fn is_over(service: &Service, record: &RolloutRecord) -> CliError {
    CliError::usage(format!(
        "rollout {} of `{}` is over ({}): there is nothing to go on with",
        record.id,
        service.name,
        record.outcome.replace('_', " ")
    ))
    .hint(format!(
        "`rollctl release {0}` or `rollctl rollback {0}` begins another",
        service.name
    ))
}
