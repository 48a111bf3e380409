//! Frame of a piece (SPEC 3), and what its keys and nonces are made of (SPEC 2).

use crate::error::Refusal;
use crate::ids::DeliveryId;

/// Format that this code writes and reads.
pub const FORMAT: u8 = 1;
/// Bytes of a header (SPEC 3.1).
pub const HEADER_BYTES: usize = 64;
/// In piece 1 the length of the sealed index follows the header (SPEC 3.2).
pub const INDEX_LENGTH_BYTES: usize = 4;
/// Random salt of a piece key.
pub const SALT_BYTES: usize = 32;
/// Tag of AES-256-GCM after each sealed segment.
pub const TAG_BYTES: usize = 16;
/// Segment number of the index (SPEC 3.2).
pub const INDEX_NUMBER: u32 = u32::MAX;

const MAGIC: &[u8; 8] = b"SCPPIECE";
const KEY_LABEL: &[u8] = b"scanpost piece";
/// What of the header is associated data: all but the salt (SPEC 2.2).
const BOUND_BYTES: usize = HEADER_BYTES - SALT_BYTES;

/// Header of a piece (SPEC 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// From 1.
    pub number: u32,
    /// The delivery.
    pub delivery: DeliveryId,
    /// Random, new whenever the piece is sealed.
    pub salt: [u8; SALT_BYTES],
}

impl Header {
    /// Its 64 bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let (bound, salt) = bytes.split_at_mut(BOUND_BYTES);
        bound.copy_from_slice(&self.bound());
        salt.copy_from_slice(&self.salt);
        bytes
    }

    /// Reads the header at the start of a piece.
    ///
    /// # Errors
    /// `Malformed` if it is cut or not that of a piece in this format.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        read(bytes).ok_or(Refusal::Malformed("a piece"))
    }

    /// Checks that this is the header of piece `number` of `delivery`.
    ///
    /// # Errors
    /// `WrongDelivery`, `WrongPiece`.
    pub fn check(&self, delivery: DeliveryId, number: u32) -> Result<(), Refusal> {
        if self.delivery != delivery {
            return Err(Refusal::WrongDelivery(number));
        }
        if self.number != number {
            return Err(Refusal::WrongPiece { expected: number, found: self.number });
        }
        Ok(())
    }

    /// Info of HKDF for the key of this piece (SPEC 2.1).
    pub fn key_info(&self) -> Vec<u8> {
        [KEY_LABEL, &[FORMAT], &self.delivery.0, &self.number.to_be_bytes()].concat()
    }

    /// Associated data of a segment in this piece (SPEC 2.2).
    pub fn associated_data(&self, segment: u32) -> [u8; BOUND_BYTES + 4] {
        let mut bytes = [0; BOUND_BYTES + 4];
        let (bound, number) = bytes.split_at_mut(BOUND_BYTES);
        bound.copy_from_slice(&self.bound());
        number.copy_from_slice(&segment.to_be_bytes());
        bytes
    }

    fn bound(&self) -> [u8; BOUND_BYTES] {
        let mut bytes = [0; BOUND_BYTES];
        let parts: [&[u8]; 4] = [MAGIC, &[FORMAT, 0, 0, 0], &self.number.to_be_bytes(), &self.delivery.0];
        bytes.iter_mut().zip(parts.concat()).for_each(|(byte, value)| *byte = value);
        bytes
    }
}

/// Nonce of the segment that is sealed with `counter` in its piece, from 0 (SPEC 2.2).
pub fn nonce(counter: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes.iter_mut().skip(4).zip(counter.to_be_bytes()).for_each(|(byte, value)| *byte = value);
    bytes
}

fn read(bytes: &[u8]) -> Option<Header> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (format, rest) = rest.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let (delivery, rest) = rest.split_first_chunk::<16>()?;
    let (salt, _) = rest.split_first_chunk::<SALT_BYTES>()?;
    let known = magic == MAGIC && format == &[FORMAT, 0, 0, 0];
    let header = Header { number: u32::from_be_bytes(*number), delivery: DeliveryId(*delivery), salt: *salt };
    known.then_some(header)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: Header = Header { number: 0x0102_0304, delivery: DeliveryId([0xDD; 16]), salt: [0x55; 32] };

    #[test]
    fn bytes_are_those_of_the_specification() {
        let bytes = HEADER.encode();
        assert_eq!(&bytes[..16], b"SCPPIECE\x01\0\0\0\x01\x02\x03\x04");
        assert_eq!((&bytes[16..32], &bytes[32..]), (&[0xDD; 16][..], &[0x55; 32][..]));
        assert_eq!(HEADER.associated_data(7), [&bytes[..32], &[0, 0, 0, 7]].concat().as_slice());
        assert_eq!(HEADER.key_info(), [b"scanpost piece\x01", &[0xDD; 16][..], &[1, 2, 3, 4]].concat());
        assert_eq!(nonce(0x0102), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn cut_and_foreign_headers_are_refused() {
        let bytes = HEADER.encode();
        assert_eq!(Header::parse(&bytes), Ok(HEADER));
        assert!((0..HEADER_BYTES).all(|length| Header::parse(&bytes[..length]).is_err()));
        for position in 0..12 {
            let mut other = bytes;
            other[position] ^= 1;
            assert_eq!(Header::parse(&other), Err(Refusal::Malformed("a piece")));
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::parse(&bytes);
        }
    }
}
