//! A ledger on a server that several machines share, on real hosts: controllers that die and are followed by another machine's, and
//! a server that freezes, stops and is killed in the middle of rollouts.
//!
//! `ROLLCTL_POSTGRES_ROUNDS` and `ROLLCTL_POSTGRES_SEED` set how many rounds there are and which. By hand, a long run:
//! `ROLLCTL_POSTGRES_ROUNDS=20 cargo test --test fleet_postgres -- --nocapture`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and time passes on real hosts"
)]

mod support;

#[path = "fleet_postgres/agree.rs"]
mod agree;
#[path = "fleet_chaos/running.rs"]
#[expect(dead_code, reason = "each test program uses a part of this")]
mod running;
#[path = "fleet_postgres/team.rs"]
mod team;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use running::{Ended, Running};
use support::times;
use team::{BUDGET, Desk, HOSTS, Team};

/// As many as a run of all tests has time for.
const ROUNDS: usize = 2;

fn random() -> StdRng {
    let seed = times("ROLLCTL_POSTGRES_SEED", 5);
    println!("ROLLCTL_POSTGRES_SEED={seed}");
    StdRng::seed_from_u64(u64::try_from(seed).unwrap())
}

/// Lets a release run until some host is at work, and a little longer.
fn until_at_work(team: &Team, random: &mut StdRng, running: &mut Running) {
    let actions = ["stage", "activate", "confirm"];
    let action = actions[random.random_range(0..actions.len())];
    let wanted = team.fleet.host(random.random_range(0..HOSTS)).name();
    running.wait_for_action("action_started", action, |host| host == wanted);
    running.run_on(Duration::from_millis(random.random_range(0..1500)));
}

/// Fails with what went wrong, unless a run ended with that code.
#[track_caller]
fn ends_with(ended: &Ended, code: i32) {
    let is_bad = |event: &&serde_json::Value| {
        let is_ended = event["kind"] == "action_ended" && event["outcome"] != "done";
        is_ended || event["kind"] == "instance_marked" || event["kind"] == "pause_requested"
    };
    let told: Vec<_> = ended
        .events
        .iter()
        .filter(is_bad)
        .map(|event| format!("{event}\n"))
        .collect();
    assert_eq!(
        ended.code,
        Some(code),
        "{}\n{}",
        ended.stderr,
        told.concat()
    );
}

#[test]
fn another_machine_goes_on_when_the_first_has_died() {
    if rollctl_fleet::skip() || rollctl_postgres::skip() {
        return;
    }
    let mut random = random();
    let rounds = times("ROLLCTL_POSTGRES_ROUNDS", ROUNDS);
    let team = Team::new();
    let (laptop, on_call) = (team.desk("laptop", "ann"), team.desk("on-call", "ben"));
    let first = team.version("v0");
    let ended = team.run(laptop.release(&first));
    ends_with(&ended, 0);
    let mut died = 0;
    for round in 1..=rounds {
        let version = team.version(&format!("v{round}"));
        // Who begins is not always the same one.
        let (begins, follows) = match round % 2 {
            0 => (&on_call, &laptop),
            _ => (&laptop, &on_call),
        };
        let prober = team.watch();
        let mut running = Running::start(begins.release(&version));
        until_at_work(&team, &mut random, &mut running);
        let lived = running.kill();
        running.end();
        died += usize::from(lived);
        let (ended, waited) = go_on(&team, follows, round % 3 == 0);
        let record = prober.stop();
        println!(
            "round {round}: {} died: {lived}; {} went on after {waited:.1?}: exit {:?}, lowest {}",
            begins.machine,
            follows.machine,
            ended.code,
            record.lowest()
        );
        if lived {
            ends_with(&ended, 0);
        }
        assert!(record.lowest() >= HOSTS - BUDGET, "{record}");
        team.all_run(&version, &[&laptop, &on_call]);
    }
    println!("{rounds} rounds, {died} of them with a controller that was killed at work");
    assert!(
        died * 2 >= rounds,
        "half of them at least are to be killed at work"
    );
    team.fleet.shut_down().unwrap();
}

