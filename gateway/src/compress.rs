//! Compress: the received data sets of a delivery become one bundle file in the spool.

use crate::journal::DeliveryInstance;
use crate::spool::{FileKey, Received, Spool, SpoolWriter, read_bundle, sync_folder};
use compressor::bundle::{
    BundleFile, Manifest, Options, PackError, Packed, ReadSeek, Series, Source, Summary, pack, pack_with,
};
use compressor::encapsulated::NotDecoded;
use seal::ids::DeliveryId;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Modalities that a log line names (PS3.3 C.7.3.1.1.1); what else stands in (0008,0060) is free text of a sort.
const LOGGED: [&str; 20] = [
    "CR", "CT", "DX", "ECG", "IO", "KO", "MG", "MR", "NM", "OT", "PR", "PT", "RF", "RTDOSE", "RTSTRUCT",
    "SC", "SEG", "SR", "US", "XA",
];

/// Packs the instances into the delivery's bundle, encrypted under the key of its case if there is one: temp file, fsync, rename, fsync of the folder.
/// What `ahead` holds of series that are still as they were is taken over; where it cannot be read, all is packed anew.
///
/// # Errors
/// [`PackError`]; a bundle that was begun is thrown away.
pub fn compress(
    spool: &Spool,
    delivery: DeliveryId,
    instances: &[DeliveryInstance],
    ahead: Vec<File>,
    case_key: Option<&FileKey>,
    options: &Options,
) -> Result<Summary, PackError> {
    let bundle = spool.bundle(delivery);
    let unfinished = bundle.with_extension("unfinished");
    let received = Received { spool, case_key };
    let sources: Vec<Source<'_>> = instances.iter().map(|instance| source(received, instance)).collect();
    let write = |packed: &mut [Packed]| -> Result<(File, Manifest, Summary), PackError> {
        let mut out = SpoolWriter::new(BufWriter::new(File::create(&unfinished)?), case_key)?;
        let (manifest, summary) = pack_with(&sources, packed, &mut out, options, &mut |_| ())?;
        Ok((finish(out)?, manifest, summary))
    };
    let reopened = ahead.into_iter().map(|file| {
        reopen(file, case_key).inspect_err(|error| {
            tracing::warn!(stage = "compress", delivery = %delivery, %error,
                "what was compressed ahead cannot be read (operator: check the disk)");
        })
    });
    let mut packed: Vec<Packed> = reopened.flatten().collect();
    let (file, manifest, summary) = match write(&mut packed) {
        Err(PackError::Io(error)) if !packed.is_empty() => {
            tracing::warn!(stage = "compress", delivery = %delivery, %error, "once more without what was compressed ahead");
            packed.clear();
            write(&mut [])?
        }
        written => written?,
    };
    let series: usize = packed.iter().map(Packed::taken_over).sum();
    if series > 0 {
        tracing::info!(stage = "compress", delivery = %delivery, series, "series were compressed ahead and have not changed since");
    }
    file.sync_all()?;
    fs::rename(&unfinished, &bundle)?;
    bundle.parent().map_or(Ok(()), sync_folder)?;
    manifest.series.iter().for_each(|series| log(delivery, series));
    Ok(summary)
}

/// Packs some series of a study that is not here whole into a file without a name. Ends with an error soon after `stops` says so.
///
/// # Errors
/// [`PackError`]; also where a decoder took too long, which says more about this moment than about the images.
pub fn compress_ahead(
    spool: &Spool,
    instances: &[DeliveryInstance],
    case_key: Option<&FileKey>,
    options: &Options,
    stops: &Arc<Stops>,
) -> Result<File, PackError> {
    let received = Received { spool, case_key };
    let stoppable = |instance| {
        let source = source(received, instance);
        let (open, stops) = (source.open, stops.clone());
        let open = move || -> io::Result<Box<dyn ReadSeek>> {
            Ok(Box::new(Stoppable { source: open()?, stops: stops.clone() }))
        };
        Source { open: Box::new(open), ..source }
    };
    let sources: Vec<Source<'_>> = instances.iter().map(stoppable).collect();
    let mut out = SpoolWriter::new(BufWriter::new(spool.nameless()?), case_key)?;
    let (manifest, _) = pack(&sources, &mut out, options, &mut |_| ())?;
    if manifest.series.iter().flat_map(Series::passed).any(|reason| reason == NotDecoded::Time) {
        return Err(PackError::Decoder(NotDecoded::Time));
    }
    Ok(finish(out)?)
}

