//! What `scanpost-pack` says of a bundle, as JSON or as a table (DESIGN 8).

use compressor::Purpose;
use compressor::bundle::{Manifest, SegmentKind, Series, Sigma, Summary, Unpacked};
use compressor::dataset::on_screen;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a text on a line; a name's group and a description have 64 (PS3.5 6.2).
const SHOWN_CHARACTERS_MAX: usize = 64;

/// A bundle in numbers.
#[derive(Serialize)]
pub(crate) struct Report {
    series: Vec<SeriesReport>,
    #[serde(flatten)]
    summary: Summary,
    /// File bytes / bundle bytes.
    ratio_files: f64,
    /// Pixel bytes / coded pixel bytes.
    ratio_pixels: Option<f64>,
    seconds: Option<f64>,
    /// What became of the instances; after `decode` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpacked: Option<Unpacked>,
}

#[derive(Serialize)]
struct SeriesReport {
    modality: Option<String>,
    key_images: u32,
    instances: usize,
    file_bytes: u64,
    pixel_bytes: u64,
    coded_pixel_bytes: u64,
    header_bytes: u64,
    coded_header_bytes: u64,
    /// Bulk values that are not coded as pixels.
    opaque_bytes: u64,
    coded_opaque_bytes: u64,
    /// Bytes of the segments that give bounded pixels back exactly.
    coded_residual_bytes: u64,
    near: u32,
    max_error: u32,
    /// Root of the mean squared error.
    rmse: f64,
    /// Noise, by both estimators.
    sigma: Option<Sigma>,
    /// Largest mean error of a block of 32 × 32.
    block_error: f64,
    /// Pixel bytes / coded pixel bytes.
    ratio: Option<f64>,
    /// The ratio is above the ceiling of the policy.
    reference_only: bool,
    /// Why near is what it is.
    reason: Option<String>,
    /// Images of a bounded series that are carried compressed as they came, and why, each reason once.
    passed: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passed_because: Vec<String>,
    seconds: Option<f64>,
    /// Whose images these are; where it was asked for alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    banner: Option<BTreeMap<&'static str, String>>,
    /// The instances name more than one patient.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    mixed_patients: bool,
}

impl Report {
    pub(crate) fn of(manifest: &Manifest, summary: Summary) -> Self {
        let series = (0..).zip(&manifest.series).map(|(number, s)| SeriesReport::of(manifest, number, s));
        Self {
            series: series.collect(),
            ratio_files: ratio(summary.source_bytes, summary.bundle_bytes).unwrap_or(1.0),
            ratio_pixels: ratio(summary.pixel_bytes, summary.coded_pixel_bytes),
            summary,
            seconds: None,
            unpacked: None,
        }
    }

    /// Adds whose images these are.
    pub(crate) fn set_banners(&mut self, manifest: &Manifest) {
        let texts = |series: &Series| {
            series
                .banner
                .texts_and_contents(Purpose::Show)
                .map(|(name, text)| (name, text.to_owned()))
                .collect()
        };
        for (report, series) in self.series.iter_mut().zip(&manifest.series) {
            report.banner = Some(texts(series));
        }
    }

    pub(crate) fn set_unpacked(&mut self, unpacked: Unpacked) {
        self.unpacked = Some(unpacked);
    }

    pub(crate) fn set_seconds(&mut self, by_series: &[f64], all: f64) {
        for (series, seconds) in self.series.iter_mut().zip(by_series) {
            series.seconds = Some(*seconds);
        }
        self.seconds = Some(all);
    }
}

