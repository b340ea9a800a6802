//! What is remembered: revisions, rollouts, events, instances, leases and requests.
//!
//! Three implementations of [`crate::ports::Ledger`] behind one contract test: SQLite for one machine, PostgreSQL for a
//! team, and one in memory for tests and for a past that is only looked at. What the ledger decides (who may take a lease, what an event does to its rollout's row, which
//! number a revision gets, what becomes of a request, what goes into a hash) is decided in [`chain`] and in the private
//! modules `lease`, `row`, `naming`, `past` and `request`, which know no database; the rest only stores it.
//!
//! The SQL goes through sqlx's `Any` driver, with `BIGINT` and `TEXT` columns and `$1` placeholders: every query is
//! the same text and the same code for SQLite and for PostgreSQL ([`SqlLedger`]). What differs is in the private module
//! `database`: how a connection is made, how a write begins, whose clock leases run out by, and what errors mean. With
//! sqlx's typed drivers every function that takes a connection would be there twice.

pub mod chain;
mod database;
mod doubt;
mod fault;
mod filesystem;
mod here;
mod inspect;
mod lease;
mod memory;
mod memory_store;
mod migrate;
mod naming;
mod open;
mod past;
mod place;
mod postgres;
mod postgres_fault;
mod postgres_news;
mod postgres_open;
mod postgres_url;
mod request;
mod row;
mod sql_books;
mod sql_events;
mod sql_holds;
mod sql_leases;
mod sql_ledger;
mod sql_requests;
mod sql_revisions;
mod sql_rollouts;
mod sqlite;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod postgres_away_tests;
#[cfg(test)]
mod postgres_tests;
#[cfg(test)]
mod sequence_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod upgrade_tests;

pub use chain::{Chain, Chained};
pub use here::Here;
pub use lease::{LEASE, RENEW_EVERY};
pub use memory::MemoryLedger;
pub use open::{open, open_existing};
pub use place::{default_path, place_on_this_machine, sqlite_path};
pub use sql_ledger::SqlLedger;
