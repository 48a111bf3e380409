//! Texts of an item of a data set, in the character set that it or what it lies in names.

use compressor::dataset::{CharacterSet, Delimiters, Item, PersonName};
use compressor::{Purpose, Uid};

pub(super) const CONCEPT_NAME: u32 = 0x0040_A043;
pub(super) const CONTENT: u32 = 0x0040_A730;
pub(super) const CONCEPT: u32 = 0x0040_A168;
pub(super) const MEASURED: u32 = 0x0040_A300;
pub(super) const UNITS: u32 = 0x0040_08EA;
pub(super) const QUALIFIER: u32 = 0x0040_A301;
pub(super) const REFERENCED: u32 = 0x0008_1199;
pub(super) const TABULATED: u32 = 0x0040_A801;
pub(super) const PERSON_NAME: u32 = 0x0040_A123;
pub(super) const PREDECESSORS: u32 = 0x0040_A360;
pub(super) const REFERENCED_SERIES: u32 = 0x0008_1115;
/// Sequences that are looked into where no VR is written: those of reports, and verifying, author and predecessors of one.
pub(super) const SEQUENCES: [u32; 12] = [
    CONCEPT_NAME,
    CONTENT,
    CONCEPT,
    MEASURED,
    UNITS,
    QUALIFIER,
    REFERENCED,
    TABULATED,
    0x0040_A073,
    0x0040_A078,
    PREDECESSORS,
    REFERENCED_SERIES,
];

const CHARACTER_SET: u32 = 0x0008_0005;
/// Longest value that is no text of its own: of a longer one the beginning is shown, in bytes.
const SHORT_BYTES_MAX: usize = 1024;
/// Stands at the end of a text of which only the beginning is shown.
const CUT: char = '…';

/// An item and its character set.
pub(super) struct Texts<'t, 'b> {
    pub(super) item: &'t Item<'b>,
    set: CharacterSet,
}

impl<'t, 'b> Texts<'t, 'b> {
    pub(super) fn of(item: &'t Item<'b>) -> Self {
        Self::within(item, CharacterSet::default())
    }

    fn within(item: &'t Item<'b>, around: CharacterSet) -> Self {
        Self { item, set: item.value(CHARACTER_SET).map_or(around, CharacterSet::of) }
    }

    /// The items of a sequence.
    pub(super) fn inside(&self, sequence: u32) -> impl Iterator<Item = Texts<'t, 'b>> + use<'t, 'b> {
        let around = self.set;
        self.item.items(sequence).iter().map(move |item| Texts::within(item, around))
    }

    /// Of at most so many bytes of a value of VR ST, LT, UT, and how many are left out. What fills it up is left out.
    pub(super) fn text(&self, tag: u32, bytes_max: usize) -> (String, usize) {
        self.decoded(tag, bytes_max, Delimiters::Paragraphs)
    }

    fn decoded(&self, tag: u32, bytes_max: usize, delimiters: Delimiters) -> (String, usize) {
        let value = self.item.value(tag).unwrap_or_default();
        let read = value.get(..bytes_max).unwrap_or(value);
        let text = self.set.decode(read, delimiters);
        let left_out = value.len() - read.len();
        // The last character may be cut in two.
        let end: &[char] =
            if left_out > 0 { &[' ', '\0', char::REPLACEMENT_CHARACTER] } else { &[' ', '\0'] };
        (text.trim_end_matches(end).to_owned(), left_out)
    }

    /// Of a value that is no longer than a line.
    pub(super) fn short(&self, tag: u32) -> String {
        line(self.decoded(tag, SHORT_BYTES_MAX, Delimiters::Text))
    }

    /// The beginning of a value of VR ST, LT, UT.
    pub(super) fn title(&self, tag: u32) -> String {
        line(self.text(tag, SHORT_BYTES_MAX))
    }

    /// Of a person (PS3.5 6.2, VR PN): as it is written in letters, in ideographs, by its sound.
    pub(super) fn name(&self, tag: u32) -> String {
        let value = self.item.value(tag).unwrap_or_default();
        let name = PersonName::decode(value.get(..SHORT_BYTES_MAX).unwrap_or(value), self.set);
        let groups = [&name.ideographic, &name.alphabetic, &name.phonetic].map(|group| {
            let parts: Vec<_> =
                group.expose_for(Purpose::Show).split('^').filter(|part| !part.trim().is_empty()).collect();
            parts.join(" ")
        });
        let name = groups.into_iter().filter(|group| !group.is_empty()).collect::<Vec<_>>().join(" · ");
        line((name, value.len().saturating_sub(SHORT_BYTES_MAX)))
    }

    /// Referenced SOP Instance UID, where it is one.
    pub(super) fn sop_instance(&self) -> Option<String> {
        Uid::parse(&self.short(0x0008_1155)).ok().map(|uid| uid.as_str().to_owned())
    }

    /// What the first code of a sequence means (PS3.3 8.8); of one that does not say it, the code.
    pub(super) fn code(&self, sequence: u32) -> String {
        self.inside(sequence).next().map_or_else(String::new, |code| code.meaning())
    }

    fn meaning(&self) -> String {
        match (self.short(0x0008_0104), self.code_value(), self.short(0x0008_0102)) {
            (meaning, ..) if !meaning.is_empty() => meaning,
            (_, value, scheme) if !scheme.is_empty() => format!("{value} ({scheme})"),
            (_, value, _) => value,
        }
    }

    fn code_value(&self) -> String {
        let values = [0x0008_0100, 0x0008_0119, 0x0008_0120].map(|tag| self.short(tag));
        values.into_iter().find(|value| !value.is_empty()).unwrap_or_default()
    }

    /// A unit of measurement: as UCUM writes it, where that can be read; nothing for a plain number.
    pub(super) fn unit(&self) -> String {
        let Some(code) = self.inside(UNITS).next() else { return String::new() };
        let value = code.code_value();
        match (value.as_str(), code.short(0x0008_0102).as_str()) {
            ("1", "UCUM") => String::new(),
            (value, "UCUM") if !value.is_empty() && !value.contains(['{', '[']) => value.to_owned(),
            _ => code.meaning(),
        }
    }
}

/// A text and how many bytes of it are left out, as one line.
fn line((text, left_out): (String, usize)) -> String {
    let mut text = text.trim_start_matches(' ').to_owned();
    if left_out > 0 {
        text.push(CUT);
    }
    text
}
