//! Whether all images of a series can be marked on their way out: asked before any of them may lose (SPEC 6.2).

use super::manifest::image_bytes;
use super::plan::{PlannedInstance, PlannedSeries};
use super::{PackError, Source};
use crate::dataset::Encoding;
use crate::derive::{Decompressed, is_derivable};
use crate::limits::REWRITE_BYTES_MAX;
use std::io::{self, Read, Seek, SeekFrom};

/// Reads the head of each image that would be coded within a bound.
pub(super) fn can_be_marked(sources: &[Source<'_>], series: &PlannedSeries) -> Result<bool, PackError> {
    if series.series.is_none() {
        return Ok(false);
    }
    let encoding = Encoding::of_transfer_syntax(&series.transfer_syntax);
    for image in series.instances.iter().filter(|instance| instance.split.image.is_some()) {
        let Some(source) = sources.get(image.source) else { continue };
        if !is_named(image)
            || !is_small(image)
            || !is_derivable(&head(source, image)?, encoding, decompressed(image))
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What becomes of compressed pixels where they can be decoded.
fn decompressed(image: &PlannedInstance) -> Option<Decompressed> {
    let (layout, syntax) = image.split.image.zip(image.split.compressed)?;
    Some(Decompressed { syntax, bits_allocated: layout.bits_allocated, bytes: image_bytes(&layout)? })
}

fn is_named(image: &PlannedInstance) -> bool {
    image.sop_class.is_some() && image.sop_instance.is_some()
}

fn is_small(image: &PlannedInstance) -> bool {
    image.split.head <= REWRITE_BYTES_MAX && image.split.tail <= REWRITE_BYTES_MAX
}

/// The data set up to its pixels.
fn head(source: &Source<'_>, image: &PlannedInstance) -> Result<Vec<u8>, PackError> {
    let mut data = (source.open)()?;
    data.seek(SeekFrom::Start(source.prefix_bytes))?;
    let mut head = vec![0; image.split.head.saturating_sub(source.prefix_bytes) as usize];
    data.read_exact(&mut head).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => PackError::SourceChanged { index: image.source },
        _ => PackError::Io(error),
    })?;
    Ok(head)
}
