//! A series in memory: read from files by our own scan, coded and decoded on all processors: first the slabs that stand alone, then those
//! that are predicted from them.

use compressor::dataset::{BulkKind, Encoding, ImageLayout, locate, outline_here};
use compressor::pixels::{
    Bound, Lessons, Model, Slab, decode_slab, encode_slab, pack_chunk, references, slab_lengths, whole_frame,
};
use std::fs;
use std::io::{Cursor, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Slabs that a model is learnt from, as in a bundle.
const LESSONS: usize = 8;

/// Slabs of one layout.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) layout: ImageLayout,
    pub(crate) slabs: Vec<Vec<u8>>,
}

/// What came out of a round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Coded {
    /// Of all slabs and the model.
    pub(crate) bytes: u64,
    pub(crate) voxels: u64,
    pub(crate) max_error: u32,
    /// Voxels beyond the bound, or changed although their value is exact.
    pub(crate) violations: u64,
}

/// The real series, in the order of their names; says so where there are none.
pub(crate) fn real() -> Vec<Series> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let root = std::env::var_os("SCANPOST_DATA").map_or(beside, PathBuf::from);
    let mut folders: Vec<_> =
        fs::read_dir(&root).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    if folders.is_empty() {
        println!("NOT RUN on real series: none in {} (set SCANPOST_DATA)", root.display());
    }
    folders.iter().filter_map(|folder| read(folder)).collect()
}

/// Images with native pixels, in the order of their numbers. One layout a folder, which the shared series keep to.
fn read(folder: &Path) -> Option<Series> {
    let mut images: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| image(&fs::read(entry.unwrap().path()).unwrap()))
        .collect();
    images.sort_by_key(|(number, ..)| *number);
    let layout = images.first()?.1;
    assert!(images.iter().all(|(_, other, _)| *other == layout), "{}", folder.display());
    let slabs = images.into_iter().flat_map(|(.., raw)| cut(&layout, &raw)).collect();
    Some(Series { name: folder.file_name()?.to_str()?.to_owned(), layout, slabs })
}

fn image(file: &[u8]) -> Option<(i32, ImageLayout, Vec<u8>)> {
    let mut source = Cursor::new(file);
    let part = locate(&mut source, file.len() as u64).ok()??;
    source.seek(SeekFrom::Start(part.prefix_bytes)).ok()?;
    let encoding = Encoding::of_transfer_syntax(&part.transfer_syntax);
    let outline = outline_here(&mut source, file.len() as u64 - part.prefix_bytes, encoding).ok()?;
    let bulk = outline.bulk.filter(|bulk| bulk.kind == BulkKind::Native)?;
    let raw = file.get(
        (part.prefix_bytes + bulk.range.start) as usize..(part.prefix_bytes + bulk.range.end) as usize,
    )?;
    Some((outline.instance_number.unwrap_or_default(), outline.image?, raw.to_vec()))
}

/// Raw bytes of all frames as slabs.
pub(crate) fn cut(layout: &ImageLayout, raw: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = raw;
    let mut take = |length| {
        let (slab, after) = rest.split_at(length);
        rest = after;
        slab.to_vec()
    };
    slab_lengths(layout).unwrap().map(&mut take).collect()
}

impl Series {
    /// From lessons that a bundle would choose: of a series with references, slabs that have them.
    pub(crate) fn learn(&self, bound: &Bound) -> Model {
        let (count, lessons) = (self.slabs.len(), LESSONS.min(self.slabs.len()));
        let odd = usize::from(count > 2);
        let number = |lesson: usize| (((2 * lesson + 1) * count / (2 * lessons)) | odd).min(count - 1);
        let mut wanted: Vec<_> = (0..lessons).map(number).collect();
        wanted.dedup();
        let mut learning = Lessons::within(bound);
        for number in wanted {
            let raw = &self.slabs[number];
            let near_by = if odd == 1 { self.references(number) } else { Vec::new() };
            let near_by: Vec<_> = near_by.into_iter().map(|other| self.slabs[other].as_slice()).collect();
            learning.add(&Slab::of(&self.layout, raw.len()).unwrap(), raw, &near_by);
        }
        learning.learn(self.slabs.iter().map(|raw| raw.len() as u64).sum())
    }

