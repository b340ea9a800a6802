//! What a rollout waits for, in sentences.

use std::collections::BTreeMap;

use super::time::left;
use super::words::names;
use crate::core::budget::Budget;
use crate::core::decision::WaitReason;
use crate::core::event::ActionKind;
use crate::core::ids::HostName;
use crate::core::time::Timestamp;

/// Sentences about single instances; more of them would bury the rest.
const INSTANCES_TOLD: usize = 3;

/// One reason in a sentence.
pub fn wait_in_words(reason: &WaitReason, budget: &Budget, now: Timestamp) -> String {
    match reason {
        WaitReason::FirstLook { hosts } => format!("looking at {} first", names(hosts)),
        WaitReason::Working { host, action } => format!("{} {host}", gerund(*action)),
        WaitReason::Settling {
            host,
            until: Some(until),
            ..
        }
        | WaitReason::MinReady { host, until } => {
            format!("{host} must stay ready for {} more", left(*until, now))
        }
        WaitReason::Settling { host, deadline, .. } => format!(
            "{host} is not ready yet; it fails in {}",
            left(*deadline, now)
        ),
        WaitReason::NoHeadroom {
            available,
            min_available,
            unavailable,
        } => {
            let all = format!(
                "{available} of {} available, at least {min_available} must be",
                budget.desired
            );
            if unavailable.is_empty() {
                all
            } else {
                format!("{all}: waiting for {}", names(unavailable))
            }
        }
        WaitReason::InFlight { in_flight, limit } => {
            format!("{in_flight} in work, at most {limit} may be (max_unavailable)")
        }
        WaitReason::NoRoom { running, max_total } => {
            format!("{running} run, at most {max_total} may (max_surge)")
        }
        WaitReason::Stale { hosts } => {
            format!(
                "looking at {} again before anything is taken down",
                names(hosts)
            )
        }
        WaitReason::Gate {
            step,
            to,
            available,
        } => format!(
            "step {}: {available} of {to} new ones are available, no more are started before",
            step + 1
        ),
        WaitReason::Baking { step, until } => format!(
            "step {} is reached and bakes for {} more",
            step + 1,
            left(*until, now)
        ),
        WaitReason::Approval { step } => format!(
            "step {} is reached and waits for somebody to approve (`rollctl approve`)",
            step + 1
        ),
        WaitReason::OtherValues {
            label,
            in_work,
            at_once,
        } => format!(
            "{label} {} in work, at most {at_once} at once may be (at_once)",
            in_work.join(", ")
        ),
        WaitReason::NoHeadroomInside {
            label,
            value,
            available,
            min_available,
        } => format!(
            "in {label} {value} {available} are available, at least {min_available} must be"
        ),
        WaitReason::Hook { hook } => format!("running the {hook} hook"),
        WaitReason::Pausing => "finishing what is in flight, then pausing".to_owned(),
        WaitReason::Aborting => "finishing what is in flight, then ending".to_owned(),
        WaitReason::GoingBack => "every host goes back to what it ran before".to_owned(),
    }
}

/// All reasons in few sentences, also for a large fleet: what happens first, then what stands in the way.
pub fn waits_in_words(reasons: &[WaitReason], budget: &Budget, now: Timestamp) -> Vec<String> {
    let mut working: BTreeMap<ActionKind, Vec<HostName>> = BTreeMap::new();
    let (mut proving, mut others) = (Vec::new(), Vec::new());
    for reason in reasons {
        match reason {
            WaitReason::Working { host, action } => {
                working.entry(*action).or_default().push(host.clone());
            }
            WaitReason::Settling { .. } | WaitReason::MinReady { .. } => proving.push(reason),
            _ => others.push(reason),
        }
    }
    let mut sentences: Vec<String> = working
        .iter()
        .map(|(action, hosts)| format!("{} {}", gerund(*action), names(hosts)))
        .collect();
    let told = proving.iter().take(INSTANCES_TOLD);
    sentences.extend(told.map(|reason| wait_in_words(reason, budget, now)));
    if proving.len() > INSTANCES_TOLD {
        let more = proving.len() - INSTANCES_TOLD;
        sentences.push(format!("{more} more have to prove themselves"));
    }
    sentences.extend(
        others
            .iter()
            .map(|reason| wait_in_words(reason, budget, now)),
    );
    sentences
}

