//! The lab.

mod artifact;
mod systemd;

pub use artifact::{Behaviour, demo_service};
