//! What is shipped: reading it, its digest, compression and the controller's store.
//!
//! [`read`] turns an artifact and what the inventory adds to it into a [`RevisionContent`]; [`FileStore::put`] packs
//! that under its digest, one archive per architecture.

mod archive;
mod delta;
mod digest;
mod elf;
mod environment;
mod error;
mod folder;
mod hashing;
mod index;
mod launch;
mod location;
mod machines;
mod package;
mod revision;
mod store;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use delta::delta;
pub use digest::digest;
pub use environment::{environment_text, quote_assignment, read_assignments};
pub use error::ArtifactReadError;
pub use location::store_folder;
pub use machines::Machines;
pub use revision::{RevisionContent, Variant, read};
pub use store::FileStore;
pub use tree::LINK_MODE;
