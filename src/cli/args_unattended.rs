//! What may be typed about runs that nobody watches.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::{service_name, user_name};
use crate::core::fleet::Scope;
use crate::core::ids::ServiceName;
use crate::inventory::parse_duration;

/// Whether anybody watches.
#[derive(Debug, Clone, Default, Args)]
pub struct UnattendedArgs {
    /// Nobody watches: ask nothing, undo nothing that a person did, try nothing again that failed
    #[arg(long, conflicts_with = "take_over")]
    pub unattended: bool,
}

/// `rollctl hold`, `rollctl unhold`
#[derive(Debug, Clone, Args)]
pub struct HoldArgs {
    /// The service, as the inventory names it
    #[arg(value_parser = service_name)]
    pub service: ServiceName,

    /// Why: shown by `status` and `history`
    #[arg(long, value_name = "TEXT")]
    pub cause: Option<String>,
}

/// `rollctl timer`
#[derive(Debug, Clone, Args)]
pub struct TimerArgs {
    /// The service, as the inventory names it
    #[arg(value_parser = service_name)]
    pub service: ServiceName,

    /// When, as systemd.time(7) has it: `hourly`, `*:0/15`, `Mon..Fri 02:30`
    #[arg(long, value_name = "WHEN")]
    pub on_calendar: String,

    /// The machine's systemd, or your own (`systemctl --user`)
    #[arg(long, value_enum, default_value_t = Scope::System)]
    pub scope: Scope,

    /// Whom it runs as [default: you]
    #[arg(long, value_name = "USER", value_parser = user_name)]
    pub user: Option<String>,

    /// How much later than that it may start: many timers do not start at once
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = parse_duration)]
    pub randomized_delay: Duration,

    /// Print only this one, as it goes into its file
    #[arg(long, value_enum)]
    pub only: Option<TimerPart>,
}

/// A part of what `rollctl timer` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimerPart {
    /// The systemd service
    Service,
    /// The systemd timer
    Timer,
    /// The line for a crontab
    Cron,
}
