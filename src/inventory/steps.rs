//! `steps = ["1", "25%", { to = "100%", bake = "5m", approve = true }]`: the gates of a rollout.

use std::time::Duration;

use crate::core::budget::Quantity;
use crate::core::fleet::{Host, Step};

use super::mistake::Findings;
use super::reader::{Entry, Table};
use super::text::parse_quantity;

/// The steps of a strategy. `hosts` are the service's; nothing when they are not known.
pub(crate) fn steps(table: &mut Table<'_>, hosts: &[&Host], f: &mut Findings<'_>) -> Vec<Step> {
    let Some(entry) = table.take("steps") else {
        return Vec::new();
    };
    let in_service = hosts.iter().filter(|host| !host.out_of_service).count();
    let mut climb = Climb {
        desired: u32::try_from(in_service).unwrap_or(u32::MAX),
        ..Climb::default()
    };
    let mut steps = Vec::new();
    for element in entry.list(f).unwrap_or_default() {
        if let Some(step) = step(&element, f) {
            climb.check(&element, step.to, f);
            steps.push(step);
        }
    }
    steps
}

/// How far the steps so far go.
#[derive(Default)]
struct Climb {
    /// How many hosts the service has in service; 0: nobody knows.
    desired: u32,
    count: u32,
    percent: u32,
    instances: u32,
}

impl Climb {
    /// Each step goes further than those before: as it is written, else it is an error, and in instances, where it is
    /// a warning, since the number of hosts changes more often than the steps. A last "100%" only says what is implied.
    fn check(&mut self, element: &Entry<'_>, to: Quantity, f: &mut Findings<'_>) {
        let (last, next) = match to {
            Quantity::Count(count) => (&mut self.count, count),
            Quantity::Percent(percent) => (&mut self.percent, percent),
        };
        if next <= *last {
            let help = "a step says how many are new in all, not how many more";
            f.wrong_help(
                &element.at,
                "steps are cumulative: each must be more than the one before",
                help,
            );
            return;
        }
        *last = next;
        if self.desired == 0 {
            return;
        }
        let instances = to.rounded_up(self.desired).max(1);
        let of = format!("of {}", self.desired);
        if instances > self.desired {
            f.warn(
                &element.at,
                format!(
                    "a step to `{to}` is more than the service has: {} in service",
                    hosts(self.desired)
                ),
                "it opens when all of them are available; \"100%\" says so for any number of hosts",
            );
        } else if instances <= self.instances && to != Quantity::Percent(100) {
            f.warn(
                &element.at,
                format!(
                    "the step to `{to}` goes no further than the one before: it is {instances} {of}"
                ),
                "the two are one gate, with the longer bake; leave one of them out",
            );
        }
        self.instances = self.instances.max(instances.min(self.desired));
    }
}

fn hosts(number: u32) -> String {
    match number {
        1 => "1 host is".to_owned(),
        number => format!("{number} hosts are"),
    }
}

/// A quantity, or a table with more.
fn step(element: &Entry<'_>, f: &mut Findings<'_>) -> Option<Step> {
    if !element.is_table() {
        return Some(Step {
            to: quantity(element, f)?,
            bake: Duration::ZERO,
            approve: false,
        });
    }
    let mut table = element.table(f)?;
    let to = table.take("to");
    let bake = table.take("bake").and_then(|e| e.duration_or_zero(f));
    let approve = table.take("approve").and_then(|entry| entry.flag(f));
    table.finish(f, |_| None);
    let Some(to) = to else {
        f.wrong_help(
            &element.at,
            "a step says nowhere how far it goes",
            "write `to = \"25%\"`",
        );
        return None;
    };
    Some(Step {
        to: quantity(&to, f)?,
        bake: bake.unwrap_or_default(),
        approve: approve.unwrap_or_default(),
    })
}

/// Unlike a budget, a step may be a number in quotes: a list of texts reads better than a mixed one.
fn quantity(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<Quantity> {
    let (text, _) = entry.number_or_text(f)?;
    match parse_quantity(&text) {
        Ok(quantity) if quantity.is_zero() || matches!(quantity, Quantity::Percent(101..)) => {
            f.wrong(
                &entry.at,
                format!("a step to `{text}` is none: it is at least 1 and at most \"100%\""),
            );
            None
        }
        Ok(quantity) => Some(quantity),
        Err(error) => {
            f.wrong_help(
                &entry.at,
                format!("step: {error}"),
                "write how many are to be new, `\"1\"`, or their share, `\"25%\"`",
            );
            None
        }
    }
}
