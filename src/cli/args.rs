//! What may be typed. Flags that several commands share are groups here, so that they read the same everywhere.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use super::args_ledger::LedgerCommand;
use super::args_unattended::{HoldArgs, TimerArgs, UnattendedArgs};
use super::help;
use super::values::{
    Moment, RevisionChoice, host_name, moment, quantity, service_name, unavailable,
};
use crate::core::budget::Quantity;
use crate::core::ids::{HostName, RevisionName, RevisionNumber, RolloutId, ServiceName};
use crate::report::Output;

/// Rolling releases of systemd services over plain SSH
#[derive(Debug, Clone, Parser)]
#[command(
    name = "rollctl",
    version,
    long_about = help::ABOUT,
    after_help = help::ROOT_SHORT,
    after_long_help = help::ROOT,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The fleet: a TOML file, or a folder of them [default: $ROLLCTL_INVENTORY, else ./inventory, if it holds
    /// exactly one fleet]
    // Not read by clap: an empty variable counts as unset, and errors say where a path came from.
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub inventory: Option<PathBuf>,

    /// For people, or for programs: one JSON object, JSON lines for what goes on
    #[arg(
        long,
        short = 'o',
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value_t = Output::Human
    )]
    pub output: Output,

    /// Log what is done to stderr; twice: every step, three times: SSH as well
    #[arg(long, short = 'v', global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Roll a new version out, within the budgets of the service
    #[command(visible_alias = "deploy", after_long_help = help::RELEASE)]
    Release(ReleaseArgs),
    /// Return to an earlier revision, under the same rules
    #[command(visible_alias = "undo", after_long_help = help::ROLLBACK)]
    Rollback(RollbackArgs),
    /// Start every instance anew on the revision that it is to run, within the budgets
    #[command(after_long_help = help::RESTART)]
    Restart(RestartArgs),
    /// Hold a rollout: what is in flight is finished, nothing more is started
    #[command(after_long_help = help::PAUSE)]
    Pause(RequestArgs),
    /// Go on with a rollout that was paused or whose rollctl died
    #[command(after_long_help = help::RESUME)]
    Resume(ResumeArgs),
    /// Let a rollout go on past the step that it stands at
    #[command(after_long_help = help::APPROVE)]
    Approve(RequestArgs),
    /// End a rollout where it stands: what is in flight is finished
    #[command(after_long_help = help::ABORT)]
    Abort(AbortArgs),
    /// Let runs that nobody watches leave a service alone
    #[command(after_long_help = help::HOLD)]
    Hold(HoldArgs),
    /// Lift a hold
    #[command(after_long_help = help::HOLD)]
    Unhold(HoldArgs),
    /// Print a systemd service and timer, and a cron line, that release unattended
    #[command(after_long_help = help::TIMER)]
    Timer(TimerArgs),
    /// Show what `release` would do, in which order; touches nothing
    #[command(after_long_help = help::PLAN)]
    Plan(PlanArgs),
    /// Show what runs where, and what a rollout waits for
    #[command(after_long_help = help::STATUS)]
    Status(StatusArgs),
    /// List revisions and rollouts, newest first
    #[command(after_long_help = help::HISTORY)]
    History(HistoryArgs),
    /// Show everything that happened in one rollout
    #[command(after_long_help = help::DESCRIBE)]
    Describe(DescribeArgs),
    /// Look for mistakes in the inventory and, with --connect, on the hosts
    #[command(after_long_help = help::CHECK)]
    Check(CheckArgs),
    /// Show the keys of hosts and, once confirmed, remember them in known_hosts
    #[command(after_long_help = help::TRUST)]
    Trust(TrustArgs),
    /// Verify the ledger, export it, or read it back from the hosts
    #[command(subcommand, after_long_help = help::LEDGER)]
    Ledger(LedgerCommand),
    /// Print a script that completes commands in your shell
    #[command(after_long_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(after_long_help = help::MAN)]
    Man,
}

/// Which hosts, and within which budgets.
#[derive(Debug, Clone, Default, Args)]
pub struct RolloutArgs {
    /// Only these hosts: names, globs, `label=value`, `!glob`; a comma means and
    #[arg(long, value_name = "SEL")]
    pub hosts: Option<String>,

    /// Not this host, or this glob; may be given several times
    #[arg(long, value_name = "HOST")]
    pub exclude: Vec<String>,

    /// How many may be unavailable at once: a number, or a share such as 25%
    #[arg(long, value_name = "N|%", value_parser = unavailable)]
    pub max_unavailable: Option<Quantity>,

    /// How many more than usual may run at once: a number, or a share such as 25%
    #[arg(long, value_name = "N|%", value_parser = quantity)]
    pub max_surge: Option<Quantity>,
}

