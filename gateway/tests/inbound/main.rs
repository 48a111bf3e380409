//! The inbound process as it really runs, confined, before servers that mean harm, and as if it had been taken over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod hostile;
mod sandbox;
mod server;
