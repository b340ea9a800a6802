//! Instances behind a balancer, through the driver.

use std::sync::Arc;

use super::Adapters;
use super::bench::{Bench, bench, on};
use super::fakes::FakeTraffic;
use super::side::PortsOf;
use super::traffic::leave_out;
use crate::core::event::{Event, Outcome};
use crate::core::health::Health;
use crate::core::ids::HostName;
use crate::core::rollout::{Reach, RolloutPhase, Stage};

/// The same fleet behind a balancer.
fn balanced(letters: &str) -> (Bench, Arc<FakeTraffic>) {
    let mut bench = bench(letters, 1);
    let traffic = Arc::new(FakeTraffic::default());
    bench.job.spec.balanced = true;
    bench.ports = Arc::new(Adapters {
        hosts: bench.ports.hosts.clone(),
        prober: bench.ports.prober.clone(),
        traffic: Some(traffic.clone()),
        hooks: None,
        ledger: bench.ports.ledger.clone(),
        reporter: bench.ports.reporter.clone(),
        clock: bench.ports.clock.clone(),
    });
    (bench, traffic)
}

fn moves(traffic: &FakeTraffic) -> Vec<String> {
    let calls = traffic.calls.lock().unwrap().clone();
    let moves = calls
        .into_iter()
        .filter(|call| !call.starts_with("observe"));
    moves.collect()
}

const COMPLETED: RolloutPhase = RolloutPhase::Ended(Outcome::Completed);

#[tokio::test(start_paused = true)]
async fn each_instance_leaves_its_traffic_before_its_switch_and_gets_it_back() {
    let (mut bench, traffic) = balanced("oo");
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, COMPLETED);
    let one = |host| ["drain", "prolong", "started", "attach"].map(|call| format!("{call} {host}"));
    assert_eq!(moves(&traffic), [one("h0"), one("h1")].concat());
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_is_restarted_fails_nobody() {
    let (mut bench, traffic) = balanced("oo");
    *traffic.away.lock().unwrap() = 4;
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, COMPLETED);
    assert!(bench.runs().iter().all(|runs| *runs == on("v2")));
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_stays_away_leaves_the_instance_as_it_was() {
    let (mut bench, traffic) = balanced("oo");
    *traffic.refuses.lock().unwrap() = Some("drain");
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, RolloutPhase::Paused);
    assert!(bench.runs().iter().all(|runs| *runs == on("v1")));
    assert_eq!(bench.switches(), Vec::<String>::new());
    assert_eq!(moves(&traffic), ["attach h0"], "it may have got half out");
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_balancer_cannot_be_asked_takes_no_part() {
    let (mut bench, traffic) = balanced("oo");
    *traffic.refuses.lock().unwrap() = Some("observe");
    let finished = bench.run().await.unwrap();
    assert_eq!(bench.switches(), Vec::<String>::new());
    for instance in &finished.state.instances {
        let reason = "lb: no such server; hint: name it".to_owned();
        assert_eq!(instance.reach, Some(Reach::Refused { reason }));
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_had_out_is_updated_and_left_out() {
    let (mut bench, traffic) = balanced("ooo");
    let host = HostName::new("h1");
    traffic.attached.lock().unwrap().insert(host.clone(), false);
    bench.job.spec.budget.max_unavailable = 2;
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, COMPLETED);
    assert!(bench.runs().iter().all(|runs| *runs == on("v2")));
    assert!(!traffic.attached.lock().unwrap()[&host]);
}

#[tokio::test(start_paused = true)]
async fn the_switch_of_what_is_out_waits_as_long_for_whoever_goes_on() {
    let (mut bench, traffic) = balanced("oo");
    let host = HostName::new("h1");
    traffic.attached.lock().unwrap().insert(host, false);
    // It is over just before it could be set anew: what was seen before that is old.
    *traffic.fires.lock().unwrap() = true;
    bench.run().await.unwrap();
    let moves = moves(&traffic);
    assert_eq!(moves[0], "prolong h1", "{moves:?}");
    assert!(moves.contains(&"drain h1".to_owned()), "{moves:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_cut_off_is_an_event() {
    let (mut bench, traffic) = balanced("o");
    *traffic.sessions.lock().unwrap() = 3;
    bench.run().await.unwrap();
    let events = bench.ledger.events.lock().unwrap();
    let cut = events.iter().find_map(|recorded| match recorded.event {
        Event::DrainCutShort { sessions, .. } => Some(sessions),
        _ => None,
    });
    assert_eq!(cut, Some(3));
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_stays_out_and_what_works_is_left_to_its_switch() {
    let (mut bench, traffic) = balanced("oo");
    // It cannot be put in: the new one goes back, and works, but has no traffic.
    *traffic.refuses.lock().unwrap() = Some("attach");
    *traffic.unguarded.lock().unwrap() = vec!["lb: cannot be armed".to_owned()];
    let finished = bench.run().await.unwrap();
    let instance = &finished.state.instances[0];
    assert!(
        matches!(instance.stage, Stage::Broken { .. }),
        "{instance:?}"
    );
    assert!(matches!(instance.health, Some(Health::Ready { .. })));
    let is_given_up = || moves(&traffic).contains(&"stays_out h0".to_owned());
    assert!(!is_given_up());
    assert_eq!(
        *bench.reporter.warnings.lock().unwrap(),
        ["h0: lb: cannot be armed"]
    );

    let mut state = finished.state;
    state.instances[0].health = Some(Health::Unknown);
    leave_out(&bench.ports, &state, &PortsOf::default()).await;
    assert!(is_given_up());
}
