//! The loop that turns observations into events, events into decisions and decisions into effects.
