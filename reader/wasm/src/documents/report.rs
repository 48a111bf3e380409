//! The content of a structured report (PS3.3 C.17.3): a tree of items, each with a name, a value, and how it belongs to the one above.

use super::texts::{
    CONCEPT, CONCEPT_NAME, CONTENT, MEASURED, PERSON_NAME, QUALIFIER, REFERENCED, TABULATED, Texts,
};
use serde::Serialize;

/// Items of a report that are told, and objects that they refer to: a dose report of 300 exposures has some 15,000.
const ITEMS_MAX: usize = 20_000;
/// One text, in bytes: a hundred pages.
const TEXT_BYTES_MAX: usize = 256 << 10;
/// All texts of a report, and what it refers to, in bytes.
const TEXTS_BYTES_MAX: usize = 4 << 20;
/// A UID of 64 characters, and as much around it.
const REFERENCE_BYTES: usize = 128;
/// Frames of an image, and numbers of a place in the tree, that are told.
const NUMBERS_MAX: usize = 64;

const RELATION: u32 = 0x0040_A010;
const VALUE_TYPE: u32 = 0x0040_A040;
const PLACE: u32 = 0x0040_DB73;
const TEXT_VALUE: u32 = 0x0040_A160;

/// One item. What it does not have is empty.
#[derive(Default, Serialize)]
pub(super) struct Content {
    /// How it belongs to the item above (PS3.3 C.17.3.2.4).
    relation: String,
    /// Value type (PS3.3 C.17.3.2.1); empty where the item only points to another one.
    kind: String,
    name: String,
    /// When it was observed.
    #[serde(skip_serializing_if = "String::is_empty")]
    at: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    /// Bytes of the text that are left out.
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    unit: String,
    /// Why there is no number, or what is to be known of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    qualifier: String,
    /// Where in the tree the item lies that this one points to: the root is 1, its first item 1, 1 (PS3.3 C.17.3.2.5).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    place: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Reference>,
    /// How many points of an outline, places in a wave, or cells of a table it names.
    #[serde(skip_serializing_if = "is_zero")]
    points: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Content>,
}

/// An object that is named.
#[derive(Serialize)]
struct Reference {
    sop_instance: String,
    frames: Vec<u32>,
    /// It is to be seen through a presentation state (PS3.3 C.18.4), which is not applied.
    #[serde(skip_serializing_if = "is_false")]
    has_state: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What was told so far.
#[derive(Default)]
pub(super) struct Contents {
    items: usize,
    texts_bytes: usize,
    pub(super) left_out: usize,
}

impl Contents {
    /// An item with all below it; none where there were too many before it.
    pub(super) fn read(&mut self, item: &Texts<'_, '_>) -> Option<Content> {
        if !self.takes() {
            return None;
        }
        let mut content = Content {
            relation: item.short(RELATION),
            kind: item.short(VALUE_TYPE),
            name: item.code(CONCEPT_NAME),
            at: item.short(0x0040_A032),
            place: item.item.longs(PLACE).take(NUMBERS_MAX).collect(),
            ..Content::default()
        };
        content.value(item);
        self.texts_bytes += content.bytes();
        if matches!(content.kind.as_str(), "IMAGE" | "COMPOSITE" | "WAVEFORM") {
            let references = item.inside(REFERENCED).filter(|_| self.takes());
            content.references = references.map(|one| Reference::of(&one)).collect();
            self.texts_bytes += content.references.len() * REFERENCE_BYTES;
        }
        content.children = item.inside(CONTENT).filter_map(|child| self.read(&child)).collect();
        Some(content)
    }

    /// Whether one more is told; it is counted either way.
    fn takes(&mut self) -> bool {
        let takes = self.items < ITEMS_MAX && self.texts_bytes < TEXTS_BYTES_MAX;
        *(if takes { &mut self.items } else { &mut self.left_out }) += 1;
        takes
    }
}

impl Content {
    fn value(&mut self, item: &Texts<'_, '_>) {
        match self.kind.as_str() {
            "TEXT" => (self.text, self.more) = item.text(TEXT_VALUE, TEXT_BYTES_MAX),
            "CODE" => self.text = item.code(CONCEPT),
            "NUM" => self.number(item),
            "PNAME" => self.text = item.name(PERSON_NAME),
            "DATETIME" => self.text = item.short(0x0040_A120),
            "DATE" => self.text = item.short(0x0040_A121),
            "TIME" => self.text = item.short(0x0040_A122),
            "UIDREF" => self.text = item.short(0x0040_A124),
            "SCOORD" => self.points = item.item.value(0x0070_0022).unwrap_or_default().len() / 8,
            "SCOORD3D" => self.points = item.item.value(0x0070_0022).unwrap_or_default().len() / 12,
            "TCOORD" => self.points = times(item),
            "TABLE" => self.points = cells(item),
            _ => {}
        }
    }

    /// Of its texts.
    fn bytes(&self) -> usize {
        let texts =
            [&self.relation, &self.kind, &self.name, &self.at, &self.text, &self.unit, &self.qualifier];
        texts.map(String::len).iter().sum()
    }

    fn number(&mut self, item: &Texts<'_, '_>) {
        if let Some(measured) = item.inside(MEASURED).next() {
            self.text = measured.short(0x0040_A30A);
            self.unit = measured.unit();
        }
        self.qualifier = item.code(QUALIFIER);
    }
}

/// Positions, offsets or moments, whichever there are (PS3.3 C.18.7).
fn times(item: &Texts<'_, '_>) -> usize {
    let texts = [0x0040_A138, 0x0040_A13A].map(|tag| item.item.value(tag).unwrap_or_default());
    let longest = texts.iter().filter(|value| !value.is_empty());
    let values = longest.map(|value| value.split(|byte| *byte == b'\\').count()).max().unwrap_or(0);
    values.max(item.item.longs(0x0040_A132).count())
}

/// Rows times columns (PS3.3 C.18.10).
fn cells(item: &Texts<'_, '_>) -> usize {
    let table = item.inside(TABULATED).next();
    let side = |tag| table.as_ref().and_then(|table| table.item.longs(tag).next()).unwrap_or(0) as usize;
    side(0x0040_A802).saturating_mul(side(0x0040_A803))
}

impl Reference {
    fn of(item: &Texts<'_, '_>) -> Self {
        let frames = item.short(0x0008_1160);
        Self {
            sop_instance: item.sop_instance().unwrap_or_default(),
            frames: frames
                .split('\\')
                .filter_map(|frame| frame.trim().parse().ok())
                .take(NUMBERS_MAX)
                .collect(),
            has_state: !item.item.items(REFERENCED).is_empty(),
        }
    }
}
