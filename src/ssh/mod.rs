//! SSH: configuration, host keys, sessions, uploads and forwards.
