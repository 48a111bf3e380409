//! The attributes of a derived image: what SPEC 6.2 lists, and nothing else.

use super::element::New;
use super::rewrite::{Edit, Edits, PixelData, derived_type};
use crate::Uid;
use crate::dataset::element::LENGTH_UNDEFINED;
use crate::encapsulated::Syntax;

/// Lossy Image Compression Method (0028,2114) of our coder. There is no defined term for it (PS3.3 C.7.6.1.1.5.1); those of
/// the standard begin with ISO.
pub const METHOD: &str = "SCANPOST_LATTICE";
/// Characters of a value of VR ST and LT (PS3.5 6.2), counted in bytes here: never too many.
const ST_BYTES_MAX: usize = 1024;
const LT_BYTES_MAX: usize = 10_240;
/// What stands between a text of ours and one that was there.
const BETWEEN: &str = "; ";
/// Said where the ratio is above the ceiling of the policy.
const REFERENCE_ONLY: &str = "Reference only: compression ratio above the national ceiling.";

const IMAGE_TYPE: u32 = 0x0008_0008;
const SOP_INSTANCE: u32 = 0x0008_0018;
const CODE_VALUE: u32 = 0x0008_0100;
const CODING_SCHEME: u32 = 0x0008_0102;
const CODE_MEANING: u32 = 0x0008_0104;
const REFERENCED_SOP_CLASS: u32 = 0x0008_1150;
const REFERENCED_SOP_INSTANCE: u32 = 0x0008_1155;
const DERIVATION_DESCRIPTION: u32 = 0x0008_2111;
const SOURCE_IMAGES: u32 = 0x0008_2112;
const DERIVATION_CODES: u32 = 0x0008_9215;
const SERIES: u32 = 0x0020_000E;
const IMAGE_COMMENTS: u32 = 0x0020_4000;
/// Smallest and largest pixel value of image and series (PS3.3 C.7.6.3): no longer known, all optional.
const EXTREMES: std::ops::RangeInclusive<u32> = 0x0028_0106..=0x0028_0109;
const LOSSY: u32 = 0x0028_2110;
const LOSSY_RATIO: u32 = 0x0028_2112;
const LOSSY_METHOD: u32 = 0x0028_2114;
const PURPOSE_OF_REFERENCE: u32 = 0x0040_A170;
/// Length of the group, extended offset table and lengths, length of all fragments (PS3.3 C.7.6.3): of compressed pixels alone.
pub(super) const FRAGMENT_LENGTHS: [u32; 4] = [0x7FE0_0000, 0x7FE0_0001, 0x7FE0_0002, 0x7FE0_0003];

/// How an image was derived. UIDs are `None` where its source has none: they then stay away.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Derivation<'a> {
    /// SOP Class and SOP Instance UID of the source.
    pub source: Option<(&'a Uid, &'a Uid)>,
    /// SOP Instance UID of the derived image.
    pub sop_instance: Option<&'a Uid>,
    /// Series Instance UID of all derived images of the series.
    pub series: Option<&'a Uid>,
    /// The pixels of this image are those that came: it is renamed only to stay with the others of its series.
    pub exact: bool,
    /// Largest absolute error allowed in the series, in stored values.
    pub near: u32,
    /// Largest absolute error found in the series, in stored values.
    pub max_error: u32,
    /// Root of the mean squared error of the series, in stored values.
    pub rmse: f64,
    /// Bytes of the original pixels of the series for each coded byte.
    pub ratio: Option<f64>,
    /// The ratio is above the national ceiling of the site's policy.
    pub reference_only: bool,
    /// The pixels of the source are compressed, those of the derived image are not.
    pub decompressed: Option<Decompressed>,
}

/// Native pixels in place of compressed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decompressed {
    /// How they were compressed.
    pub syntax: Syntax,
    /// Bits allocated for a sample.
    pub bits_allocated: u16,
    /// Bytes of the native value.
    pub bytes: u64,
}

impl Decompressed {
    /// VR and length of Pixel Data (7FE0,0010) in Explicit VR Little Endian (PS3.5 A.2), padded to an even length (PS3.5 8.1.1).
    /// `None` where no native value is so long.
    pub(super) fn pixel_data(&self) -> Option<PixelData> {
        let vr = if self.bits_allocated > 8 { *b"OW" } else { *b"OB" };
        let length = u32::try_from(self.bytes + self.bytes % 2).ok();
        length.filter(|length| *length != LENGTH_UNDEFINED).map(|length| (vr, Some(length)))
    }
}

