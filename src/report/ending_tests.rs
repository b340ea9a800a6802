use super::*;
use crate::core::event::{ActionKind, ActionOutcome};
use crate::core::ids::RolloutId;
use crate::report::sample::{Sample, diagnosis, host};

fn ending(sample: &Sample, diagnoses: &Diagnoses) -> Ending {
    diagnoses
        .ending(sample.events.last().unwrap(), &sample.state)
        .unwrap()
}

#[test]
fn all_went_well() {
    let mut sample = Sample::new(2, 1);
    sample
        .sees_old(100, "web-01")
        .sees_old(100, "web-02")
        .updates(200, "web-01")
        .updates(14_000, "web-02")
        .completes(48_000);
    let ending = ending(&sample, &Diagnoses::default());
    assert!(ending.completed);
    assert_eq!(
        ending.text(false),
        "rollout 12 of `web` completed: 2 of 2 on `v1.4.2` in 48s\n"
    );
}

#[test]
fn done_but_one_host_was_left_alone() {
    let mut sample = Sample::new(2, 1);
    sample
        .sees_old(100, "web-01")
        .unreachable(100, "web-02")
        .updates(200, "web-01")
        .completes(14_000);
    insta::assert_snapshot!(ending(&sample, &Diagnoses::default()).text(false), @r"
    rollout 12 of `web` completed: 1 of 2 on `v1.4.2` in 14s
      web-02: unreachable, left alone: connection refused (192.0.2.17:22)
    fleet: 1 on `v1.4.2`, 1 unavailable (1 allowed)

    hint: `rollctl release web --same` brings the hosts that are missing up to date
    ");
}

#[test]
fn paused_over_a_failure_with_its_last_probe_and_journal() {
    let mut sample = Sample::new(4, 3);
    let mut diagnoses = Diagnoses::default();
    diagnoses.hear(&diagnosis("web-03"));
    sample
        .sees_old(100, "web-01")
        .sees_old(100, "web-02")
        .sees_old(100, "web-03")
        .unreachable(100, "web-04")
        .updates(200, "web-01")
        .fails(200, "web-03")
        .push(
            73_000,
            Event::PauseRequested {
                cause: PauseCause::Failures { failed: 1 },
            },
        )
        .push(73_000, Event::RolloutPaused);
    let ending = ending(&sample, &diagnoses);
    assert!(!ending.completed);
    insta::assert_snapshot!(ending.text(false));
}

/// One of three is new, the second failed, with what was found out about it.
fn one_failed() -> (Sample, Diagnoses) {
    let mut sample = Sample::new(3, 1);
    let mut diagnoses = Diagnoses::default();
    diagnoses.hear(&diagnosis("web-02"));
    sample
        .sees_old(100, "web-01")
        .sees_old(100, "web-02")
        .sees_old(100, "web-03")
        .updates(200, "web-01")
        .fails(14_000, "web-02");
    (sample, diagnoses)
}

fn goes_back(sample: &mut Sample) {
    let cause = crate::core::event::RollbackCause::Failures { failed: 1 };
    sample.push(90_000, Event::RollbackStarted { cause });
}

#[test]
fn rolled_back_with_the_last_probe_and_journal_of_what_failed() {
    let (mut sample, diagnoses) = one_failed();
    goes_back(&mut sample);
    sample
        .begins(90_000, "web-01", ActionKind::Revert)
        .ends(91_000, "web-01", ActionKind::Revert)
        .health(
            92_000,
            "web-01",
            crate::core::health::Health::Ready {
                since: crate::report::sample::at(92_000),
            },
        )
        .push(
            103_000,
            Event::InstanceMarked {
                host: host("web-01"),
                mark: crate::core::event::Mark::Reverted,
            },
        )
        .push(
            103_000,
            Event::RolloutEnded {
                outcome: Outcome::RolledBack,
            },
        );
    insta::assert_snapshot!(ending(&sample, &diagnoses).text(false));
}

#[test]
fn paused_on_its_way_back() {
    let (mut sample, diagnoses) = one_failed();
    goes_back(&mut sample);
    let by = "bob@desk".to_owned();
    sample
        .push(
            90_500,
            Event::PauseRequested {
                cause: PauseCause::Asked { by },
            },
        )
        .push(90_500, Event::RolloutPaused);
    let text = ending(&sample, &diagnoses).text(false);
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        "error: rollout 12 of `web` paused on its way back, asked by bob@desk: 1 instance failed; 1 still on `v1.4.2`"
    );
    assert!(
        text.ends_with("\nhint: `rollctl resume web` goes on going back\n"),
        "{text}"
    );
}

