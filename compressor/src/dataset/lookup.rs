//! Look-up tables of an image: what its stored values mean (Modality LUT, PS3.3 C.11.1), in which greys they are seen (VOI LUT, C.11.2), and in
//! which colours (Palette Color Lookup Table, C.7.6.3.1.5 and C.7.6.3.1.6; segmented, C.7.9.2).

use super::element::Syntax;

/// Modality LUT Sequence.
pub(super) const MODALITY_LUT: u32 = 0x0028_3000;
/// VOI LUT Sequence.
pub(super) const VOI_LUT: u32 = 0x0028_3010;
/// LUT Descriptor and LUT Data of an item of them.
const DESCRIPTOR: u32 = 0x0028_3002;
const DATA: u32 = 0x0028_3006;
/// Of red; green and blue follow.
const PALETTE_DESCRIPTOR: u32 = 0x0028_1101;
const PALETTE_DATA: u32 = 0x0028_1201;
const SEGMENTED_DATA: u32 = 0x0028_1221;
/// What the descriptor's zero stands for, and the most there can be.
const ENTRIES_MAX: usize = 1 << 16;
/// Longest value of entries, in bytes.
const DATA_BYTES_MAX: u64 = 2 * ENTRIES_MAX as u64;
/// Segments that are repeated: a table of ten bytes makes no work without end.
const SEGMENTS_MAX: usize = 1 << 16;

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Table {
    /// Value that the first entry is of. What lies below takes the first entry, what lies above the last (PS3.3 C.11.1.1.1).
    pub first: i32,
    /// Bits of an entry, 8 to 16: as many as the descriptor says, or as an entry needs.
    pub bits: u32,
    /// 1 to 65,536 of them.
    pub entries: Vec<u16>,
}

/// The tables of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// What stored values mean, whatever slope and intercept say: the first item of (0028,3000).
    pub modality: Option<Table>,
    /// Greys of those values, whatever window there is beside it: the first item of (0028,3010).
    pub voi: Option<Table>,
    /// Red, green and blue of stored values, where the image is one of PALETTE COLOR.
    pub palette: Option<[Table; 3]>,
    /// A table is there that cannot be read, or one is missing: the image cannot be shown as it is meant.
    pub is_unknown: bool,
}

/// What was read of a table.
#[derive(Debug)]
struct Raw {
    descriptor: Option<[u16; 3]>,
    /// The descriptor's VR is SS or US.
    signed: Option<bool>,
    data: Option<Vec<u8>>,
    is_segmented: bool,
    syntax: Syntax,
}

/// What an image says of its stored values, as far as it bears on tables.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Values {
    pub(super) is_palette: bool,
    /// Stored values may be below zero.
    pub(super) signed: bool,
    /// What slope and intercept make of them may be.
    pub(super) below_zero: bool,
    /// An angiogram, whose modality LUT leads back to the intensity of X-rays and is no part of what is seen (PS3.4 N.2.1.2, PS3.3 C.8.7.1.1.2).
    pub(super) is_angiogram: bool,
}

/// Collects the elements that tables consist of.
#[derive(Debug, Default)]
pub(super) struct Tables {
    modality: Option<Raw>,
    voi: Option<Raw>,
    palette: [Option<Raw>; 3],
    /// Sequence whose first item is read.
    within: Option<u32>,
    is_unknown: bool,
}

impl Tables {
    /// The first item of such a sequence begins: there is a table, whatever it holds.
    pub(super) fn enter(&mut self, sequence: u32, syntax: Syntax) {
        self.within = Some(sequence);
        self.of(sequence).get_or_insert(Raw::empty(syntax));
    }

    fn of(&mut self, sequence: u32) -> &mut Option<Raw> {
        if sequence == MODALITY_LUT { &mut self.modality } else { &mut self.voi }
    }

    pub(super) fn leave(&mut self) {
        self.within = None;
    }

    /// A table is there, or may be, that is not read.
    pub(super) fn give_up(&mut self) {
        self.is_unknown = true;
    }

    /// Longest value that is read of an element that holds entries, in bytes.
    pub(super) fn data_bytes_max(&self, tag: u32) -> Option<u64> {
        let is_data = match self.within {
            Some(_) => tag == DATA,
            None => colour(tag, PALETTE_DATA).or(colour(tag, SEGMENTED_DATA)).is_some(),
        };
        is_data.then_some(DATA_BYTES_MAX)
    }

