//! The scripts on this machine: local shells, a fake systemd, a home of their own.

mod adoption;
mod bench;
mod cut_off;
mod dead_man;
mod deltas;
mod drift;
mod hostile;
mod machines;
mod pulls;
mod refusals;
mod revisions;
mod rollout;
