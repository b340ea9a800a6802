//! What happens on hosts: orders that arrive, steps that end, answers that come back, switches that fire, boots.

use rand::Rng;

use rollctl::core::event::{ActionKind, ActionOutcome, Event};
use rollctl::core::rollout::Expects;

use crate::draw::Release;
use crate::host::{Armed, Busy};
use crate::order::{Coming, Order};
use crate::world::{Stop, World, done};

/// A host that was cut off is asked again after so long.
const ASK_AGAIN: i64 = 2_000;

/// What a stop may take, for the dead-man's switch.
const STOP: i64 = 5_000;

/// What is added to the times that a switch may take by itself.
const SLACK: i64 = 30_000;

impl World {
    pub(crate) fn happen(&mut self, what: Coming) -> Result<(), String> {
        match what {
            Coming::Arrive(order) => self.arrive(order),
            Coming::Finish(order) => self.finish(order),
            Coming::Reply(order, outcome) => return self.reply(order, outcome),
            Coming::HookEnds { controller, hook } => return self.hook_ends(controller, hook),
            Coming::Guard { host, number } => self.fire(host, number),
            Coming::Boot { host } => self.boot(host),
        }
        Ok(())
    }

    fn deadline(&self) -> i64 {
        i64::try_from(self.spec.deadline.as_millis()).unwrap_or(i64::MAX)
    }

    pub(crate) fn window(&self) -> i64 {
        let min_ready = i64::try_from(self.spec.min_ready.as_millis()).unwrap_or(i64::MAX);
        STOP + self.deadline() + min_ready + SLACK
    }

    pub(crate) fn answer(&mut self, order: Order, outcome: ActionOutcome) {
        let mut lag = self.hosts[order.host].lag;
        if self.temper.loses > 0
            && !self.is_calm()
            && self.rng.random_range(0..self.temper.loses) == 0
        {
            self.tally.lost_reply += 1;
            lag += self.rng.random_range(1_000..30_000);
        }
        self.come(self.now + lag, Coming::Reply(order, outcome));
    }

    fn arrive(&mut self, order: Order) {
        if is_of_traffic(order.action) {
            return self.balance(order);
        }
        if is_hook(order.action) {
            return self.run_hook(order);
        }
        let host = &self.hosts[order.host];
        if !host.answers_ssh(self.now) {
            let never_begun = matches!(
                order.action,
                ActionKind::Stage | ActionKind::Activate | ActionKind::Prune
            ) || (order.action == ActionKind::Start && !order.goes_back);
            let reason = "connection refused".to_owned();
            match () {
                () if never_begun => {
                    let outcome = ActionOutcome::Refused { reason };
                    self.come(self.now + 1, Coming::Reply(order, outcome));
                }
                () if self.now - order.sent_at >= self.deadline() => {
                    let outcome = ActionOutcome::Lost { reason };
                    self.come(self.now + 1, Coming::Reply(order, outcome));
                }
                () => self.come(self.now + ASK_AGAIN, Coming::Arrive(order)),
            }
            return;
        }
        if let Some(busy) = host.busy {
            self.come(busy.until + 1, Coming::Arrive(order));
            return;
        }
        if order.epoch < host.epoch {
            let reason = "a later controller works here".to_owned();
            let outcome = match order.action {
                ActionKind::Start if order.goes_back => ActionOutcome::Failed { reason },
                ActionKind::Stage | ActionKind::Activate | ActionKind::Start => {
                    ActionOutcome::Refused { reason }
                }
                _ => ActionOutcome::Failed { reason },
            };
            self.answer(order, outcome);
            return;
        }
        let fails = self.temper.fails > 0
            && !self.is_calm()
            && self.rng.random_range(0..self.temper.fails) == 0;
        match order.action {
            ActionKind::Stage => {
                let outcome = match fails {
                    true => ActionOutcome::Refused {
                        reason: "no space".to_owned(),
                    },
                    false => ActionOutcome::Done { started: None },
                };
                self.answer(order, outcome);
            }
            ActionKind::Prune => self.answer(order, ActionOutcome::Done { started: None }),
            ActionKind::Activate => self.activate(order, fails),
            ActionKind::Confirm => self.confirm(order),
            ActionKind::Revert | ActionKind::Stop => self.revert(order, fails),
            ActionKind::Start => self.start_beside(order, fails),
            ActionKind::StopSibling => self.stop_beside(order),
            ActionKind::BeforeInstance
            | ActionKind::BeforeStart
            | ActionKind::AfterInstance
            | ActionKind::Drain
            | ActionKind::Attach
            | ActionKind::DrainSibling
            | ActionKind::AttachSibling => {}
        }
    }

