//! What is shipped: reading it, its digest, compression and the controller's store.
