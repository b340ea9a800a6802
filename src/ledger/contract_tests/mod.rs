//! The contract of [`crate::ports::Ledger`]: every test runs on every implementation.

mod epochs;
mod holds;
mod leases;
mod requests;
mod revisions;
mod rollouts;
mod views;

use crate::core::event::{ActionKind, Event};
use crate::core::ids::HostName;

macro_rules! contract {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::ledger::testing::World::memory()).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::ledger::testing::World::sqlite()).await;
            })*
        }
    };
}

use contract;

fn staging(on: &str) -> Event {
    Event::ActionStarted {
        host: HostName::new(on),
        action: ActionKind::Stage,
    }
}
