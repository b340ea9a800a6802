//! `[services.*.strategy]`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::budget::Quantity;
use crate::core::fleet::{Host, OnFailure, Strategy};

use super::domains::domains;
use super::mistake::Findings;
use super::order::order;
use super::reader::{Entry, Table};
use super::source::At;
use super::steps::steps;
use super::text::{BudgetError, QuantityError, check_budgets, parse_quantity};

const MAX_SURGE: Quantity = Quantity::Count(0);
const MAX_UNAVAILABLE: Quantity = Quantity::Count(1);
const MIN_READY: Duration = Duration::from_secs(10);
const PROGRESS_DEADLINE: Duration = Duration::from_secs(10 * 60);
const ON_FAILURE: OnFailure = OnFailure::Rollback;

/// A strategy with the places of what is compared with the health check's `deadline`.
#[derive(Debug)]
pub(crate) struct ReadStrategy {
    pub(crate) strategy: Strategy,
    pub(crate) min_ready: Option<At>,
    pub(crate) progress_deadline: Option<At>,
    /// Whether its times could be read.
    pub(crate) sound: bool,
}

impl ReadStrategy {
    /// `hosts` are the service's ordinary ones; nothing when they are not known. `carried`: something can carry a surge.
    pub(crate) fn read(
        table: Option<Table<'_>>,
        hosts: &[&Host],
        carried: bool,
        f: &mut Findings<'_>,
    ) -> Self {
        let mut read = Self {
            strategy: Strategy {
                max_surge: MAX_SURGE,
                max_unavailable: MAX_UNAVAILABLE,
                min_ready: MIN_READY,
                progress_deadline: PROGRESS_DEADLINE,
                max_failures: 0,
                on_failure: ON_FAILURE,
                steps: Vec::new(),
                order: BTreeMap::new(),
                domains: Vec::new(),
            },
            min_ready: None,
            progress_deadline: None,
            sound: true,
        };
        if let Some(mut table) = table {
            read.budgets(&mut table, carried, f);
            let before = f.errors();
            read.times(&mut table, f);
            read.sound = f.errors() == before;
            read.failures(&mut table, f);
            read.strategy.steps = steps(&mut table, hosts, f);
            read.strategy.order = order(&mut table, hosts, f);
            read.strategy.domains = domains(&mut table, hosts, f);
            table.finish(f, hint);
        }
        read
    }

    fn budgets(&mut self, table: &mut Table<'_>, carried: bool, f: &mut Findings<'_>) {
        let surge = table.take("max_surge");
        let unavailable = table.take("max_unavailable");
        let (mut surge_is_sound, mut unavailable_is_sound) = (true, true);
        if let Some(entry) = &surge {
            let found = quantity(entry, f);
            surge_is_sound = found.is_some();
            self.strategy.max_surge = found.unwrap_or(MAX_SURGE);
        }
        if let Some(entry) = &unavailable {
            let found = quantity(entry, f);
            unavailable_is_sound = found.is_some();
            self.strategy.max_unavailable = found.unwrap_or(MAX_UNAVAILABLE);
        }
        if let Some(entry) = &surge
            && !self.strategy.max_surge.is_zero()
            && !carried
        {
            f.warn(
                &entry.at,
                "`max_surge` is carried by nothing: there are no spare hosts",
                "name some with `spare_hosts`; until then instances are replaced in place, within `max_unavailable`",
            );
        }
        if !unavailable_is_sound {
            return;
        }
        // Only a written 0 of `max_unavailable` can make both zero.
        let Some(at) = unavailable.map(|entry| entry.at) else {
            return;
        };
        match check_budgets(self.strategy.max_surge, self.strategy.max_unavailable) {
            Ok(()) => {}
            Err(error @ BudgetError::OverAll(_)) => {
                f.wrong_help(&at, error.to_string(), "\"100%\" is every instance at once");
            }
            Err(error @ BudgetError::BothZero) if surge_is_sound => {
                let help = match surge {
                    Some(_) => "let one of them be at least 1: `max_unavailable = 1`",
                    None => {
                        "`max_surge` is 0 when it is not written; `max_unavailable = 1` is the least that works"
                    }
                };
                f.wrong_help(&at, error.to_string(), help);
            }
            Err(BudgetError::BothZero) => {}
        }
    }

    fn times(&mut self, table: &mut Table<'_>, f: &mut Findings<'_>) {
        if let Some(entry) = table.take("min_ready") {
            self.strategy.min_ready = entry.duration_or_zero(f).unwrap_or(MIN_READY);
            self.min_ready = Some(entry.at);
        }
        if let Some(entry) = table.take("progress_deadline") {
            self.strategy.progress_deadline = entry.duration(f).unwrap_or(PROGRESS_DEADLINE);
            self.progress_deadline = Some(entry.at);
        }
    }

    fn failures(&mut self, table: &mut Table<'_>, f: &mut Findings<'_>) {
        if let Some(entry) = table.take("max_failures") {
            self.strategy.max_failures = entry.number(f, 0..=u32::MAX).unwrap_or(0);
        }
        let choices = [
            ("rollback", OnFailure::Rollback),
            ("pause", OnFailure::Pause),
            ("continue", OnFailure::Continue),
        ];
        if let Some(entry) = table.take("on_failure") {
            self.strategy.on_failure = entry.choice(f, &choices).unwrap_or(ON_FAILURE);
        }
    }
}

/// A number or a percentage.
pub(crate) fn quantity(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<Quantity> {
    let (text, is_number) = entry.number_or_text(f)?;
    let found = parse_quantity(&text).and_then(|quantity| match quantity {
        // As in Kubernetes: a text is a percentage, a number is a number.
        Quantity::Count(_) if !is_number => Err(QuantityError::Form(text.clone())),
        quantity => Ok(quantity),
    });
    found
        .map_err(|error| {
            let name = entry.name;
            let help = match text.trim().parse::<u32>() {
                Ok(number) if !is_number => format!("write `{name} = {number}` or `{name} = \"{number}%\"`"),
                _ => format!("write a number such as `{name} = 1`, or whole percent such as `{name} = \"25%\"`"),
            };
            f.wrong_help(&entry.at, format!("`{name}`: {error}"), help);
        })
        .ok()
}

fn hint(key: &str) -> Option<String> {
    let hint = match key {
        "deadline" | "interval" | "timeout" => "it belongs to `[services.*.health]`",
        "domain" => "write `[[services.*.strategy.domains]]`",
        _ => return None,
    };
    Some(hint.to_owned())
}
