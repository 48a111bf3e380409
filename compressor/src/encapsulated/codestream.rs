//! The head of a codestream: what it says of its shape, and whether it kept everything.

#[cfg(feature = "pictures")]
use super::Codestream;
use super::NotDecoded;
#[cfg(feature = "codecs")]
use super::Syntax;
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
    /// Nothing was lost.
    is_exact: bool,
    /// The three components are red, green and blue, or luminance and colour differences; `None` where it does not say.
    pub(super) is_rgb: Option<bool>,
    /// JPEG whose samples are predicted and not transformed.
    pub(super) is_lossless_jpeg: bool,
}

impl Head {
    /// Reads the head of a codestream that stands for a frame of `layout`, which an RLE stream does not repeat. One that lost something is refused.
    #[cfg(feature = "codecs")]
    pub(super) fn read(syntax: Syntax, bytes: &[u8], layout: &ImageLayout) -> Result<Self, NotDecoded> {
        let head = match syntax {
            Syntax::Rle => return rle(bytes, layout),
            Syntax::JpegLossless => jpeg(bytes, &[SOF_LOSSLESS]),
            Syntax::JpegLs => jpeg(bytes, &[SOF_LS]),
            Syntax::Jpeg2000 | Syntax::Htj2k => jpeg_2000(bytes),
        };
        let head = head.ok_or(NotDecoded::Damaged)?;
        if head.is_exact { Ok(head) } else { Err(NotDecoded::Lossy) }
    }

    /// The same of one that may have lost something.
    #[cfg(feature = "pictures")]
    pub(super) fn of_picture(
        codestream: Codestream,
        bytes: &[u8],
        layout: &ImageLayout,
    ) -> Result<Self, NotDecoded> {
        let head = match codestream {
            Codestream::Rle => return rle(bytes, layout),
            // Of shifted samples jpeg-decoder predicts the next ones: other values, too.
            Codestream::Jpeg => jpeg(bytes, &[SOF_BASELINE, SOF_EXTENDED, SOF_LOSSLESS])
                .filter(|head| head.is_exact || !head.is_lossless_jpeg),
            Codestream::Jpeg2000 => jpeg_2000(bytes),
        };
        head.ok_or(NotDecoded::Damaged)
    }

    /// Whether a frame of `layout` is what it holds: samples of as many bits as are stored, or as are allocated.
    pub(super) fn fits(&self, layout: &ImageLayout) -> bool {
        (self.rows, self.columns) == (layout.rows.into(), layout.columns.into())
            && self.components == layout.samples_per_pixel
            && (self.precision == layout.bits_stored || self.precision == layout.bits_allocated)
            && self.signed.is_none_or(|signed| signed == layout.signed)
    }

    /// A sample of a decoder that takes all components for unsigned: the shift of ITU-T T.800 G.1 undone where there is none, and within the bits.
    #[cfg(feature = "pictures")]
    pub(super) fn level(&self, sample: i32) -> i32 {
        let sample = sample.clamp(0, (1 << self.precision.min(16)) - 1);
        if self.signed == Some(true) { sample - (1 << (self.precision.min(16) - 1)) } else { sample }
    }

    /// What a decoder gave as the frame of `layout` that it stands for, `frame_bytes` long.
    pub(super) fn native(
        &self,
        mut frame: Vec<u8>,
        layout: &ImageLayout,
        frame_bytes: usize,
    ) -> Result<Vec<u8>, NotDecoded> {
        if frame.len() * 2 == frame_bytes && self.precision <= 8 {
            frame = frame.into_iter().flat_map(|sample| [sample, 0]).collect();
        }
        if frame.len() != frame_bytes {
            return Err(NotDecoded::Damaged);
        }
        if layout.signed && self.precision < layout.bits_allocated {
            extend_sign(&mut frame, layout.bits_allocated, layout.bits_stored);
        }
        Ok(frame)
    }
}

/// Start of frame, baseline and extended sequential (ITU-T T.81 table B.1).
#[cfg(feature = "pictures")]
const SOF_BASELINE: u8 = 0xC0;
#[cfg(feature = "pictures")]
const SOF_EXTENDED: u8 = 0xC1;
/// Start of frame, lossless sequential by Huffman codes (ITU-T T.81 table B.1).
const SOF_LOSSLESS: u8 = 0xC3;
/// Start of frame of JPEG-LS (ITU-T T.87 C.1.1).
const SOF_LS: u8 = 0xF7;
/// Start of scan.
const SOS: u8 = 0xDA;
/// Segments of applications (table B.1).
const APP_0: u8 = 0xE0;
const APP_14: u8 = 0xEE;
/// Restart interval (ITU-T T.81 B.2.4.4).
const DRI: u8 = 0xDD;
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
        is_exact: true,
        ..Head::default()
    })
}

/// The next marker and what its segment holds (ITU-T T.81 B.1.1.4, T.800 A.1.2). `None` where there is none.
fn segment<'b>(rest: &mut &'b [u8]) -> Option<(u8, &'b [u8])> {
    let ([0xFF, marker, a, b], _) = rest.split_first_chunk()? else { return None };
    let (own, behind) = rest.split_at_checked(2 + usize::from(u16::from_be_bytes([*a, *b])))?;
    *rest = behind;
    Some((*marker, own.get(4..)?))
}

