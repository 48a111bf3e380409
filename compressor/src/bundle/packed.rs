//! Series that were packed before their study was known whole, taken over unchanged.

use super::file::BundleFile;
use super::line::{Line, Place};
use super::plan::PlannedSeries;
use super::{
    Instance, Manifest, PackError, Segment, SegmentSource, Series, Source, UnpackError, manifest,
    read_manifest,
};
use std::io::Write;

/// A bundle of some series of a study, for [`super::pack_with`].
pub struct Packed {
    bundle: BundleFile,
    manifest: Manifest,
    taken_over: usize,
}

impl Packed {
    /// Reads the manifest.
    ///
    /// # Errors
    /// [`UnpackError`].
    pub fn new(mut bundle: BundleFile) -> Result<Self, UnpackError> {
        let manifest = read_manifest(&mut bundle)?;
        Ok(Self { bundle, manifest, taken_over: 0 })
    }

    /// Series that were taken over.
    pub fn taken_over(&self) -> usize {
        self.taken_over
    }

    /// Writes the segments of the series that has exactly the instances planned, in their order, as those of series `number`; none where there is no such
    /// series. What is said of it in view of the whole study is as it is planned now.
    pub(super) fn take_over<W: Write>(
        &mut self,
        line: &mut Line<'_, W>,
        planned: &PlannedSeries,
        sources: &[Source<'_>],
        number: u32,
    ) -> Result<Option<Series>, PackError> {
        let mut all = (0..).zip(&self.manifest.series);
        let Some((here, series)) = all.find(|(_, series)| is_of(series, planned, sources)) else {
            return Ok(None);
        };
        let mut source_bytes = series.instances.iter().map(manifest::source_bytes).sum();
        for (segment, place) in self.manifest.segments.iter().zip(1..) {
            if segment.series == here {
                let source_bytes = std::mem::take(&mut source_bytes);
                let Segment { kind, instance, raw_bytes, .. } = *segment;
                let bytes = self.bundle.segment(place)?;
                line.take_over(Place { kind, series: number, instance, source_bytes }, raw_bytes, bytes)?;
            }
        }
        self.taken_over += 1;
        let instances = series.instances.iter().zip(&planned.instances).map(|(instance, planned)| {
            let source = sources.get(planned.source);
            Instance {
                conflict: source.is_some_and(|source| source.conflict),
                name: source.and_then(|source| source.name.clone()),
                ..instance.clone()
            }
        });
        Ok(Some(Series {
            banner: planned.banner.clone(),
            mixed_patients: planned.mixed_patients,
            instances: instances.collect(),
            ..series.clone()
        }))
    }
}

fn is_of(series: &Series, planned: &PlannedSeries, sources: &[Source<'_>]) -> bool {
    let digests = planned.instances.iter().map(|instance| sources.get(instance.source)?.sha256);
    series.study == planned.study
        && series.series == planned.series
        && series.transfer_syntax == planned.transfer_syntax
        && series.key_images == planned.key_images
        && series.instances.len() == planned.instances.len()
        && series
            .instances
            .iter()
            .zip(digests)
            .all(|(instance, sha256)| sha256.is_some_and(|sha256| manifest::hex(&sha256) == instance.sha256))
}
