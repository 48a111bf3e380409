//! Frames that are carried as they came, decoded in a viewer's sandbox: a module of WASM with a memory of its own, which is thrown away when a decoder fails.

use super::codestream::Head;
use super::{Codestream, ITEM_HEAD_BYTES, NotDecoded, SYNTAX};
use crate::dataset::ImageLayout;
use crate::dataset::element::{ITEM, SEQUENCE_END};
use crate::limits::CARRIED_FRAME_BYTES_MAX;
use crate::pixels;
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use jpeg_decoder::{ColorTransform, Decoder};

/// Of JPEG (ITU-T T.81 table B.1); inside coded samples a zero follows each FF.
const START_OF_SCAN: [u8; 2] = [0xFF, 0xDA];

/// The codestream in the items of a frame; `is_first`: the offset table stands before them.
///
/// # Errors
/// [`NotDecoded::Fragments`].
pub fn codestream_of(mut items: &[u8], is_first: bool) -> Result<Vec<u8>, NotDecoded> {
    let (mut bytes, mut is_table) = (Vec::with_capacity(items.len()), is_first);
    while let Some(([a, b, c, d, lengths @ ..], rest)) = items.split_first_chunk::<ITEM_HEAD_BYTES>() {
        let (tag, length) = (SYNTAX.tag([*a, *b, *c, *d]), SYNTAX.u32(*lengths) as usize);
        if tag == SEQUENCE_END {
            break;
        }
        let fragment = rest.get(..length).filter(|_| tag == ITEM).ok_or(NotDecoded::Fragments)?;
        if !std::mem::take(&mut is_table) {
            bytes.extend_from_slice(fragment);
        }
        items = rest.get(length..).unwrap_or_default();
    }
    Ok(bytes)
}

/// Decodes a frame of `layout`: native bytes, pixel by pixel, little endian; samples of fewer bits than are allocated sign-extended. Colours of JPEG come out as
/// RGB: what they were is said by the codestream's own markers, else by `is_rgb`, the data set's Photometric Interpretation. Those of JPEG 2000 come out as RGB
/// where they were transformed (YBR_RCT, YBR_ICT), all else as it is (PS3.3 C.7.6.3.1.2).
///
/// # Errors
/// [`NotDecoded`]. A decoder may panic on what is damaged: it is to be called where that ends nothing else.
pub fn decode(
    codestream: Codestream,
    layout: &ImageLayout,
    is_rgb: bool,
    bytes: &[u8],
) -> Result<Vec<u8>, NotDecoded> {
    let frame_bytes = pixels::frame_bytes(layout).filter(|bytes| *bytes <= CARRIED_FRAME_BYTES_MAX);
    let frame_bytes = frame_bytes.ok_or(NotDecoded::TooLarge)? as usize;
    let head = Head::of_picture(codestream, bytes, layout)?;
    // Before a decoder takes room for what a codestream says of itself.
    if !head.fits(layout) {
        return Err(NotDecoded::Shape);
    }
    let frame = match codestream {
        Codestream::Rle => rle(bytes, layout, frame_bytes),
        Codestream::Jpeg => jpeg(bytes, &head, layout, is_rgb),
        Codestream::Jpeg2000 => jpeg_2000(bytes, &head, layout, frame_bytes),
    };
    head.native(frame.ok_or(NotDecoded::Damaged)?, layout, frame_bytes)
}

fn jpeg(bytes: &[u8], head: &Head, layout: &ImageLayout, is_rgb: bool) -> Option<Vec<u8>> {
    // Each component is in one scan (ITU-T T.81 A.2): with thousands over the same samples a decoder would take hours.
    let scans = bytes.array_windows().filter(|marker| **marker == START_OF_SCAN).count();
    if scans > usize::from(layout.samples_per_pixel) {
        return None;
    }
    let mut decoder = Decoder::new(bytes);
    if layout.samples_per_pixel == 3 {
        let is_rgb = head.is_rgb.unwrap_or(is_rgb);
        // Lossless samples are not transformed by the decoder.
        if head.is_lossless_jpeg && !is_rgb {
            return None;
        }
        decoder.set_color_transform(if is_rgb { ColorTransform::RGB } else { ColorTransform::YCbCr });
    }
    decoder.decode().ok()
}

fn jpeg_2000(bytes: &[u8], head: &Head, layout: &ImageLayout, frame_bytes: usize) -> Option<Vec<u8>> {
    let image = Image::new(bytes, &DecodeSettings { strict: true, ..DecodeSettings::default() }).ok()?;
    if (image.width(), image.height()) != (layout.columns.into(), layout.rows.into()) {
        return None;
    }
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).ok()?;
    let (components, sample_bytes) = (decoded.components(), usize::from(layout.bits_allocated / 8));
    let pixel_bytes = sample_bytes * components.len();
    let mut frame = vec![0; frame_bytes];
    for (component, at) in components.iter().zip((0..).step_by(sample_bytes)) {
        if component.samples().len() * pixel_bytes != frame_bytes {
            return None;
        }
        for (pixel, sample) in frame.chunks_exact_mut(pixel_bytes).zip(component.samples()) {
            let sample = head.level(sample.round() as i32);
            let own = pixel.get_mut(at..at + sample_bytes)?;
            own.copy_from_slice(sample.to_le_bytes().get(..sample_bytes)?);
        }
    }
    Some(frame)
}

/// Byte planes of PackBits, the most significant of each sample first (PS3.5 G.3, G.4).
fn rle(bytes: &[u8], layout: &ImageLayout, frame_bytes: usize) -> Option<Vec<u8>> {
    let sample_bytes = usize::from(layout.bits_allocated / 8);
    let planes = sample_bytes * usize::from(layout.samples_per_pixel);
    let (offsets, _) = bytes.get(4..)?.as_chunks::<4>();
    let mut frame = vec![0; frame_bytes];
    for plane in 0..planes {
        let (sample, byte) = (plane / sample_bytes, plane % sample_bytes);
        let at = sample * sample_bytes + (sample_bytes - 1 - byte);
        let own = frame.get_mut(at..)?.iter_mut().step_by(planes);
        let start = u32::from_le_bytes(*offsets.get(plane)?) as usize;
        unpack_bits(bytes.get(start..)?, own)?;
    }
    Some(frame)
}

/// Fills a plane (PS3.5 G.3.1); `None` where the bytes end before.
fn unpack_bits<'p>(bytes: &[u8], plane: impl Iterator<Item = &'p mut u8>) -> Option<()> {
    let (mut bytes, mut plane) = (bytes.iter(), plane.peekable());
    while plane.peek().is_some() {
        match *bytes.next()? as i8 {
            -128 => {}
            run if run < 0 => {
                let value = bytes.next()?;
                plane.by_ref().take(1 + usize::from(run.unsigned_abs())).for_each(|place| *place = *value);
            }
            literal => {
                for _ in 0..=literal {
                    let (value, place) = (bytes.next()?, plane.next());
                    if let Some(place) = place {
                        *place = *value;
                    }
                }
            }
        }
    }
    Some(())
}
