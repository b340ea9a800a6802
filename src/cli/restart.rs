//! `rollctl restart`, and `rollctl release --same`: the revision that the service is to run, once more.

use super::args::{ControlArgs, RestartArgs, RolloutArgs, WindowArgs};
use super::args_unattended::UnattendedArgs;
use super::error::CliError;
use super::exit::ExitCode;
use super::launch::{Launch, launch};
use super::read_back::Known;
use super::release::service_revision;
use super::rollout::prepare;
use super::screen::Screen;
use super::signers::still_trusted;
use super::unattended::Unwatched;
use super::window::waiting;
use super::wire::{Desk, service};
use crate::core::ids::ServiceName;
use crate::core::spec::RolloutKind;
use crate::inventory::Loaded;

/// Starts every instance anew.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn restart(
    args: RestartArgs,
    loaded: &Loaded,
    verbose: u8,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let again = Again {
        service: &args.service,
        kind: RolloutKind::Restart,
        cause: args.cause,
        rollout: &args.rollout,
        control: &args.control,
        window: &args.window,
        unattended: &args.unattended,
        verbose,
    };
    again.run(loaded, screen).await
}

/// A rollout of the revision that the service is to run already.
pub(crate) struct Again<'a> {
    pub(crate) service: &'a ServiceName,
    pub(crate) kind: RolloutKind,
    pub(crate) cause: Option<String>,
    pub(crate) rollout: &'a RolloutArgs,
    pub(crate) control: &'a ControlArgs,
    pub(crate) window: &'a WindowArgs,
    pub(crate) unattended: &'a UnattendedArgs,
    pub(crate) verbose: u8,
}

impl Again<'_> {
    /// Runs it.
    ///
    /// # Errors
    /// What the person is to be told; exit code 2 when nothing was ever released.
    pub(crate) async fn run(
        self,
        loaded: &Loaded,
        screen: &mut Screen,
    ) -> Result<ExitCode, CliError> {
        let once = async |screen: &mut Screen| self.attempt(loaded, screen).await;
        waiting(self.window, screen, once).await
    }

    async fn attempt(&self, loaded: &Loaded, screen: &mut Screen) -> Result<ExitCode, CliError> {
        let fleet = &loaded.fleet;
        let service = service(fleet, self.service)?;
        let known = Known::before(fleet, service, self.control.take_over, screen).await?;
        let (revisions, records) = (&known.revisions, &known.records);
        let current = service_revision(records, revisions);
        let target = current
            .as_ref()
            .and_then(|current| revisions.iter().find(|one| one.digest == current.digest))
            .cloned()
            .ok_or_else(|| {
                CliError::usage(format!(
                    "no release of `{}` has completed: nobody knows what it is to run",
                    service.name
                ))
                .hint(format!(
                    "`rollctl release {}` begins one; `rollctl resume {}` goes on with one",
                    service.name, service.name
                ))
            })?;
        let watch = Unwatched {
            fleet,
            service,
            window: self.window,
            verbose: self.verbose,
        };
        if self.unattended.unattended
            && let Some(ended) = watch.instead(Some(&target.digest), screen).await?
        {
            return Ok(ended);
        }
        if self.kind == RolloutKind::Release {
            still_trusted(service, &target).await?;
        }
        let prepared = prepare(
            fleet,
            service,
            self.rollout,
            self.kind,
            target.reference(),
            current,
        )?
        .startable()?;
        let desk = Desk::open(fleet).await?;
        known.keep(&desk, service, self.control.take_over).await?;
        let launched = Launch {
            fleet,
            service,
            desk: &desk,
            prepared,
            revisions,
            control: self.control,
            is_implied: true,
            window: Some(self.window),
            cause: self.cause.clone(),
            unattended: self.unattended.unattended,
            // Whether a host can run it is seen when it is staged.
            machines: None,
            verbose: self.verbose,
        };
        launch(launched, async move { Ok(target) }, screen).await
    }
}
