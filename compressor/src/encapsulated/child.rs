//! The decoding process: one frame from standard input, its samples on standard output, and an end.

use super::codestream::Head;
use super::request::{self, DECODED, HEAD_BYTES};
use super::{NotDecoded, Syntax};
use crate::confinement;
use crate::dataset::ImageLayout;
use crate::limits::{CODESTREAM_BYTES_MAX, FRAME_DECODED_BYTES_MAX};
use crate::pixels;
use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_pixeldata::PixelDecoder;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{self, Read, Write};

/// Address space in bytes: the largest frame takes 64 MiB, as 32-bit samples of a wavelet 128 MiB, and that twice.
const ADDRESS_SPACE_BYTES: u64 = 1 << 30;
/// Seconds of processor time; the gateway stops waiting before.
const CPU_SECONDS: u64 = 120;
/// Standard input, output and error are open; nothing more can be.
const FILES: u64 = 3;

/// Answers one request. What decoders print or panic with goes nowhere: it may repeat foreign bytes.
///
/// # Errors
/// A limit that could not be set, a kernel without seccomp, or a pipe that broke.
pub fn run() -> io::Result<()> {
    let request = read_confined((HEAD_BYTES + CODESTREAM_BYTES_MAX) as u64)?;
    let frame = answer(&request);
    let mut stdout = io::stdout().lock();
    match frame {
        Ok(frame) => stdout.write_all(&[DECODED]).and_then(|()| stdout.write_all(&frame))?,
        Err(reason) => stdout.write_all(&[request::refusal(reason)])?,
    }
    stdout.flush()
}

/// Reads standard input to its end, at most `bytes_max` bytes, as the last thing that this process can read: taken away for good is what no
/// decoder needs, files, further processes, memory and time without end, and then every system call but those of computing and of answering.
///
/// # Errors
/// As [`run`].
pub fn read_confined(bytes_max: u64) -> io::Result<Vec<u8>> {
    limit()?;
    let mut request = Vec::new();
    io::stdin().take(bytes_max).read_to_end(&mut request)?;
    confinement::enter()?;
    Ok(request)
}

/// Takes away what no decoder needs, for good.
fn limit() -> io::Result<()> {
    let limits = [
        (Resource::As, ADDRESS_SPACE_BYTES),
        (Resource::Cpu, CPU_SECONDS),
        (Resource::Nofile, FILES),
        // No further process or thread.
        (Resource::Nproc, 0),
        (Resource::Fsize, 0),
        // A core file would hold an image.
        (Resource::Core, 0),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(rustix::thread::set_no_new_privs(true)?)
}

fn answer(request: &[u8]) -> Result<Vec<u8>, NotDecoded> {
    let (head, codestream) = request.split_first_chunk().ok_or(NotDecoded::Damaged)?;
    let (syntax, layout) = request::parse(*head).ok_or(NotDecoded::Shape)?;
    let frame_bytes = pixels::frame_bytes(&layout).filter(|bytes| *bytes <= FRAME_DECODED_BYTES_MAX);
    let frame_bytes = frame_bytes.ok_or(NotDecoded::Shape)? as usize;
    let head = Head::read(syntax, codestream, &layout)?;
    if !head.fits(&layout) {
        return Err(NotDecoded::Shape);
    }
    head.native(decode(syntax, &layout, codestream)?, &layout, frame_bytes)
}

/// Decodes by dicom-rs, of which the object is made here from numbers alone.
fn decode(syntax: Syntax, layout: &ImageLayout, codestream: &[u8]) -> Result<Vec<u8>, NotDecoded> {
    let mut object = InMemDicomObject::new_empty();
    for (element, number) in [
        (0x0002, layout.samples_per_pixel),
        (0x0010, layout.rows),
        (0x0011, layout.columns),
        (0x0100, layout.bits_allocated),
        (0x0101, layout.bits_stored),
        (0x0102, layout.bits_stored.saturating_sub(1)),
        (0x0103, layout.signed.into()),
    ] {
        object.put(DataElement::new(Tag(0x0028, element), VR::US, PrimitiveValue::from(number)));
    }
    object.put(DataElement::new(Tag(0x0028, 0x0004), VR::CS, dicom_value!(Str, "MONOCHROME2")));
    let fragments = PixelFragmentSequence::new(Vec::<u32>::new(), vec![codestream.to_vec()]);
    object.put(DataElement::new(Tag(0x7FE0, 0x0010), VR::OB, fragments));
    let meta = FileMetaTableBuilder::new().transfer_syntax(syntax.uid());
    let object = object.with_meta(meta).map_err(|_| NotDecoded::Damaged)?;
    let decoded = object.decode_pixel_data_frame(0).map_err(|_| NotDecoded::Damaged)?;
    Ok(decoded.data().to_vec())
}
