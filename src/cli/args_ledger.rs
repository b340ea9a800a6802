//! What may be typed after `rollctl ledger`.

use clap::{Args, Subcommand};

use super::help;
use super::values::service_name;
use crate::core::ids::ServiceName;

/// `rollctl ledger`
#[derive(Debug, Clone, Subcommand)]
pub enum LedgerCommand {
    /// Look whether every event is as it was written and, with --connect, whether the hosts agree
    #[command(after_long_help = help::LEDGER_VERIFY)]
    Verify(LedgerVerifyArgs),
    /// Print all of it as JSON lines, in an order that does not change
    #[command(after_long_help = help::LEDGER_EXPORT)]
    Export,
    /// Read services that it lacks back from the manifests and journals of their hosts
    #[command(after_long_help = help::LEDGER_REBUILD)]
    Rebuild(LedgerRebuildArgs),
}

/// `rollctl ledger verify`
#[derive(Debug, Clone, Args)]
pub struct LedgerVerifyArgs {
    /// The service [default: all that the ledger knows]
    #[arg(value_parser = service_name)]
    pub service: Option<ServiceName>,

    /// Compare the hosts' journals with it, too
    #[arg(long)]
    pub connect: bool,
}

/// `rollctl ledger rebuild`
#[derive(Debug, Clone, Args)]
pub struct LedgerRebuildArgs {
    /// The service [default: all of the inventory]
    #[arg(value_parser = service_name)]
    pub service: Option<ServiceName>,
}
