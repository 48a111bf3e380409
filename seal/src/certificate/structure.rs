//! The structure of a certificate (RFC 5280 4.1), read in place. What is not used is checked to be what the standard says, and passed over.

use crate::elements::{
    self, Algorithm, BIT_STRING, BOOLEAN, Elements, SEQUENCE, SET, context, context_primitive, is_bits, set,
    time,
};

/// Bytes of a serial number at most: 20 (RFC 5280 4.1.2.2), and one that keeps it positive.
const SERIAL_BYTES_MAX: usize = 21;
/// v3 (RFC 5280 4.1.2.1).
const VERSION_MAX: u8 = 2;
/// TRUE (X.690 11.1).
const TRUE: &[u8] = &[0xFF];

/// What is used of a certificate.
pub(super) struct Structure<'a> {
    /// A whole element.
    pub(super) issuer: &'a [u8],
    /// A whole element.
    pub(super) serial: &'a [u8],
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// SubjectPublicKeyInfo, a whole element.
    pub(super) public_key: &'a [u8],
    pub(super) algorithm: Algorithm<'a>,
    /// None where its bits do not fill bytes.
    pub(super) key: Option<&'a [u8]>,
}

/// None where it is not what the standard says.
pub(super) fn read(der: &[u8]) -> Option<Structure<'_>> {
    let mut whole = elements::sequence(der)?;
    let signed = read_signed(whole.sequence()?)?;
    whole.algorithm()?;
    whole.value(BIT_STRING).filter(|bits| is_bits(bits))?;
    whole.end(signed)
}

/// TBSCertificate.
fn read_signed(mut fields: Elements<'_>) -> Option<Structure<'_>> {
    if let Some(version) = fields.optional(context(0))? {
        let mut version = Elements::of(version);
        let number = version.small().filter(|number| *number <= VERSION_MAX)?;
        version.end(number)?;
    }
    let serial = fields.element().filter(|serial| serial.value.len() <= SERIAL_BYTES_MAX)?;
    Elements::of(serial.whole).integer()?;
    fields.algorithm()?;
    let issuer = name(&mut fields)?;
    let mut validity = fields.sequence()?;
    let times = (time(&validity.element()?)?, time(&validity.element()?)?);
    let (not_before, not_after) = validity.end(times)?;
    name(&mut fields)?;
    let public_key = fields.tagged(SEQUENCE)?;
    let mut own = Elements::of(public_key.value);
    let (algorithm, key) = (own.algorithm()?, own.tagged(BIT_STRING).filter(|bits| is_bits(bits.value))?);
    own.end(())?;
    for number in [1, 2] {
        fields.optional(context_primitive(number))?.is_none_or(is_bits).then_some(())?;
    }
    if let Some(extensions) = fields.optional(context(3))? {
        read_extensions(Elements::of(elements::sole(extensions, SEQUENCE)?))?;
    }
    fields.end(Structure {
        issuer,
        serial: serial.whole,
        not_before,
        not_after,
        public_key: public_key.whole,
        algorithm,
        key: Elements::of(key.whole).bits(),
    })
}

/// RFC 5280 4.1.2.4: a whole element, whose sets are in their order.
fn name<'a>(fields: &mut Elements<'a>) -> Option<&'a [u8]> {
    let whole = fields.tagged(SEQUENCE)?;
    let mut names = Elements::of(whole.value);
    while !names.is_end() {
        for attribute in set(names.value(SET)?)? {
            let mut pair = elements::sequence(attribute.whole)?;
            pair.oid()?;
            pair.element()?;
            pair.end(())?;
        }
    }
    Some(whole.whole)
}

/// RFC 5280 4.1.2.9.
fn read_extensions(mut extensions: Elements<'_>) -> Option<()> {
    while !extensions.is_end() {
        let mut extension = extensions.sequence()?;
        extension.oid()?;
        extension.optional(BOOLEAN)?.is_none_or(|value| value == TRUE || value == [0]).then_some(())?;
        extension.octets()?;
        extension.end(())?;
    }
    Some(())
}

#[cfg(test)]
mod tests;
