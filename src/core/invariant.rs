//! An independent checker of R1-R3, never used by `decide`.
