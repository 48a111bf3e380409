//! The two forms of an ECDSA signature on P-256: ECDSA-Sig-Value in DER (RFC 3279 2.2.3), which goes over the wire, and the plain pair
//! r ‖ s of WebCrypto.

use crate::elements;
use der::asn1::UintRef;
use der::{Encode, Sequence};

/// Bytes of r and of s.
const NUMBER_BYTES: usize = 32;
/// Bytes of r ‖ s.
pub const PAIR_BYTES: usize = 2 * NUMBER_BYTES;

#[derive(Sequence)]
struct SigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// r ‖ s of a signature in DER; none if it is not one of P-256.
pub fn pair(der: &[u8]) -> Option<[u8; PAIR_BYTES]> {
    let mut numbers = elements::sequence(der)?;
    let value = (numbers.unsigned()?, numbers.unsigned()?);
    let (first, second) = numbers.end(value)?;
    let mut pair = [0; PAIR_BYTES];
    let (r, s) = pair.split_at_mut(NUMBER_BYTES);
    for (place, number) in [(r, first), (s, second)] {
        let start = NUMBER_BYTES.checked_sub(number.len())?;
        place.get_mut(start..)?.copy_from_slice(number);
    }
    Some(pair)
}

/// DER of r ‖ s.
///
/// # Errors
/// Never for these lengths.
pub fn der(pair: &[u8; PAIR_BYTES]) -> der::Result<Vec<u8>> {
    let (r, s) = pair.split_at(NUMBER_BYTES);
    SigValue { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// r begins with a bit that needs a zero byte before it, s is short.
    #[test]
    fn numbers_are_padded_as_each_form_wants() {
        let mut plain = [0; PAIR_BYTES];
        (plain[0], plain[63]) = (0x80, 1);
        let coded = der(&plain).unwrap();
        assert_eq!((coded.len(), &coded[..5]), (40, &[0x30, 38, 2, 33, 0][..]));
        assert_eq!(&coded[37..], [2, 1, 1]);
        assert_eq!(pair(&coded), Some(plain));
    }

    #[test]
    fn longer_numbers_are_refused() {
        let long = [&[0x30, 38, 2, 33, 1][..], &[0; 32], &[2, 1, 1]].concat();
        assert_eq!(pair(&long), None);
        assert_eq!(pair(&[0x30, 3, 2, 1, 1]), None);
    }

    proptest! {
        #[test]
        fn both_forms_say_the_same(bytes in proptest::array::uniform32(any::<u8>()), other in proptest::array::uniform32(any::<u8>())) {
            let plain: [u8; PAIR_BYTES] = [bytes, other].concat().try_into().unwrap();
            prop_assert_eq!(pair(&der(&plain).unwrap()), Some(plain));
        }
    }
}
