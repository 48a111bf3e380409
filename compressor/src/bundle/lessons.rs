//! Some slabs of a series, read ahead: its noise is measured on them, then the model of its pixels is learnt (SPEC 3.4).

use super::frames::{Decoding, Frames, FramesError};
use super::plan::{PlannedInstance, PlannedSeries};
use super::{PackError, Source};
use crate::dataset::ImageLayout;
use crate::encapsulated::NotDecoded;
use crate::near::Survey;
use crate::pixels::{Bound, Lessons, Model, Slab, Weighing, looks_like_graphics, slab_lengths, whole_frame};
use std::io::{self, Read, Seek, SeekFrom};

/// Slabs to learn from, evenly spread over the series.
const LESSONS: u64 = 8;

/// Shows the slabs of a series to a survey, before its bound is known. Gives the reason where all of them are compressed and none
/// could be decoded.
pub(super) fn look(
    sources: &[Source<'_>],
    decoding: Option<&Decoding<'_>>,
    series: &PlannedSeries,
    survey: &mut Survey,
) -> Result<Option<NotDecoded>, PackError> {
    let reader = Reader { sources, decoding, last: None };
    let seen = each(reader, series, false, |place, raw, _| {
        survey.add(&place.slab, raw);
        Ok(())
    })?;
    Ok(seen.unseen)
}

/// What the pixels of a series need to be coded.
pub(super) enum Learnt {
    /// Nothing: there are none.
    NoPixels,
    /// No model: it would weigh more than it saves.
    NoModel,
    Model(Box<Model>),
}

/// Learns the model of a series that will be coded within `bound`.
pub(super) fn learn(
    sources: &[Source<'_>],
    decoding: Option<&Decoding<'_>>,
    series: &PlannedSeries,
    bound: &Bound,
) -> Result<Learnt, PackError> {
    let mut learning = Lessons::within(bound);
    let mut all_graphics = true;
    let reader = Reader { sources, decoding, last: None };
    let seen = each(reader, series, true, |place, raw, references| {
        all_graphics &= looks_like_graphics(&place.slab, raw);
        learning.add(&place.slab, raw, references);
        Ok(())
    })?;
    if seen.bytes == 0 {
        return Ok(Learnt::NoPixels);
    }
    let model = learning.learn(seen.bytes);
    if Weighing::is_worth_it(bound, seen.bytes, all_graphics) {
        let mut weighing = Weighing::of(&model);
        let reader = Reader { sources, decoding, last: None };
        each(reader, series, false, |place, raw, _| Ok(weighing.add(&place.layout, raw)?))?;
        if !weighing.pays(seen.bytes)? {
            return Ok(Learnt::NoModel);
        }
    }
    Ok(Learnt::Model(Box::new(model)))
}

/// What there was to see.
struct Seen {
    /// Bytes of all slabs of the series.
    bytes: u64,
    /// Why there was no lesson at all.
    unseen: Option<NotDecoded>,
}

/// Reads the lessons, one after the other, with the slabs before and after where these serve as references.
fn each<'s>(
    mut reader: Reader<'s>,
    series: &'s PlannedSeries,
    with_references: bool,
    mut lesson: impl FnMut(&Place<'_>, &[u8], &[&[u8]]) -> Result<(), PackError>,
) -> Result<Seen, PackError> {
    let slabs = || series.instances.iter().flat_map(slabs_of);
    let (count, bytes) = slabs().fold((0, 0), |(count, bytes), slab| (count + 1, bytes + slab.bytes as u64));
    let lessons = LESSONS.min(count);
    // Where there are references, they belong to the slabs of odd numbers.
    let odd = u64::from(with_references && count > 2);
    let number = |lesson: u64| (((2 * lesson + 1) * count / (2 * lessons)) | odd).min(count - 1);
    let mut wanted = (0..lessons).map(number).peekable();
    let (mut before, mut all) = (None, (0..).zip(slabs()).peekable());
    let (mut learnt, mut unseen) = (false, None);
    while let Some((number, slab)) = all.next() {
        if wanted.next_if_eq(&number).is_some() {
            while wanted.next_if_eq(&number).is_some() {}
            let after = all.peek().map(|(_, after)| after);
            let references: Vec<&Place<'_>> = match &before {
                Some(before) if odd == 1 && number % 2 == 1 && slab.is_like(before) => {
                    after.filter(|after| slab.is_like(after)).into_iter().chain([before]).collect()
                }
                _ => Vec::new(),
            };
            match reader.read_all(&slab, &references) {
                Ok((raw, references)) => {
                    lesson(&slab, &raw, &references.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
                    learnt = true;
                }
                Err(FramesError::NotDecoded(reason)) => unseen = unseen.or(Some(reason)),
                Err(FramesError::Pack(error)) => return Err(error),
            }
        }
        before = Some(slab);
    }
    Ok(Seen { bytes, unseen: unseen.filter(|_| !learnt) })
}

/// A slab and where it lies.
struct Place<'p> {
    planned: &'p PlannedInstance,
    layout: ImageLayout,
    /// From the start of the pixels.
    offset: u64,
    bytes: usize,
    slab: Slab,
}

fn slabs_of(planned: &PlannedInstance) -> impl Iterator<Item = Place<'_>> {
    let image = planned.split.image;
    let mut offset = 0;
    let lengths = image.and_then(|image| slab_lengths(&image)).into_iter().flatten();
    lengths.filter_map(move |bytes| {
        let slab = Slab::of(&image?, bytes)?;
        let place = Place { planned, layout: image?, offset, bytes, slab };
        offset += bytes as u64;
        Some(place)
    })
}

impl Place<'_> {
    /// Both are whole frames of one shape.
    fn is_like(&self, other: &Self) -> bool {
        let shape = |place: &Self| whole_frame(&place.layout, place.bytes);
        shape(self).is_some() && shape(self) == shape(other)
    }
}

/// Reads slabs wherever they lie.
struct Reader<'s> {
    sources: &'s [Source<'s>],
    decoding: Option<&'s Decoding<'s>>,
    /// The source read last, where its pixels are compressed.
    last: Option<(usize, Frames<'s>)>,
}

impl Reader<'_> {
    /// A slab, and those that it may be predicted from.
    fn read_all(
        &mut self,
        slab: &Place<'_>,
        references: &[&Place<'_>],
    ) -> Result<(Vec<u8>, Vec<Vec<u8>>), FramesError> {
        let references = references.iter().map(|place| self.read(place)).collect::<Result<_, _>>()?;
        Ok((self.read(slab)?, references))
    }

    fn read(&mut self, place: &Place<'_>) -> Result<Vec<u8>, FramesError> {
        let index = place.planned.source;
        let source = self.sources.get(index).ok_or(PackError::SourceChanged { index })?;
        if place.planned.split.compressed.is_none() {
            return Ok(read_native(source, place)?);
        }
        let decoding = self.decoding.ok_or(FramesError::NotDecoded(NotDecoded::Start))?;
        let frames = match self.last.take() {
            Some((last, frames)) if last == index => frames,
            _ => Frames::open(source, place.planned, decoding)?,
        };
        self.last.insert((index, frames)).1.read(place.offset, place.bytes)
    }
}

fn read_native(source: &Source<'_>, place: &Place<'_>) -> Result<Vec<u8>, PackError> {
    let mut data = (source.open)()?;
    data.seek(SeekFrom::Start(place.planned.split.head + place.offset))?;
    let mut raw = vec![0; place.bytes];
    data.read_exact(&mut raw).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => PackError::SourceChanged { index: place.planned.source },
        _ => PackError::Io(error),
    })?;
    Ok(raw)
}