    pub(super) fn take(&mut self, tag: u32, vr: [u8; 2], value: &[u8], syntax: Syntax) {
        let found = match self.within {
            Some(sequence) => matches!(tag, DESCRIPTOR | DATA).then(|| (self.of(sequence), tag)),
            None => {
                let mut kinds = [PALETTE_DESCRIPTOR, PALETTE_DATA, SEGMENTED_DATA].into_iter();
                let found = kinds.find_map(|kind| Some((colour(tag, kind)?, kind)));
                found.and_then(|(number, kind)| Some((self.palette.get_mut(number)?, kind)))
            }
        };
        let Some((slot, kind)) = found else { return };
        let raw = slot.get_or_insert(Raw::empty(syntax));
        let is_descriptor = matches!(kind, PALETTE_DESCRIPTOR | DESCRIPTOR);
        if is_descriptor && raw.descriptor.is_none() {
            let numbers = value.as_chunks().0.iter().map(|bytes| syntax.u16(*bytes));
            raw.descriptor = numbers.collect::<Vec<_>>().try_into().ok();
            raw.signed = match &vr {
                b"SS" => Some(true),
                b"US" => Some(false),
                _ => None,
            };
        } else if !is_descriptor && raw.data.is_none() {
            (raw.data, raw.is_segmented) = (Some(value.to_owned()), kind == SEGMENTED_DATA);
        }
    }

    pub(super) fn told(&self, values: Values) -> Lookup {
        let Values { is_palette, signed, below_zero, is_angiogram } = values;
        let modality = self.modality.as_ref().filter(|_| !is_angiogram).map(|raw| raw.table(signed));
        // Behind a modality LUT values are its entries, which have no sign.
        let voi = self.voi.as_ref().map(|raw| raw.table(modality.is_none() && below_zero));
        let palette = is_palette.then(|| self.palette(signed));
        Lookup {
            is_unknown: self.is_unknown
                || modality == Some(None)
                || voi == Some(None)
                || palette == Some(None),
            modality: modality.flatten(),
            voi: voi.flatten(),
            palette: palette.flatten(),
        }
    }

    /// All three of one size and range (PS3.3 C.7.6.3.1.5).
    fn palette(&self, signed: bool) -> Option<[Table; 3]> {
        let [red, green, blue] =
            self.palette.each_ref().map(|raw| raw.as_ref().and_then(|raw| raw.table(signed)));
        let mut tables = [red?, green?, blue?];
        let [red, others @ ..] = &tables;
        if others.iter().any(|one| one.first != red.first || one.entries.len() != red.entries.len()) {
            return None;
        }
        // Of eight bits, or of sixteen.
        let bits = if tables.iter().all(|one| one.bits == 8) { 8 } else { 16 };
        for one in &mut tables {
            one.bits = bits;
        }
        Some(tables)
    }
}

/// Which colour's element a tag is, counted from red.
fn colour(tag: u32, red: u32) -> Option<usize> {
    tag.checked_sub(red).filter(|number| *number < 3).map(|number| number as usize)
}

impl Raw {
    fn empty(syntax: Syntax) -> Self {
        Self { descriptor: None, signed: None, data: None, is_segmented: false, syntax }
    }

    /// `signed`: the sign of the first value, where no VR says it.
    fn table(&self, signed: bool) -> Option<Table> {
        let (signed, syntax) = (self.signed.unwrap_or(signed), self.syntax);
        let ([count, first, bits], data) = (self.descriptor?, self.data.as_deref()?);
        let count = if count == 0 { ENTRIES_MAX } else { count.into() };
        let first = if signed { i32::from(first.cast_signed()) } else { first.into() };
        if !(8..=16).contains(&bits) {
            return None;
        }
        let mut entries = if self.is_segmented {
            expanded(&if bits == 8 { bytes(data, syntax) } else { words(data, syntax) }, bits == 8, count)?
        } else if data.len() >= 2 * count {
            words(data, syntax)
        } else {
            // Two of eight bits in a word.
            (bits == 8).then(|| bytes(data, syntax))?
        };
        if entries.len() < count {
            return None;
        }
        entries.truncate(count);
        let needed = entries.iter().map(|entry| u16::BITS - entry.leading_zeros()).max()?;
        Some(Table { first, bits: needed.max(bits.into()), entries })
    }
}

fn words(data: &[u8], syntax: Syntax) -> Vec<u16> {
    data.as_chunks().0.iter().map(|bytes| syntax.u16(*bytes)).collect()
}

/// The first of two in a word lies in its lower byte (PS3.3 C.7.6.3.1.6).
fn bytes(data: &[u8], syntax: Syntax) -> Vec<u16> {
    words(data, syntax).into_iter().flat_map(u16::to_le_bytes).map(u16::from).collect()
}

/// The entries that segments stand for (PS3.3 C.7.9.2): discrete, linear, and indirect ones, which repeat others.
fn expanded(values: &[u16], in_bytes: bool, count: usize) -> Option<Vec<u16>> {
    let mut entries = Vec::with_capacity(count);
    let (mut at, mut budget) = (0, SEGMENTS_MAX);
    while at < values.len() && entries.len() < count {
        at = match *values.get(at)? {
            2 => {
                // Where the repeated segments begin, in bytes: the lower half of a value first.
                let offset = |width: usize, bits: u32| {
                    let parts = values.get(at + 2..at + 2 + width)?.iter().rev();
                    usize::try_from(parts.fold(0_u64, |sum, part| sum << bits | u64::from(*part))).ok()
                };
                let (mut from, behind) =
                    if in_bytes { (offset(4, 8)?, at + 6) } else { (offset(2, 16)? / 2, at + 4) };
                for _ in 0..*values.get(at + 1)? {
                    budget = budget.checked_sub(1)?;
                    from = segment(values, from, &mut entries)?;
                }
                behind
            }
            _ => segment(values, at, &mut entries)?,
        };
    }
    Some(entries)
}

