//! The first lossless coder: median prediction, learnt biases, Golomb-Rice codes, runs (SPEC 6).

use super::bits::{BitReader, BitWriter};
use super::model::{Around, Model, Prediction};
use super::planes::{self, Components};
use super::rice::{self, Runs};
use super::{DamagedSlab, Slab, SlabCoder};

/// Flag: red and blue are coded as their difference from green (SPEC 6.3).
const FLAG_GREEN: u8 = 1;
/// Bits of the flags that hold the shift (SPEC 6.2).
const SHIFT_POSITION: u32 = 4;

/// The first lossless coder (SPEC 6).
#[derive(Clone, Copy, Debug)]
pub struct Med;

impl SlabCoder for Med {
    fn number(&self) -> u8 {
        2
    }

    fn encode(&self, slab: &Slab, raw: &[u8]) -> Vec<u8> {
        let mut components = planes::split(slab, raw);
        let plain = encode_components(slab, &components, 0);
        if slab.components != 3 {
            return plain;
        }
        planes::subtract_green(slab, &mut components);
        let green = encode_components(slab, &components, FLAG_GREEN);
        if green.len() < plain.len() { green } else { plain }
    }

    fn decode(&self, slab: &Slab, coded: &[u8]) -> Result<Vec<u8>, DamagedSlab> {
        let (flags, coded) = coded.split_first().ok_or(DamagedSlab)?;
        let mut components = decode_components(slab, coded, u32::from(flags >> SHIFT_POSITION))?;
        if flags & FLAG_GREEN != 0 {
            planes::add_green(slab, &mut components);
        }
        Ok(planes::join(slab, &components))
    }
}

fn encode_components(slab: &Slab, components: &Components, flags: u8) -> Vec<u8> {
    let shift = common_zeros(components);
    let ranges: Vec<_> = components.iter().map(|component| Range::of(component, shift)).collect();
    let mut head = vec![flags | (shift as u8) << SHIFT_POSITION];
    for range in &ranges {
        head.extend_from_slice(&range.least.to_le_bytes());
        head.extend_from_slice(&(range.max as u16).to_le_bytes());
    }
    let mut writer = BitWriter::after(head);
    for (component, range) in components.iter().zip(ranges) {
        let mut coder = Coder::new(range, slab);
        for (row, samples) in component.chunks_exact(slab.columns).enumerate() {
            coder.begin_row(row);
            let samples = samples.iter().map(|sample| i32::from((sample - range.least) >> shift));
            encode_row(&mut coder, &mut writer, samples);
        }
    }
    writer.finish()
}

fn decode_components(slab: &Slab, coded: &[u8], shift: u32) -> Result<Components, DamagedSlab> {
    let (head, coded) = coded.split_at_checked(4 * slab.components).ok_or(DamagedSlab)?;
    let mut reader = BitReader::new(coded);
    let mut components = Components::with_capacity(slab.components);
    for range in head.chunks_exact(4) {
        let range = Range::read(range, shift)?;
        let mut coder = Coder::new(range, slab);
        let mut samples = Vec::with_capacity(slab.frames * slab.rows * slab.columns);
        for row in 0..slab.frames * slab.rows {
            coder.begin_row(row);
            decode_row(&mut coder, &mut reader);
            samples.extend(coder.row().iter().map(|sample| range.least + (sample << shift)));
        }
        components.push(samples);
    }
    reader.finish()?;
    Ok(components)
}

/// Low bits that are equal in all samples of all components.
fn common_zeros(components: &Components) -> u32 {
    let first = components.first().and_then(|component| component.first()).copied().unwrap_or_default();
    let differences = components.iter().flatten().fold(0, |bits, sample| bits | (sample ^ first));
    differences.trailing_zeros().min(15)
}

/// The values of a component: `least + (v << shift)` with v from 0 to `max`.
#[derive(Clone, Copy)]
struct Range {
    least: u16,
    max: i32,
}

impl Range {
    fn of(component: &[u16], shift: u32) -> Self {
        let least = component.iter().copied().min().unwrap_or_default();
        let most = component.iter().copied().max().unwrap_or_default();
        Self { least, max: ((most - least) >> shift).into() }
    }

    fn read(bytes: &[u8], shift: u32) -> Result<Self, DamagedSlab> {
        let &[a, b, c, d] = bytes else { return Err(DamagedSlab) };
        let (least, max) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        if u32::from(least) + (u32::from(max) << shift) > 0xFFFF {
            return Err(DamagedSlab);
        }
        Ok(Self { least, max: max.into() })
    }
}

/// The state between the samples of one component.
struct Coder {
    model: Model,
    runs: Runs,
    max: i32,
    plain_bits: u32,
    rows_of_plane: usize,
    /// Rows above and in work, with one sample more on either side (SPEC 6.4).
    above: Vec<u16>,
    current: Vec<u16>,
    /// Sizes of the errors in them.
    errors_above: Vec<u16>,
    errors: Vec<u16>,
}

impl Coder {
    fn new(range: Range, slab: &Slab) -> Self {
        let row = vec![0; slab.columns + 2];
        Self {
            model: Model::new(range.max),
            runs: Runs::new(),
            max: range.max,
            plain_bits: i32::BITS - range.max.leading_zeros(),
            rows_of_plane: slab.rows,
            above: row.clone(),
            current: row.clone(),
            errors_above: row.clone(),
            errors: row,
        }
    }

    /// Makes the row just done the row above; the first row of each plane has zeros above.
    fn begin_row(&mut self, row: usize) {
        std::mem::swap(&mut self.above, &mut self.current);
        std::mem::swap(&mut self.errors_above, &mut self.errors);
        if row.is_multiple_of(self.rows_of_plane) {
            self.above.fill(0);
            self.errors_above.fill(0);
        }
        mirror_edges(&mut self.above, &mut self.current);
    }

