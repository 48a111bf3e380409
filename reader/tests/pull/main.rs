//! `scanpost-reader pull` against a real Dovecot: what arrives, what is refused, and that a second run changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod arrives;
mod clinic;
mod dovecot;
mod exact;
mod refused;
mod repeated;
mod site;
mod study;
mod trouble;

use clinic::Clinic;
use seal::ids::Digest;
use site::Plan;
use std::path::Path;

/// Of covers before that the reader does not have.
const NOT_CHECKED: Digest = Digest([9; 32]);
const FIRST: Plan = Plan { case: 0xCA, delivery: 0x11, sequence: 1, previous: NOT_CHECKED };
const SECOND: Plan = Plan { case: 0xCA, delivery: 0x22, sequence: 2, previous: NOT_CHECKED };

/// The data set behind preamble, prefix and meta group (PS3.10 7.1).
fn data_set(file: &Path) -> Vec<u8> {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(bytes[..128].iter().all(|byte| *byte == 0) && &bytes[128..132] == b"DICM");
    let group_bytes = u32::from_le_bytes(bytes[140..144].try_into().unwrap()) as usize;
    bytes[144 + group_bytes..].to_vec()
}

/// Asserts that the delivery's first series holds exactly these slices.
fn assert_placed(clinic: &Clinic, plan: Plan, slices: &[Vec<u8>]) {
    let folder = clinic.place(plan).join("s01");
    for (number, slice) in (1..).zip(slices) {
        assert!(data_set(&folder.join(format!("{number:04}.dcm"))) == *slice, "slice {number} differs");
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), slices.len());
}
