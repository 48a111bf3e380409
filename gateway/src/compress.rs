//! Compress: the received data sets of a delivery become one bundle file in the spool.

use crate::journal::DeliveryInstance;
use crate::spool::{Spool, sync_folder};
use compressor::bundle::{Options, PackError, Source, Summary, pack};
use seal::ids::DeliveryId;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

/// Packs the instances into the delivery's bundle: temp file, fsync, rename, fsync of the folder.
///
/// # Errors
/// [`PackError`]; a bundle that was begun is thrown away.
pub fn compress(
    spool: &Spool,
    delivery: DeliveryId,
    instances: &[DeliveryInstance],
    threads: usize,
) -> Result<Summary, PackError> {
    let bundle = spool.bundle(delivery);
    let unfinished = bundle.with_extension("unfinished");
    let receive = spool.receive();
    let sources: Vec<Source<'_>> = instances.iter().map(|instance| source(&receive, instance)).collect();
    let mut out = BufWriter::new(File::create(&unfinished)?);
    let (_, summary) = pack(&sources, &mut out, &Options::lossless(threads), &mut |_| ())?;
    out.flush()?;
    out.get_ref().sync_all()?;
    fs::rename(&unfinished, &bundle)?;
    bundle.parent().map_or(Ok(()), sync_folder)?;
    Ok(summary)
}

fn source<'a>(receive: &'a Path, instance: &'a DeliveryInstance) -> Source<'a> {
    let path = receive.join(&instance.file);
    Source {
        open: Box::new(move || -> io::Result<_> { Ok(Box::new(BufReader::new(File::open(&path)?))) }),
        bytes: instance.bytes,
        prefix_bytes: 0,
        transfer_syntax: instance.transfer_syntax.clone(),
        sha256: Some(instance.sha256),
        announced: Some((instance.sop_class.clone(), instance.sop_instance.clone())),
        conflict: instance.conflict,
        name: None,
    }
}
