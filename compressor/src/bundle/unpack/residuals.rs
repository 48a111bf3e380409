//! Which residual belongs to which instance (SPEC 3.5).

use crate::bundle::{Manifest, Segment, SegmentKind, UnpackError};
use std::collections::HashMap;

/// Residuals of each instance in the order of its slabs.
#[derive(Default)]
pub(super) struct Residuals<'m>(HashMap<(u32, u32), Vec<(u32, &'m Segment)>>);

impl<'m> Residuals<'m> {
    /// All residuals of a bundle.
    ///
    /// # Errors
    /// [`UnpackError::NoResidual`] where pixels were changed and nothing here gives them back.
    pub(super) fn of(manifest: &'m Manifest) -> Result<Self, UnpackError> {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        let residuals = (1..).zip(&manifest.segments).filter(|(_, s)| s.kind == SegmentKind::Residual);
        for (number, segment) in residuals {
            found.entry((segment.series, segment.instance)).or_default().push((number, segment));
        }
        for (number, series) in (0..).zip(&manifest.series) {
            for (index, instance) in (0..).zip(&series.instances) {
                if instance.decoded_sha256.is_some() && !found.contains_key(&(number, index)) {
                    return Err(UnpackError::NoResidual);
                }
            }
        }
        Ok(Self(found))
    }

    /// Those of one instance.
    pub(super) fn of_instance(&self, series: u32, instance: u32) -> &[(u32, &'m Segment)] {
        self.0.get(&(series, instance)).map(Vec::as_slice).unwrap_or_default()
    }
}
