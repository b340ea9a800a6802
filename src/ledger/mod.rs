//! What is remembered: revisions, rollouts, events, instances and leases.
