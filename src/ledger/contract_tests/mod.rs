//! The contract of [`crate::ports::Ledger`]: every test runs on every implementation.

mod books;
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
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                if let Some(world) = $crate::ledger::testing::World::postgres() {
                    super::$test(world).await;
                }
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
