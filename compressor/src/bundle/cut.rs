//! A bundle cut before its residual, and put together again (SPEC 7).

use super::{Manifest, SegmentKind, SegmentSource, UnpackError};
use std::io;

const MANIFEST: u32 = 0;

impl Manifest {
    /// Whether pixels of any instance are not those that came.
    pub fn is_bounded(&self) -> bool {
        self.series.iter().flat_map(|series| &series.instances).any(|one| one.decoded_sha256.is_some())
    }

    /// Segments of the whole bundle, the manifest included.
    pub fn all_segments(&self) -> u32 {
        self.segments.len() as u32 + 1
    }

    /// Number of the first residual: a bundle that is cut there can still be shown. That of the end where there is none.
    pub fn first_residual(&self) -> u32 {
        let own = self.segments.iter().rev().take_while(|segment| segment.kind == SegmentKind::Residual);
        self.all_segments() - own.count() as u32
    }

    /// Whether the bundle has a residual, here or elsewhere.
    pub fn has_residual(&self) -> bool {
        self.first_residual() < self.all_segments()
    }
}

/// The residual of a bundle alone: the manifest, then the residual segments.
pub struct ResidualPart<'s> {
    bundle: &'s mut dyn SegmentSource,
    first: u32,
}

impl<'s> ResidualPart<'s> {
    /// Out of a whole bundle, of which `manifest` is the manifest.
    pub fn new(bundle: &'s mut dyn SegmentSource, manifest: &Manifest) -> Self {
        Self { bundle, first: manifest.first_residual() }
    }
}

impl SegmentSource for ResidualPart<'_> {
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>> {
        match number.checked_sub(1) {
            None => self.bundle.segment(MANIFEST),
            Some(index) => self.bundle.segment(self.first.saturating_add(index)),
        }
    }
}

/// A bundle cut before its residual and the residual that came apart, as the whole bundle.
pub struct Joined<'s> {
    bundle: &'s mut dyn SegmentSource,
    residual: &'s mut dyn SegmentSource,
    first: u32,
}

impl<'s> Joined<'s> {
    /// Joins a bundle with what came as its residual; `residual_segments` counts the segments of that, its manifest included.
    ///
    /// # Errors
    /// [`UnpackError::OtherBundle`] unless both have the same manifest, byte for byte, and the residual has every segment that it
    /// names; those of [`SegmentSource::segment`].
    pub fn new(
        bundle: &'s mut dyn SegmentSource,
        manifest: &Manifest,
        residual: &'s mut dyn SegmentSource,
        residual_segments: u32,
    ) -> Result<Self, UnpackError> {
        let first = manifest.first_residual();
        let is_whole = residual_segments == manifest.all_segments() - first + 1;
        if !is_whole || bundle.segment(MANIFEST)? != residual.segment(MANIFEST)? {
            return Err(UnpackError::OtherBundle);
        }
        Ok(Self { bundle, residual, first })
    }
}

impl SegmentSource for Joined<'_> {
    fn segment(&mut self, number: u32) -> io::Result<Vec<u8>> {
        match number.checked_sub(self.first) {
            None => self.bundle.segment(number),
            Some(index) => self.residual.segment(index.saturating_add(1)),
        }
    }
}
