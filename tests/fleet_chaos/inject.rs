//! The faults that are not the controller's death.

use std::process::Command;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::deck::{Fault, Phase, pick};
use crate::kill;
use crate::running::{Ended, Running};
use crate::world::{HOSTS, SMALL_DISK, Version, World, hold, is_held, let_go, with_movable_clock};

/// What became of a rollout that met a fault.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) ended: Ended,
    /// Hosts that the fault took away for a while.
    pub(crate) away: Vec<String>,
    /// The phase in which the controller was killed, when it was hit.
    pub(crate) phase: Option<Phase>,
    /// A host that goes on only when the next controller is at work.
    pub(crate) still_held: Option<String>,
    /// What the rollout that counts now brings, when it is not the first one's.
    pub(crate) instead: Option<Version>,
    pub(crate) note: String,
    pub(crate) wrong: Vec<String>,
}

impl Met {
    pub(crate) fn new(ended: Ended) -> Self {
        Self {
            ended,
            away: Vec::new(),
            phase: None,
            still_held: None,
            instead: None,
            note: String::new(),
            wrong: Vec::new(),
        }
    }

    fn noted(ended: Ended, note: String) -> Self {
        let mut met = Self::new(ended);
        met.note = note;
        met
    }
}

/// Starts the rollout and does it. When this returns, the fault is over.
pub(crate) fn inject(
    world: &mut World,
    random: &mut StdRng,
    fault: Fault,
    command: Command,
) -> Met {
    match fault {
        Fault::Kill(phase) => kill::in_phase(world, random, command, phase),
        Fault::KillAnytime => kill::anytime(random, command),
        Fault::CutOne => cut(world, random, command, 1),
        Fault::CutHalf => cut(world, random, command, HOSTS / 2),
        Fault::CutLong => cut_long(world, random, command),
        Fault::Reboot => reboot(world, random, command),
        Fault::FullDisk => full_disk(world, random, command),
        Fault::KillSessions => kill_sessions(world, random, command),
        Fault::StopSshd => stop_sshd(world, random, command),
        Fault::KillService => kill_service(world, random, command),
        Fault::ClockJump => clock_jump(world, random, command),
        Fault::Second => second(world, random, command),
        Fault::TakeOver => take_over(world, random, command),
        Fault::CorruptUpload => corrupt(world, random, command),
    }
}

fn up_to(random: &mut StdRng, milliseconds: u64) -> Duration {
    Duration::from_millis(random.random_range(0..milliseconds))
}

/// Runs until a host, or any, is in an action, and somewhat longer. Answers its number.
fn until_in(
    world: &World,
    random: &mut StdRng,
    running: &mut Running,
    action: &str,
    among: usize,
) -> usize {
    let wanted = random.random_range(0..among);
    let name = world.fleet.host(wanted).name();
    running.wait_for_action("action_started", action, |host| host == name);
    running.run_on(up_to(random, 1500));
    wanted
}

fn cut(world: &World, random: &mut StdRng, command: Command, hosts: usize) -> Met {
    let mut running = Running::start(command);
    let first = until_in(world, random, &mut running, "activate", HOSTS);
    let mut others: Vec<_> = (0..HOSTS).filter(|n| *n != first).collect();
    others.shuffle(random);
    let cut: Vec<_> = [first]
        .into_iter()
        .chain(others)
        .take(hosts)
        .map(|n| world.fleet.host(n))
        .collect();
    let time = Duration::from_millis(random.random_range(1000..6000));
    for host in &cut {
        host.partition(true).unwrap();
    }
    std::thread::sleep(time);
    for host in &cut {
        host.partition(false).unwrap();
    }
    let mut met = Met::noted(running.end(), format!("for {time:?}"));
    met.away = cut.iter().map(|host| host.name().to_owned()).collect();
    met
}

fn cut_long(world: &World, random: &mut StdRng, command: Command) -> Met {
    let mut running = Running::start(command);
    let victim = until_in(world, random, &mut running, "activate", HOSTS);
    let victim = world.fleet.host(victim);
    victim.partition(true).unwrap();
    let ended = running.end();
    let armed = "ls /etc/systemd/system/ | grep -q rollctl-revert";
    let was_armed = victim.exec(armed).unwrap().is_success();
    victim
        .wait_until(&format!("! {armed}"), Duration::from_secs(240))
        .unwrap();
    victim.partition(false).unwrap();
    let mut met = Met::noted(
        ended,
        format!("{}, its guard fired: {was_armed}", victim.name()),
    );
    met.away.push(victim.name().to_owned());
    met
}

fn reboot(world: &World, random: &mut StdRng, command: Command) -> Met {
    let mut running = Running::start(command);
    let victim = until_in(world, random, &mut running, "activate", SMALL_DISK);
    let victim = world.fleet.host(victim);
    let in_order = random.random();
    if in_order {
        victim.reboot().unwrap();
    } else {
        victim.cut_power().unwrap();
        victim.start().unwrap();
    }
    let mut met = Met::noted(
        running.end(),
        format!("{}, in order: {in_order}", victim.name()),
    );
    met.away.push(victim.name().to_owned());
    met
}

