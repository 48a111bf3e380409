//! Signed statements that are no CMS (SPEC 8.2): what is signed, and how MAC, signature and content lie one behind the other.

use crate::error::Refusal;

/// Bytes of a MAC, HMAC-SHA-256, and of its keys.
pub const MAC_BYTES: usize = 32;

/// What is signed: ECDSA with SHA-256 over `purpose`, a zero byte, and `content`. No content of CMS begins with letters, so that neither
/// passes for the other.
pub fn message(purpose: &str, content: &[u8]) -> Vec<u8> {
    [purpose.as_bytes(), &[0], content].concat()
}

/// The statement: the signature (DER) after its length, then what it is over.
pub fn join(signature: &[u8], content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(signature.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length, signature, content].concat()
}

/// Signature (DER) and content of a statement of which nothing is proved yet.
///
/// # Errors
/// `Malformed`.
pub fn split<'a>(bytes: &'a [u8], what: &'static str) -> Result<(&'a [u8], &'a [u8]), Refusal> {
    field(bytes).ok_or(Refusal::Malformed(what))
}

/// MAC and what it is over, of a message of at most `bytes_max` bytes. The MAC is looked at before anything else is.
///
/// # Errors
/// `Malformed`.
pub fn split_mac<'a>(
    bytes: &'a [u8],
    bytes_max: usize,
    what: &'static str,
) -> Result<(&'a [u8; MAC_BYTES], &'a [u8]), Refusal> {
    let fits = bytes.len() <= bytes_max;
    bytes.split_first_chunk().filter(|_| fits).ok_or(Refusal::Malformed(what))
}

/// Adds fields, each after its length in two bytes; none if one is longer than that can say.
pub(crate) fn with_fields(mut bytes: Vec<u8>, fields: &[&[u8]]) -> Option<Vec<u8>> {
    for field in fields {
        bytes.extend(u16::try_from(field.len()).ok()?.to_be_bytes());
        bytes.extend(*field);
    }
    Some(bytes)
}

/// The first field, and what follows it.
pub(crate) fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Four letters, then the format, which is `start`'s last byte.
pub(crate) fn after_start<'a>(
    bytes: &'a [u8],
    start: [u8; 5],
    what: &'static str,
) -> Result<&'a [u8], Refusal> {
    let [letters @ .., known] = start;
    let rest = bytes.strip_prefix(&letters).ok_or(Refusal::Malformed(what))?;
    match rest.split_first() {
        Some((&format, rest)) if format == known => Ok(rest),
        Some((format, _)) => Err(Refusal::UnknownFormat(u32::from(*format))),
        None => Err(Refusal::Malformed(what)),
    }
}
