//! The pixel codec on real and generated series: exact sizes, and the bound on every voxel.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod generated;
mod golden;
mod series;
mod voxels;
