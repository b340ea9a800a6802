//! The way to a host over SSH (wired when that room is there).