fn full_disk(world: &World, random: &mut StdRng, command: Command) -> Met {
    let victim = world.fleet.host(SMALL_DISK);
    let point = pick(
        random,
        &[
            "from the beginning",
            "stage-begin",
            "unit-to-link",
            "link-to-restart",
            "confirm-disable",
        ],
    );
    let fill = "/usr/bin/dd if=/dev/zero of=/opt/web/.filler bs=4k 2>/dev/null; true";
    let ended = if point.starts_with("from") {
        victim.sh(fill).unwrap();
        world.run(command)
    } else {
        hold(victim, point);
        let mut running = Running::start(command);
        running.wait_for(Duration::from_secs(120), || is_held(victim));
        victim.sh(fill).unwrap();
        let_go(victim);
        running.end()
    };
    victim.sh("rm -f /opt/web/.filler").unwrap();
    let mut met = Met::noted(ended, point.to_owned());
    met.away.push(victim.name().to_owned());
    met
}

fn kill_sessions(world: &World, random: &mut StdRng, command: Command) -> Met {
    let mut running = Running::start(command);
    let action = pick(random, &["stage", "activate", "confirm"]);
    let victim = until_in(world, random, &mut running, action, HOSTS);
    let killed = world.fleet.host(victim).kill_ssh_sessions().unwrap();
    Met::noted(running.end(), format!("{killed} in {action}"))
}

fn stop_sshd(world: &World, random: &mut StdRng, command: Command) -> Met {
    let mut running = Running::start(command);
    let victim = until_in(world, random, &mut running, "activate", HOSTS);
    let victim = world.fleet.host(victim);
    victim.sh("systemctl stop ssh.service").unwrap();
    victim.kill_ssh_sessions().unwrap();
    let time = Duration::from_millis(random.random_range(500..4000));
    std::thread::sleep(time);
    victim.sh("systemctl start ssh.service").unwrap();
    let mut met = Met::noted(running.end(), format!("{} for {time:?}", victim.name()));
    // The service is not touched by this, but a host lost in flight is left to its guard.
    met.away.push(victim.name().to_owned());
    met
}

fn kill_service(world: &World, random: &mut StdRng, command: Command) -> Met {
    let mut running = Running::start(command);
    let in_work = until_in(world, random, &mut running, "activate", HOSTS);
    let victim = if random.random() {
        in_work
    } else {
        random.random_range(0..HOSTS)
    };
    let victim = world.fleet.host(victim);
    let killed = victim
        .exec("kill -9 $(systemctl show -p MainPID --value web.service)")
        .unwrap();
    let mut met = Met::noted(
        running.end(),
        format!("{}, killed: {}", victim.name(), killed.is_success()),
    );
    met.away.push(victim.name().to_owned());
    met
}

fn clock_jump(world: &World, random: &mut StdRng, mut command: Command) -> Met {
    let Some(clock) = with_movable_clock(world, &mut command) else {
        return Met::noted(world.run(command), "no faketime here".to_owned());
    };
    let jump = pick(random, &["+3600", "-3600"]);
    let mut running = Running::start(command);
    until_in(world, random, &mut running, "activate", HOSTS);
    // Replaced by rename: the library never reads half of it.
    let new = world.controller.write("clock.new", format!("{jump}\n"));
    std::fs::rename(new, clock).unwrap();
    Met::noted(running.end(), jump.to_owned())
}

/// A second controller that asks: refused, and nothing of it is anywhere.
fn second(world: &mut World, random: &mut StdRng, command: Command) -> Met {
    let other = world.make(random);
    let mut running = Running::start(command);
    until_in(world, random, &mut running, "activate", HOSTS);
    let is_over = running.is_over();
    let refused = world.run(world.release(&other, &[]));
    let mut met = Met::new(running.end());
    met.note = format!("the second ends with {:?}", refused.code);
    if is_over {
        met.note.push_str(", the first was over");
    } else if refused.code != Some(4) {
        met.wrong.push(format!(
            "a second controller ends with {:?}: {}",
            refused.code, refused.stderr
        ));
    }
    for host in world.fleet.hosts() {
        let found = host
            .exec(&format!(
                "ls -d /opt/web/revisions/{0}; grep -w {0} /opt/web/.rollctl/journal",
                other.name
            ))
            .unwrap();
        if !found.stdout.is_empty() {
            met.wrong.push(format!(
                "{}: the second controller left {}",
                host.name(),
                found.stdout
            ));
        }
    }
    met
}

fn take_over(world: &mut World, random: &mut StdRng, command: Command) -> Met {
    let other = world.make(random);
    let mut first = Running::start(command);
    until_in(world, random, &mut first, "activate", HOSTS);
    let second = world.run(world.release(&other, &["--take-over"]));
    let first = first.end();
    let mut met = Met::new(second);
    met.note = format!("the first ends with {:?}", first.code);
    if !matches!(first.code, Some(0 | 4)) {
        met.wrong.push(format!(
            "a displaced controller ends with {:?}: {}",
            first.code, first.stderr
        ));
    }
    met.instead = Some(other);
    met
}

fn corrupt(world: &World, random: &mut StdRng, command: Command) -> Met {
    let victim = world.fleet.host(random.random_range(0..HOSTS));
    let damage = pick(
        random,
        &[
            "printf XXXX | /usr/bin/dd of=web bs=1 seek=5000 conv=notrunc",
            "truncate -s 3000 web",
            "sed -i s/[0-8]/9/ .rollctl/SHA256SUMS",
            "echo more >added",
        ],
    );
    hold(victim, "stage-arrived");
    let mut running = Running::start(command);
    let arrived = running.wait_for(Duration::from_secs(120), || is_held(victim));
    if arrived {
        victim
            .sh(&format!(
                "cd /opt/web/revisions/.incoming-* && {{ {damage}; }} 2>/dev/null"
            ))
            .unwrap();
    }
    let_go(victim);
    Met::noted(
        running.end(),
        format!("{}, arrived: {arrived}, {damage}", victim.name()),
    )
}
