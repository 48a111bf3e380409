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
/// Characters of the policy words in a cover.
pub const POLICY_CHARS_MAX: usize = 256;
/// One recipient info of a cover, DER: ours have about 300 bytes, long issuer names included. Sets are sorted while they are
/// decoded, so their size is bounded before.
pub const RECIPIENT_INFO_BYTES_MAX: usize = 2 << 10;
/// Shortest RSA key of a recipient, in bits: 128 bits of security, rounded as everybody does (NIST SP 800-57, BSI TR-02102-1).
pub const RSA_BITS_MIN: usize = 3072;
/// Longest RSA key of a recipient, in bits: what the library computes with; its recipient info stays below the limit above.
pub const RSA_BITS_MAX: usize = 8192;
/// The signer infos of a cover or receipt, DER: exactly one is allowed, ours has about 300 bytes.
pub const SIGNER_INFO_BYTES_MAX: usize = 2 << 10;
/// A receipt's signed content.
pub const RECEIPT_BYTES_MAX: usize = 1 << 10;
/// A receipt's DER: content, signer info, frame.
pub const RECEIPT_DER_BYTES_MAX: usize = RECEIPT_BYTES_MAX + SIGNER_INFO_BYTES_MAX + 256;
/// Longest reading that a receipt tells of, in seconds: a day. A longer one is several.
pub const READ_SECONDS_MAX: u32 = 24 * 60 * 60;
/// Request or renewal of an enrolment, with MAC and signature: it goes whole into a record of 1 kB, so that whoever reads the mailbox need
/// not be trusted with keys.
pub const ENROLMENT_BYTES_MAX: usize = 984;
/// Its confirmation: a site's certificate may come from an authority with long names.
pub const CONFIRMATION_BYTES_MAX: usize = 4 << 10;
/// DER of a certificate that enrols itself; ours have less than 380 bytes.
pub const ENROLMENT_CERTIFICATE_BYTES_MAX: usize = 390;
/// Name of a device in UTF-8: a few words.
pub const DEVICE_BYTES_MAX: usize = 64;
/// One sealed segment: the plain segment (`docs/spec-bundle.md` 2.2) and its tag.
pub const SEALED_SEGMENT_BYTES_MAX: usize = compressor::limits::SEGMENT_BYTES_MAX + crate::piece::TAG_BYTES;
/// One IMAP fetch: 1 MiB parts measured fastest at flat memory.
pub const FETCH_BYTES_MAX: u32 = 1 << 20;
