//! One instance whose header is rewritten on its way out: a derived image, or one that may refer to a derived image (SPEC 6).

use super::names::Names;
use super::{Digesting, Job, REWRITE_BYTES_MAX, Unpacked, Unpacking, check_digest};
use crate::Uid;
use crate::bundle::manifest::pixel_bytes;
use crate::bundle::{Compressed, Instance, Series, UnpackError};
use crate::dataset::Encoding;
use crate::derive::{self, Decompressed, Derivation, Refused, Renames, Rewritten};
use crate::encapsulated::Syntax;
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// What is to be done with one instance.
pub(super) struct Rewriting<'u> {
    instance: &'u Instance,
    encoding: Encoding,
    /// As it is written.
    transfer_syntax: &'u Uid,
    renames: &'u Renames,
    /// Set for a derived image.
    derivation: Option<Derivation<'u>>,
}

impl<'u> Rewriting<'u> {
    /// `None` where an instance is written as it came: nothing in the bundle is derived, or it is no DICOM instance.
    pub(super) fn of(unpacking: &'u Unpacking<'u>, names: &'u Names) -> Option<Self> {
        let Unpacking { series, instance, series_index, instance_index, .. } = unpacking;
        let derived = names.is_derived(*series_index, *instance_index);
        let may_refer = !names.renames.is_empty() && instance.sop_instance.is_some();
        if !derived && !may_refer {
            return None;
        }
        let decompressed = decompressed(series, instance);
        let derivation = derived.then(|| Derivation {
            source: instance.sop_class.as_ref().zip(instance.sop_instance.as_ref()),
            sop_instance: unpacking.sop_instance.as_ref(),
            series: names.series(series),
            exact: instance.decoded_sha256.is_none() || (decompressed.is_some() && series.max_error == 0),
            near: series.near,
            max_error: series.max_error,
            rmse: series.rmse,
            ratio: series.ratio,
            reference_only: series.reference_only,
            decompressed,
        });
        let encoding = Encoding::of_transfer_syntax(&series.transfer_syntax);
        let transfer_syntax = &unpacking.transfer_syntax;
        Some(Self { instance, encoding, transfer_syntax, renames: &names.renames, derivation })
    }

    /// Writes the instance.
    pub(super) fn run(&self, job: &mut Job<'_, '_>, unpacked: &mut Unpacked) -> Result<(), UnpackError> {
        match &self.derivation {
            Some(derivation) => self.write_derived(derivation, job, unpacked),
            None => self.write_remapped(job, unpacked),
        }
    }

    fn write_derived(
        &self,
        derivation: &Derivation<'_>,
        job: &mut Job<'_, '_>,
        unpacked: &mut Unpacked,
    ) -> Result<(), UnpackError> {
        let unmarked = |_| UnpackError::damaged("a header that cannot say that its pixels lost");
        if self.instance.head_bytes > REWRITE_BYTES_MAX || self.instance.tail_bytes > REWRITE_BYTES_MAX {
            return Err(unmarked(Refused("too large")));
        }
        let head = job.take(self.instance.head_bytes)?;
        let (front, data) = self.split(&head);
        let new = derive::derive(data, self.encoding, derivation, self.renames).map_err(unmarked)?;
        let front = derive::rename_file(front, derivation.sop_instance, self.transfer_syntax);
        job.out.write_all(&front.map_err(unmarked)?)?;
        job.out.write_all(&new.bytes)?;
        // All that came is known where the pixels are exact; else what is known of them is how they decode.
        let (mut source, expected) = match &self.instance.decoded_sha256 {
            Some(decoded) => (Sha256::new(), decoded),
            None => (Sha256::new_with_prefix(&head), &self.instance.sha256),
        };
        let mut bulk = Digesting { out: &mut job.out, hasher: source };
        job.bulk.copy(job.segments, &mut bulk)?;
        source = bulk.hasher;
        if derivation.decompressed.is_some_and(|native| native.bytes % 2 == 1) {
            job.out.write_all(&[0])?;
        }
        let tail = job.take(self.instance.tail_bytes)?;
        if self.instance.decoded_sha256.is_none() {
            source.update(&tail);
        }
        let unread = new.unread > 0 || !self.write_tail(&mut job.out, &tail, &new)?.1;
        unpacked.derived += 1;
        unpacked.unread += u64::from(unread);
        check_digest(source, expected)
    }

