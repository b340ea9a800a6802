//! The traits that the driver needs, with plain data in and out.
