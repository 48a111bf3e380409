//! The slabs of a series, decoded in order, each with the slabs it is predicted from (SPEC 3.2).

use super::residuals::Residuals;
use super::workers::{Decoding, Job, Workers};
use super::{fetch, raw_bytes};
use crate::bundle::{Compressed, Manifest, Segment, SegmentKind, SegmentSource, UnpackError};
use crate::dataset::ImageLayout;
use crate::limits::IN_FLIGHT_BYTES_MAX;
use crate::pixels::{Model, references, whole_frame};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The slabs of one series.
pub(super) struct Slabs<'m> {
    workers: &'m Workers,
    model: Option<Arc<Model>>,
    all: Vec<Slab<'m>>,
    next: usize,
    /// Slabs handed to the workers, by number: those that are not written yet, and the one before.
    begun: BTreeMap<usize, Arc<Decoding>>,
}

/// Where the parts of a slab are.
struct Slab<'m> {
    layout: ImageLayout,
    coarse: (u32, &'m Segment),
    fine: (u32, &'m Segment),
    /// Where what came is wanted.
    residual: Option<(u32, &'m Segment)>,
    /// Of an instance that is written from something else.
    passed: bool,
}

impl<'m> Slabs<'m> {
    /// `coarse`: the coarse pictures of the series, of which the check of the manifest made sure that they are those of its slabs.
    pub(super) fn new(
        workers: &'m Workers,
        manifest: &'m Manifest,
        series: u32,
        model: Option<Model>,
        coarse: Vec<(u32, &'m Segment)>,
        residuals: &Residuals<'m>,
    ) -> Self {
        let own = (1..).zip(&manifest.segments);
        let fine = own.filter(|(_, s)| s.series == series && s.kind == SegmentKind::Pixels);
        let instances = manifest.series.get(series as usize).map(|series| series.instances.as_slice());
        let (mut last, mut place) = (None, 0);
        let slabs = fine.zip(coarse).filter_map(|(fine, coarse)| {
            let number = fine.1.instance;
            place = if last == Some(number) { place + 1 } else { 0 };
            last = Some(number);
            let instance = instances?.get(number as usize)?;
            let residuals = residuals.of_instance(series, number);
            let compressed = instance.compressed == Some(Compressed::Decoded);
            let residual = residuals.get(place).copied().filter(|_| !compressed);
            let passed = compressed && !residuals.is_empty();
            Some(Slab { layout: instance.image?, coarse, fine, residual, passed })
        });
        let (all, model) = (slabs.collect(), model.map(Arc::new));
        Self { workers, model, all, next: 0, begun: BTreeMap::new() }
    }

    /// Decodes the next slab, and begins with those behind it.
    pub(super) fn next(&mut self, source: &mut dyn SegmentSource) -> Result<Arc<Decoding>, UnpackError> {
        let number = self.next;
        self.next += 1;
        let slab = self.begin(number, source)?;
        self.look_ahead(source)?;
        // The one before serves the next.
        self.begun.retain(|begun, _| *begun >= number);
        Ok(slab)
    }

    /// Passes over slabs that are not wanted.
    pub(super) fn pass(&mut self, count: usize) {
        self.next += count;
    }

    /// Keeps the workers busy, but holds no more than so much.
    fn look_ahead(&mut self, source: &mut dyn SegmentSource) -> Result<(), UnpackError> {
        let mut number = self.next;
        while self.begun.len() < self.workers.ahead()
            && self.all.get(number).is_some_and(|slab| !slab.passed)
            && self.begun_bytes() < IN_FLIGHT_BYTES_MAX as u64
        {
            self.begin(number, source)?;
            number += 1;
        }
        Ok(())
    }

    fn begun_bytes(&self) -> u64 {
        let bytes = |number: &usize| self.all.get(*number).map_or(0, |slab| slab.fine.1.raw_bytes);
        self.begun.keys().map(bytes).sum()
    }

    /// Hands a slab to the workers, unless it is there already.
    fn begin(&mut self, number: usize, source: &mut dyn SegmentSource) -> Result<Arc<Decoding>, UnpackError> {
        if let Some(begun) = self.begun.get(&number) {
            return Ok(Arc::clone(begun));
        }
        let uses_references = self.model.as_ref().is_some_and(|model| model.uses_references());
        let wanted =
            if uses_references { references(number, |number| self.shape(number)) } else { [None; 2] };
        let mut found = Vec::with_capacity(wanted.len());
        for number in wanted.into_iter().flatten() {
            found.push(self.begin(number, source)?);
        }
        let slab =
            self.all.get(number).ok_or_else(|| UnpackError::damaged("fewer slabs than their images need"))?;
        let mut part = |(number, segment): (u32, &Segment)| fetch(source, number, segment);
        let job = Job {
            layout: slab.layout,
            coarse: part(slab.coarse)?,
            fine: part(slab.fine)?,
            residual: slab.residual.map(part).transpose()?,
            bytes: raw_bytes(slab.fine.1)?,
            model: self.model.clone(),
            references: found,
            slab: Arc::default(),
        };
        let begun = self.workers.begin(job);
        self.begun.insert(number, Arc::clone(&begun));
        Ok(begun)
    }

    fn shape(&self, number: usize) -> Option<crate::pixels::Slab> {
        let slab = self.all.get(number)?;
        whole_frame(&slab.layout, usize::try_from(slab.fine.1.raw_bytes).ok()?)
    }
}
