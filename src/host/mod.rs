//! What is done on a host over SSH: layout, systemd, the fixed scripts, adoption.