    fn activate(&mut self, order: Order, fails: bool) {
        let host = &self.hosts[order.host];
        let reason = "as it must not be".to_owned();
        if order.expects == Some(Expects::Broken) && host.armed.is_none() && host.serves(self.now) {
            self.answer(order, ActionOutcome::Declined { reason });
            return;
        }
        if host.runs != order.from || host.begun.is_some() || (fails && self.rng.random_bool(0.5)) {
            self.answer(order, ActionOutcome::Refused { reason });
            return;
        }
        let window = self.window();
        self.arm(&order, window, false);
        let before = order.from;
        self.begin_step(order, before);
    }

    /// Sets the dead-man's switch of an order; `beside`: of something started beside.
    pub(crate) fn arm(&mut self, order: &Order, window: i64, beside: bool) {
        let armed = Armed {
            fires_at: self.now + window,
            window,
            before: order.from,
            beside,
            number: order.number,
        };
        self.hosts[order.host].armed = Some(armed);
        let guard = Coming::Guard {
            host: order.host,
            number: order.number,
        };
        self.come(armed.fires_at, guard);
    }

    /// `back`: what is in place after a step that was cut off here.
    fn begin_step(&mut self, mut order: Order, back: Release) {
        let takes = self.rng.random_range(100..4_000);
        let host = &mut self.hosts[order.host];
        host.up = false;
        host.begun = Some(back);
        host.busy = Some(Busy {
            until: self.now + takes,
            before: back,
            beside: false,
        });
        order.boot = host.boot;
        self.come(self.now + takes, Coming::Finish(order));
    }

    pub(crate) fn finish(&mut self, order: Order) {
        let host = &mut self.hosts[order.host];
        if host.boot != order.boot || host.busy.is_none() {
            // Cut off by a reboot. Whoever asked asks again, and the step is finished or put back.
            let lag = self.hosts[order.host].lag;
            self.come(self.now + lag, Coming::Arrive(Order { boot: 0, ..order }));
            return;
        }
        if order.action == ActionKind::Start {
            host.start_beside(order.to, self.now, !self.spec.balanced);
            if order.goes_back {
                host.exchange();
            }
            let starts = match order.goes_back {
                true => host.starts,
                false => host.other.map_or(0, |other| other.starts),
            };
            let started = Some(host.start_numbered(starts));
            return self.answer(order, ActionOutcome::Done { started });
        }
        host.start(order.to, self.now);
        // Whoever had it out of traffic did not mean what may be started there later.
        host.kept_out &= order.action != ActionKind::Stop;
        if matches!(order.action, ActionKind::Revert | ActionKind::Stop) {
            host.armed = None;
        }
        let outcome = done(host);
        self.answer(order, outcome);
    }

    fn confirm(&mut self, order: Order) {
        let host = &mut self.hosts[order.host];
        if let Some(other) = host.other.filter(|_| host.has_beside(order.to))
            && other.up
            && order.started == Some((host.boot, other.starts))
        {
            host.exchange();
        }
        let as_started = order.started == Some((host.boot, host.starts));
        let outcome = match host.runs == order.to && host.up && as_started {
            true => {
                host.armed = None;
                ActionOutcome::Done { started: None }
            }
            false => ActionOutcome::Failed {
                reason: "it was started again since the switch".to_owned(),
            },
        };
        self.answer(order, outcome);
    }