/// Adds a discrete or linear segment. Returns where the next one begins; `None`: there is no such segment.
fn segment(values: &[u16], at: usize, entries: &mut Vec<u16>) -> Option<usize> {
    let length = usize::from(*values.get(at.checked_add(1)?)?);
    let behind = match *values.get(at)? {
        0 => {
            entries.extend(values.get(at + 2..at + 2 + length)?);
            at + 2 + length
        }
        1 => {
            let (from, to) = (f64::from(*entries.last()?), f64::from(*values.get(at + 2)?));
            let step = (to - from) / length as f64;
            entries.extend((1..=length).map(|number| (from + step * number as f64).round_ties_even() as u16));
            at + 3
        }
        _ => return None,
    };
    (entries.len() <= ENTRIES_MAX).then_some(behind)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LITTLE: Syntax = Syntax { explicit: true, big_endian: false };
    const BIG: Syntax = Syntax { explicit: true, big_endian: true };

    fn raw(descriptor: [u16; 3], data: &[u8]) -> Raw {
        let data = Some(data.to_owned());
        Raw { descriptor: Some(descriptor), signed: None, data, is_segmented: false, syntax: LITTLE }
    }

    fn in_words(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn entries_lie_in_words_or_two_in_a_word_and_the_first_value_has_the_sign_of_the_pixels() {
        let table = raw([3, 0xFFFE, 16], &in_words(&[7, 800, 60_000])).table(true).unwrap();
        assert_eq!(table, Table { first: -2, bits: 16, entries: vec![7, 800, 60_000] });
        assert_eq!(raw([3, 0xFFFE, 16], &in_words(&[7, 800, 9])).table(false).unwrap().first, 65_534);
        let packed = raw([3, 0, 8], &[1, 2, 3, 0]);
        assert_eq!(packed.table(false).unwrap().entries, [1, 2, 3]);
        let big = Raw { syntax: BIG, ..raw([3, 0, 8], &[2, 1, 0, 3]) };
        assert_eq!(big.table(false).unwrap().entries, [1, 2, 3]);
        let said = Raw { signed: Some(false), ..raw([1, 0xFFFE, 8], &[1, 0]) };
        assert_eq!(said.table(true).unwrap().first, 65_534, "what the VR says counts");
        // What says eight bits and has more.
        assert_eq!(raw([2, 0, 8], &in_words(&[1, 4095])).table(false).unwrap().bits, 12);
    }

    #[test]
    fn a_table_that_is_cut_or_says_no_size_is_none() {
        assert_eq!(raw([4, 0, 16], &in_words(&[1, 2, 3])).table(false), None);
        assert_eq!(raw([0, 0, 16], &in_words(&[1; 65_535])).table(false), None);
        assert!(raw([0, 0, 16], &in_words(&[1; 65_536])).table(false).is_some());
        assert_eq!(raw([2, 0, 17], &in_words(&[1, 2])).table(false), None);
        assert_eq!(Raw { descriptor: None, ..raw([2, 0, 16], &in_words(&[1, 2])) }.table(false), None);
    }

    #[test]
    fn segments_stand_for_their_entries() {
        let discrete_and_linear = [0, 2, 10, 20, 1, 4, 40];
        assert_eq!(expanded(&discrete_and_linear, false, 6).unwrap(), [10, 20, 25, 30, 35, 40]);
        // The linear one once more: it begins at the last entry, 40.
        let repeated = [&discrete_and_linear[..], &[2, 1, 8, 0]].concat();
        assert_eq!(expanded(&repeated, false, 10).unwrap()[6..], [40; 4]);
        let in_bytes = [0, 2, 10, 20, 1, 4, 40, 2, 1, 0, 0, 0, 0];
        assert_eq!(expanded(&in_bytes, true, 8).unwrap(), [10, 20, 25, 30, 35, 40, 10, 20]);
        for broken in [&[1, 4, 40][..], &[3, 1, 1], &[0, 5, 1], &[2, 1, 0, 0], &[0, 1]] {
            assert_eq!(expanded(broken, false, 9), None, "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn any_segments_end(values in prop::collection::vec(prop_oneof![0_u16..4, any::<u16>()], 0..200), in_bytes: bool) {
            if let Some(entries) = expanded(&values, in_bytes, 300) {
                prop_assert!(entries.len() <= ENTRIES_MAX);
            }
        }
    }
}
