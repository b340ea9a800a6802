//! `kill -9` of the controller, in a phase that was chosen, and what becomes of the host meanwhile.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rollctl_fleet::Host;

use crate::deck::{Phase, pick};
use crate::inject::Met;
use crate::running::{Ended, Running};
use crate::world::{HOSTS, SMALL_DISK, World, hold, is_held, kill_scripts, let_go};

/// What the host does that was in the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aftermath {
    /// It finishes its step.
    GoesOn,
    /// It finishes its step while the next controller is there already.
    GoesOnLate,
    /// Its step is killed too.
    Dies,
    /// Its power fails, and comes back.
    PowerCut,
}

const AFTERMATHS: [Aftermath; 4] = [
    Aftermath::GoesOn,
    Aftermath::GoesOnLate,
    Aftermath::Dies,
    Aftermath::PowerCut,
];

/// Where a host can be held in a phase; in none of them where it only waits.
fn points(phase: Phase) -> &'static [&'static str] {
    match phase {
        Phase::Stage => &["stage-begin", "stage-end"],
        Phase::UnitToLink => &["unit-to-link"],
        Phase::LinkToRestart => &["link-to-reload", "link-to-restart"],
        Phase::Settle => &[],
        Phase::Confirm => &["confirm-disable", "confirm-stop", "confirm-end"],
    }
}

/// Starts a rollout, kills its controller in the phase, and goes on.
pub(crate) fn in_phase(
    world: &World,
    random: &mut StdRng,
    command: std::process::Command,
    phase: Phase,
) -> Met {
    let aftermath = pick(random, &AFTERMATHS);
    let hosts = if aftermath == Aftermath::PowerCut {
        SMALL_DISK
    } else {
        HOSTS
    };
    let victim = world.fleet.host(random.random_range(0..hosts));
    let point = points(phase)
        .get(random.random_range(0..points(phase).len().max(1)))
        .copied();
    let wait = Duration::from_millis(random.random_range(0..600));
    if let Some(point) = point {
        hold(victim, point);
    }
    let mut running = Running::start(command);
    match point {
        Some(_) => {
            running.wait_for(Duration::from_secs(120), || is_held(victim));
            running.run_on(wait / 4);
        }
        None => {
            let settles = |host: &str| host == victim.name();
            running.wait_for_action("action_ended", "activate", settles);
            running.run_on(wait);
        }
    }
    let lived = running.kill();
    // The host is looked at before it may go on.
    let was_held = is_held(victim);
    let ended = running.end();
    let seen = phase_in_ledger(world, &ended, victim.name());
    let is_hit = lived && seen == Some(phase) && (was_held || point.is_none());
    let mut met = Met::new(ended);
    met.phase = is_hit.then_some(phase);
    let point = point.unwrap_or("settling");
    met.note = format!("{} {point}, {aftermath:?}, seen {seen:?}", victim.name());
    after(victim, aftermath, &mut met);
    met
}

fn after(victim: &Host, aftermath: Aftermath, met: &mut Met) {
    match aftermath {
        Aftermath::GoesOn => let_go(victim),
        Aftermath::GoesOnLate => met.still_held = Some(victim.name().to_owned()),
        Aftermath::Dies => {
            kill_scripts(victim);
            let_go(victim);
        }
        Aftermath::PowerCut => {
            met.away.push(victim.name().to_owned());
            victim.cut_power().unwrap();
            victim.start().unwrap();
        }
    }
}

/// At any moment of the rollout.
pub(crate) fn anytime(random: &mut StdRng, command: std::process::Command) -> Met {
    let mut running = Running::start(command);
    let wait = Duration::from_millis(random.random_range(100..8000));
    running.run_on(wait);
    let lived = running.kill();
    let mut met = Met::new(running.end());
    met.note = format!("after {wait:?}, it lived: {lived}");
    met
}

/// In which phase the ledger has a host. What happens inside of a switch, only the host knows: there the ledger cannot contradict.
fn phase_in_ledger(world: &World, ended: &Ended, host: &str) -> Option<Phase> {
    let rollout = ended.events.first()?["rollout"].as_u64()?.to_string();
    let told = world.run(world.rollctl(&["describe", &rollout]));
    let (kind, action) = told.last_of(host)?;
    match (kind.as_str(), action.as_str()) {
        ("action_started", "stage") => Some(Phase::Stage),
        ("action_started", "activate") => {
            // Both renames are visible: the link is a revision's, the unit file that of the new one.
            let root = world.host(host).root().ok()?;
            let target = std::fs::read_link(root.join("opt/web/current")).ok()?;
            let to = told.events.first()?["to"].as_str()?.to_owned();
            let is_linked = target.file_name().is_some_and(|name| name == to.as_str());
            let unit = std::fs::read_to_string(root.join("etc/systemd/system/web.service")).ok()?;
            let is_new = unit.contains(&format!("Description=demo {to}\n"));
            match (is_new, is_linked) {
                (true, false) => Some(Phase::UnitToLink),
                (true, true) => Some(Phase::LinkToRestart),
                (false, _) => None,
            }
        }
        ("action_ended", "activate") => Some(Phase::Settle),
        ("action_started", "confirm") => Some(Phase::Confirm),
        _ => None,
    }
}
