//! The rendering process: one DICOM file from standard input, its middle frame as a JPEG on standard output, and an end. Foreign bytes meet a whole
//! DICOM parser and codecs here and nowhere else, so the process can open nothing and has little memory and time.

use compressor::encapsulated::child;
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, FileDicomObject, InMemDicomObject};
use dicom_pixeldata::{
    ConvertOptions, DecodedPixelData, PhotometricInterpretation, PixelDecoder, PlanarConfiguration,
    VoiLutFunction, VoiLutOption, WindowLevel, WindowLevelTransform,
};
use jpeg_encoder::{ColorType, Encoder};
use std::io::{self, Cursor, Write};

/// Hidden command of the gateway that runs this.
pub const COMMAND: &str = "render-image";
/// The same as a little picture for a list.
pub const THUMBNAIL_COMMAND: &str = "render-thumbnail";
/// Longer side of a little picture, in pixels: it is shown half as large, sharp on a screen of two dots a pixel.
const THUMBNAIL_SIDE: usize = 128;
/// Largest file that is rendered, in bytes: the process holds it, its decoded frames and one of these as numbers within 1 GiB.
pub const FILE_BYTES_MAX: u64 = 128 << 20;
/// Of 100: small differences of a window of 8 bits survive, and a slice has some 50 kB.
const QUALITY: u8 = 90;
/// Share of pixels that may be black or white where the image names no window: metal and air must not take all the greys.
const CUT_SHARE: f64 = 0.005;

/// Renders one file; nothing is written where it cannot be.
///
/// # Errors
/// A limit that could not be set, a kernel without seccomp, or a pipe that broke.
pub fn run() -> io::Result<()> {
    answer(None)
}

/// [`run`] for [`THUMBNAIL_COMMAND`].
///
/// # Errors
/// As [`run`].
pub fn run_thumbnail() -> io::Result<()> {
    answer(Some(THUMBNAIL_SIDE))
}

fn answer(side_max: Option<usize>) -> io::Result<()> {
    let jpeg = render(child::read_confined(FILE_BYTES_MAX)?, side_max).unwrap_or_default();
    let mut stdout = io::stdout().lock();
    stdout.write_all(&jpeg)?;
    stdout.flush()
}

fn render(file: Vec<u8>, side_max: Option<usize>) -> Option<Vec<u8>> {
    let object: FileDicomObject<InMemDicomObject> = dicom_object::from_reader(Cursor::new(file)).ok()?;
    let decoded = object.decode_pixel_data_frame(middle(&object)).ok()?;
    let (columns, rows) = (u16::try_from(decoded.columns()).ok()?, u16::try_from(decoded.rows()).ok()?);
    let (samples, color) = match decoded.photometric_interpretation() {
        PhotometricInterpretation::Monochrome2 => (grey(&decoded)?, ColorType::Luma),
        PhotometricInterpretation::Monochrome1 => {
            (grey(&decoded)?.into_iter().map(|sample| u8::MAX - sample).collect(), ColorType::Luma)
        }
        PhotometricInterpretation::Rgb => (by_pixel(&decoded)?, ColorType::Rgb),
        PhotometricInterpretation::YbrFull | PhotometricInterpretation::YbrFull422 => {
            (by_pixel(&decoded)?, ColorType::Ycbcr)
        }
        _ => return None,
    };
    let (samples, columns, rows) = match side_max {
        Some(side_max) => shrunk(&samples, columns.into(), rows.into(), side_max)?,
        None => (samples, columns, rows),
    };
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, QUALITY).encode(&samples, columns, rows, color).ok()?;
    Some(jpeg)
}

/// Means over squares of pixels, so that the longer side has at most `side_max`. What is left of a square at an edge is cut off.
fn shrunk(samples: &[u8], columns: usize, rows: usize, side_max: usize) -> Option<(Vec<u8>, u16, u16)> {
    let side = columns.max(rows).div_ceil(side_max).max(1);
    let (width, height) = ((columns / side).max(1), (rows / side).max(1));
    let (wide, high) = (side.min(columns), side.min(rows));
    let each = samples.len().checked_div(columns.checked_mul(rows)?).filter(|each| *each > 0)?;
    let mut out = Vec::with_capacity(width * height * each);
    for place in 0..width * height * each {
        let (pixel, sample) = (place / each, place % each);
        let (left, top) = (pixel % width * side, pixel / width * side);
        let mut sum = 0_usize;
        for row in top..top + high {
            let first = (row * columns + left) * each + sample;
            let line = samples.get(first..)?.iter().step_by(each).take(wide);
            sum += line.map(|value| usize::from(*value)).sum::<usize>();
        }
        out.push(u8::try_from(sum / (wide * high)).ok()?);
    }
    Some((out, u16::try_from(width).ok()?, u16::try_from(height).ok()?))
}

fn middle(object: &DefaultDicomObject) -> u32 {
    let frames = object.element(tags::NUMBER_OF_FRAMES).ok().and_then(|frames| frames.to_int::<u32>().ok());
    frames.unwrap_or(1) / 2
}

/// 8 bits by the first window of the image (PS3.3 C.11.2.1.2), else by one that shows nearly all of its values.
fn grey(decoded: &DecodedPixelData<'_>) -> Option<Vec<u8>> {
    let as_they_mean = ConvertOptions::new().with_voi_lut(VoiLutOption::Identity);
    let values: Vec<f32> = decoded.to_vec_frame_with_options(0, &as_they_mean).ok()?;
    let named = decoded.window().ok().flatten().and_then(|windows| windows.first().copied());
    let window = match named.filter(|window| window.width >= 1.0) {
        Some(window) => window,
        None => window_of(&values)?,
    };
    let function = decoded.voi_lut_function().ok().flatten().and_then(|functions| functions.first().copied());
    let transform = WindowLevelTransform::new(function.unwrap_or(VoiLutFunction::Linear), window);
    let white = f64::from(u8::MAX);
    Some(values.into_iter().map(|value| transform.apply(f64::from(value), white).round() as u8).collect())
}

fn window_of(values: &[f32]) -> Option<WindowLevel> {
    let mut sorted: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let cut = (sorted.len() as f64 * CUT_SHARE) as usize;
    let (low, high) = (f64::from(*sorted.get(cut)?), f64::from(*sorted.get(sorted.len() - 1 - cut)?));
    Some(WindowLevel { center: (low + high) / 2.0, width: (high - low).max(1.0) })
}

/// Three samples a pixel of 8 bits, pixel by pixel.
fn by_pixel(decoded: &DecodedPixelData<'_>) -> Option<Vec<u8>> {
    let data = decoded.frame_data(0).ok()?;
    if decoded.bits_allocated() != 8 || decoded.samples_per_pixel() != 3 {
        return None;
    }
    if decoded.planar_configuration() == PlanarConfiguration::Standard {
        return Some(data.to_vec());
    }
    let plane = data.len() / 3;
    let (red, rest) = data.split_at_checked(plane)?;
    let (green, blue) = rest.split_at_checked(plane)?;
    let pixels = red.iter().zip(green).zip(blue);
    Some(pixels.flat_map(|((red, green), blue)| [*red, *green, *blue]).collect())
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