fn gerund(action: ActionKind) -> &'static str {
    match action {
        ActionKind::Stage => "shipping to",
        ActionKind::BeforeInstance | ActionKind::BeforeStart => {
            "running the before_instance hook of"
        }
        ActionKind::Drain => "draining",
        ActionKind::Activate => "switching",
        ActionKind::Confirm => "reading back",
        ActionKind::Attach => "attaching",
        ActionKind::AfterInstance => "running the after_instance hook of",
        ActionKind::Revert => "putting back",
        ActionKind::Start => "starting beside the other on",
        ActionKind::Stop => "stopping",
        ActionKind::DrainSibling => "draining the other on",
        ActionKind::AttachSibling => "attaching the other on",
        ActionKind::StopSibling => "stopping the other on",
        ActionKind::Prune => "cleaning up",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{at, host};

    #[test]
    fn what_a_rollout_waits_for() {
        let budget = Budget {
            desired: 12,
            max_surge: 0,
            max_unavailable: 3,
        };
        let hosts = |count: u32| -> Vec<HostName> {
            (1..=count).map(|n| host(&format!("web-{n:02}"))).collect()
        };
        for (reason, expected) in [
            (
                WaitReason::FirstLook { hosts: hosts(12) },
                "looking at web-01, web-02, web-03 and 9 more first",
            ),
            (
                WaitReason::Working {
                    host: host("web-03"),
                    action: ActionKind::Activate,
                },
                "switching web-03",
            ),
            (
                WaitReason::Settling {
                    host: host("web-04"),
                    until: Some(at(6_200)),
                    deadline: at(50_000),
                },
                "web-04 must stay ready for 7s more",
            ),
            (
                WaitReason::MinReady {
                    host: host("web-04"),
                    until: at(7_000),
                },
                "web-04 must stay ready for 7s more",
            ),
            (
                WaitReason::Settling {
                    host: host("web-04"),
                    until: None,
                    deadline: at(42_000),
                },
                "web-04 is not ready yet; it fails in 42s",
            ),
            (
                WaitReason::NoHeadroom {
                    available: 9,
                    min_available: 9,
                    unavailable: vec![host("web-03")],
                },
                "9 of 12 available, at least 9 must be: waiting for web-03",
            ),
            (
                WaitReason::NoHeadroom {
                    available: 9,
                    min_available: 9,
                    unavailable: hosts(3),
                },
                "9 of 12 available, at least 9 must be: waiting for web-01, web-02 and web-03",
            ),
            (
                WaitReason::InFlight {
                    in_flight: 3,
                    limit: 3,
                },
                "3 in work, at most 3 may be (max_unavailable)",
            ),
            (
                WaitReason::NoRoom {
                    running: 12,
                    max_total: 12,
                },
                "12 run, at most 12 may (max_surge)",
            ),
            (
                WaitReason::Stale { hosts: hosts(2) },
                "looking at web-01 and web-02 again before anything is taken down",
            ),
            (
                WaitReason::Pausing,
                "finishing what is in flight, then pausing",
            ),
        ] {
            assert_eq!(wait_in_words(&reason, &budget, at(0)), expected);
        }
    }

    #[test]
    fn a_large_fleet_does_not_bury_the_reason() {
        let budget = Budget {
            desired: 500,
            max_surge: 0,
            max_unavailable: 25,
        };
        let mut reasons = Vec::new();
        for number in 10..40 {
            reasons.push(WaitReason::Working {
                host: host(&format!("web-{number}")),
                action: ActionKind::Stage,
            });
            reasons.push(WaitReason::MinReady {
                host: host(&format!("web-{}", number + 30)),
                until: at(7_000),
            });
        }
        reasons.push(WaitReason::InFlight {
            in_flight: 25,
            limit: 25,
        });
        assert_eq!(
            waits_in_words(&reasons, &budget, at(0)),
            [
                "shipping to web-10, web-11, web-12 and 27 more",
                "web-40 must stay ready for 7s more",
                "web-41 must stay ready for 7s more",
                "web-42 must stay ready for 7s more",
                "27 more have to prove themselves",
                "25 in work, at most 25 may be (max_unavailable)",
            ]
        );
    }
}
