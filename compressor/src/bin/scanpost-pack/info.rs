//! `scanpost-pack info`.

use crate::report::{self, Report};
use anyhow::Context;
use compressor::bundle::{self, BundleFile, Manifest, Summary};
use std::path::Path;

/// Reports on a bundle without unpacking it.
pub(crate) fn run(input: &Path, banner: bool, json: bool) -> anyhow::Result<()> {
    let (manifest, bundle) = open(input)?;
    let mut report = Report::of(&manifest, summary(&manifest, &bundle));
    if banner {
        report.set_banners(&manifest);
    }
    report::print(&report, json)
}

/// Opens a bundle and reads its manifest.
pub(crate) fn open(input: &Path) -> anyhow::Result<(Manifest, BundleFile)> {
    let mut bundle = BundleFile::open(input).with_context(|| format!("cannot open {}", input.display()))?;
    let manifest = bundle::read_manifest(&mut bundle)?;
    Ok((manifest, bundle))
}

/// The sizes of a bundle, from its manifest.
pub(crate) fn summary(manifest: &Manifest, bundle: &BundleFile) -> Summary {
    let bundle_bytes = bundle.segment_lengths().iter().map(|length| u64::from(*length)).sum();
    Summary { bundle_bytes, ..manifest.summary() }
}
