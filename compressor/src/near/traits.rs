//! What the data sets of a series say about the meaning of their pixels, gathered into one answer for all of them.

use super::{Reason, sop_class};
use crate::Uid;
use crate::dataset::Outline;
use crate::phi::{Phi, Purpose};

/// Values kept exact for padding; a wider Pixel Padding Range is not.
const PADDING_VALUES_MAX: u16 = 8;
/// Least bits of a sample that may be off by anything.
const BITS_STORED_MIN: u16 = 8;
/// Image Type (0008,0008) of quantities, differences, phases and graphics (PS3.3 C.8.3.1.1.1, C.8.13.3.1.1, C.8.16.1; Siemens and GE use
/// the same words and the shorter ones). MIXED: the frames of a multi-frame image differ.
const TYPES_REFUSED: &[&str] = &[
    "MIXED",
    "ADC",
    "ADC_UNSPECIFIED",
    "AADC",
    "EADC",
    "EXP",
    "FA",
    "COLFA",
    "RA",
    "TENSOR",
    "TENSOR_B0",
    "DIFFUSION_ANISO",
    "DIFFUSION_TENSOR",
    "MD",
    "P",
    "PHASE",
    "PHASE MAP",
    "PHASE_MAP",
    "R",
    "REAL",
    "I",
    "IMAGINARY",
    "VELOCITY",
    "VELOCITY MAP",
    "PHASE CONTRAST P",
    "FIELD_MAP",
    "FIELD MAP",
    "B0",
    "B1",
    "T1 MAP",
    "T2 MAP",
    "T2_STAR MAP",
    "T2 STAR MAP",
    "T1_MAP",
    "T2_MAP",
    "T2_STAR_MAP",
    "R2_MAP",
    "R2_STAR_MAP",
    "PROTON_DENSITY_MAP",
    "MTT",
    "TTP",
    "CBF",
    "CBV",
    "RCBF",
    "RCBV",
    "RELCBF",
    "RELCBV",
    "RELMTT",
    "TMAX",
    "PERFUSION_ASL",
    "K_TRANS",
    "VE",
    "VP",
    "STDDEV",
    "SUB",
    "SUBTRACT",
    "SUBTRACTION",
    "DIFFERENCE",
    "MASK",
    "QUANT",
    "SCREEN SAVE",
    "CSA REPORT",
    "OTHER MAP",
    "Z_EFF",
    "ELECTRON_DENSITY",
];
/// Transfer syntaxes of pixels that lost something whatever the data set says: JPEG baseline and extended, MPEG-2, MPEG-4, HEVC.
const LOSSY_SYNTAXES: &[&str] = &[
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.100",
    "1.2.840.10008.1.2.4.101",
    "1.2.840.10008.1.2.4.102",
    "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.4.104",
    "1.2.840.10008.1.2.4.105",
    "1.2.840.10008.1.2.4.106",
    "1.2.840.10008.1.2.4.107",
    "1.2.840.10008.1.2.4.108",
];

/// What the data sets of a series say.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Traits {
    /// The first reason found against any error; one instance stands for its series.
    pub(super) refusal: Option<Reason>,
    /// The modality of the SOP class.
    pub(super) modality: Option<&'static str>,
    /// Body part, descriptions and protocol name in lower case.
    pub(super) told: Phi<String>,
    /// The steepest Rescale Slope without its sign; `None` where an instance has none.
    pub(super) slope: Option<f64>,
    /// Padding values as they lie in the data set.
    pub(super) padding: Vec<u16>,
}

impl Traits {
    /// Of one instance. `coded` says whether its bulk value will be coded as pixels.
    pub(crate) fn of(outline: &Outline, transfer_syntax: &Uid, coded: bool) -> Self {
        let meaning = &outline.meaning;
        let modality = outline.sop_class.as_ref().and_then(|class| sop_class::modality(class.as_str()));
        let modality = modality.filter(|modality| outline.modality.as_deref() == Some(*modality));
        let padding = padding(meaning.padding, meaning.padding_limit);
        let refusal = refusal(outline, transfer_syntax, coded)
            .or(modality.is_none().then_some(Reason::NoRule))
            .or(padding.is_none().then_some(Reason::Padding));
        let told = Phi::new(meaning.told.expose_for(Purpose::Near).to_lowercase());
        Self {
            refusal,
            modality,
            told,
            slope: meaning.slope.map(f64::abs),
            padding: padding.unwrap_or_default(),
        }
    }

    /// Takes one more instance of the series in.
    pub(crate) fn merge(&mut self, other: Self) {
        self.refusal = self.refusal.or(other.refusal);
        if self.modality != other.modality {
            self.refusal = self.refusal.or(Some(Reason::NoRule));
        }
        let [own, others] = [&self.told, &other.told].map(|told| told.expose_for(Purpose::Near));
        if !own.contains(others) && own.len() < TOLD_BYTES_MAX {
            self.told = Phi::new(format!("{own} {others}"));
        }
        self.slope = self.slope.zip(other.slope).map(|(one, another)| one.max(another));
        let more: Vec<_> = other.padding.into_iter().filter(|value| !self.padding.contains(value)).collect();
        self.padding.extend(more);
        if self.padding.len() > usize::from(PADDING_VALUES_MAX) {
            self.refusal = self.refusal.or(Some(Reason::Padding));
        }
    }
}

/// Descriptions of a series that are kept; they seldom differ within one.
const TOLD_BYTES_MAX: usize = 4096;

fn refusal(outline: &Outline, transfer_syntax: &Uid, coded: bool) -> Option<Reason> {
    let meaning = &outline.meaning;
    if meaning.lossy || LOSSY_SYNTAXES.contains(&transfer_syntax.as_str()) {
        return Some(Reason::AlreadyLossy);
    }
    let Some(image) = outline.image.filter(|_| coded) else { return Some(Reason::NotCoded) };
    let grey = matches!(meaning.photometric.as_deref(), Some("MONOCHROME1" | "MONOCHROME2"));
    let own = |word: &str| TYPES_REFUSED.contains(&word.trim());
    let map = meaning.image_type.as_deref().is_some_and(|types| types.split('\\').any(own));
    let in_hounsfield = meaning.rescale_type.as_deref().is_none_or(|unit| unit == "HU");
    let modality = outline.modality.as_deref();
    [
        (!grey || image.samples_per_pixel != 1, Reason::Colour),
        (image.bits_stored < BITS_STORED_MIN, Reason::FewBits),
        (image.bits_stored > image.bits_allocated, Reason::HighBit),
        (meaning.high_bit.is_some_and(|bit| bit + 1 != image.bits_stored), Reason::HighBit),
        (meaning.image_type.is_none(), Reason::NoImageType),
        (map, Reason::ImageType),
        (meaning.modality_lut, Reason::ModalityLut),
        (modality == Some("CT") && !in_hounsfield, Reason::Units),
    ]
    .into_iter()
    .find_map(|(holds, reason)| holds.then_some(reason))
}

/// The values from one to the other (PS3.3 C.7.5.1.1.2); `None` where they are too many.
fn padding(value: Option<u16>, limit: Option<u16>) -> Option<Vec<u16>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let limit = limit.unwrap_or(value);
    // Two's complement or not, a short range is one in this arithmetic, in one direction.
    let span = limit.wrapping_sub(value).min(value.wrapping_sub(limit));
    let first = if value.wrapping_add(span) == limit { value } else { limit };
    (span < PADDING_VALUES_MAX).then(|| (0..=span).map(|step| first.wrapping_add(step)).collect())
}