/// How a rollout deals with people and with other controllers.
#[derive(Debug, Clone, Default, Args)]
pub struct ControlArgs {
    /// Ask nothing: every question is answered with yes
    #[arg(long, short = 'y')]
    pub yes: bool,

    /// Take the service away from another rollctl that works on it, and hosts from another ledger that manages it there
    #[arg(long)]
    pub take_over: bool,
}

/// What a rollout does about its service's window.
#[derive(Debug, Clone, Default, Args)]
pub struct WindowArgs {
    /// Outside the service's window: wait until it opens
    #[arg(long, conflicts_with = "outside_window")]
    pub wait: bool,

    /// Do not heed the service's window; the ledger says so
    #[arg(long)]
    pub outside_window: bool,
}

/// `rollctl release`
#[derive(Debug, Clone, Args)]
pub struct ReleaseArgs {
    /// The service, as the inventory names it
    #[arg(value_parser = service_name)]
    pub service: ServiceName,

    /// A file, a folder, a .tar, .tar.gz, .tar.zst, or a URL of one [default: `artifact` of the service]
    #[arg(value_hint = ValueHint::AnyPath)]
    pub artifact: Option<PathBuf>,

    /// Bring every host to the service's present revision: new, reinstalled and returned ones
    #[arg(long, conflicts_with_all = ["artifact", "name"])]
    pub same: bool,

    /// The revision's name, for `rollback --to` [default: r1, r2, ...]
    #[arg(long, value_parser = RevisionName::given)]
    pub name: Option<RevisionName>,

    /// Keep this revision, on hosts and here, however many come after it
    #[arg(long, conflicts_with = "same")]
    pub keep: bool,

    /// Why: shown by `history`
    #[arg(long, value_name = "TEXT")]
    pub cause: Option<String>,

    /// Hosts and budgets.
    #[command(flatten)]
    pub rollout: RolloutArgs,

    /// People and other controllers.
    #[command(flatten)]
    pub control: ControlArgs,

    /// The service's window.
    #[command(flatten)]
    pub window: WindowArgs,

    /// Whether anybody watches.
    #[command(flatten)]
    pub unattended: UnattendedArgs,
}

/// `rollctl rollback`
#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    /// The service, as the inventory names it
    #[arg(value_parser = service_name)]
    pub service: ServiceName,

    /// A revision's name or number [default: the newest one completed before that nobody rolled back from]
    #[arg(long, alias = "to-revision", value_name = "NAME|NUMBER")]
    pub to: Option<RevisionChoice>,

    /// Why: shown by `history`
    #[arg(long, value_name = "TEXT")]
    pub cause: Option<String>,

    /// Hosts and budgets.
    #[command(flatten)]
    pub rollout: RolloutArgs,

    /// People and other controllers.
    #[command(flatten)]
    pub control: ControlArgs,
}

/// `rollctl restart`
#[derive(Debug, Clone, Args)]
pub struct RestartArgs {
    /// The service, as the inventory names it
    #[arg(value_parser = service_name)]
    pub service: ServiceName,

    /// Why: shown by `history`
    #[arg(long, value_name = "TEXT")]
    pub cause: Option<String>,

    /// Hosts and budgets.
    #[command(flatten)]
    pub rollout: RolloutArgs,

    /// People and other controllers.
    #[command(flatten)]
    pub control: ControlArgs,

    /// The service's window.
    #[command(flatten)]
    pub window: WindowArgs,

    /// Whether anybody watches.
    #[command(flatten)]
    pub unattended: UnattendedArgs,
}

/// `rollctl pause`, `rollctl approve`
#[derive(Debug, Clone, Args)]
pub struct RequestArgs {
    /// The service, as the inventory names it
    #[arg(value_parser = service_name)]
    pub service: ServiceName,
}

/// `rollctl resume`
#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// The service, as the inventory names it
    #[arg(value_parser = service_name)]
    pub service: ServiceName,

    /// Take the service away from another rollctl that works on it
    #[arg(long)]
    pub take_over: bool,

    /// The service's window.
    #[command(flatten)]
    pub window: WindowArgs,
}

/// `rollctl abort`
#[derive(Debug, Clone, Args)]
pub struct AbortArgs {
    /// The service, as the inventory names it
    #[arg(value_parser = service_name)]
    pub service: ServiceName,

    /// Take the service away from another rollctl that works on it and does not answer
    #[arg(long)]
    pub take_over: bool,
}

/// `rollctl plan`
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// The service, as the inventory names it
    #[arg(value_parser = service_name)]
    pub service: ServiceName,

    /// What `release` would be given [default: `artifact` of the service]
    #[arg(value_hint = ValueHint::AnyPath)]
    pub artifact: Option<PathBuf>,

    /// Hosts and budgets.
    #[command(flatten)]
    pub rollout: RolloutArgs,
}

