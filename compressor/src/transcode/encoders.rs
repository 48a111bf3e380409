//! Codestreams without loss of one frame of one sample a pixel: JPEG-LS by CharLS, JPEG 2000 by OpenJPEG.

use crate::dataset::ImageLayout;
use crate::encapsulated::Syntax;
use charls::{CharLS, FrameInfo};
use openjp2::{
    CODEC_FORMAT, Codec, OPJ_COLOR_SPACE, Stream, opj_cparameters_t, opj_image, opj_image_comptparm,
};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;

/// Resolutions of a wavelet, as OpenJPEG has them of itself; fewer of small images.
const RESOLUTIONS_MAX: u32 = 6;
/// What OpenJPEG gathers before it writes.
const BUFFER_BYTES: usize = 1 << 20;

/// Bits of a sample in the codestreams of an object with these native bytes: as many as are stored, or all that are allocated where a sample needs them. Whose
/// samples fill half of what is allocated have that whole too: not every program makes words of bytes. And JPEG-LS knows no sign: in all bits a negative
/// sample stays what it is for whoever does not extend the sign.
pub(super) fn precision(syntax: Syntax, layout: &ImageLayout, native: &[u8]) -> u16 {
    let (stored, allocated) = (layout.bits_stored, layout.bits_allocated);
    let is_half = allocated == 16 && stored <= 8;
    if is_half || (syntax == Syntax::JpegLs && layout.signed) || !samples_fit(layout, native) {
        return allocated;
    }
    stored
}

/// Whether no sample has more bits than are stored.
fn samples_fit(layout: &ImageLayout, native: &[u8]) -> bool {
    let above = 32 - u32::from(layout.bits_stored.clamp(1, 16));
    let fits = |sample: i32| match layout.signed {
        true => sample << above >> above == sample,
        false => (sample as u32) << above >> above == sample as u32,
    };
    samples(layout, native).all(fits)
}

/// Codes a frame of native bytes, little endian. `None` where the encoder fails, or there is none.
pub(super) fn encode(syntax: Syntax, layout: &ImageLayout, precision: u16, frame: &[u8]) -> Option<Vec<u8>> {
    match syntax {
        Syntax::JpegLs => jpeg_ls(layout, precision, frame),
        Syntax::Jpeg2000 => jpeg_2000(layout, precision, frame),
        Syntax::Rle | Syntax::JpegLossless | Syntax::Htj2k => None,
    }
}

fn jpeg_ls(layout: &ImageLayout, precision: u16, frame: &[u8]) -> Option<Vec<u8>> {
    let (width, height) = (layout.columns.into(), layout.rows.into());
    let info = FrameInfo { width, height, bits_per_sample: precision.into(), component_count: 1 };
    CharLS::default().encode(info, 0, frame).ok()
}

fn jpeg_2000(layout: &ImageLayout, precision: u16, frame: &[u8]) -> Option<Vec<u8>> {
    let (w, h) = (u32::from(layout.columns), u32::from(layout.rows));
    let (prec, sgnd) = (u32::from(precision), u32::from(layout.signed));
    let component = opj_image_comptparm { dx: 1, dy: 1, w, h, prec, bpp: prec, sgnd, ..Default::default() };
    let mut image = opj_image::create(&[component], OPJ_COLOR_SPACE::OPJ_CLRSPC_GRAY)?;
    (image.x1, image.y1) = (w, h);
    let samples: Vec<i32> = samples(layout, frame).collect();
    if !image.comps_mut()?.first_mut()?.set_data(&samples) {
        return None;
    }
    let mut parameters = opj_cparameters_t::default();
    // One layer with everything, by the reversible wavelet.
    (parameters.tcp_numlayers, parameters.cp_disto_alloc, parameters.irreversible) = (1, 1, 0);
    let resolutions = w.min(h).checked_ilog2()?.saturating_add(1).min(RESOLUTIONS_MAX);
    parameters.numresolution = resolutions.try_into().ok()?;
    // It writes to a path alone: that of a file in memory, which has no name.
    let mut file = File::from(memfd_create("codestream", MemfdFlags::CLOEXEC).ok()?);
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut codec = Codec::new_encoder(CODEC_FORMAT::OPJ_CODEC_J2K)?;
    let mut stream = Stream::new_file(path, BUFFER_BYTES, false).ok()?;
    let done = codec.setup_encoder(&mut parameters, &mut image) == 1
        && codec.start_compress(&mut image, &mut stream) == 1
        && codec.encode(&mut stream) == 1
        && codec.end_compress(&mut stream) == 1;
    // What it gathered is written.
    drop(stream);
    let mut codestream = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut codestream)).ok()?;
    done.then_some(codestream)
}

fn samples(layout: &ImageLayout, native: &[u8]) -> impl Iterator<Item = i32> {
    let (bytes, is_signed) = (usize::from(layout.bits_allocated / 8).max(1), layout.signed);
    native.chunks_exact(bytes).map(move |sample| match (sample, is_signed) {
        ([byte], false) => i32::from(*byte),
        ([byte], true) => i32::from(*byte as i8),
        ([low, high, ..], false) => u16::from_le_bytes([*low, *high]).into(),
        ([low, high, ..], true) => i16::from_le_bytes([*low, *high]).into(),
        ([], _) => 0,
    })
}
