//! Why the bound of a series is what it is, in words for an operator.

use crate::encapsulated::NotDecoded;

/// Why the bound of a series is what it is. Its text names no value of the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The caller named the bound.
    #[error("as asked")]
    Asked,
    /// A multiple of the noise.
    #[error("by its noise")]
    Noise,
    /// The cap of the rule, in units after rescale or stored values.
    #[error("by the cap of its rule")]
    Cap,
    /// A bound below one stored value.
    #[error("bound below one stored value")]
    BelowOne,
    /// The rule of the policy is without loss.
    #[error("rule without loss")]
    Rule,
    /// Neither policy nor list of SOP classes knows it: SEG, RT dose, maps, secondary capture, reports.
    #[error("no rule for this kind of object")]
    NoRule,
    /// Compressed in a way that is not decoded, floating point, 1 bit, or no pixels.
    #[error("carried as it came")]
    NotCoded,
    /// Compressed pixels of which none that were tried could be decoded.
    #[error("compressed pixels are carried as they came: {0}")]
    NotDecoded(NotDecoded),
    /// Lossy Image Compression (0028,2110), or a transfer syntax that always is.
    #[error("already lossy")]
    AlreadyLossy,
    /// RGB, YBR, PALETTE COLOR.
    #[error("colour")]
    Colour,
    /// Fewer than 8 bits stored.
    #[error("fewer than 8 bits")]
    FewBits,
    /// Parts of the words hold something else (PS3.5 8.1.1).
    #[error("samples do not lie in the low bits")]
    HighBit,
    /// Image Type (0008,0008) says that its values are measured quantities, differences or graphics.
    #[error("map, difference or graphics by image type")]
    ImageType,
    /// Image Type (0008,0008) is missing: nothing says that it is no map.
    #[error("no image type")]
    NoImageType,
    /// Below zero where magnitudes are not: a difference, phase or map.
    #[error("values below zero")]
    Negative,
    /// Modality LUT (PS3.3 C.11.1): an error means something else at each value.
    #[error("modality LUT")]
    ModalityLut,
    /// Rescale Type (0028,1054) other than HU.
    #[error("units are not Hounsfield units")]
    Units,
    /// Rescale Slope (0028,1053) is missing, so units cannot become stored values.
    #[error("no rescale slope")]
    NoSlope,
    /// More values mean padding than are kept exact.
    #[error("too many padding values")]
    Padding,
    /// Too little foreground.
    #[error("noise could not be measured")]
    NoNoise,
    /// A header that cannot be rewritten to say that its pixels lost (SPEC 6.2): damaged, out of order, without UIDs, too large.
    #[error("header cannot be marked")]
    Header,
}