/// Resumes from another machine, which cannot see that the first one's process is dead: at once by `--take-over`, else when the
/// lease has run out.
fn go_on(team: &Team, desk: &Desk, takes_over: bool) -> (Ended, Duration) {
    let begun = Instant::now();
    loop {
        let words: &[&str] = match takes_over {
            true => &["resume", "web", "--take-over"],
            false => &["resume", "web"],
        };
        let ended = team.run(desk.rollctl(words));
        let waited = begun.elapsed() - ended.took;
        if ended.code != Some(4) {
            return (ended, waited);
        }
        assert!(
            !takes_over && waited < Duration::from_secs(20),
            "{}",
            ended.stderr
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What becomes of the server.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// It answers nobody for that long.
    Frozen(u64),
    /// It is stopped in order, and started again after that.
    Stopped(u64),
    /// It is killed with -9, and started again after that.
    Killed(u64),
}

const FAULTS: [Fault; 5] = [
    Fault::Frozen(20),
    Fault::Killed(20),
    Fault::Stopped(20),
    Fault::Killed(0),
    // Longer than it is waited for.
    Fault::Killed(75),
];

impl Fault {
    fn strike(self, team: &mut Team) {
        let server = &mut team.server;
        match self {
            Self::Frozen(_) => server.freeze().unwrap(),
            Self::Stopped(_) => server.stop().unwrap(),
            Self::Killed(_) => server.kill().unwrap(),
        }
    }

    fn time(self) -> Duration {
        let (Self::Frozen(seconds) | Self::Stopped(seconds) | Self::Killed(seconds)) = self;
        Duration::from_secs(seconds)
    }

    fn end(self, team: &mut Team) {
        match self {
            Self::Frozen(_) => team.server.thaw().unwrap(),
            Self::Stopped(_) | Self::Killed(_) => team.server.start_again().unwrap(),
        }
    }

    fn is_long(self) -> bool {
        self.time() > Duration::from_secs(60)
    }
}

#[test]
fn nothing_is_lost_or_done_twice_while_the_server_is_away() {
    if rollctl_fleet::skip() || rollctl_postgres::skip() {
        return;
    }
    let mut random = random();
    let rounds = times("ROLLCTL_POSTGRES_ROUNDS", ROUNDS);
    let mut team = Team::new();
    let (laptop, on_call) = (team.desk("laptop", "ann"), team.desk("on-call", "ben"));
    let ended = team.run(laptop.release(&team.version("v0")));
    ends_with(&ended, 0);
    let mut struck = 0;
    for round in 1..=rounds {
        let version = team.version(&format!("v{round}"));
        let fault = FAULTS[(round - 1) % FAULTS.len()];
        let prober = team.watch();
        let mut running = Running::start(laptop.release(&version));
        until_at_work(&team, &mut random, &mut running);
        let at_work = !running.is_over();
        struck += usize::from(at_work);
        fault.strike(&mut team);
        running.run_on(fault.time());
        // Meanwhile whoever asks is told, and soon.
        let gave_up = running.is_over();
        if fault.time() > Duration::ZERO {
            let asked = team.run(on_call.rollctl(&["status", "web"]));
            ends_with(&asked, 1);
            assert!(asked.took < Duration::from_secs(8), "{:?}", asked.took);
        }
        fault.end(&mut team);
        let ended = running.end();
        println!(
            "round {round}: {fault:?}, at work: {at_work}, gave up: {gave_up}: exit {:?} after {:.1?}",
            ended.code, ended.took
        );
        if at_work && fault.is_long() {
            ends_with(&ended, 1);
            // From another machine, without a word about the first one: its lease has long run out.
            let resumed = team.run(on_call.rollctl(&["resume", "web"]));
            ends_with(&resumed, 0);
        } else {
            ends_with(&ended, 0);
        }
        let record = prober.stop();
        assert!(record.lowest() >= HOSTS - BUDGET, "{record}");
        team.all_run(&version, &[&laptop, &on_call]);
    }
    println!("{rounds} rounds, in {struck} of them the server was struck in the middle");
    assert!(
        struck * 2 >= rounds,
        "half of them at least are to be struck in the middle"
    );
    team.fleet.shut_down().unwrap();
}

#[test]
fn another_machine_sees_and_is_heard_within_a_second() {
    if rollctl_fleet::skip() || rollctl_postgres::skip() {
        return;
    }
    let mut random = random();
    let team = Team::new();
    let (laptop, on_call) = (team.desk("laptop", "ann"), team.desk("on-call", "ben"));
    let first = team.version("v0");
    let ended = team.run(laptop.release(&first));
    ends_with(&ended, 0);
    let mut watching = on_call
        .rollctl(&["status", "web", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut seen = |wanted: &[&str]| {
        for line in lines.by_ref() {
            let shown: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            let phase = shown["rollout"]["phase"].as_str().unwrap_or("none");
            if wanted.contains(&phase) {
                return;
            }
        }
        panic!("it ended before it showed {wanted:?}");
    };
    seen(&["none"]);
    for round in 1..=times("ROLLCTL_POSTGRES_ROUNDS", ROUNDS) {
        let version = team.version(&format!("v{round}"));
        let mut running = Running::start(laptop.release(&version));
        until_at_work(&team, &mut random, &mut running);
        seen(&["observing", "progressing"]);
        let asked = Instant::now();
        let pausing = Running::start(on_call.rollctl(&["pause", "web"]));
        seen(&["pausing", "paused"]);
        let shown = asked.elapsed();
        let paused = pausing.end();
        println!(
            "round {round}: shown after {shown:.2?}, answered after {:.2?}",
            paused.took
        );
        ends_with(&paused, 0);
        ends_with(&running.end(), 5);
        for took in [shown, paused.took] {
            assert!(took < Duration::from_secs(1), "{took:?}");
        }
        seen(&["paused"]);
        let resumed = team.run(on_call.rollctl(&["resume", "web"]));
        ends_with(&resumed, 0);
        seen(&["none"]);
        team.all_run(&version, &[&laptop, &on_call]);
    }
    watching.kill().unwrap();
    watching.wait().unwrap();
    team.fleet.shut_down().unwrap();
}
