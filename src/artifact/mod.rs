//! What is shipped: reading it, its digest, compression and the controller's store.
//!
//! [`fetch()`] reads what is named by URL; [`read`] turns an artifact and what the inventory adds to it into a
//! [`RevisionContent`]; [`ArtifactStore::put`] packs that under its digest, one archive per architecture, and puts it into the
//! bucket that the inventory names, where hosts fetch it by themselves.

mod archive;
mod cloud;
mod delta;
mod digest;
mod digest_file;
mod elf;
mod environment;
mod error;
mod fetch;
mod files;
mod folder;
mod hashing;
mod index;
mod launch;
mod location;
mod machines;
mod origin;
mod package;
mod packages;
mod remote;
mod revision;
mod revoked;
mod shared;
mod signature;
mod ssh_keygen;
mod sshsig;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod trust_error;

pub use delta::delta;
pub use digest::digest;
pub use digest_file::beside as digest_file_of;
pub use environment::{environment_text, quote_assignment, read_assignments};
pub use error::ArtifactReadError;
pub use fetch::{Beside, Fetched, fetch, read_text};
pub use location::{StorePlace, store_place};
pub use machines::Machines;
pub use revision::{RevisionContent, Variant, read};
pub use revoked::refuse_revoked;
pub use shared::ArtifactStore;
pub use signature::distrusted;
pub use store::FileStore;
pub use tree::LINK_MODE;
pub use trust_error::TrustError;
