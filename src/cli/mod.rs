//! The commands; the only place that joins all rooms.
