//! What sends instances their traffic: takes them out, puts them back, says where they are.

mod haproxy;
mod runtime_api;

pub use haproxy::Haproxy;
