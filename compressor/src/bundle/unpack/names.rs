//! Which images get new UIDs, and which (SPEC 6.3): known from the manifest alone, before the first segment is opened.

use crate::Uid;
use crate::bundle::{Instance, Manifest, Series, UnpackError};
use crate::derive::{Renames, derived_uid};
use std::collections::HashMap;

/// New UIDs of a bundle; none where everything is as it came.
#[derive(Default)]
pub(super) struct Names {
    /// From old to new, for references.
    pub(super) renames: Renames,
    series: HashMap<Uid, Uid>,
    /// New SOP Instance UID of each derived image by its place in the bundle; `None` where its source has no UID.
    instances: HashMap<(u32, u32), Option<Uid>>,
}

impl Names {
    /// The new UIDs of all images of series in which any image is not as it came.
    pub(super) fn of(manifest: &Manifest) -> Result<Self, UnpackError> {
        let mut names = Self::default();
        let mut digests: HashMap<&Uid, Vec<[u8; 32]>> = HashMap::new();
        for (number, series) in (0..).zip(&manifest.series).filter(|(_, series)| is_bounded(series)) {
            for (index, instance) in (0..).zip(&series.instances).filter(|(_, i)| is_image(i)) {
                let digest = digest(instance)?;
                if let Some(uid) = &series.series {
                    digests.entry(uid).or_default().push(digest);
                }
                names.add(number, index, instance, &digest);
            }
        }
        for (source, digests) in digests {
            let renamed = derived_uid(source, &digests);
            names.renames.add(source, renamed.clone());
            names.series.insert(source.clone(), renamed);
        }
        Ok(names)
    }

    fn add(&mut self, series: u32, index: u32, instance: &Instance, digest: &[u8; 32]) {
        let source = instance.sop_instance.as_ref();
        let renamed = source.map(|source| derived_uid(source, [digest]));
        if let (Some(source), Some(renamed)) = (source, &renamed) {
            self.renames.add(source, renamed.clone());
        }
        self.instances.insert((series, index), renamed);
    }

    /// Whether an instance is written as a derived image.
    pub(super) fn is_derived(&self, series: u32, instance: u32) -> bool {
        self.instances.contains_key(&(series, instance))
    }

    /// The SOP Instance UID under which an instance is written.
    pub(super) fn sop_instance(&self, instance: &Instance, series: u32, index: u32) -> Option<Uid> {
        let renamed = self.instances.get(&(series, index)).cloned();
        renamed.unwrap_or_else(|| instance.sop_instance.clone())
    }

    /// The Series Instance UID of the derived images of a series.
    pub(super) fn series(&self, series: &Series) -> Option<&Uid> {
        self.series.get(series.series.as_ref()?)
    }
}

/// All images of such a series are renamed, those too whose pixels are as they came: half a series would stay behind.
fn is_bounded(series: &Series) -> bool {
    series.instances.iter().any(|instance| instance.image.is_some() && instance.decoded_sha256.is_some())
}

fn is_image(instance: &Instance) -> bool {
    instance.image.is_some() || instance.compressed.is_some()
}

/// What tells a derived image apart: its decoded pixels; its source bytes where these are what came.
fn digest(instance: &Instance) -> Result<[u8; 32], UnpackError> {
    let hex = instance.decoded_sha256.as_ref().unwrap_or(&instance.sha256);
    let digit = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(digit).collect();
    let digest = bytes.and_then(|bytes| bytes.try_into().ok());
    digest.ok_or_else(|| UnpackError::damaged("digest is not a SHA-256 in hex"))
}
