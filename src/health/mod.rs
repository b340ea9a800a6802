//! Probes: HTTP, TCP, commands.
//!
//! [`ServiceProber`] asks one instance at a time and says what it answered; when and how often is the driver's matter.

mod check_words;
mod direct;
mod error;
mod judge;
mod prober;
mod template;
#[cfg(test)]
mod tests;
mod tunnel;

pub use error::ProberError;
pub use prober::ServiceProber;
