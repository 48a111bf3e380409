//! What a delivery holds, series by series, in the order in which a reader wants it.

use crate::journal::DeliveryInstance;
use crate::spool::Received;
use compressor::Uid;
use compressor::dataset::{BulkKind, Encoding, Outline, ScanError, outline};
use dicom_object::FileMetaTableBuilder;
use std::io::{self, Cursor, Read};

/// 128 bytes whose use is open (PS3.10 7.1); zero, so that nothing of ours lies in them.
const PREAMBLE: [u8; 128] = [0; 128];
/// PS3.10 7.1.
const PREFIX: &[u8; 4] = b"DICM";
/// This program (PS3.7 D.3.3.2): one random UUID under the root 2.25 (PS3.5 B.2).
const IMPLEMENTATION_CLASS_UID: &str = "2.25.198744120987365108422870716539902716845";
/// At most 16 characters (PS3.7 D.3.3.2).
const IMPLEMENTATION_VERSION_NAME: &str = concat!("SCANPOST_", env!("CARGO_PKG_VERSION"));

/// The images of a delivery.
pub(crate) struct Survey {
    pub(crate) series: Vec<Series>,
    /// Objects that are no images: reports, presentation states, plans.
    pub(crate) others: usize,
}

/// Images of one series, by their number.
pub(crate) struct Series {
    pub(crate) images: Vec<Image>,
}

/// One image, known by what a linear scan of its data set found.
pub(crate) struct Image {
    pub(crate) instance: DeliveryInstance,
    pub(crate) outline: Outline,
}

impl Survey {
    /// Scans every data set of a delivery.
    ///
    /// # Errors
    /// The spool cannot be read; `InvalidData` where it has something else than was received.
    pub(crate) fn of(received: Received<'_>, instances: Vec<DeliveryInstance>) -> io::Result<Self> {
        let mut survey = Self { series: Vec::new(), others: 0 };
        for instance in instances {
            // Before it is scanned: a damaged image must not pass for an object that is none, and be left out.
            received.check(&instance)?;
            let encoding = Encoding::of_transfer_syntax(&instance.transfer_syntax);
            let mut source = received.open(&instance)?;
            match outline(&mut source, instance.bytes, encoding) {
                Ok(outline) if is_image(&outline) => survey.put(Image { instance, outline }),
                Err(ScanError::Io(error)) => return Err(error),
                Ok(_) | Err(ScanError::Damaged { .. }) => survey.others += 1,
            }
        }
        for series in &mut survey.series {
            series.images.sort_by_key(|image| image.outline.instance_number.unwrap_or(i32::MAX));
        }
        survey.series.sort_by_key(|series| series.number().unwrap_or(i32::MAX));
        Ok(survey)
    }

    /// Images of all series.
    pub(crate) fn images(&self) -> impl Iterator<Item = &Image> {
        self.series.iter().flat_map(|series| &series.images)
    }

    fn put(&mut self, image: Image) {
        let same = |series: &&mut Series| series.first().is_some_and(|first| first.is_of_series_of(&image));
        match self.series.iter_mut().find(same) {
            Some(series) => series.images.push(image),
            None => self.series.push(Series { images: vec![image] }),
        }
    }
}

impl Series {
    /// The first image; every series has one.
    pub(crate) fn first(&self) -> Option<&Image> {
        self.images.first()
    }

    /// The image in the middle, and its place from 1.
    pub(crate) fn middle(&self) -> Option<(usize, &Image)> {
        let index = self.images.len() / 2;
        self.images.get(index).map(|image| (index + 1, image))
    }

    fn number(&self) -> Option<i32> {
        self.first().and_then(|image| image.outline.series_number)
    }
}

impl Image {
    /// See [`file`].
    ///
    /// # Errors
    /// The spool cannot be read.
    pub(crate) fn file(&self, received: Received<'_>) -> io::Result<impl Read + Send + use<>> {
        file(received, &self.instance)
    }

    /// Without a series of its own, an image stands alone.
    fn is_of_series_of(&self, other: &Self) -> bool {
        let key = |image: &Self| (image.outline.study.clone(), image.outline.series.clone());
        let (ours, theirs): ((Option<Uid>, Option<Uid>), _) = (key(self), key(other));
        ours == theirs && ours.1.is_some()
    }
}

/// The whole file of a received instance. Its end is an error of the kind `InvalidData` where the data set is not the one that was received.
///
/// # Errors
/// The spool cannot be read.
pub(crate) fn file(
    received: Received<'_>,
    instance: &DeliveryInstance,
) -> io::Result<impl Read + Send + use<>> {
    let DeliveryInstance { sop_class, sop_instance, transfer_syntax, .. } = instance;
    let checked = received.checked(instance)?;
    Ok(Cursor::new(front(sop_class.as_str(), sop_instance.as_str(), transfer_syntax.as_str())?)
        .chain(checked))
}

/// Preamble and meta group of a file.
pub(super) fn front(class: &str, instance: &str, transfer_syntax: &str) -> io::Result<Vec<u8>> {
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(class)
        .media_storage_sop_instance_uid(instance)
        .transfer_syntax(transfer_syntax)
        .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
        .implementation_version_name(IMPLEMENTATION_VERSION_NAME)
        .build()
        .map_err(io::Error::other)?;
    let mut front = [PREAMBLE.as_slice(), PREFIX].concat();
    meta.write(&mut front).map_err(io::Error::other)?;
    Ok(front)
}

fn is_image(outline: &Outline) -> bool {
    let pixels = |kind| matches!(kind, BulkKind::Native | BulkKind::Encapsulated);
    outline.bulk.as_ref().is_some_and(|bulk| pixels(bulk.kind))
}
