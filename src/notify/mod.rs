//! Tells people who do not watch: by webhook, mail, or a program of their own.
//!
//! [`notifier`] begins it. What cannot be delivered is remembered and told at the end; nothing waits for it, and nothing
//! fails because of it.

mod deliver;
mod mail;
mod webhook;

pub use deliver::{Delivery, Notifier, notifier};
