//! Some slabs of a series, read ahead: its noise is measured on them, then the model of its pixels is learnt (SPEC 3.4).

use super::plan::{PlannedInstance, PlannedSeries};
use super::{PackError, Source};
use crate::dataset::ImageLayout;
use crate::near::Survey;
use crate::pixels::{Bound, Lessons, Model, Slab, slab_lengths, whole_frame};
use std::io::{self, Read, Seek, SeekFrom};

/// Slabs to learn from, evenly spread over the series.
const LESSONS: u64 = 8;

/// Shows the slabs of a series to a survey, before its bound is known.
pub(super) fn look(
    sources: &[Source<'_>],
    series: &PlannedSeries,
    survey: &mut Survey,
) -> Result<(), PackError> {
    each(sources, series, false, |slab, raw, _| survey.add(slab, raw)).map(|_| ())
}

/// The model of a series that will be coded within `bound`; `None` where nothing in it is coded as pixels.
pub(super) fn learn(
    sources: &[Source<'_>],
    series: &PlannedSeries,
    bound: &Bound,
) -> Result<Option<Model>, PackError> {
    let mut learning = Lessons::within(bound);
    let bytes = each(sources, series, true, |slab, raw, references| learning.add(slab, raw, references))?;
    Ok((bytes > 0).then(|| learning.learn(bytes)))
}

/// Reads the lessons, one after the other, with the slabs before and after where these serve as references; gives the bytes of all
/// slabs of the series.
fn each(
    sources: &[Source<'_>],
    series: &PlannedSeries,
    with_references: bool,
    mut lesson: impl FnMut(&Slab, &[u8], &[&[u8]]),
) -> Result<u64, PackError> {
    let slabs = || series.instances.iter().flat_map(slabs_of);
    let (count, bytes) = slabs().fold((0, 0), |(count, bytes), slab| (count + 1, bytes + slab.bytes as u64));
    let lessons = LESSONS.min(count);
    // Where there are references, they belong to the slabs of odd numbers.
    let odd = u64::from(with_references && count > 2);
    let number = |lesson: u64| (((2 * lesson + 1) * count / (2 * lessons)) | odd).min(count - 1);
    let mut wanted = (0..lessons).map(number).peekable();
    let (mut before, mut all) = (None, (0..).zip(slabs()).peekable());
    while let Some((number, slab)) = all.next() {
        if wanted.next_if_eq(&number).is_some() {
            while wanted.next_if_eq(&number).is_some() {}
            let after = all.peek().map(|(_, after)| after);
            let references: Vec<&Place> = match &before {
                Some(before) if odd == 1 && number % 2 == 1 && slab.is_like(before) => {
                    after.filter(|after| slab.is_like(after)).into_iter().chain([before]).collect()
                }
                _ => Vec::new(),
            };
            let read = references.iter().map(|place| place.read(sources)).collect::<Result<Vec<_>, _>>()?;
            lesson(&slab.slab, &slab.read(sources)?, &read.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        before = Some(slab);
    }
    Ok(bytes)
}

/// A slab and where it lies.
struct Place {
    layout: ImageLayout,
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
        let place = Place { layout: image?, source, offset, bytes, slab };
        offset += bytes as u64;
        Some(place)
    })
}

impl Place {
    /// Both are whole frames of one shape.
    fn is_like(&self, other: &Self) -> bool {
        let shape = |place: &Self| whole_frame(&place.layout, place.bytes);
        shape(self).is_some() && shape(self) == shape(other)
    }

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
