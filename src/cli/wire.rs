//! Joins the rooms: from an inventory to a ledger, a store, hosts and probes.

use std::path::PathBuf;
use std::sync::Arc;

use super::args::Global;
use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use crate::artifact::{ArtifactStore, store_place};
use crate::core::fleet::{Fleet, Service};
use crate::core::ids::ServiceName;
use crate::core::source::ArtifactSource;
use crate::core::time::Timestamp;
use crate::driver::SystemClock;
use crate::health::ServiceProber;
use crate::host::{FleetMachines, ServiceHosts};
use crate::inventory::{self, InventoryErrors, Loaded, Mistake};
use crate::ledger::{self, Chained, Here, MemoryLedger, SqlLedger};
use crate::ports::{Artifacts, Hosts, Ledger, Machines, Owner, Prober, Traffic};
use crate::report::Output;
use crate::ssh::{Connector, SshConfig, Tuning, check_key};
use crate::traffic::traffic_of;

/// Finds and reads the inventory.
///
/// # Errors
/// With every mistake in it, exit code 2.
pub(crate) fn load_inventory(global: &Global) -> Result<Loaded, CliError> {
    inventory::load(&find_inventory(global)?).map_err(|errors| inventory_error(&errors))
}

/// Finds the inventory.
///
/// # Errors
/// Exit code 2, saying where it was looked for.
pub(crate) fn find_inventory(global: &Global) -> Result<PathBuf, CliError> {
    let working = std::env::current_dir().map_err(|error| {
        CliError::usage(format!("the working directory cannot be read: {error}"))
    })?;
    let variable = std::env::var_os(inventory::INVENTORY_VARIABLE);
    inventory::locate(global.inventory.as_deref(), variable.as_deref(), &working).map_err(|error| {
        CliError {
            hint: error.hint(),
            ..CliError::of(ExitCode::Usage, &error)
        }
    })
}

/// All mistakes of an inventory as one error, each as it is shown to people.
fn inventory_error(errors: &InventoryErrors) -> CliError {
    let count = match errors.mistakes.len() {
        1 => "1 mistake".to_owned(),
        many => format!("{many} mistakes"),
    };
    let mut error = CliError::usage(format!(
        "inventory `{}` cannot be used: {count}",
        errors.path.display()
    ));
    // The number of mistakes has been said: it is the last line of what is rendered, after a blank one.
    let text = errors.render(false);
    let mut details: Vec<_> = text.lines().map(str::to_owned).collect();
    details.truncate(details.len().saturating_sub(2));
    error.details = details;
    error
}

/// Prints what is hardly meant so; for people only.
pub(crate) fn warn(screen: &mut Screen, warnings: &[Mistake]) {
    if screen.output == Output::Human {
        for warning in warnings {
            let text = warning.render(screen.colour);
            screen.note(&text);
        }
    }
}

/// The service of that name, or what else it could have been.
///
/// # Errors
/// Exit code 2 when there is none.
pub(crate) fn service<'a>(fleet: &'a Fleet, name: &ServiceName) -> Result<&'a Service, CliError> {
    fleet.service(name.as_str()).ok_or_else(|| {
        let names: Vec<_> = fleet
            .services
            .iter()
            .map(|service| format!("`{}`", service.name))
            .collect();
        let error = CliError::usage(format!(
            "service `{name}` is not in the inventory of `{}`",
            fleet.name
        ));
        match names.is_empty() {
            true => error.hint("the inventory has no service: add `[services.NAME]`"),
            false => error.hint(format!("it has {}", names.join(", "))),
        }
    })
}

/// `user@machine`, as ledger and hosts remember who did something.
pub(crate) fn who() -> String {
    format!("{}@{}", user(), machine())
}

/// Who we are on this machine.
pub(crate) fn user() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    user.ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| {
            if rustix::process::getuid().is_root() {
                "root".to_owned()
            } else {
                rustix::process::getuid().as_raw().to_string()
            }
        })
}

/// This machine's name.
pub(crate) fn machine() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// What a fleet's commands work with.
pub(crate) struct Desk {
    /// What is remembered.
    pub(crate) ledger: Arc<dyn Ledger>,
    /// The same, for keeping its books.
    pub(crate) books: Arc<SqlLedger>,
    /// What can be shipped.
    pub(crate) store: Arc<ArtifactStore>,
    /// This machine and its clock.
    pub(crate) here: Here,
}

impl Desk {
    /// Opens the fleet's ledger and store for work; makes them when they do not exist.
    ///
    /// # Errors
    /// Exit code 2 when the ledger cannot be used.
    pub(crate) async fn open(fleet: &Fleet) -> Result<Self, CliError> {
        let here = Here::of_this_machine(Arc::new(SystemClock));
        let ledger = ledger::open(&ledger_url(fleet)?, here.clone()).await?;
        Ok(Self::over(ledger, store(fleet)?, here))
    }

    /// Opens them for looking only, and only if there is a ledger: looking makes nothing.
    ///
    /// # Errors
    /// Exit code 2 when the ledger cannot be used.
    pub(crate) async fn open_to_look(fleet: &Fleet) -> Result<Option<Self>, CliError> {
        let here = Here::of_this_machine(Arc::new(SystemClock));
        let ledger = ledger::open_existing(&ledger_url(fleet)?, here.clone()).await?;
        let store = store(fleet)?;
        Ok(ledger.map(|ledger| Self::over(ledger, store, here)))
    }

