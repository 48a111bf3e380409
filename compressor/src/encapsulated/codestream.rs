//! The head of a codestream: what it says of its shape, and whether it kept everything.

use super::{NotDecoded, Syntax};
use crate::dataset::ImageLayout;

/// What a codestream says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    rows: u32,
    columns: u32,
    components: u16,
    /// Bits of a sample.
    pub(super) precision: u16,
    /// Samples are two's complement; `None` where the codestream knows no sign.
    signed: Option<bool>,
}

impl Head {
    /// Reads the head of a codestream that stands for a frame of `layout`, which an RLE stream does not repeat.
    pub(super) fn read(syntax: Syntax, bytes: &[u8], layout: &ImageLayout) -> Result<Self, NotDecoded> {
        let head = match syntax {
            Syntax::Rle => return rle(bytes, layout),
            Syntax::JpegLossless => jpeg(bytes, SOF_LOSSLESS),
            Syntax::JpegLs => jpeg(bytes, SOF_LS),
            Syntax::Jpeg2000 | Syntax::Htj2k => jpeg_2000(bytes),
        };
        head.unwrap_or(Err(NotDecoded::Damaged))
    }

    /// Whether a frame of `layout` is what it holds: samples of as many bits as are stored, or as are allocated.
    pub(super) fn fits(&self, layout: &ImageLayout) -> bool {
        (self.rows, self.columns) == (layout.rows.into(), layout.columns.into())
            && self.components == layout.samples_per_pixel
            && (self.precision == layout.bits_stored || self.precision == layout.bits_allocated)
            && self.signed.is_none_or(|signed| signed == layout.signed)
    }
}

/// Start of frame, lossless sequential by Huffman codes (ITU-T T.81 table B.1).
const SOF_LOSSLESS: u8 = 0xC3;
/// Start of frame of JPEG-LS (ITU-T T.87 C.1.1).
const SOF_LS: u8 = 0xF7;
/// Start of scan.
const SOS: u8 = 0xDA;
/// Image and tile size, coding style, that of a component, start of a tile-part (ITU-T T.800 table A.2).
const SIZ: u8 = 0x51;
const COD: u8 = 0x52;
const COC: u8 = 0x53;
const SOT: u8 = 0x90;
/// Where COD, and COC of fewer than 257 components, say which wavelet (A.6.1, A.6.2).
const COD_TRANSFORM: usize = 9;
const COC_TRANSFORM: usize = 6;
/// The 5-3 wavelet (table A.20).
const REVERSIBLE: u8 = 1;

/// One segment behind each planned segment of an RLE frame (PS3.5 G.3): as many as a pixel has bytes.
fn rle(bytes: &[u8], layout: &ImageLayout) -> Result<Head, NotDecoded> {
    let segments = bytes.first_chunk().map(|count| u32::from_le_bytes(*count)).ok_or(NotDecoded::Damaged)?;
    if segments != u32::from(layout.bits_allocated / 8 * layout.samples_per_pixel) {
        return Err(NotDecoded::Shape);
    }
    Ok(Head {
        rows: layout.rows.into(),
        columns: layout.columns.into(),
        components: layout.samples_per_pixel,
        precision: layout.bits_allocated,
        signed: None,
    })
}

/// Markers up to the first scan (ITU-T T.81 B.2, T.87 C.2). `None` where the bytes end.
fn jpeg(bytes: &[u8], start_of_frame: u8) -> Option<Result<Head, NotDecoded>> {
    let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
    let mut head = None;
    loop {
        let ([0xFF, marker, a, b], _) = rest.split_first_chunk()? else { return None };
        if *marker == 0xFF {
            // Fill bytes may stand before a marker (T.81 B.1.1.2).
            rest = rest.get(1..)?;
            continue;
        }
        let segment = rest.get(4..2 + usize::from(u16::from_be_bytes([*a, *b])))?;
        match *marker {
            marker if marker == start_of_frame => head = Some(frame(segment)?),
            SOS if is_exact(segment, start_of_frame)? => return Some(head.ok_or(NotDecoded::Damaged)),
            SOS => return Some(Err(NotDecoded::Lossy)),
            // Other kinds of frame; C4, C8 and CC are none.
            0xC0..=0xCF if !matches!(*marker, 0xC4 | 0xC8 | 0xCC) => return Some(Err(NotDecoded::Damaged)),
            _ => {}
        }
        rest = rest.get(4 + segment.len()..)?;
    }
}

fn frame(segment: &[u8]) -> Option<Head> {
    let [precision, r, s, c, d, components] = *segment.first_chunk()?;
    Some(Head {
        rows: u16::from_be_bytes([r, s]).into(),
        columns: u16::from_be_bytes([c, d]).into(),
        components: components.into(),
        precision: precision.into(),
        signed: None,
    })
}

/// No point transform (T.81 B.2.3, T.87 C.2.3), and in JPEG-LS no NEAR, which stands where JPEG has its predictor.
fn is_exact(scan: &[u8], start_of_frame: u8) -> Option<bool> {
    let (_, [near, _, transform]) = scan.split_last_chunk()?;
    Some(transform & 0x0F == 0 && (*near == 0 || start_of_frame != SOF_LS))
}

/// SIZ, COD and COC of the main header (ITU-T T.800 A.5, A.6). `None` where the bytes end.
fn jpeg_2000(bytes: &[u8]) -> Option<Result<Head, NotDecoded>> {
    let mut rest = bytes.strip_prefix(&[0xFF, 0x4F])?;
    let mut head = None;
    loop {
        let ([0xFF, marker, a, b], _) = rest.split_first_chunk()? else { return None };
        let segment = rest.get(4..2 + usize::from(u16::from_be_bytes([*a, *b])))?;
        let reversible = match *marker {
            SIZ => {
                head = Some(size(segment)?);
                true
            }
            COD => *segment.get(COD_TRANSFORM)? == REVERSIBLE,
            COC => *segment.get(COC_TRANSFORM)? == REVERSIBLE,
            SOT => return Some(head.ok_or(NotDecoded::Damaged)),
            _ => true,
        };
        if !reversible {
            return Some(Err(NotDecoded::Lossy));
        }
        rest = rest.get(4 + segment.len()..)?;
    }
}

/// Image area, and depth and sign of the first component (A.5.1).
fn size(segment: &[u8]) -> Option<Head> {
    let number =
        |at: usize| segment.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u32::from_be_bytes(*bytes));
    let components =
        segment.get(34..).and_then(<[u8]>::first_chunk).map(|bytes| u16::from_be_bytes(*bytes))?;
    let [depth, across, down] = *segment.get(36..)?.first_chunk()?;
    // A component that skips samples is not as large as its image.
    let whole = (across, down) == (1, 1);
    Some(Head {
        rows: if whole { number(6)?.checked_sub(number(14)?)? } else { 0 },
        columns: if whole { number(2)?.checked_sub(number(10)?)? } else { 0 },
        components,
        precision: u16::from(depth & 0x7F) + 1,
        signed: Some(depth & 0x80 != 0),
    })
}
