//! A ledger that is full: how long commands take that read it, and how long they took while it was nearly empty.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::figures::median;
use crate::scale::as_f64;
use crate::site::{Shape, Site};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many rollouts there were, each with a revision of its own
    #[arg(long, default_value_t = 1000)]
    rollouts: u32,
    /// How many events of all of them together
    #[arg(long, default_value_t = 10_000_000)]
    events: u32,
    /// How often each command is run
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The program that is measured
    #[arg(long, default_value = "target/release/rollctl")]
    rollctl: PathBuf,
}

/// All that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FullLedger {
    version: u32,
    rollouts: u32,
    events: u64,
    ledger_mb: f64,
    rows: Vec<Row>,
}

/// One command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    command: String,
    /// With few rollouts in the ledger, in milliseconds; the median.
    few_ms: Option<f64>,
    /// With all of them.
    all_ms: f64,
}

impl FullLedger {
    /// As Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{} rollouts, {} events, {:.0} MB\n\n| command | ms, few rollouts | ms, all |\n|---|---:|---:|\n",
            self.rollouts, self.events, self.ledger_mb
        );
        for row in &self.rows {
            let few = row
                .few_ms
                .map_or_else(String::new, |few| format!("{few:.0}"));
            let _ = writeln!(text, "| {} | {few} | {:.0} |", row.command, row.all_ms);
        }
        text
    }
}

/// They are looked at by some of the commands, which is not what is measured here.
const HOSTS: u32 = 3;

/// What is run: nothing of it needs more of the past than its newest rollouts.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("status", &["status", "web"]),
    ("history", &["history", "web"]),
    ("describe", &["describe", "2"]),
    ("plan", &["plan", "web", "v2"]),
    ("restart", &["restart", "web"]),
];

/// Fills a ledger, and runs the commands before and after.
pub(crate) fn run(options: &Options) -> anyhow::Result<FullLedger> {
    let shape = Shape {
        hosts: HOSTS,
        max_unavailable: "25%".to_owned(),
        interval: "1s".to_owned(),
        uplink: None,
    };
    let site = Site::new(&options.rollctl, shape, None)?;
    site.release("v1", b"#!/bin/sh\n")?;
    site.release("v2", b"#!/bin/sh\n\n")?;
    let empty = measure(&site, options.runs)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let events = runtime.block_on(fill(&site.ledger(), options))?;
    let full = measure(&site, options.runs)?;
    let mut rows: Vec<_> = COMMANDS
        .iter()
        .zip(empty.into_iter().zip(full))
        .map(|((command, _), (few, all))| Row {
            command: (*command).to_owned(),
            few_ms: Some(few),
            all_ms: all,
        })
        .collect();
    let newest = options.rollouts.to_string();
    rows.push(Row {
        command: format!(
            "describe of a rollout of {} events",
            options.events / options.rollouts
        ),
        few_ms: None,
        all_ms: time(&site, &["describe", &newest], options.runs)?,
    });
    let ledger_mb = as_f64(fs::metadata(site.ledger())?.len()) / 1e6;
    site.stop()?;
    Ok(FullLedger {
        version: 1,
        rollouts: options.rollouts,
        events,
        ledger_mb,
        rows,
    })
}

fn measure(site: &Site, runs: usize) -> anyhow::Result<Vec<f64>> {
    let times = COMMANDS.map(|(_, arguments)| time(site, arguments, runs));
    times.into_iter().collect()
}

fn time(site: &Site, arguments: &[&str], runs: usize) -> anyhow::Result<f64> {
    let run = |_| Ok(site.run(arguments)?.wall.as_secs_f64() * 1e3);
    let times: Vec<f64> = (0..runs).map(run).collect::<anyhow::Result<_>>()?;
    Ok(median(&times))
}

async fn open(ledger: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(ledger);
    let mut connection = options.connect().await?;
    sqlx::raw_sql("PRAGMA synchronous = OFF")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// Copies the second rollout and its revision until there are as many; how many events there are then.
async fn fill(ledger: &Path, options: &Options) -> anyhow::Result<u64> {
    let mut connection = open(ledger).await?;
    let (newest, events): (i64, i64) = sqlx::query_as(
        "SELECT MAX(id), (SELECT MAX(seq) FROM events WHERE rollout = 2) FROM rollouts",
    )
    .fetch_one(&mut connection)
    .await?;
    let copies = i64::from(options.events / options.rollouts) / events;
    for id in newest + 1..=i64::from(options.rollouts) {
        let mut transaction = connection.begin().await?;
        for sql in COPIES {
            sqlx::query(sql)
                .bind(id)
                .bind(copies)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    let events: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM events")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(u64::try_from(events)?)
}

/// One more of everything, under the number `$1`, with `$2` times the events. The chain of hashes breaks, and nobody here
/// follows it.
const COPIES: [&str; 4] = [
    "INSERT INTO revisions (service, number, digest, created_at, created_by, cause, adopted)
     SELECT service, $1, substr(digest, 1, 52) || printf('%012x', $1), created_at + $1, created_by, cause, adopted
     FROM revisions WHERE number = 2",
    "INSERT INTO revision_names (service, name, number, position)
     SELECT service, 'c' || $1, $1, position FROM revision_names WHERE number = 2",
    r#"INSERT INTO rollouts (id, service, kind, "from", "to", outcome, started_at, ended_at, "by", partial, epoch)
     SELECT $1, service, kind, "from", "to", outcome, started_at + $1, ended_at + $1, "by", partial, epoch
     FROM rollouts WHERE id = 2"#,
    r#"WITH RECURSIVE
         copies (copy) AS (SELECT 0 UNION ALL SELECT copy + 1 FROM copies WHERE copy + 1 < MAX(1, $2)),
         one AS (SELECT *, COUNT(*) OVER () AS count FROM events WHERE rollout = 2)
     INSERT INTO events (id, service, rollout, seq, "at", kind, host, body, hash)
     SELECT (SELECT MAX(id) FROM events) + copy * count + seq, service, $1, copy * count + seq, "at" + $1, kind, host, body, hash
     FROM copies, one ORDER BY copy, seq"#,
];
