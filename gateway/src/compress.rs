//! Compress: the received data sets of a delivery become one bundle file in the spool.

use crate::journal::DeliveryInstance;
use crate::spool::{FileKey, Received, Spool, SpoolWriter, sync_folder};
use compressor::bundle::{Options, PackError, Series, Source, Summary, pack};
use seal::ids::DeliveryId;
use std::fs::{self, File};
use std::io::{self, BufWriter};

/// Modalities that a log line names (PS3.3 C.7.3.1.1.1); what else stands in (0008,0060) is free text of a sort.
const LOGGED: [&str; 20] = [
    "CR", "CT", "DX", "ECG", "IO", "KO", "MG", "MR", "NM", "OT", "PR", "PT", "RF", "RTDOSE", "RTSTRUCT",
    "SC", "SEG", "SR", "US", "XA",
];

/// Packs the instances into the delivery's bundle, encrypted under the key of its case if there is one: temp file, fsync, rename, fsync of the folder.
///
/// # Errors
/// [`PackError`]; a bundle that was begun is thrown away.
pub fn compress(
    spool: &Spool,
    delivery: DeliveryId,
    instances: &[DeliveryInstance],
    case_key: Option<&FileKey>,
    options: &Options,
) -> Result<Summary, PackError> {
    let bundle = spool.bundle(delivery);
    let unfinished = bundle.with_extension("unfinished");
    let received = Received { spool, case_key };
    let sources: Vec<Source<'_>> = instances.iter().map(|instance| source(received, instance)).collect();
    let mut out = SpoolWriter::new(BufWriter::new(File::create(&unfinished)?), case_key)?;
    let (manifest, summary) = pack(&sources, &mut out, options, &mut |_| ())?;
    let file = out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(&unfinished, &bundle)?;
    bundle.parent().map_or(Ok(()), sync_folder)?;
    manifest.series.iter().for_each(|series| log(delivery, series));
    Ok(summary)
}

/// One line a series: what it may have lost, and why.
fn log(delivery: DeliveryId, series: &Series) {
    let modality = series.modality.as_deref().filter(|modality| LOGGED.contains(modality));
    tracing::info!(stage = "compress", delivery = %delivery, modality = modality.unwrap_or("other"),
        instances = series.instances.len(), near = series.near, max_error = series.max_error,
        ratio = series.ratio, reference_only = series.reference_only,
        "near {}: {}", series.near, series.reason.as_deref().unwrap_or("lossless was asked for"));
    if let Some(reason) = series.passed().next() {
        tracing::warn!(stage = "compress", delivery = %delivery, passed = series.passed().count(),
            "images of this series are carried compressed as they came: {reason}");
    }
}

fn source<'a>(received: Received<'a>, instance: &'a DeliveryInstance) -> Source<'a> {
    Source {
        open: Box::new(move || -> io::Result<_> { Ok(received.open(instance)?) }),
        bytes: instance.bytes,
        prefix_bytes: 0,
        transfer_syntax: instance.transfer_syntax.clone(),
        sha256: Some(instance.sha256),
        announced: Some((instance.sop_class.clone(), instance.sop_instance.clone())),
        conflict: instance.conflict,
        name: None,
    }
}