impl SeriesReport {
    fn of(manifest: &Manifest, number: u32, series: &Series) -> Self {
        let segments = |kind| manifest.segments.iter().filter(move |s| s.series == number && s.kind == kind);
        let coded = |kind| segments(kind).map(|s| s.coded_bytes).sum::<u64>();
        let raw = |kind| segments(kind).map(|s| s.raw_bytes).sum();
        Self {
            modality: series.modality.clone(),
            key_images: series.key_images,
            instances: series.instances.len(),
            file_bytes: file_bytes(series),
            pixel_bytes: raw(SegmentKind::Pixels),
            coded_pixel_bytes: coded(SegmentKind::Model)
                + coded(SegmentKind::Coarse)
                + coded(SegmentKind::Pixels),
            header_bytes: raw(SegmentKind::Headers),
            coded_header_bytes: coded(SegmentKind::Headers),
            opaque_bytes: raw(SegmentKind::Opaque),
            coded_opaque_bytes: coded(SegmentKind::Opaque),
            coded_residual_bytes: coded(SegmentKind::Residual),
            near: series.near,
            max_error: series.max_error,
            rmse: series.rmse,
            sigma: series.sigma,
            block_error: series.block_error,
            ratio: ratio(
                raw(SegmentKind::Pixels),
                coded(SegmentKind::Model) + coded(SegmentKind::Coarse) + coded(SegmentKind::Pixels),
            ),
            reference_only: series.reference_only,
            reason: series.reason.clone(),
            passed: series.passed().count(),
            passed_because: series
                .passed()
                .map(|r| r.to_string())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            seconds: None,
            banner: None,
            mixed_patients: series.mixed_patients,
        }
    }
}

impl SeriesReport {
    /// What the table says behind the numbers.
    fn remark(&self) -> String {
        let reason = self.reason.as_deref().map(|reason| format!("  {reason}")).unwrap_or_default();
        let passed = match self.passed {
            0 => String::new(),
            passed => {
                format!(", {passed} carried compressed as they came: {}", self.passed_because.join(", "))
            }
        };
        let reference = if self.reference_only { ", for reference only by its ratio" } else { "" };
        format!("{reason}{passed}{reference}")
    }
}

/// Source bytes of a series.
pub(crate) fn file_bytes(series: &Series) -> u64 {
    series.instances.iter().map(|i| i.head_bytes + i.bulk_bytes + i.tail_bytes).sum()
}

fn ratio(raw: u64, coded: u64) -> Option<f64> {
    (coded > 0).then(|| raw as f64 / coded as f64)
}

/// Prints a report.
pub(crate) fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    println!(
        "modality  instances   file bytes  pixel bytes     → coded header bytes     → coded  near max error"
    );
    for series in &report.series {
        let modality = series.modality.as_deref().unwrap_or("-");
        println!(
            "{modality:<8} {:>10} {:>12} {:>12} {:>11} {:>12} {:>11} {:>5} {:>9}{}",
            series.instances,
            series.file_bytes,
            series.pixel_bytes + series.opaque_bytes,
            series.coded_pixel_bytes + series.coded_opaque_bytes,
            series.header_bytes,
            series.coded_header_bytes,
            series.near,
            series.max_error,
            series.remark(),
        );
        if series.mixed_patients {
            println!("         more than one patient in this series");
        }
        for (name, text) in series.banner.iter().flatten() {
            println!("         {name}: {}", on_screen(text, SHOWN_CHARACTERS_MAX));
        }
    }
    let summary = &report.summary;
    println!("{} instances, {} bytes → {}", summary.instances, summary.source_bytes, summary.bundle_bytes);
    print!("{:.2} : 1 on files", report.ratio_files);
    if let Some(ratio) = report.ratio_pixels {
        print!(", {ratio:.2} : 1 on pixels");
    }
    println!("{}", if summary.max_error == 0 { ", lossless" } else { "" });
    if let Some(seconds) = report.seconds {
        println!("{seconds:.2} s");
    }
    if let Some(Unpacked { derived, remapped, unread }) =
        report.unpacked.filter(|u| *u != Unpacked::default())
    {
        println!("{derived} derived images under new UIDs, {remapped} other data sets refer to them");
        if unread > 0 {
            println!(
                "{unread} data sets could not be read in whole: they may refer to images by their former UIDs"
            );
        }
    }
    Ok(())
}
