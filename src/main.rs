//! The `rollctl` command.
fn main() {}