    /// The samples of the row in work.
    fn row(&self) -> &[u16] {
        self.current.get(1..self.current.len() - 1).unwrap_or_default()
    }

    /// Brings an error into the range that is coded (ITU-T T.87 A.4.5).
    #[inline(always)]
    fn reduce(max: i32, error: i32) -> i32 {
        let range = max + 1;
        if error < -(range >> 1) {
            error + range
        } else if error > max >> 1 {
            error - range
        } else {
            error
        }
    }

    /// The sample that an error of a prediction stands for.
    #[inline(always)]
    fn restore(max: i32, value: i32, error: i32) -> i32 {
        let sample = value + error;
        let sample = if sample < 0 { sample + max + 1 } else { sample };
        let sample = if sample > max { sample - max - 1 } else { sample };
        // Only damaged bits lead outside.
        sample.clamp(0, max)
    }
}

/// Right of the last sample above stands that sample again, left of the first one in work the first one above.
fn mirror_edges(above: &mut [u16], current: &mut [u16]) {
    if let [.., last, edge] = above {
        *edge = *last;
    }
    if let ([_, first, ..], [edge, ..]) = (above, current) {
        *edge = *first;
    }
}

/// Codes one row. A run is open as long as `run` counts.
fn encode_row(coder: &mut Coder, writer: &mut BitWriter, samples: impl Iterator<Item = i32>) {
    let Coder { model, runs, max, plain_bits, above, current, errors_above, errors, .. } = coder;
    let (max, plain_bits) = (*max, *plain_bits);
    let Some((edge, current)) = current.split_first_mut() else { return };
    let mut west = i32::from(*edge);
    let (mut error_west, mut run) = (0, None);
    let places = current.iter_mut().zip(errors.iter_mut().skip(1));
    let windows = above.windows(3).zip(errors_above.windows(3));
    for ((sample, (place, error_place)), (above, errors_above)) in samples.zip(places).zip(windows) {
        *place = sample as u16;
        let around = around(west, above);
        let error = if run.is_some() || around.is_flat() {
            let length: usize = run.unwrap_or(0);
            if sample == west {
                run = Some(length + 1);
                *error_place = 0;
                continue;
            }
            run = None;
            runs.write(writer, length, false);
            let level = usize::from(around.north == west);
            let error = Coder::reduce(max, sample - around.north);
            let Some(mean) = model.run_ends.get_mut(level) else { return };
            rice::write(writer, mean, fold(error) - level as u32, plain_bits);
            error
        } else {
            let prediction = model.predict(around, energy_of(error_west, errors_above));
            let error = Coder::reduce(max, turn(prediction, sample - prediction.value));
            rice::write(writer, model.mean(prediction), fold(error), plain_bits);
            model.learn(prediction, error);
            error
        };
        error_west = error.abs();
        *error_place = error_west as u16;
        west = sample;
    }
    if let Some(length) = run {
        runs.write(writer, length, true);
    }
}

/// Decodes one row into `coder.current`.
fn decode_row(coder: &mut Coder, reader: &mut BitReader<'_>) {
    let Coder { model, runs, max, plain_bits, above, current, errors_above, errors, .. } = coder;
    let (max, plain_bits) = (*max, *plain_bits);
    let Some((edge, current)) = current.split_first_mut() else { return };
    let columns = current.len() - 1;
    let mut west = i32::from(*edge);
    let (mut error_west, mut run, mut run_end) = (0, 0, false);
    let places = current.iter_mut().zip(errors.iter_mut().skip(1)).enumerate().take(columns);
    let windows = above.windows(3).zip(errors_above.windows(3));
    for ((column, (place, error_place)), (above, errors_above)) in places.zip(windows) {
        let around = around(west, above);
        if run == 0 && !run_end && around.is_flat() {
            run = runs.read(reader, columns - column);
            run_end = run < columns - column;
        }
        if run > 0 {
            run -= 1;
            *place = west as u16;
            *error_place = 0;
            continue;
        }
        let (value, error) = if run_end {
            run_end = false;
            let level = usize::from(around.north == west);
            let Some(mean) = model.run_ends.get_mut(level) else { return };
            (around.north, unfold(rice::read(reader, mean, plain_bits) + level as u32))
        } else {
            let prediction = model.predict(around, energy_of(error_west, errors_above));
            let error = unfold(rice::read(reader, model.mean(prediction), plain_bits));
            model.learn(prediction, error);
            (prediction.value, turn(prediction, error))
        };
        error_west = error.abs();
        *error_place = error_west as u16;
        west = Coder::restore(max, value, error);
        *place = west as u16;
    }
}

#[inline(always)]
fn around(west: i32, above: &[u16]) -> Around {
    let &[north_west, north, north_east] = above else {
        return Around { west, north: west, north_west: west, north_east: west };
    };
    Around { west, north: north.into(), north_west: north_west.into(), north_east: north_east.into() }
}

#[inline(always)]
fn energy_of(error_west: i32, errors_above: &[u16]) -> i32 {
    let &[_, north, north_east] = errors_above else { return error_west };
    error_west + i32::from(north) + i32::from(north_east)
}

#[inline(always)]
fn turn(prediction: Prediction, error: i32) -> i32 {
    if prediction.turned { -error } else { error }
}

/// 0, −1, 1, −2, 2 … to 0, 1, 2, 3, 4 …
#[inline(always)]
fn fold(error: i32) -> u32 {
    (error << 1 ^ error >> 31) as u32
}

#[inline(always)]
fn unfold(number: u32) -> i32 {
    (number >> 1) as i32 ^ -((number & 1) as i32)
}
