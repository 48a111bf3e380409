//! Some slabs of a series, read ahead, from which the model of its pixels is learnt (SPEC 3.4).

use super::plan::{PlannedInstance, PlannedSeries};
use super::{PackError, Source};
use crate::pixels::{Bound, Lessons, Model, Slab, slab_lengths};
use std::io::{self, Read, Seek, SeekFrom};

/// Slabs to learn from, evenly spread over the series.
const LESSONS: u64 = 8;

/// The model of a series; `None` where nothing in it is coded as pixels.
pub(super) fn learn(sources: &[Source<'_>], series: &PlannedSeries) -> Result<Option<Model>, PackError> {
    let slabs = || series.instances.iter().flat_map(slabs_of);
    let (count, bytes) = slabs().fold((0, 0), |(count, bytes), slab| (count + 1, bytes + slab.bytes as u64));
    let lessons = LESSONS.min(count);
    let mut wanted = (0..lessons).map(|lesson| (2 * lesson + 1) * count / (2 * lessons)).peekable();
    let mut learning = Lessons::within(&Bound::LOSSLESS);
    for (number, slab) in (0..).zip(slabs()) {
        if wanted.next_if_eq(&number).is_some() {
            learning.add(&slab.slab, &slab.read(sources)?, &[]);
        }
    }
    Ok((count > 0).then(|| learning.learn(bytes)))
}

/// A slab and where it lies.
struct Place {
    source: usize,
    offset: u64,
    bytes: usize,
    slab: Slab,
}

fn slabs_of(instance: &PlannedInstance) -> impl Iterator<Item = Place> {
    let (source, mut offset) = (instance.source, instance.split.head);
    let image = instance.split.image;
    let lengths = image.and_then(|image| slab_lengths(&image)).into_iter().flatten();
    lengths.filter_map(move |bytes| {
        let slab = Slab::of(&image?, bytes)?;
        let place = Place { source, offset, bytes, slab };
        offset += bytes as u64;
        Some(place)
    })
}

impl Place {
    fn read(&self, sources: &[Source<'_>]) -> Result<Vec<u8>, PackError> {
        let changed = || PackError::SourceChanged { index: self.source };
        let mut data = (sources.get(self.source).ok_or_else(changed)?.open)()?;
        data.seek(SeekFrom::Start(self.offset))?;
        let mut raw = vec![0; self.bytes];
        data.read_exact(&mut raw).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => changed(),
            _ => PackError::Io(error),
        })?;
        Ok(raw)
    }
}