/// Whether work is to stop.
pub type Stops = dyn Fn() -> bool + Send + Sync;

/// A source that cannot be read any more once it is to stop.
struct Stoppable {
    source: Box<dyn ReadSeek>,
    stops: Arc<Stops>,
}

impl Read for Stoppable {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match (self.stops)() {
            true => Err(io::Error::other("others wait")),
            false => self.source.read(bytes),
        }
    }
}

impl Seek for Stoppable {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

fn reopen(mut file: File, case_key: Option<&FileKey>) -> io::Result<Packed> {
    file.rewind()?;
    let bundle = BundleFile::read_from(read_bundle(file, case_key)?)?;
    Packed::new(bundle).map_err(io::Error::other)
}

fn finish(out: SpoolWriter<BufWriter<File>>) -> io::Result<File> {
    out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use compressor::Uid;
    use sha2::{Digest, Sha256};
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const DELIVERY: DeliveryId = DeliveryId([7; 16]);

    /// Instances in the spool, plain, of two series by their transfer syntax. What they hold is carried as it came.
    fn instances(spool: &Spool, numbers: std::ops::Range<u8>) -> Vec<DeliveryInstance> {
        let uid = |last: u8| Uid::parse(&format!("1.2.3.{last}")).unwrap();
        let instance = |number: u8| {
            let bytes = vec![number; 20_000];
            let file = format!("{number}");
            fs::write(spool.receive().join(&file), &bytes).unwrap();
            let syntax = if number < 3 { "1.2.840.10008.1.2" } else { "1.2.840.10008.1.2.1" };
            DeliveryInstance {
                file,
                file_key: None,
                series: None,
                sop_class: uid(0),
                sop_instance: uid(number),
                transfer_syntax: Uid::parse(syntax).unwrap(),
                bytes: bytes.len() as u64,
                sha256: Sha256::digest(&bytes).into(),
                conflict: false,
                received_at_ms: 0,
            }
        };
        numbers.map(instance).collect()
    }

    fn never() -> Arc<Stops> {
        Arc::new(|| false)
    }

    fn ahead(spool: &Spool, numbers: std::ops::Range<u8>, key: Option<&FileKey>) -> File {
        compress_ahead(spool, &instances(spool, numbers), key, &Options::lossless(1), &never()).unwrap()
    }

    fn bundle(spool: &Spool, ahead: Vec<File>, key: Option<&FileKey>) -> (Summary, Manifest) {
        let all = instances(spool, 0..6);
        let summary = compress(spool, DELIVERY, &all, ahead, key, &Options::lossless(1)).unwrap();
        let path = spool.bundle(DELIVERY);
        let mut bundle = BundleFile::read_from(crate::spool::open_bundle(&path, key).unwrap()).unwrap();
        (summary, compressor::bundle::read_manifest(&mut bundle).unwrap())
    }

    #[test]
    fn what_was_made_ahead_is_a_help_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        for key in [None, Some(FileKey::random().unwrap())] {
            let key = key.as_ref();
            let expected = bundle(&spool, Vec::new(), key);
            assert_eq!(bundle(&spool, vec![ahead(&spool, 0..3, key)], key), expected, "taken over");
            let cut = ahead(&spool, 0..3, key);
            cut.set_len(cut.metadata().unwrap().len() - 30).unwrap();
            let foreign = ahead(&spool, 0..3, Some(&FileKey::random().unwrap()));
            let mut damaged = ahead(&spool, 0..3, key);
            damaged.seek(SeekFrom::Start(60)).unwrap();
            damaged.write_all(&[0; 8]).unwrap();
            for file in [cut, foreign, damaged] {
                assert_eq!(bundle(&spool, vec![file, ahead(&spool, 3..6, key)], key), expected);
            }
            assert_eq!(fs::read_dir(spool.bundle(DELIVERY).parent().unwrap()).unwrap().count(), 1);
        }
    }

    #[test]
    fn work_ahead_ends_when_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let looks = Arc::new(AtomicUsize::new(0));
        let told = looks.clone();
        let stops: Arc<Stops> = Arc::new(move || told.fetch_add(1, Ordering::Relaxed) >= 9);
        let all = instances(&spool, 0..6);
        let stopped = compress_ahead(&spool, &all, None, &Options::lossless(1), &stops);
        assert!(matches!(stopped, Err(PackError::Io(_))));
        assert_eq!(looks.load(Ordering::Relaxed), 10, "nothing is read after that");
    }
}
