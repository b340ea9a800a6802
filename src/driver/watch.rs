//! Watches the health of one instance and sends every poll to the loop. Judges nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::job::{Adapters, Input};
use crate::core::event::{Started, StartedUnit};
use crate::core::fleet::{HealthCheck, Probe};
use crate::core::health::Poll;
use crate::core::ids::{HostName, RevisionName};
use crate::ports::{HostError, HostErrorKind, KEPT_CONNECTIONS, ProbeAnswer, UnitState};

/// What SSH may take on top of a probe's timeout before nobody can say how the units are.
const SSH_SLACK: Duration = Duration::from_secs(2);

/// An instance whose looks take long is looked at no less often than this.
const SLOWEST: Duration = Duration::from_secs(60);

/// How long units that were found as they were started are taken to be so. Between two of these looks the probe alone is
/// asked: whatever restarted meanwhile says so itself, since its invocation and its restarts are counted, and before it
/// is confirmed that is read back. Asking costs a host more than answering the probe does.
pub(super) const UNITS_EVERY: Duration = Duration::from_secs(1);

/// Where connections are not kept, each of these looks at a confirmed instance is a login. Of all instances together they are
/// at least so far apart, whatever their number: they must not hold up what is in work.
const LOGINS_APART: Duration = Duration::from_millis(50);

/// How far apart two looks at the units of a confirmed instance are, in a rollout of so many.
pub(super) fn units_every(instances: usize) -> Duration {
    if instances <= KEPT_CONNECTIONS {
        return UNITS_EVERY;
    }
    LOGINS_APART.saturating_mul(u32::try_from(instances).unwrap_or(u32::MAX))
}

/// First looks at instances that are all begun to be watched together: so many a second, or all in one interval if that is
/// longer.
const FIRST_LOOKS_A_SECOND: u32 = 5000;

/// When an instance is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// Before the first look.
    first_in: Duration,
    /// From the first look to the second; every other one comes an interval after the one before.
    second_in: Duration,
}

impl Rhythm {
    /// At once, and then every interval: for what was started just now.
    pub(super) fn at_once(interval: Duration) -> Self {
        Self {
            first_in: Duration::ZERO,
            second_in: interval,
        }
    }

    /// For one of so many that are begun to be watched together: the first looks come soon, and from the second on they
    /// are spread over the whole interval, so that they do not all come at the same moment for ever.
    pub(super) fn spread(interval: Duration, watch: u64, instances: usize) -> Self {
        let instances = u32::try_from(instances).unwrap_or(u32::MAX);
        let soon = Duration::from_secs(1) * instances / FIRST_LOOKS_A_SECOND;
        let phase = phase(watch);
        Self {
            first_in: interval.min(soon).mul_f64(phase),
            second_in: interval.mul_f64(phase),
        }
    }
}

/// Of consecutive numbers, places from 0 to 1 that lie as evenly as can be: the multiples of the golden ratio.
fn phase(number: u64) -> f64 {
    let place = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    u32::try_from(place).map_or(0.0, |place| f64::from(place) / f64::from(u32::MAX))
}

/// What is watched.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// Where.
    pub(super) host: HostName,
    /// Which watch of this host: what an earlier one still sends is thrown away.
    pub(super) generation: u64,
    /// The revision that has to answer; nothing where `expect_*` cannot be asked.
    pub(super) expect: Option<RevisionName>,
    /// Side by side: which of the two instances, and its port.
    pub(super) of: Option<(RevisionName, u16)>,
    /// How the units were started by us; nothing for an instance that ran before.
    pub(super) started: Option<Started>,
    /// How long units that were found as they were started are taken to be so.
    pub(super) units_every: Duration,
    /// Whether a probe that passes is enough while SSH cannot say how the units are.
    pub(super) trusts_probe: bool,
}

/// One look at an instance.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// What it says.
    pub(super) poll: Poll,
    /// The probe's answer, for people.
    pub(super) answer: ProbeAnswer,
    /// Set when the host has rebooted since the units were started: how they run now.
    pub(super) rebooted: Option<Started>,
    /// Whether the units run as they should; nothing where they were not asked.
    units: Option<bool>,
}

/// Polls until the loop is gone or this task is aborted.
pub(super) async fn watch(
    ports: Arc<Adapters>,
    check: HealthCheck,
    subject: Subject,
    rhythm: Rhythm,
    sender: mpsc::Sender<Input>,
) {
    let mut sound: Option<Instant> = None;
    tokio::time::sleep(rhythm.first_in).await;
    let mut next_in = rhythm.second_in;
    loop {
        let begun = Instant::now();
        let with_units =
            check.probe == Probe::Unit || sound.is_none_or(|at| begun - at >= subject.units_every);
        let look = look(&ports, &check, &subject, with_units).await;
        sound = match look.units {
            Some(as_started) => as_started.then_some(begun),
            None => sound,
        };
        let took = begun.elapsed();
        // A look holds until two more were due (contract, section 3); a slow instance is looked at less often.
        let fresh_for = 2 * check.interval.max(took);
        let at = ports.clock.now();
        let input = Input::Looked {
            host: subject.host.clone(),
            generation: subject.generation,
            at,
            look,
            fresh_until: at + fresh_for,
        };
        if sender.send(input).await.is_err() {
            return;
        }
        tokio::time::sleep_until(begun + next_in.max(took.min(SLOWEST))).await;
        next_in = check.interval;
    }
}