    fn write_remapped(&self, job: &mut Job<'_, '_>, unpacked: &mut Unpacked) -> Result<(), UnpackError> {
        let Instance { head_bytes, tail_bytes, bulk_bytes, .. } = self.instance;
        if *head_bytes > REWRITE_BYTES_MAX || *tail_bytes > REWRITE_BYTES_MAX {
            unpacked.unread += 1;
            return job.copy();
        }
        let head = job.take(*head_bytes)?;
        let refers = *bulk_bytes > 0 && derive::may_refer(self.split(&head).1, self.encoding);
        if refers && *bulk_bytes <= REWRITE_BYTES_MAX {
            return self.write_whole(head, job, unpacked);
        }
        let new = self.remap(&head, *bulk_bytes > 0);
        job.out.write_all(new.as_ref().map_or(&head, |new| &new.bytes))?;
        let mut bulk = Digesting { out: &mut job.out, hasher: Sha256::new_with_prefix(&head) };
        job.bulk.copy(job.segments, &mut bulk)?;
        let mut source = bulk.hasher;
        let tail = job.take(*tail_bytes)?;
        source.update(&tail);
        let read = match &new {
            Ok(new) => {
                let (count, read) = self.write_tail(&mut job.out, &tail, new)?;
                unpacked.remapped += u64::from(new.remapped + count > 0);
                read && new.unread == 0 && !refers
            }
            Err(_) => job.out.write_all(&tail).map(|()| false)?,
        };
        unpacked.unread += u64::from(!read);
        check_digest(source, &self.instance.sha256)
    }

    /// An instance whose bulk value may be a sequence: all of it is read, and its digest compared, before it is rewritten.
    fn write_whole(
        &self,
        mut whole: Vec<u8>,
        job: &mut Job<'_, '_>,
        unpacked: &mut Unpacked,
    ) -> Result<(), UnpackError> {
        job.bulk.copy(job.segments, &mut whole)?;
        whole.extend(job.take(self.instance.tail_bytes)?);
        check_digest(Sha256::new_with_prefix(&whole), &self.instance.sha256)?;
        let new = self.remap(&whole, false);
        job.out.write_all(new.as_ref().map_or(&whole, |new| &new.bytes))?;
        unpacked.remapped += u64::from(new.as_ref().is_ok_and(|new| new.remapped > 0));
        unpacked.unread += u64::from(!new.is_ok_and(|new| new.unread == 0));
        Ok(job.out.flush()?)
    }

    /// Remaps source bytes from their start, preamble and meta group included.
    fn remap(&self, start: &[u8], value_follows: bool) -> Result<Rewritten, Refused> {
        let (front, data) = self.split(start);
        let new = derive::remap(data, self.encoding, value_follows, self.renames)?;
        Ok(Rewritten { bytes: [front, &new.bytes].concat(), ..new })
    }

    /// Writes what follows the bulk value; as it came where it cannot be read. Gives the references that were remapped, and
    /// whether it could be read.
    fn write_tail(&self, out: &mut dyn Write, tail: &[u8], head: &Rewritten) -> io::Result<(usize, bool)> {
        // Padding of the value, which the bulk value goes without (SPEC 1.2).
        let padding = head.value_bytes.unwrap_or_default().saturating_sub(self.instance.bulk_bytes);
        let padding = usize::try_from(padding).unwrap_or(usize::MAX);
        let padding = if head.value_bytes.is_some() { padding.min(tail.len()) } else { 0 };
        let (padding, rest) = tail.split_at_checked(padding).unwrap_or_default();
        let new = derive::remap(rest, self.encoding, false, self.renames);
        out.write_all(padding)?;
        out.write_all(new.as_ref().map_or(rest, |new| &new.bytes))?;
        out.flush()?;
        Ok(new.map_or((0, false), |new| (new.remapped, new.unread == 0)))
    }

    fn split<'b>(&self, start: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        if self.instance.name.is_some() { derive::split_file(start) } else { (&[], start) }
    }
}

impl Job<'_, '_> {
    /// The next bytes of the header stream.
    fn take(&mut self, bytes: u64) -> Result<Vec<u8>, UnpackError> {
        let mut taken = Vec::new();
        self.headers.copy(self.segments, bytes, &mut taken)?;
        Ok(taken)
    }
}

/// Set where an image came compressed and is written native.
fn decompressed(series: &Series, instance: &Instance) -> Option<Decompressed> {
    let image = instance.image.filter(|_| instance.compressed == Some(Compressed::Decoded))?;
    let syntax = Syntax::of(&series.transfer_syntax)?;
    Some(Decompressed { syntax, bits_allocated: image.bits_allocated, bytes: pixel_bytes(instance) })
}
