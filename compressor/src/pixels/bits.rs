//! Bits in and out, least significant first (SPEC 6.8).

use super::DamagedSlab;

/// Longest field that [`BitWriter::put`] takes at once.
const FIELD_BITS_MAX: u32 = 32;

/// Writes fields of bits.
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    pending_bits: u32,
}

impl BitWriter {
    /// Writes behind `bytes`.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes, pending: 0, pending_bits: 0 }
    }

    /// Writes the low `bits` bits of `field`, at most 64 of which those above must be zero.
    #[inline(always)]
    pub(super) fn put(&mut self, field: u64, bits: u32) {
        if bits > FIELD_BITS_MAX {
            self.put_short(field & 0xFFFF_FFFF, FIELD_BITS_MAX);
            self.put_short(field >> FIELD_BITS_MAX, bits - FIELD_BITS_MAX);
        } else {
            self.put_short(field, bits);
        }
    }

    /// Fewer than 32 bits are pending before, so fewer than 65 after.
    #[inline(always)]
    fn put_short(&mut self, field: u64, bits: u32) {
        self.pending |= field << self.pending_bits;
        self.pending_bits += bits;
        if self.pending_bits >= 32 {
            self.bytes.extend_from_slice(&(self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.pending_bits -= 32;
        }
    }

    /// Pads the last byte with zeros and gives all bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let last = self.pending_bits.div_ceil(8) as usize;
        self.bytes.extend(self.pending.to_le_bytes().iter().take(last));
        self.bytes
    }
}

/// Reads fields of bits. Behind the end it gives zeros; [`BitReader::finish`] finds out.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    pending: u64,
    pending_bits: u32,
    /// Bits of zeros that were added behind the end.
    added_bits: u64,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pending: 0, pending_bits: 0, added_bits: 0 }
    }

    /// Makes at least 56 bits ready.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if let Some(word) = self.bytes.first_chunk::<8>() {
            self.pending |= u64::from_le_bytes(*word) << self.pending_bits;
            let taken = (63 - self.pending_bits) >> 3;
            self.bytes = self.bytes.get(taken as usize..).unwrap_or_default();
            self.pending_bits |= 56;
        } else {
            self.refill_slowly();
        }
    }

    #[cold]
    fn refill_slowly(&mut self) {
        while self.pending_bits < 56 {
            if let Some((byte, rest)) = self.bytes.split_first() {
                self.pending |= u64::from(*byte) << self.pending_bits;
                self.bytes = rest;
            } else {
                self.added_bits += 8;
            }
            self.pending_bits += 8;
        }
    }

    /// Zeros before the next one, of those bits that are ready.
    #[inline(always)]
    pub(super) fn zeros(&self) -> u32 {
        self.pending.trailing_zeros()
    }

    /// Passes over `bits` bits that are ready.
    #[inline(always)]
    pub(super) fn consume(&mut self, bits: u32) {
        self.pending = self.pending.unbounded_shr(bits);
        self.pending_bits -= bits;
    }

    /// Takes a field of `bits` bits that are ready, at most 32.
    #[inline(always)]
    pub(super) fn take(&mut self, bits: u32) -> u32 {
        let field = self.pending & ((1 << bits) - 1);
        self.consume(bits);
        field as u32
    }

    /// Checks that exactly the bytes given were read.
    pub(super) fn finish(self) -> Result<(), DamagedSlab> {
        let unread = self.bytes.len() as u64 * 8 + u64::from(self.pending_bits);
        let in_last_byte = unread.checked_sub(self.added_bits).ok_or(DamagedSlab)?;
        if in_last_byte < 8 { Ok(()) } else { Err(DamagedSlab) }
    }
}