    fn references(&self, number: usize) -> Vec<usize> {
        let shape = |other: usize| whole_frame(&self.layout, self.slabs.get(other)?.len());
        references(number, shape).into_iter().flatten().collect()
    }

    /// Codes and decodes every slab, and compares every voxel.
    pub(crate) fn round_trip(&self, bound: &Bound) -> Coded {
        let model = self.learn(bound);
        let decoded: Vec<_> = self.slabs.iter().map(|_| OnceLock::new()).collect();
        let mut sum = Coded { bytes: pack_chunk(&model.write()).unwrap().len() as u64, ..Coded::default() };
        for first in 0..2 {
            let numbers: Vec<_> = (first..self.slabs.len()).step_by(2).collect();
            sum.add(&on_all_processors(&numbers, |number| self.slab(number, &model, bound, &decoded)));
        }
        sum
    }

    /// `decoded`: every second slab as it decodes, with which the others are coded.
    fn slab(&self, number: usize, model: &Model, bound: &Bound, decoded: &[OnceLock<Vec<u8>>]) -> Coded {
        let near_by = if model.uses_references() { self.references(number) } else { Vec::new() };
        let near_by: Vec<_> = near_by.iter().map(|other| decoded[*other].get().unwrap().as_slice()).collect();
        let raw = self.slabs[number].as_slice();
        let slab = encode_slab(&self.layout, raw, model, bound, &near_by).unwrap();
        let own =
            decode_slab(&self.layout, &slab.coarse, &slab.fine, Some(model), &near_by, raw.len()).unwrap();
        let told = slab.decoded.as_deref().unwrap_or(raw);
        assert!(told == own, "{}: the decoder has other samples than the encoder said", self.name);
        let mut coded = Coded { bytes: (slab.coarse.len() + slab.fine.len()) as u64, ..Coded::default() };
        for (before, after) in self.stored(raw).zip(self.stored(&own)) {
            let error = self.value(before).abs_diff(self.value(after));
            // An exact value comes back, and no other becomes it.
            let exact = |value: u16| bound.exact.contains(&value);
            let changed = before != after && (exact(before) || exact(after));
            coded.voxels += 1;
            coded.max_error = coded.max_error.max(error);
            coded.violations += u64::from(error > bound.near.into() || changed);
        }
        decoded[number].set(own).unwrap();
        coded
    }

    fn stored(&self, raw: &[u8]) -> impl Iterator<Item = u16> {
        let (bytes, big_endian) = (usize::from(self.layout.bits_allocated / 8), self.layout.big_endian);
        raw.chunks_exact(bytes).map(move |sample| match *sample {
            [high, low] if big_endian => u16::from_be_bytes([high, low]),
            [low, high] => u16::from_le_bytes([low, high]),
            [byte] => byte.into(),
            _ => unreachable!("samples have one or two bytes"),
        })
    }

    fn value(&self, stored: u16) -> i32 {
        match (self.layout.signed, self.layout.bits_allocated) {
            (false, _) => stored.into(),
            (true, 8) => i32::from(stored as u8 as i8),
            (true, _) => i32::from(stored as i16),
        }
    }
}

impl Coded {
    pub(crate) fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.voxels += other.voxels;
        self.max_error = self.max_error.max(other.max_error);
        self.violations += other.violations;
    }
}

fn on_all_processors(numbers: &[usize], work: impl Fn(usize) -> Coded + Sync) -> Coded {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut coded = Coded::default();
        while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
            coded.add(&work(*number));
        }
        coded
    };
    let mut sum = Coded::default();
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, Into::into);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
        workers.into_iter().for_each(|worker| sum.add(&worker.join().unwrap()));
    });
    sum
}
