//! DER (X.690) read in place: the elements of a value, one after the other.
//!
//! What comes is read here, what goes is laid out by the `der` crate. Its readers are generic and instantiated anew for each depth of nesting, which
//! made a third of what a phone downloads (decision 0006). Lengths are definite and as short as can be (X.690 10.1), tags have one byte.

mod time;

pub(crate) use time::time;

/// Tags (X.690 8.1.2, X.680 8.6).
pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// Of a universal type with one byte that the standards above use: all others are refused.
const UNIVERSAL: [u8; 20] = [
    BOOLEAN,
    INTEGER,
    BIT_STRING,
    OCTET_STRING,
    NULL,
    OBJECT_IDENTIFIER,
    0x09,
    0x0A,
    0x0C,
    0x12,
    0x13,
    0x14,
    0x15,
    0x16,
    UTC_TIME,
    GENERALIZED_TIME,
    0x1A,
    0x1E,
    SEQUENCE,
    SET,
];
/// The lowest tag that is not universal.
const APPLICATION: u8 = 0x40;
/// A number that would need more bytes.
const NUMBER_LONG: u8 = 0x1F;
/// Longest value, in bytes: 256 MiB, as the `der` crate writes them.
const LENGTH_MAX: usize = 0x0FFF_FFFF;
/// Bytes of an object identifier at most, as in the `der` crate.
const OBJECT_IDENTIFIER_BYTES_MAX: usize = 39;

/// A constructed context-specific tag.
pub(crate) const fn context(number: u8) -> u8 {
    0xA0 | number
}

/// A primitive context-specific tag.
pub(crate) const fn context_primitive(number: u8) -> u8 {
    0x80 | number
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) value: &'a [u8],
    /// Tag, length and value.
    pub(crate) whole: &'a [u8],
}

/// RFC 5280 4.1.1.2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Algorithm<'a> {
    pub(crate) oid: &'a [u8],
    pub(crate) parameters: Option<Element<'a>>,
}

/// What is left of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a>(&'a [u8]);

/// The value of the one element that these bytes are.
pub(crate) fn sole(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let mut elements = Elements(bytes);
    let value = elements.value(tag)?;
    elements.end(value)
}

/// The elements of the sequence that these bytes are.
pub(crate) fn sequence(bytes: &[u8]) -> Option<Elements<'_>> {
    sole(bytes, SEQUENCE).map(Elements)
}

/// An element of a set, each of which must be larger than the one before (X.690 11.6).
pub(crate) fn set(value: &[u8]) -> Option<Vec<Element<'_>>> {
    let (mut rest, mut found) = (Elements(value), Vec::<Element<'_>>::new());
    while !rest.is_end() {
        let element = rest.element()?;
        if found.last().is_some_and(|last| last.whole >= element.whole) {
            return None;
        }
        found.push(element);
    }
    Some(found)
}

impl<'a> Elements<'a> {
    pub(crate) fn of(value: &'a [u8]) -> Self {
        Self(value)
    }

    pub(crate) fn is_end(&self) -> bool {
        self.0.is_empty()
    }

    /// `read`, if nothing is left behind it.
    pub(crate) fn end<T>(&self, read: T) -> Option<T> {
        self.is_end().then_some(read)
    }

    /// The next one, whatever it is.
    pub(crate) fn element(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let known =
            if tag < APPLICATION { UNIVERSAL.contains(&tag) } else { tag & NUMBER_LONG != NUMBER_LONG };
        let (&first, rest) = rest.split_first().filter(|_| known)?;
        let (length, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                let length = bytes.iter().fold(0_u32, |length, byte| length << 8 | u32::from(*byte)) as usize;
                // Neither a byte of nought in front, nor what fits into the short form.
                (Some(length).filter(|_| length >= 0x80 && bytes.first() != Some(&0))?, rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length).filter(|_| length <= LENGTH_MAX)?;
        let whole = self.0.get(..self.0.len() - rest.len())?;
        self.0 = rest;
        Some(Element { tag, value, whole })
    }

    /// The next one if it has this tag.
    pub(crate) fn tagged(&mut self, tag: u8) -> Option<Element<'a>> {
        self.element().filter(|element| element.tag == tag)
    }

