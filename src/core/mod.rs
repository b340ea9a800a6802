//! The words and the decisions: plain values and pure functions, without clock, network or database.