    fn revert(&mut self, order: Order, fails: bool) {
        let now = self.now;
        if order.leaves_other && self.revert_beside(&order, now) {
            return self.answer(order, ActionOutcome::Done { started: None });
        }
        let host = &mut self.hosts[order.host];
        host.recover(now);
        if host.runs == order.to && host.armed.is_none() {
            let outcome = done(host);
            self.answer(order, outcome);
            return;
        }
        if fails || (host.runs != order.from && host.runs != order.to) {
            let reason = "no space".to_owned();
            self.answer(order, ActionOutcome::Failed { reason });
            return;
        }
        let back = order.to;
        self.begin_step(order, back);
    }

    fn reply(&mut self, order: Order, outcome: ActionOutcome) -> Result<(), String> {
        let Some(who) = self
            .controllers
            .iter()
            .position(|one| one.id == order.controller)
        else {
            return Ok(());
        };
        let by_ssh = !is_of_traffic(order.action) && !is_hook(order.action);
        let unreachable = by_ssh && !self.hosts[order.host].answers_ssh(self.now);
        let is_answer = !matches!(
            outcome,
            ActionOutcome::Lost { .. } | ActionOutcome::Refused { .. }
        );
        if unreachable && is_answer {
            if self.now - order.sent_at < self.deadline() {
                self.come(self.now + ASK_AGAIN, Coming::Reply(order, outcome));
                return Ok(());
            }
            let reason = "the connection was lost".to_owned();
            let outcome = match order.action {
                ActionKind::Stage | ActionKind::Prune => ActionOutcome::Refused { reason },
                _ => ActionOutcome::Lost { reason },
            };
            return self.tell(who, &order, outcome);
        }
        self.tell(who, &order, outcome)
    }

    fn tell(&mut self, who: usize, order: &Order, outcome: ActionOutcome) -> Result<(), String> {
        let declined = matches!(
            outcome,
            ActionOutcome::Declined { .. } | ActionOutcome::Refused { .. }
        );
        let ended = Event::ActionEnded {
            host: self.controllers[who].host_name(order.host),
            action: order.action,
            outcome,
        };
        match self.record(who, &ended) {
            Ok(()) => {
                self.controllers[who].rewatch(order.host, order.action, declined);
                Ok(())
            }
            Err(Stop::Gone) => {
                self.controllers.remove(who);
                Ok(())
            }
            Err(Stop::Bad(why)) => Err(why),
        }
    }

    fn fire(&mut self, place: usize, number: u64) {
        let now = self.now;
        let host = &mut self.hosts[place];
        let Some(armed) = host.armed.filter(|armed| armed.number == number) else {
            return;
        };
        if now < armed.fires_at || now < host.off_until {
            return;
        }
        if let Some(busy) = host.busy {
            self.come(
                busy.until + 1,
                Coming::Guard {
                    host: place,
                    number,
                },
            );
            return;
        }
        self.tally.fired += 1;
        host.recover(now);
        match host.armed.take() {
            Some(armed) if armed.beside => {
                // It takes away what was started beside, and sees that what ran before runs.
                host.other = None;
                if !host.up {
                    host.start(host.runs, now);
                }
            }
            Some(armed) => host.start(armed.before, now),
            None => {}
        }
    }

    fn boot(&mut self, place: usize) {
        let now = self.now;
        let host = &mut self.hosts[place];
        host.boot += 1;
        host.total_starts += 1;
        (host.starts, host.started_at) = (host.total_starts, now);
        host.up = host.runs != 0;
        host.busy = None;
        if let Some(other) = &mut host.other {
            other.up = false;
        }
        if let Some(armed) = &mut host.armed {
            // It counts anew with the boot.
            armed.fires_at = now + armed.window;
            let (when, number) = (armed.fires_at, armed.number);
            self.come(
                when,
                Coming::Guard {
                    host: place,
                    number,
                },
            );
        }
    }
}

fn is_of_traffic(action: ActionKind) -> bool {
    matches!(
        action,
        ActionKind::Drain
            | ActionKind::Attach
            | ActionKind::DrainSibling
            | ActionKind::AttachSibling
    )
}

fn is_hook(action: ActionKind) -> bool {
    action.hook().is_some()
}