    /// The value of the next one if it has this tag.
    pub(crate) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.tagged(tag).map(|element| element.value)
    }

    /// The same, where it may be left out.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        if self.0.first() == Some(&tag) { self.value(tag).map(Some) } else { Some(None) }
    }

    pub(crate) fn sequence(&mut self) -> Option<Self> {
        self.value(SEQUENCE).map(Self)
    }

    /// X.690 8.19: at least three bytes, whose last ends an arc, and no arc begins with nought. The first byte holds two arcs, up to 2.39, as the `der`
    /// crate has it.
    pub(crate) fn oid(&mut self) -> Option<&'a [u8]> {
        self.value(OBJECT_IDENTIFIER).filter(|bytes| is_oid(bytes))
    }

    /// A number that is not negative, big endian, without the byte of nought that keeps it so.
    pub(crate) fn unsigned(&mut self) -> Option<&'a [u8]> {
        match self.integer()? {
            [0, rest @ ..] if !rest.is_empty() => Some(rest),
            number => (number.first()? & 0x80 == 0).then_some(number),
        }
    }

    /// Two's complement, big endian, as short as can be (X.690 8.3.2).
    pub(crate) fn integer(&mut self) -> Option<&'a [u8]> {
        self.value(INTEGER)
            .filter(|number| !matches!(number, [] | [0, 0..=0x7F, ..] | [0xFF, 0x80..=0xFF, ..]))
    }

    /// A number from 0 to 255.
    pub(crate) fn small(&mut self) -> Option<u8> {
        if let [number] = self.unsigned()? { Some(*number) } else { None }
    }

    pub(crate) fn octets(&mut self) -> Option<&'a [u8]> {
        self.value(OCTET_STRING)
    }

    /// A bit string whose bits fill bytes.
    pub(crate) fn bits(&mut self) -> Option<&'a [u8]> {
        self.value(BIT_STRING).filter(|value| is_bits(value))?.strip_prefix(&[0])
    }

    pub(crate) fn algorithm(&mut self) -> Option<Algorithm<'a>> {
        let mut own = self.sequence()?;
        let oid = own.oid()?;
        let parameters = if own.is_end() { None } else { Some(own.element()?) };
        own.end(Algorithm { oid, parameters })
    }
}

impl Algorithm<'_> {
    /// Parameters are absent, or NULL.
    pub(crate) fn is_plain(&self) -> bool {
        self.parameters.is_none_or(|parameters| parameters.tag == NULL && parameters.value.is_empty())
    }
}

/// X.690 8.6.2: fewer than eight bits are unused, none where there is none, and they are nought.
pub(crate) fn is_bits(value: &[u8]) -> bool {
    let Some((&unused, bytes)) = value.split_first() else { return false };
    match bytes.last() {
        Some(last) => unused < 8 && last.trailing_zeros() >= u32::from(unused),
        None => unused == 0,
    }
}

fn is_oid(bytes: &[u8]) -> bool {
    const MORE: u8 = 0x80;
    const FIRST_END: u8 = 120;
    let begins = |at: usize| {
        at.checked_sub(1).and_then(|before| bytes.get(before)).is_none_or(|byte| byte & MORE == 0)
    };
    (3..=OBJECT_IDENTIFIER_BYTES_MAX).contains(&bytes.len())
        && bytes.first().is_some_and(|first| *first < FIRST_END)
        && bytes.last().is_some_and(|last| last & MORE == 0)
        && (0..).zip(bytes).all(|(at, byte)| *byte != MORE || !begins(at))
}

#[cfg(test)]
pub(crate) mod tests;
