//! Probes: HTTP, TCP, commands.
