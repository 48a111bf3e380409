//! Every limit of the wire contract in one place: a named number, its unit and its reason.

/// Bytes of a piece before base64; with base64's third more, below the 10 MB that many providers set.
pub const PIECE_BYTES_MAX: usize = 6 << 20;
/// Pieces of one delivery.
pub const PIECES_MAX: u32 = 10_000;
/// Cover before base64, without its pieces (DESIGN 4).
pub const COVER_BYTES_BASE: usize = 16 << 10;
/// Cover bytes for each piece (DESIGN 4).
pub const COVER_BYTES_PER_PIECE: usize = 64;
/// Recipients of one cover.
pub const RECIPIENTS_MAX: usize = 32;
/// A receipt's signed content.
pub const RECEIPT_BYTES_MAX: usize = 1 << 10;
/// One IMAP fetch: 1 MiB parts measured fastest at flat memory.
pub const FETCH_BYTES_MAX: u32 = 1 << 20;