    fn over(ledger: SqlLedger, store: Arc<ArtifactStore>, here: Here) -> Self {
        let books = Arc::new(ledger);
        Self {
            ledger: books.clone(),
            books,
            store,
            here,
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.here.clock.now()
    }

    /// The ledger and this machine, as hosts are told.
    pub(crate) fn owner(&self) -> Owner {
        Owner {
            ledger: self.ledger.id(),
            machine: machine(),
        }
    }
}

/// The fleet's ledger for looking only; where there is none, an empty one that is forgotten.
///
/// # Errors
/// Exit code 2 when the ledger cannot be used.
pub(crate) async fn ledger_to_look_at(fleet: &Fleet) -> Result<(Arc<dyn Chained>, Here), CliError> {
    if let Some(desk) = Desk::open_to_look(fleet).await? {
        return Ok((desk.books, desk.here));
    }
    let here = Here::of_this_machine(Arc::new(SystemClock));
    Ok((Arc::new(MemoryLedger::new(here.clone())), here))
}

fn ledger_url(fleet: &Fleet) -> Result<String, CliError> {
    match &fleet.ledger_url {
        Some(url) => Ok(url.clone()),
        None => Ok(format!(
            "sqlite:{}",
            ledger::default_path(&fleet.name)?.display()
        )),
    }
}

/// The fleet's store of artifacts; nothing is made before something is put into it.
///
/// # Errors
/// Exit code 2 for URLs that are not supported, and for a bucket that the environment does not set up.
pub(crate) fn store(fleet: &Fleet) -> Result<Arc<ArtifactStore>, CliError> {
    let beside = ledger::place_on_this_machine(&ledger_url(fleet)?, &fleet.name)?;
    let place = store_place(fleet.artifacts_url.as_deref(), &fleet.folder, &beside)?;
    Ok(Arc::new(ArtifactStore::new(&place)?))
}

/// The hosts of a service, and how they are asked for their health.
pub(crate) struct Field {
    /// The hosts.
    pub(crate) hosts: Arc<dyn Hosts>,
    /// The probes.
    pub(crate) prober: Arc<dyn Prober>,
    /// The balancers; nothing where rollctl moves no traffic.
    pub(crate) traffic: Option<Arc<dyn Traffic>>,
    /// The machines, one connection each.
    pub(crate) machines: Arc<dyn Machines>,
}

impl Field {
    /// Joins a service to its hosts. Nothing is connected yet.
    ///
    /// # Errors
    /// When the health check cannot be built.
    pub(crate) fn of(
        fleet: &Fleet,
        service: &Service,
        artifacts: Arc<dyn Artifacts>,
    ) -> Result<Self, CliError> {
        // One connection per host, whoever needs it.
        let machines = Arc::new(FleetMachines::new(fleet, &Arc::new(connector())));
        let hosts: Arc<dyn Hosts> = Arc::new(ServiceHosts::on(
            service,
            fleet,
            &machines,
            artifacts,
            Arc::new(SystemClock),
        ));
        let prober = ServiceProber::new(service, &fleet.hosts, hosts.clone())
            .map_err(|error| CliError::of(ExitCode::Unexpected, &error))?;
        let traffic = traffic_of(service, fleet, machines.clone()).map_err(|error| CliError {
            hint: error.hint.clone(),
            ..CliError::of(ExitCode::Unexpected, &error)
        })?;
        Ok(Self {
            hosts,
            prober: Arc::new(prober),
            traffic,
            machines,
        })
    }
}

/// Makes all SSH sessions of this process.
pub(crate) fn connector() -> Connector {
    Connector::new(SshConfig::system(), Tuning::default())
}

/// What is wrong with the files that the inventory names on this machine; keys are read, too.
pub(crate) fn file_mistakes(loaded: &Loaded) -> Vec<Mistake> {
    let mut mistakes = inventory::check_files(loaded);
    let mut keys: Vec<&PathBuf> = loaded
        .fleet
        .hosts
        .iter()
        .filter_map(|host| host.ssh.identity.as_ref())
        .collect();
    keys.sort();
    keys.dedup();
    for key in keys.into_iter().filter(|key| key.is_file()) {
        let unusable = check_key(key).err().and_then(|why| {
            loaded.mistake_of(
                key,
                format!("key `{}` cannot be used: {why}", key.display()),
            )
        });
        mistakes.extend(unusable);
    }
    mistakes
}

/// Looks for the files that the inventory names on this machine.
///
/// # Errors
/// Exit code 2 with every one that is missing or cannot be read.
pub(crate) fn inventory_files(loaded: &Loaded) -> Result<(), CliError> {
    let mistakes = file_mistakes(loaded);
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(inventory_error(&InventoryErrors {
        path: loaded.fleet.folder.clone(),
        mistakes,
    }))
}

/// The artifact that was typed, as a source.
///
/// # Errors
/// Exit code 2 for a URL that rollctl does not read.
pub(crate) fn artifact_source(typed: Option<&PathBuf>) -> Result<Option<ArtifactSource>, CliError> {
    let place = |path: &PathBuf| match path.to_str() {
        Some(text) => inventory::parse_artifact(text)
            .map_err(|error| CliError::usage(&error.message).hint(error.help)),
        None => Ok(path.clone().into()),
    };
    Ok(typed.map(place).transpose()?.map(ArtifactSource::Any))
}