#[test]
fn ended_with_failures_is_no_good_news() {
    let (mut sample, diagnoses) = one_failed();
    sample.updates(100_000, "web-03").completes(120_000);
    let ending = ending(&sample, &diagnoses);
    assert!(!ending.completed);
    insta::assert_snapshot!(ending.text(false));
}

#[test]
fn nothing_is_new_where_all_that_was_tried_failed() {
    let mut sample = Sample::new(1, 1);
    sample.sees_old(100, "web-01").fails(200, "web-01").push(
        90_000,
        Event::RolloutEnded {
            outcome: Outcome::StoodStill,
        },
    );
    insta::assert_snapshot!(ending(&sample, &Diagnoses::default()).text(false), @r"
    error: rollout 12 of `web` cannot go on: 0 of 1 on `v1.4.2`; 1 of 1 instances failed on `v1.4.2`
      web-01: not ready within 1m (`v1.4.1` is back)
    fleet: 1 on `v1.4.1`, 0 unavailable (1 allowed)

    hint: release a better version, or mend these hosts, or leave them out with `--exclude HOST` or `out_of_service = true`; then release `v1.4.2` once more
    ");
}

#[test]
fn a_rollout_that_is_complete_and_whose_last_hook_failed() {
    let ending = ending(&Sample::with_hooks(), &Diagnoses::default());
    assert!(!ending.completed, "it is told as an error");
    insta::assert_snapshot!(ending.text(false), @r"
    error: rollout 12 of `web` is complete, 1 of 1 on `v1.4.2`; its after_rollout hook failed
      after_rollout: ended with exit status 3
                     posting
                     �[31mno such channel
    fleet: 1 on `v1.4.2`, 0 unavailable (1 allowed)

    hint: hosts stay as they are; run the hook by hand if it has to have run
    ");
}

#[test]
fn a_rollout_that_its_hook_refused() {
    let hook = HookKind::BeforeRollout;
    let mut sample = Sample::hooked(2, 1, &[hook]);
    sample
        .sees_old(100, "web-01")
        .sees_old(100, "web-02")
        .push(200, Event::HookStarted { hook, rest: None })
        .push(
            1_200,
            Event::HookEnded {
                hook,
                host: None,
                end: crate::report::sample::hook_end(1, "frozen until Monday,\nask \u{1b}[1mann"),
            },
        )
        .push(
            1_200,
            Event::RolloutEnded {
                outcome: Outcome::Refused,
            },
        );
    insta::assert_snapshot!(ending(&sample, &Diagnoses::default()).text(false), @r"
    error: rollout 12 of `web` did not begin, nothing was touched: its before_rollout hook ended with exit status 1
      before_rollout: ended with exit status 1
                      frozen until Monday,
                      ask \x1b[1mann
    fleet: 2 on `v1.4.1`, 0 unavailable (1 allowed)

    hint: release `v1.4.2` once more when the hook lets it
    ");
}

#[test]
fn aborted_says_where_hosts_stand() {
    let (mut sample, _) = one_failed();
    let by = "bob@desk".to_owned();
    sample.push(90_000, Event::AbortRequested { by }).push(
        90_000,
        Event::RolloutEnded {
            outcome: Outcome::Aborted,
        },
    );
    insta::assert_snapshot!(ending(&sample, &Diagnoses::default()).text(false));
}

#[test]
fn a_host_that_was_lost_is_not_one_that_could_not_be_put_back() {
    let (mut sample, _) = one_failed();
    sample
        .begins(90_000, "web-03", ActionKind::Stage)
        .ends(91_000, "web-03", ActionKind::Stage)
        .begins(91_000, "web-03", ActionKind::Activate)
        .push(
            92_000,
            Event::ActionEnded {
                host: host("web-03"),
                action: ActionKind::Activate,
                outcome: ActionOutcome::Lost {
                    reason: "connection timed out".to_owned(),
                },
            },
        )
        .begins(92_000, "web-03", ActionKind::Revert)
        .push(
            99_000,
            Event::ActionEnded {
                host: host("web-03"),
                action: ActionKind::Revert,
                outcome: ActionOutcome::Lost {
                    reason: "connection timed out".to_owned(),
                },
            },
        );
    goes_back(&mut sample);
    sample.push(
        103_000,
        Event::RolloutEnded {
            outcome: Outcome::Failed,
        },
    );
    insta::assert_snapshot!(ending(&sample, &Diagnoses::default()).text(false));
}

#[test]
fn broken_needs_somebody() {
    let mut sample = Sample::new(1, 1);
    let mut diagnoses = Diagnoses::default();
    diagnoses.hear(&Progress::Diagnosis {
        host: host("web-01"),
        last_probe: None,
        journal: JournalExcerpt::NotReadable,
    });
    sample.sees_old(100, "web-01").switches(200, "web-01").push(
        61_000,
        Event::InstanceMarked {
            host: host("web-01"),
            mark: crate::core::event::Mark::Failed {
                reason: "not ready within 1m".to_owned(),
            },
        },
    );
    sample
        .begins(61_000, "web-01", ActionKind::Revert)
        .push(
            62_000,
            Event::ActionEnded {
                host: host("web-01"),
                action: ActionKind::Revert,
                outcome: ActionOutcome::Failed {
                    reason: "unit `web.service` is masked".to_owned(),
                },
            },
        )
        .push(
            62_000,
            Event::RolloutEnded {
                outcome: Outcome::Failed,
            },
        );
    insta::assert_snapshot!(ending(&sample, &diagnoses).text(false));
}

#[test]
fn hundreds_of_hosts_do_not_bury_the_message() {
    let mut sample = Sample::new(90, 1);
    for number in 1..=90 {
        sample.unreachable(100, &format!("web-{number:02}"));
    }
    sample.push(
        200,
        Event::RolloutEnded {
            outcome: Outcome::StoodStill,
        },
    );
    let text = ending(&sample, &Diagnoses::default()).text(false);
    assert!(text.lines().count() < 30, "{text}");
    assert!(
        text.contains("... and 70 more; `rollctl describe 12` tells all"),
        "{text}"
    );
}

#[test]
fn a_larger_budget_is_advised_only_where_it_would_help() {
    for (sentence, others_answer, advised) in [
        ("no host can take part", false, false),
        ("a host could, within a larger budget", true, true),
    ] {
        let mut sample = Sample::new(2, 1);
        sample.unreachable(100, "web-01");
        match others_answer {
            true => sample.sees_old(100, "web-02"),
            false => sample.unreachable(100, "web-02"),
        };
        let outcome = Outcome::StoodStill;
        sample.push(200, Event::RolloutEnded { outcome });
        let text = ending(&sample, &Diagnoses::default()).text(false);
        assert_eq!(
            text.contains("--max-unavailable"),
            advised,
            "{sentence}: {text}"
        );
        assert_eq!(
            text.contains("none of the hosts that are left can take part"),
            !advised,
            "{sentence}: {text}"
        );
    }
}

#[test]
fn nothing_is_said_before_the_end() {
    let mut sample = Sample::new(1, 1);
    sample.sees_old(100, "web-01");
    sample.play(|recorded, state| {
        assert_eq!(Diagnoses::default().ending(recorded, state), None);
    });
    sample.push(200, Event::RolloutSuperseded { by: RolloutId(13) });
    assert!(
        ending(&sample, &Diagnoses::default())
            .text(false)
            .contains("gave way to rollout 13")
    );
}

/// The spare host and the one ordinary host are new.
fn on_a_spare_host() -> Sample {
    let mut sample = Sample::with_spare(1);
    sample
        .sees_old(100, "web-01")
        .push(
            100,
            Event::HostObserved {
                sibling: None,
                host: host("web-09"),
                sight: crate::core::event::Sight::reachable(Runs::Nothing),
                traffic: None,
            },
        )
        .updates(200, "web-09")
        .updates(14_000, "web-01");
    sample
}

#[test]
fn a_spare_host_that_could_not_be_let_go() {
    let mut sample = on_a_spare_host();
    sample.completes(48_000);
    let text = ending(&sample, &Diagnoses::default()).text(false);
    let told = "  web-09: still carries the service: too few others are available to stop it\n";
    assert!(text.contains(told), "{text}");
    assert!(text.contains("1 of 1 on `v1.4.2`"), "{text}");

    let mut sample = on_a_spare_host();
    let (host, action) = (host("web-09"), ActionKind::Stop);
    let started = Event::ActionStarted {
        host: host.clone(),
        action,
    };
    let reason = "no space".to_owned();
    let outcome = ActionOutcome::Failed { reason };
    let ended = Event::ActionEnded {
        host,
        action,
        outcome,
    };
    let outcome = Outcome::Failed;
    sample
        .push(40_000, started)
        .push(41_000, ended)
        .push(41_000, Event::RolloutEnded { outcome });
    let text = ending(&sample, &Diagnoses::default()).text(false);
    for told in [
        "failed: what a spare host carries could not be stopped, somebody must look; 1 of 1 on `v1.4.2`",
        "  web-09: it could not be stopped on its spare host: no space\n",
    ] {
        assert!(text.contains(told), "{told:?} is not in:\n{text}");
    }
}
