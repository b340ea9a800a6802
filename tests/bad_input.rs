//! What bad input gets (issue 2): a clear error, the right exit code, and nothing touched: no ledger where there was
//! none, no artifact kept, hosts as they were. Each table row is one mistake, with the words that must be told.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, says what it skips, and waits for another process"
)]

#[path = "bad_input/artifacts.rs"]
mod artifacts;
#[path = "bad_input/fleet.rs"]
mod fleet;
#[path = "bad_input/inventories.rs"]
mod inventories;
#[path = "bad_input/ledgers.rs"]
mod ledgers;
#[path = "bad_input/secrets.rs"]
mod secrets;
#[path = "support/mod.rs"]
mod support;
#[path = "bad_input/words.rs"]
mod words;
#[path = "bad_input/world.rs"]
mod world;
