//! Counts that the budgets are about.
