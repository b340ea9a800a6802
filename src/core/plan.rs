//! `plan`: `decide` with an optimistic outcome, looped.