/// `rollctl status`
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The service [default: all of the inventory]
    #[arg(value_parser = service_name)]
    pub service: Option<ServiceName>,

    /// Draw it anew each second until Ctrl-C
    #[arg(long, short = 'w')]
    pub watch: bool,

    /// Compare what runs, and the files on disk, with what was released
    #[arg(long, conflicts_with = "watch")]
    pub verify: bool,
}

/// `rollctl history`
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// The service, as the inventory names it
    #[arg(value_parser = service_name)]
    pub service: ServiceName,

    /// Only this revision, with everything that is known of it
    #[arg(long, value_name = "N", value_parser = revision_number)]
    pub revision: Option<RevisionNumber>,

    /// What ran on this host, and when
    #[arg(long, value_name = "HOST", value_parser = host_name, conflicts_with = "revision")]
    pub host: Option<HostName>,

    /// With --host: what ran there at that time: `2026-11-20 14:00`, `2026-11-20T13:00Z`, `2d ago`
    #[arg(long, value_name = "TIME", requires = "host", value_parser = moment)]
    pub at: Option<Moment>,
}

/// `rollctl describe`
#[derive(Debug, Clone, Args)]
pub struct DescribeArgs {
    /// The rollout's number, as `history` lists it
    #[arg(value_parser = rollout_id)]
    pub rollout: RolloutId,
}

/// `rollctl check`
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Log in on every host too: access, sudo, systemd, space, clock
    #[arg(long)]
    pub connect: bool,

    /// With --connect: only these hosts
    #[arg(long, value_name = "SEL", requires = "connect")]
    pub hosts: Option<String>,
}

/// `rollctl trust`
#[derive(Debug, Clone, Args)]
pub struct TrustArgs {
    /// Hosts, as the inventory names them
    #[arg(required = true, value_name = "HOST", value_parser = host_name)]
    pub hosts: Vec<HostName>,

    /// Ask nothing: accept the keys that are shown
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// `rollctl completions`
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// Your shell
    #[arg(value_enum)]
    pub shell: Shell,
}

fn revision_number(text: &str) -> Result<RevisionNumber, String> {
    let wrong = || "a revision's number is 1, 2, 3 ...; `rollctl history` lists them".to_owned();
    match text.parse() {
        Ok(0) | Err(_) => Err(wrong()),
        Ok(number) => Ok(RevisionNumber(number)),
    }
}

fn rollout_id(text: &str) -> Result<RolloutId, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(RolloutId(number)),
        _ => Err("a rollout's number is 1, 2, 3 ...; `rollctl history SERVICE` lists them".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn clap_finds_no_fault_with_the_tree() {
        Cli::command().debug_assert();
    }

    #[test]
    fn kubectl_habits_are_understood() {
        for words in [
            "rollctl undo web --to-revision 3",
            "rollctl rollback web --to 3",
        ] {
            let cli = Cli::try_parse_from(words.split(' ')).unwrap();
            let Command::Rollback(args) = cli.command else {
                panic!("{words} is not a rollback")
            };
            assert_eq!(
                args.to,
                Some(RevisionChoice::Number(RevisionNumber(3))),
                "{words}"
            );
        }
        let cli = Cli::try_parse_from("rollctl deploy web ./web -o json".split(' ')).unwrap();
        assert!(matches!(cli.command, Command::Release(_)));
        assert_eq!(cli.global.output, Output::Json);
    }

    #[test]
    fn hosts_are_excluded_one_by_one() {
        for command in ["release web", "rollback web", "plan web"] {
            let words = format!("rollctl {command} --exclude web-01 --exclude=web-1*");
            let rollout = match Cli::try_parse_from(words.split(' ')).unwrap().command {
                Command::Release(args) => args.rollout,
                Command::Rollback(args) => args.rollout,
                Command::Plan(args) => args.rollout,
                other => panic!("{words} is {other:?}"),
            };
            assert_eq!(rollout.exclude, ["web-01", "web-1*"], "{words}");
        }
    }

    #[test]
    fn what_is_refused_before_anything_is_read() {
        for (words, why) in [
            ("rollctl release web --name 42", "digits only"),
            ("rollctl release web --name r3", "reserved"),
            ("rollctl release web --max-unavailable 120%", "over 100 %"),
            ("rollctl release web --max-unavailable -1", "unexpected"),
            ("rollctl release web --max-surge many", "share"),
            ("rollctl rollback web --to .x", "must start"),
            ("rollctl history web --revision 0", "number is 1"),
            ("rollctl describe latest", "number is 1"),
            ("rollctl check --hosts web-*", "--connect"),
            ("rollctl status web --verify --watch", "cannot be used with"),
            ("rollctl trust", "HOST"),
        ] {
            let error = Cli::try_parse_from(words.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{words}");
            let text = error.to_string();
            assert!(text.contains(why), "{words}: {text}");
        }
    }
}
