//! The manifest on its way in.

use super::{MANIFEST_BYTES_MAX, WINDOW_LOG};
use crate::bundle::{Manifest, PackError};
use crate::dataset::Banner;
use crate::phi::Purpose;
use std::collections::BTreeMap;
use std::io::{self, Write};
use zstd::stream::raw::CParameter;

/// Enough for repeated names, and quick.
const LEVEL: i32 = 12;
/// Search tables of 2 MiB each. Level 12 would take 32 MiB and 16 MiB for the manifest of a study of 10,000 images.
const CHAIN_LOG: u32 = 19;
const HASH_LOG: u32 = 19;

/// The manifest with banners and note, which [`Manifest`] itself gives to no serializer.
#[derive(serde::Serialize)]
struct Whole<'m> {
    #[serde(flatten)]
    manifest: &'m Manifest,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    banners: Vec<BTreeMap<&'static str, &'m str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'m str>,
}

/// Codes the manifest, without holding its text. It is written twice: a coder that knows how short a text is takes little memory.
pub(in crate::bundle) fn encode(manifest: &Manifest) -> Result<Vec<u8>, PackError> {
    let note = manifest.note.as_ref().map(|note| note.expose_for(Purpose::Seal));
    let whole = Whole { manifest, banners: banners(manifest), note };
    let mut length = Length(0);
    serde_json::to_writer(&mut length, &whole).map_err(io::Error::from)?;
    if length.0 > MANIFEST_BYTES_MAX {
        return Err(PackError::TooLarge { what: "bytes of manifest", limit: MANIFEST_BYTES_MAX as u64 });
    }
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    encoder.set_pledged_src_size(Some(length.0 as u64))?;
    for parameter in
        [CParameter::WindowLog(WINDOW_LOG), CParameter::ChainLog(CHAIN_LOG), CParameter::HashLog(HASH_LOG)]
    {
        encoder.set_parameter(parameter)?;
    }
    serde_json::to_writer(io::BufWriter::new(&mut encoder), &whole).map_err(io::Error::from)?;
    Ok(encoder.finish()?)
}

/// The texts of each series' banner; nothing where all are empty.
fn banners(manifest: &Manifest) -> Vec<BTreeMap<&'static str, &str>> {
    if manifest.series.iter().all(|series| series.banner == Banner::default()) {
        return Vec::new();
    }
    manifest.series.iter().map(|series| series.banner.texts_and_contents(Purpose::Seal).collect()).collect()
}

/// Bytes of a text that nobody keeps.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
