//! Limits of PDUs and messages: a named number, its unit and its reason.

/// Longest P-DATA-TF we take, in bytes after the PDU header: what DCMTK can send at most, and past which nothing gets
/// faster (measured against 16 KiB: four times the images a second).
pub const PDU_BYTES_MAX: usize = 131_072;
/// Smallest PDU a peer may say it takes; below, ours would be all header. Real peers say 4,096 or more.
pub const PEER_PDU_BYTES_MIN: usize = 64;
/// Bytes a second, below which a peer is waited for no longer: half a megabit, less than the slowest lines that images go over.
pub const SLOWEST_BYTES_S: u64 = 64 << 10;
/// Longest command set, in bytes. Real ones have about 200; an N-ACTION's attribute list may be longer.
pub const COMMAND_BYTES_MAX: usize = 64 << 10;
/// Fragments without a byte in one message: some peers end a data set with an empty one; a flood would never end.
pub const EMPTY_FRAGMENTS_MAX: usize = 64;