/// Markers up to the first scan (ITU-T T.81 B.2, T.87 C.2). `None` where it has none, or another kind of frame before it.
fn jpeg(bytes: &[u8], starts_of_frame: &[u8]) -> Option<Head> {
    let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
    let (mut start, mut named, mut told, mut restarts) = (None, None, None, false);
    loop {
        // Fill bytes may stand before a marker (T.81 B.1.1.2).
        while rest.starts_with(&[0xFF, 0xFF]) {
            rest = rest.get(1..)?;
        }
        let (marker, segment) = segment(&mut rest)?;
        match marker {
            marker if starts_of_frame.contains(&marker) => {
                start = Some((marker, frame(segment)?));
                named = names_rgb(segment);
            }
            // What JFIF has are luminance and colour differences (ITU-T T.871); Adobe's marker says what they are (T.872).
            APP_0 if segment.starts_with(b"JFIF\0") => told = told.or(Some(false)),
            APP_14 if segment.starts_with(b"Adobe") => {
                told = segment.get(11).map(|transform| *transform == 0)
            }
            DRI => restarts = segment.iter().any(|byte| *byte != 0),
            SOS => {
                let (marker, head) = start?;
                let is_lossless_jpeg = marker == SOF_LOSSLESS;
                // jpeg-decoder goes on predicting over a restart of lossless samples: it would give other values without a word.
                if is_lossless_jpeg && restarts {
                    return None;
                }
                let (is_exact, is_rgb) = (is_exact(segment, marker)?, named.or(told));
                return Some(Head { is_exact, is_rgb, is_lossless_jpeg, ..head });
            }
            // Other kinds of frame; C4, C8 and CC are none.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => return None,
            _ => {}
        }
    }
}

/// Components may be numbered by their letters, and are these then.
fn names_rgb(frame: &[u8]) -> Option<bool> {
    let numbers = frame.get(6..)?.iter().step_by(3);
    numbers.eq(b"RGB").then_some(true)
}

fn frame(segment: &[u8]) -> Option<Head> {
    let [precision, r, s, c, d, components] = *segment.first_chunk()?;
    Some(Head {
        rows: u16::from_be_bytes([r, s]).into(),
        columns: u16::from_be_bytes([c, d]).into(),
        components: components.into(),
        precision: precision.into(),
        ..Head::default()
    })
}

/// A point transform (T.81 B.2.3).
fn is_shifted(scan: &[u8]) -> Option<bool> {
    scan.last().map(|transform| transform & 0x0F != 0)
}

/// No point transform (T.81 B.2.3, T.87 C.2.3), and in JPEG-LS no NEAR, which stands where JPEG has its predictor.
fn is_exact(scan: &[u8], start_of_frame: u8) -> Option<bool> {
    let (_, [near, _, _]) = scan.split_last_chunk()?;
    let is_lossless = start_of_frame == SOF_LOSSLESS || (start_of_frame == SOF_LS && *near == 0);
    Some(is_lossless && !is_shifted(scan)?)
}

/// SIZ, COD and COC of the main header (ITU-T T.800 A.5, A.6). `None` where the bytes end.
fn jpeg_2000(bytes: &[u8]) -> Option<Head> {
    let mut rest = bytes.strip_prefix(&[0xFF, 0x4F])?;
    let (mut head, mut is_exact) = (None, true);
    loop {
        let (marker, segment) = segment(&mut rest)?;
        match marker {
            SIZ if head.is_none() => head = Some(size(segment)?),
            // One more size, or markers without a length (T.800 table A.2): readers differ in what they make of them.
            SIZ | 0x30..=0x3F => return None,
            COD => is_exact &= *segment.get(COD_TRANSFORM)? == REVERSIBLE,
            COC => is_exact &= *segment.get(COC_TRANSFORM)? == REVERSIBLE,
            SOT => return Some(Head { is_exact, ..head? }),
            _ => {}
        }
    }
}

/// Image area, and depth and sign of the components, which are alike (A.5.1).
fn size(segment: &[u8]) -> Option<Head> {
    let number =
        |at: usize| segment.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u32::from_be_bytes(*bytes));
    let components =
        segment.get(34..).and_then(<[u8]>::first_chunk).map(|bytes| u16::from_be_bytes(*bytes))?;
    let (all, rest) = segment.get(36..)?.as_chunks();
    let [depth, across, down] = *all.first()?;
    if !rest.is_empty()
        || all.len() != usize::from(components)
        || all.iter().any(|one| *one != [depth, across, down])
    {
        return None;
    }
    // A component that skips samples is not as large as its image.
    let whole = (across, down) == (1, 1);
    Some(Head {
        rows: if whole { number(6)?.checked_sub(number(14)?)? } else { 0 },
        columns: if whole { number(2)?.checked_sub(number(10)?)? } else { 0 },
        components,
        precision: u16::from(depth & 0x7F) + 1,
        signed: Some(depth & 0x80 != 0),
        ..Head::default()
    })
}

/// Copies the sign of each sample of `stored` bits into the bits above it, as native pixels have it.
fn extend_sign(frame: &mut [u8], allocated: u16, stored: u16) {
    let above = u32::from(allocated.saturating_sub(stored));
    if allocated == 8 {
        for sample in frame {
            *sample = ((*sample << above) as i8 >> above) as u8;
        }
        return;
    }
    for word in frame.as_chunks_mut::<2>().0 {
        *word = ((u16::from_le_bytes(*word) << above) as i16 >> above).to_le_bytes();
    }
}