/// Asks once: the probe, and of an instance that we started also its units, if they are to be asked.
pub(super) async fn look(
    ports: &Adapters,
    check: &HealthCheck,
    subject: &Subject,
    with_units: bool,
) -> Look {
    let units_matter = with_units && (subject.started.is_some() || check.probe == Probe::Unit);
    let port = subject.of.as_ref().map(|(_, port)| *port);
    let probe = (ports.prober).probe(&subject.host, subject.expect.as_ref(), port);
    let units = async {
        if !units_matter {
            return None;
        }
        // A host that was cut off says nothing for a long time; that is an answer too.
        let of = subject.of.as_ref().map(|(name, _)| name);
        let asked = ports.hosts.units(&subject.host, of);
        Some(
            tokio::time::timeout(check.timeout + SSH_SLACK, asked)
                .await
                .unwrap_or_else(|_| {
                    let message = "no answer over SSH".to_owned();
                    Err(HostError {
                        kind: HostErrorKind::Lost,
                        message,
                        hint: None,
                    })
                }),
        )
    };
    let (answer, units) = tokio::join!(probe, units);
    let by_probe = match answer.passed {
        Some(true) => Poll::Pass,
        Some(false) => Poll::Fail,
        None => Poll::Unknown,
    };
    let mut rebooted = None;
    let by_units = units.map(|units| match (units, &subject.started) {
        (Ok((_, units)), None) => all_active(&units),
        (Ok((boot, units)), Some(started)) if boot != started.boot => {
            let units = units.into_iter().map(|unit| unit.started).collect();
            rebooted = Some(Started { boot, units });
            Poll::Unknown
        }
        (Ok((_, units)), Some(started)) => compare(&units, &started.units),
        (Err(error), _) => match error.kind {
            HostErrorKind::Failed | HostErrorKind::Refused => Poll::Fail,
            HostErrorKind::Unreachable | HostErrorKind::Lost => Poll::Unknown,
        },
    });
    let probe_is_enough = subject.trusts_probe
        && check.probe != Probe::Unit
        && by_probe == Poll::Pass
        && rebooted.is_none();
    let poll = match by_units {
        None => by_probe,
        // Nobody can say how the units are.
        Some(Poll::Unknown) if probe_is_enough => Poll::Pass,
        Some(Poll::Unknown) => Poll::Unknown,
        Some(by_units) => by_units.max_with(by_probe),
    };
    Look {
        poll,
        answer,
        rebooted,
        units: by_units.map(|by_units| by_units == Poll::Pass),
    }
}

fn all_active(units: &[UnitState]) -> Poll {
    if units.iter().all(UnitState::is_active) {
        Poll::Pass
    } else {
        Poll::Fail
    }
}

/// Whether the units run as they were started.
fn compare(units: &[UnitState], started: &[StartedUnit]) -> Poll {
    let restarted = started.iter().any(|then| {
        units.iter().any(|now| {
            // A unit that has no invocation now is down, not restarted.
            now.started.unit == then.unit
                && (now.started.restarts > then.restarts
                    || (!now.started.invocation.as_str().is_empty()
                        && now.started.invocation != then.invocation))
        })
    });
    if restarted {
        Poll::Restarted
    } else {
        all_active(units)
    }
}

/// Puts two looks at one instance together: the worse counts.
trait MaxWith {
    fn max_with(self, other: Self) -> Self;
}

impl MaxWith for Poll {
    fn max_with(self, other: Self) -> Self {
        let badness = |poll| match poll {
            Poll::Pass => 0,
            Poll::Unknown => 1,
            Poll::Fail => 2,
            Poll::Restarted => 3,
        };
        if badness(self) >= badness(other) {
            self
        } else {
            other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_confirmed_instances_are_asked_less_often_where_each_time_is_a_login() {
        for (instances, seconds) in [(1, 1), (1_000, 1), (2_000, 100), (10_000, 500)] {
            let expected = Duration::from_secs(seconds);
            assert_eq!(units_every(instances), expected, "{instances}");
        }
    }

    #[test]
    fn looks_that_begin_together_do_not_come_together() {
        let interval = Duration::from_secs(1);
        for instances in [10, 100, 10_000] {
            let rhythm = |watch| Rhythm::spread(interval, watch, instances);
            let watches = 7..7 + u64::try_from(instances).unwrap();
            let soon = Duration::from_micros(200) * u32::try_from(instances).unwrap();
            let mut tenths = [0; 10];
            for rhythm in watches.map(rhythm) {
                assert!(rhythm.first_in <= soon.min(interval), "{rhythm:?}");
                assert!(rhythm.second_in <= interval, "{rhythm:?}");
                let tenth = rhythm.second_in.as_millis() / 100;
                tenths[usize::try_from(tenth).unwrap().min(9)] += 1;
            }
            let even = instances / 10;
            for count in tenths {
                assert!(count <= even + even / 5 + 1, "{instances}: {tenths:?}");
            }
        }
    }
}
