//! The dead-man's switch: what the host is given so that it puts a switch back by itself unless that is confirmed.

use std::fmt::Write as _;
use std::time::Duration;

use super::facts::Facts;
use super::script::Request;
use super::switch::{ends, longest_stop};
use super::systemd::{STOP_TIMEOUT, quoted};
use super::upload::step;
use crate::core::fleet::{Scope, Service};
use crate::core::ids::{RevisionName, UnitName};
use crate::ports::{Controller, HostError, Switch};

/// What is added to the times that a switch may take by itself (contract, section 4).
const SLACK: Duration = Duration::from_secs(30);

/// The first line that the script reads: with it, the script knows that no controller listens.
const TOKEN: &str = "rollctl-guard";

/// The units and the request of one switch's guard.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Of its units, without suffix: `rollctl-revert-web-12-5f3a09c1`.
    name: String,
    /// How long the host waits for the confirmation.
    window: Duration,
    service_unit: String,
    timer_unit: String,
    request: Request,
    scope: Scope,
}

impl Guard {
    /// For a switch that is about to be asked for. `limit` is how long one unit may take to stop and start.
    pub(crate) fn of(
        service: &Service,
        facts: &Facts,
        controller: &Controller,
        switch: &Switch,
        limit: Duration,
    ) -> Self {
        let stops = facts
            .units
            .iter()
            .map(|unit| longest_stop(unit.stop_timeout));
        let window =
            stops.sum::<Duration>() + service.health.deadline + service.strategy.min_ready + SLACK;
        let name = name(service, controller);
        let units = u32::try_from(service.units.len()).unwrap_or(u32::MAX);
        let patience = limit.saturating_mul(units.saturating_mul(2)) + Duration::from_secs(600);
        Self {
            service_unit: service_unit(service, facts, controller, patience),
            timer_unit: timer_unit(service, controller, window),
            request: request(service, facts, controller, switch, &name, window, limit),
            name,
            window,
            scope: service.scope,
        }
    }

    /// For an instance that is about to be started and has to prove itself: `to` is the folder's name of its revision.
    pub(crate) fn side(
        service: &Service,
        facts: &Facts,
        controller: &Controller,
        switch: &Switch,
        to: &RevisionName,
        limit: Duration,
    ) -> Self {
        let stop = facts.instances.iter().map(|one| one.unit.stop_timeout);
        let stop = longest_stop(stop.max().unwrap_or(STOP_TIMEOUT));
        let window = stop + service.health.deadline + service.strategy.min_ready + SLACK;
        let name = name(service, controller);
        let patience = limit.saturating_mul(2) + Duration::from_secs(600);
        let request = ends(step("side_revert", service, controller), controller, switch)
            // Last, so that it is what counts: `~` may be another's home there.
            .option("dir", &facts.dir)
            .option("to_name", to)
            .option("name", &name)
            .option("service", &service.name)
            .option("window", window.as_secs())
            .option("limit", limit.as_secs())
            .option(
                "template",
                service.units.first().map_or("", UnitName::as_str),
            );
        Self {
            service_unit: service_unit(service, facts, controller, patience),
            timer_unit: timer_unit(service, controller, window),
            request,
            name,
            window,
            scope: service.scope,
        }
    }

    /// Adds it to the request for the switch.
    pub(crate) fn add_to(self, request: Request) -> Result<Request, HostError> {
        let scope = match self.scope {
            Scope::System => "system",
            Scope::User => "user",
        };
        let lines = self.request.lines(1)?;
        let input = format!(
            "{TOKEN}\n{scope}\nnone\n{}",
            String::from_utf8_lossy(&lines)
        );
        tracing::debug!(name = %self.name, window = ?self.window, "guards the switch");
        Ok(request
            .option("name", &self.name)
            .option("guard_input", input)
            .option("guard_service", &self.service_unit)
            .option("guard_timer", &self.timer_unit))
    }
}

/// Rollouts are numbered by ledger, and services are named by fleet: two fleets may share a host.
fn name(service: &Service, controller: &Controller) -> String {
    let ledger = controller.owner.ledger.as_str();
    let ledger = ledger.get(..8).unwrap_or(ledger);
    format!(
        "rollctl-revert-{}-{}-{ledger}",
        service.name, controller.rollout
    )
}

/// What the host asks of its own script when the time is over: the switch with its ends exchanged.
fn request(
    service: &Service,
    facts: &Facts,
    controller: &Controller,
    switch: &Switch,
    name: &str,
    window: Duration,
    limit: Duration,
) -> Request {
    let back = Switch {
        from: switch.to.clone(),
        to: switch.from.clone(),
        event_hash: switch.event_hash.clone(),
        guarded: false,
        side: None,
    };
    let mut request = ends(step("revert", service, controller), controller, &back)
        // Last, so that it is what counts: `~` may be another's home there.
        .option("dir", &facts.dir)
        .option("name", name)
        .option("service", &service.name)
        .option("window", window.as_secs())
        .option("limit", limit.as_secs());
    for unit in &service.units {
        request = request.option("unit", unit);
    }
    request
}

fn service_unit(
    service: &Service,
    facts: &Facts,
    controller: &Controller,
    patience: Duration,
) -> String {
    let mut text = description(service, controller);
    let folder = quoted(&format!("{}/.rollctl/guard", facts.dir));
    let _ = write!(
        text,
        "\n[Service]\nType=oneshot\nTimeoutStartSec={}\nStandardOutput=null\n\
         ExecStart=/bin/sh -c 'exec /bin/sh \"$$0/script\" <\"$$0/input\"' {folder}\n",
        patience.as_secs()
    );
    text
}

fn timer_unit(service: &Service, controller: &Controller, window: Duration) -> String {
    let mut text = description(service, controller);
    let _ = write!(
        text,
        "\n[Timer]\nOnActiveSec={}s\nAccuracySec=100ms\n\n[Install]\nWantedBy=timers.target\n",
        window.as_secs()
    );
    text
}

fn description(service: &Service, controller: &Controller) -> String {
    format!(
        "# Made by rollctl: unless the switch is confirmed in time, what ran before comes back.\n\
         [Unit]\nDescription=rollctl: puts {} back unless rollout {} confirms it\n",
        service.name, controller.rollout
    )
}
