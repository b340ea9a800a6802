//! What was measured, as JSON and as a table.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// One way of one comparison.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) job: String,
    pub(crate) tool: String,
    /// Each run, in seconds, in the order in which they were made.
    pub(crate) seconds: Vec<f64>,
    pub(crate) median: f64,
    /// How often the median of rollctl in the same job goes into this one.
    pub(crate) times_rollctl: f64,
}

/// A whole comparison.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) version: u32,
    pub(crate) hosts: usize,
    pub(crate) batch: usize,
    pub(crate) runs: usize,
    pub(crate) rows: Vec<Row>,
}

impl Figures {
    /// Adds what was measured of one job.
    pub(crate) fn add(&mut self, job: &str, measured: &[(&'static str, Vec<f64>)]) {
        let own = measured
            .iter()
            .find(|(tool, _)| *tool == "rollctl")
            .map_or(f64::NAN, |(_, seconds)| median(seconds));
        for (tool, seconds) in measured {
            let median = median(seconds);
            self.rows.push(Row {
                job: job.to_owned(),
                tool: (*tool).to_owned(),
                seconds: seconds.clone(),
                median,
                times_rollctl: median / own,
            });
        }
    }

    /// As Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{} hosts, batches of {}, medians of {} interleaved runs\n\n| job | tool | seconds | times rollctl |\n|---|---|---:|---:|\n",
            self.hosts, self.batch, self.runs
        );
        for row in &self.rows {
            let _ = writeln!(
                text,
                "| {} | {} | {:.2} | {:.1} |",
                row.job, row.tool, row.median, row.times_rollctl
            );
        }
        text
    }
}

/// The middle one; of an even number the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (
        sorted.get((sorted.len().saturating_sub(1)) / 2),
        sorted.get(sorted.len() / 2),
    ) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}
