//! TOML text to [`crate::core`] values, all mistakes at once, each with its place.
//!
//! [`locate()`] finds the inventory, [`load()`] reads it, [`check_files`] looks at the files that it names. The text is
//! parsed into a tree that knows where everything stands; each section's reader takes the keys that it knows from its
//! table, and the table then reports the rest. A reader that meets a mistake notes it and goes on with a default, so
//! that one run shows them all; a fleet is only handed out when there was none.

mod address;
mod channel;
mod content;
mod cross;
mod domains;
mod files;
mod health;
mod hooks;
mod hosts;
mod load;
mod locate;
mod mistake;
mod notify;
mod order;
mod paths;
mod placeholder;
mod postgres;
mod program;
mod range;
mod reader;
mod render;
mod select;
mod selector;
mod service;
mod side;
mod source;
mod ssh;
mod steps;
mod stores;
mod strategy;
mod suggest;
mod text;
mod traffic;
mod traffic_drivers;
mod traffic_endpoints;
mod trust;
mod units;
mod urls;
mod window;

pub use load::{Loaded, load};
pub use locate::{INVENTORY_VARIABLE, InventoryError, locate};
pub use mistake::{InventoryErrors, Mistake, Severity};
pub use paths::check_files;
pub use select::explain_no_match;
pub use selector::{Selector, SelectorError, parse_selector};
pub use text::{
    BudgetError, DurationError, QuantityError, check_budgets, parse_duration, parse_quantity,
};
pub use urls::{UrlError, parse_artifact};
