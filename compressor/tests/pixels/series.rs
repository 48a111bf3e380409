//! A series in memory: read from files by our own scan, coded and decoded slab by slab on all processors.

use compressor::dataset::{Encoding, ImageLayout, locate, outline_here};
use compressor::pixels::{Bound, Lessons, Model, Slab, decode_slab, encode_slab, pack_chunk, slab_lengths};
use std::fs;
use std::io::{Cursor, Seek, SeekFrom};
use std::path::{Path, PathBuf};
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
    let bulk = outline.bulk.filter(|bulk| bulk.native_pixels)?;
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
    pub(crate) fn learn(&self, bound: &Bound) -> Model {
        let mut lessons = Lessons::within(bound);
        let count = LESSONS.min(self.slabs.len());
        for lesson in 0..count {
            let raw = &self.slabs[(2 * lesson + 1) * self.slabs.len() / (2 * count)];
            lessons.add(&Slab::of(&self.layout, raw.len()).unwrap(), raw);
        }
        lessons.learn(self.slabs.iter().map(|raw| raw.len() as u64).sum())
    }

    /// Codes and decodes every slab, and compares every voxel.
    pub(crate) fn round_trip(&self, bound: &Bound) -> Coded {
        let model = self.learn(bound);
        let next = AtomicUsize::new(0);
        let work = || {
            let mut coded = Coded::default();
            while let Some(raw) = self.slabs.get(next.fetch_add(1, Ordering::Relaxed)) {
                coded.add(&self.slab(raw, &model, bound));
            }
            coded
        };
        let mut sum = Coded { bytes: pack_chunk(&model.write()).unwrap().len() as u64, ..Coded::default() };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(1, Into::into);
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().for_each(|worker| sum.add(&worker.join().unwrap()));
        });
        sum
    }

    fn slab(&self, raw: &[u8], model: &Model, bound: &Bound) -> Coded {
        let slab = encode_slab(&self.layout, raw, model, bound).unwrap();
        let decoded = decode_slab(&self.layout, &slab.bytes, Some(model), raw.len()).unwrap();
        let told = slab.decoded.as_deref().unwrap_or(raw);
        assert!(told == decoded, "{}: the decoder has other samples than the encoder said", self.name);
        let mut coded = Coded { bytes: slab.bytes.len() as u64, ..Coded::default() };
        for (before, after) in self.stored(raw).zip(self.stored(&decoded)) {
            let error = self.value(before).abs_diff(self.value(after));
            let changed = before != after && bound.exact.contains(&before);
            coded.voxels += 1;
            coded.max_error = coded.max_error.max(error);
            coded.violations += u64::from(error > bound.near.into() || changed);
        }
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