impl Derivation<'_> {
    /// What happens to the elements of the top level.
    pub(super) fn edits(&self) -> Edits {
        let mut edits = Edits::new();
        if let Some((class, instance)) = self.source {
            edits.insert(SOURCE_IMAGES, Edit::Item(source_image(class, instance)));
        }
        edits.extend(self.sop_instance.map(|uid| (SOP_INSTANCE, Edit::uid(uid.clone()))));
        edits.extend(self.series.map(|uid| (SERIES, Edit::uid(uid.clone()))));
        edits.insert(DERIVATION_DESCRIPTION, text(*b"ST", self.description(), ST_BYTES_MAX, true));
        if !self.exact {
            self.add_loss(&mut edits);
        }
        if self.decompressed.is_some() {
            edits.extend(FRAGMENT_LENGTHS.map(|tag| (tag, Edit::Drop)));
        }
        edits
    }

    fn add_loss(&self, edits: &mut Edits) {
        let image_type = |value: Option<&[u8]>| match value.map(<[u8]>::trim_ascii) {
            None | Some([]) => Some(b"DERIVED\\SECONDARY".to_vec()),
            Some(value) => derived_type(value),
        };
        edits.insert(IMAGE_TYPE, Edit::Value(*b"CS", Box::new(image_type)));
        let code = code("113040", "Lossy Compression");
        edits.insert(DERIVATION_CODES, Edit::Item(code));
        edits.extend(EXTREMES.map(|tag| (tag, Edit::Drop)));
        edits.insert(LOSSY, Edit::Value(*b"CS", Box::new(|_| Some(b"01".to_vec()))));
        edits.extend(self.ratio.map(|ratio| (LOSSY_RATIO, one_more(*b"DS", decimal(ratio)))));
        edits.insert(LOSSY_METHOD, one_more(*b"CS", METHOD.into()));
        if self.reference_only {
            // Viewers show comments beside the image; a derivation description hardly any.
            edits.insert(IMAGE_COMMENTS, text(*b"LT", REFERENCE_ONLY.into(), LT_BYTES_MAX, false));
        }
    }

    /// Plain English, ASCII: it stands in any character set (PS3.5 6.1).
    fn description(&self) -> String {
        let decoded = self
            .decompressed
            .map(|from| format!(", decoded from {}", from.syntax.name()))
            .unwrap_or_default();
        if self.exact {
            return format!(
                "Pixels equal to those of the source image{decoded}; new UIDs, since other images of its series were \
                 irreversibly compressed by the Scanpost lattice codec"
            );
        }
        let Self { near, max_error, rmse, .. } = self;
        let reference_only = if self.reference_only { format!(". {REFERENCE_ONLY}") } else { String::new() };
        format!(
            "Irreversibly compressed by the Scanpost lattice codec{decoded}: near {near}, largest error of the series \
             {max_error}, RMSE {rmse:.3}, all in stored values{reference_only}"
        )
    }
}

fn source_image(class: &Uid, instance: &Uid) -> Vec<New> {
    vec![
        New::Text(REFERENCED_SOP_CLASS, b"UI", class.as_str().into()),
        New::Text(REFERENCED_SOP_INSTANCE, b"UI", instance.as_str().into()),
        New::Item(PURPOSE_OF_REFERENCE, code("121320", "Uncompressed predecessor")),
    ]
}

/// An item of a code sequence of the DICOM terminology (PS3.16 D).
fn code(value: &str, meaning: &str) -> Vec<New> {
    vec![
        New::Text(CODE_VALUE, b"SH", value.into()),
        New::Text(CODING_SCHEME, b"SH", "DCM".into()),
        New::Text(CODE_MEANING, b"LO", meaning.into()),
    ]
}

/// A text of ours behind or in front of the one that is there; alone where both are too long together.
fn text(vr: [u8; 2], ours: String, bytes_max: usize, behind: bool) -> Edit {
    let together = move |value: Option<&[u8]>| {
        let theirs = value.map(<[u8]>::trim_ascii_end).filter(|theirs| !theirs.is_empty());
        let Some(theirs) = theirs else { return Some(ours.clone().into_bytes()) };
        let parts = if behind { [theirs, ours.as_bytes()] } else { [ours.as_bytes(), theirs] };
        let both = parts.join(BETWEEN.as_bytes());
        Some(if both.len() <= bytes_max { both } else { ours.clone().into_bytes() })
    };
    Edit::Value(vr, Box::new(together))
}

/// One more value behind those that are there: each step of a history has its own (PS3.3 C.7.6.1.1.5.2).
fn one_more(vr: [u8; 2], ours: String) -> Edit {
    let appended = move |value: Option<&[u8]>| {
        let theirs = value.map(<[u8]>::trim_ascii).filter(|theirs| !theirs.is_empty());
        Some(theirs.map_or(ours.clone().into_bytes(), |theirs| [theirs, ours.as_bytes()].join(&b'\\')))
    };
    Edit::Value(vr, Box::new(appended))
}

/// VR DS, at most 16 characters (PS3.5 6.2): a ratio has far fewer.
fn decimal(ratio: f64) -> String {
    let text = format!("{ratio:.2}");
    if text.len() <= 16 { text } else { format!("{ratio:.4e}") }
}
