//! Slabs of a series on their way to the workers: each second one is handed over with the one after it, which it may wait for (SPEC 3.2).

use super::PackError;
use super::bounded::SlabCoder;
use super::line::{Line, Part, Place, Shared, SlabWork, Work};
use crate::dataset::ImageLayout;
use crate::pixels::{Model, Slab, whole_frame};
use std::io::Write;
use std::sync::Arc;

/// The slabs of one series.
pub(super) struct Pairs {
    coder: Arc<SlabCoder>,
    /// Slabs that came.
    count: u64,
    /// The last slab that others may be predicted from.
    before: Option<(Slab, Arc<Shared>)>,
    /// A slab that waits for the next one.
    held: Option<RawSlab>,
}

/// A slab that is not coded yet.
pub(super) struct RawSlab {
    pub(super) place: Place,
    pub(super) layout: ImageLayout,
    /// The source has it compressed.
    pub(super) decompressed: bool,
    pub(super) raw: Vec<u8>,
}

impl Pairs {
    pub(super) fn new(coder: Arc<SlabCoder>) -> Self {
        Self { coder, count: 0, before: None, held: None }
    }

    /// Takes the next slab.
    pub(super) fn submit<W: Write>(
        &mut self,
        line: &mut Line<'_, W>,
        slab: RawSlab,
    ) -> Result<(), PackError> {
        let shape = whole_frame(&slab.layout, slab.raw.len())
            .filter(|_| self.coder.model.as_ref().is_some_and(Model::uses_references));
        let second = self.count % 2 == 1;
        self.count += 1;
        if second && shape.is_some() && shape == self.before.as_ref().map(|(shape, _)| *shape) {
            self.held = Some(slab);
            return Ok(());
        }
        let shared = shape.filter(|_| !second).map(|shape| (shape, Arc::new(Shared::new())));
        let held = self.held.take().map(|held| self.part(held, shared.as_ref()));
        self.before = shared;
        let shared = self.before.as_ref().map(|(_, shared)| Arc::clone(shared));
        let part = self.work(slab, Vec::new(), shared);
        line.submit_all(held.into_iter().chain([part]).collect())
    }

    /// Hands over what waits for a slab that does not come.
    pub(super) fn finish<W: Write>(&mut self, line: &mut Line<'_, W>) -> Result<(), PackError> {
        let held = self.held.take().map(|held| self.part(held, None));
        held.map_or(Ok(()), |part| line.submit_all(vec![part]))
    }

    /// The held slab with the slabs before and after it.
    fn part(&self, held: RawSlab, after: Option<&(Slab, Arc<Shared>)>) -> Part {
        let before = self.before.as_ref();
        let after = after.filter(|(shape, _)| before.is_some_and(|(own, _)| own == shape));
        let references = before.into_iter().chain(after).map(|(_, shared)| Arc::clone(shared)).collect();
        self.work(held, references, None)
    }

    fn work(&self, slab: RawSlab, references: Vec<Arc<Shared>>, shared: Option<Arc<Shared>>) -> Part {
        let RawSlab { place, layout, decompressed, raw } = slab;
        let work = SlabWork { layout, decompressed, coder: Arc::clone(&self.coder), references, shared };
        Part { place, work: Work::Slab(work), raw }
    }
}
