//! TOML text to [`crate::core`] values, all mistakes at once, each with its place.
