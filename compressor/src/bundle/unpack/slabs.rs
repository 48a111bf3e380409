//! The slabs of a series, decoded in order, each with the slabs it is predicted from (SPEC 3.2).

use super::{fetch, raw_bytes};
use crate::bundle::{Manifest, Segment, SegmentKind, SegmentSource, UnpackError};
use crate::dataset::ImageLayout;
use crate::pixels::{self, Model, references, whole_frame};

/// Decoded slabs that are kept: the one before, the one in work, and the one after.
const KEPT: usize = 3;

/// The slabs of one series.
pub(super) struct Slabs<'m> {
    model: Option<Model>,
    all: Vec<Slab<'m>>,
    next: usize,
    /// Decoded slabs that others may be predicted from, by number, without residual.
    kept: Vec<(usize, Vec<u8>)>,
}

/// Where the parts of a slab are.
struct Slab<'m> {
    layout: ImageLayout,
    coarse: (u32, &'m Segment),
    fine: (u32, &'m Segment),
}

impl<'m> Slabs<'m> {
    /// `coarse`: the coarse pictures of the series, of which the check of the manifest made sure that they are those of its slabs.
    pub(super) fn new(
        manifest: &'m Manifest,
        series: u32,
        model: Option<Model>,
        coarse: Vec<(u32, &'m Segment)>,
    ) -> Self {
        let own = (1..).zip(&manifest.segments);
        let fine = own.filter(|(_, s)| s.series == series && s.kind == SegmentKind::Pixels);
        let instances = manifest.series.get(series as usize).map(|series| series.instances.as_slice());
        let layout = |segment: &Segment| instances?.get(segment.instance as usize)?.image;
        let slabs = fine.zip(coarse);
        let slabs = slabs.filter_map(|(fine, coarse)| Some(Slab { layout: layout(fine.1)?, coarse, fine }));
        Self { model, all: slabs.collect(), next: 0, kept: Vec::new() }
    }

    /// Decodes the next slab.
    pub(super) fn next(&mut self, source: &mut dyn SegmentSource) -> Result<Vec<u8>, UnpackError> {
        let number = self.next;
        self.next += 1;
        self.decode(number, source)
    }

    fn decode(&mut self, number: usize, source: &mut dyn SegmentSource) -> Result<Vec<u8>, UnpackError> {
        if let Some((_, raw)) = self.kept.iter().find(|(kept, _)| *kept == number) {
            return Ok(raw.clone());
        }
        let uses_references = self.model.as_ref().is_some_and(Model::uses_references);
        let wanted =
            if uses_references { references(number, |number| self.shape(number)) } else { [None; 2] };
        let mut found = Vec::with_capacity(wanted.len());
        for number in wanted.into_iter().flatten() {
            found.push(self.decode(number, source)?);
        }
        let slab =
            self.all.get(number).ok_or_else(|| UnpackError::damaged("fewer slabs than their images need"))?;
        let coarse = fetch(source, slab.coarse.0, slab.coarse.1)?;
        let fine = fetch(source, slab.fine.0, slab.fine.1)?;
        let found: Vec<_> = found.iter().map(Vec::as_slice).collect();
        let (model, bytes) = (self.model.as_ref(), raw_bytes(slab.fine.1)?);
        let raw = pixels::decode_slab(&slab.layout, &coarse, &fine, model, &found, bytes);
        let raw = raw.map_err(|damaged| UnpackError::damaged(damaged.to_string()))?;
        if uses_references && number.is_multiple_of(2) {
            self.kept.truncate(KEPT - 1);
            self.kept.insert(0, (number, raw.clone()));
        }
        Ok(raw)
    }

    fn shape(&self, number: usize) -> Option<pixels::Slab> {
        let slab = self.all.get(number)?;
        whole_frame(&slab.layout, usize::try_from(slab.fine.1.raw_bytes).ok()?)
    }
}
