//! Which faults there are, in which order they come, and how a run may end that met one.

use std::fmt;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Where a host is when the controller dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Stage,
    UnitToLink,
    LinkToRestart,
    Settle,
    Confirm,
}

/// What is done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// `kill -9` of the controller while one host is there.
    Kill(Phase),
    /// `kill -9` of the controller at any moment.
    KillAnytime,
    /// One host off the network for some seconds.
    CutOne,
    /// Half of the hosts off the network for some seconds.
    CutHalf,
    /// One host off the network until the controller gave it up and its dead-man's switch has fired.
    CutLong,
    /// A host in work reboots, in order or as after a power cut.
    Reboot,
    /// The disk of a host is full from some step on.
    FullDisk,
    /// The SSH sessions of a host in work are killed.
    KillSessions,
    /// sshd of a host in work is away for some seconds.
    StopSshd,
    /// The main process of an instance is killed.
    KillService,
    /// The controller's clock jumps by an hour.
    ClockJump,
    /// A second controller starts.
    Second,
    /// A second controller takes over.
    TakeOver,
    /// What arrives on a host is not what was sent.
    CorruptUpload,
}

impl Fault {
    const PHASES: [Phase; 5] = [
        Phase::Stage,
        Phase::UnitToLink,
        Phase::LinkToRestart,
        Phase::Settle,
        Phase::Confirm,
    ];

    const OTHERS: [Self; 12] = [
        Self::CutOne,
        Self::Second,
        Self::Reboot,
        Self::FullDisk,
        Self::KillSessions,
        Self::KillService,
        Self::CorruptUpload,
        Self::TakeOver,
        Self::StopSshd,
        Self::CutHalf,
        Self::ClockJump,
        Self::CutLong,
    ];

    /// With which exit codes the run may end that met it, and why. A killed run has none.
    pub(crate) fn may_end(self) -> (&'static [i32], &'static str) {
        match self {
            Self::Kill(_) | Self::KillAnytime => (
                &[0, 3, 10],
                "killed; the code is that of `resume`. A host that rebooted meanwhile may be skipped; one whose step was killed was \
                 put back by its own script, and that is tried again",
            ),
            Self::CutOne | Self::CutHalf => (
                &[0, 3, 5, 10, 11],
                "short cuts pass; else a host lost in flight has failed, and the others go back: it itself cannot be seen",
            ),
            Self::CutLong => (
                &[0, 3, 5, 10, 11],
                "a host cut off before its turn is skipped, one lost in flight has failed and heals itself",
            ),
            Self::Reboot => (
                &[0, 3, 5, 10, 11],
                "a changed boot id counts against nobody; a step that it cut off may have failed",
            ),
            Self::FullDisk => (
                &[0, 3, 10],
                "refused before anything went down: skipped; a switch that cannot write goes back",
            ),
            Self::KillSessions => (
                &[0, 5, 10],
                "made again; a step that was lost may have failed",
            ),
            Self::StopSshd => (
                &[0, 3, 5, 10, 11],
                "a host that refuses connections is unreachable, and in flight it has failed",
            ),
            Self::KillService => (
                &[0, 5, 10],
                "an old instance that dies counts against nobody; a new one that restarts has failed",
            ),
            Self::ClockJump => (&[0], "time is measured with a clock that does not jump"),
            Self::Second => (&[0], "the second is refused with 4"),
            Self::TakeOver => (
                &[0, 4],
                "the first is displaced with 4; it may have been done before",
            ),
            Self::CorruptUpload => (
                &[0, 3],
                "sent again, or the host is skipped: nothing of it ever looks like a revision",
            ),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(phase) => write!(out, "kill -9 in {phase:?}"),
            other => write!(out, "{other:?}"),
        }
    }
}

/// So many faults: of 20 in a row ten are kills, two in each phase, and one is a kill at any moment.
pub(crate) fn deck(rounds: usize, random: &mut StdRng) -> Vec<Fault> {
    let mut others = Fault::OTHERS.iter().copied().cycle();
    let mut cards = Vec::new();
    while cards.len() < rounds {
        let mut block: Vec<_> = Fault::PHASES
            .iter()
            .flat_map(|phase| [Fault::Kill(*phase); 2])
            .collect();
        block.push(Fault::KillAnytime);
        block.extend(others.by_ref().take(9));
        block.shuffle(random);
        cards.extend(block);
    }
    cards.truncate(rounds);
    cards
}

/// A short deck, for a run that has minutes: each phase once, then the others as far as they go; the slowest left out.
pub(crate) fn short_deck(rounds: usize, random: &mut StdRng) -> Vec<Fault> {
    let kills = Fault::PHASES.iter().map(|phase| Fault::Kill(*phase));
    let others = Fault::OTHERS
        .iter()
        .copied()
        .filter(|fault| !matches!(fault, Fault::CutLong | Fault::CutHalf));
    let mut cards: Vec<_> = kills.chain(others).cycle().take(rounds).collect();
    cards.shuffle(random);
    cards
}

/// One of them.
pub(crate) fn pick<T: Copy>(random: &mut StdRng, of: &[T]) -> T {
    of[random.random_range(0..of.len())]
}
