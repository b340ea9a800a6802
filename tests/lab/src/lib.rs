//! The lab.

mod artifact;

pub use artifact::{Behaviour, demo_service};
