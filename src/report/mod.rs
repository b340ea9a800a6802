//! Events and states as sentences, lines, tables and JSON.
