//! C-STORE, service class user (PS3.4 B): one association, each object in a transfer syntax that the peer takes: the one that it has; where the peer does not
//! take that, uncompressed, in Implicit VR Little Endian at last; where the reader's owner wants it, compressed without loss before all others.

use super::super::dicom_file::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use super::super::objects::Object;
use super::super::output::Output;
use super::super::progress::Progress;
use super::ledger::Ledger;
use super::refusals::Refusals;
use super::target;
use super::{ENDS_IN_A_ROW_MAX, ForwardError};
use crate::config::Forward;
use compressor::Uid;
use compressor::dataset::{ScanError, write_implicit};
use compressor::encapsulated::{FrameDecoder, NotDecoded, Syntax};
use compressor::transcode::{self, Coding, TranscodeError, transcode};
use dicom_ul::pdu::PresentationContextProposed;
use dimse::association::user_variables;
use dimse::store::{self, store};
use dimse::{Association, AssociationError, Peer, Proposal, status, uid};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Seek};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// For each step: an archive that commits to a busy disk may take long.
const STEP_WAIT: Duration = Duration::from_secs(60);
/// Kinds of objects in one association: each has three contexts at most, of 128 (PS3.8 9.3.2.2).
const KINDS_MAX: usize = 128 / 3;
const DAMAGED: &str = "cannot be written in the transfer syntax that it takes (you: look at them in the folder, and tell the hospital)";

/// SOP class and transfer syntax.
type Kind<'o> = (&'o Uid, &'o Uid);

/// Sends all objects.
///
/// # Errors
/// [`ForwardError`]: what ended it before it was through.
pub(super) async fn send(
    forward: &Forward,
    peer: &target::Peer,
    objects: &[&Object],
    ledger: &mut Ledger,
    refusals: &mut Refusals,
    output: &Output,
    progress: &Progress,
) -> Result<(), ForwardError> {
    let kinds: BTreeSet<Kind<'_>> = objects.iter().map(|object| kind(object)).collect();
    let kinds: Vec<Kind<'_>> = kinds.into_iter().collect();
    let mut ends = Ends::default();
    for kinds in kinds.chunks(KINDS_MAX) {
        let mut waiting: VecDeque<&Object> =
            objects.iter().copied().filter(|object| kinds.contains(&kind(object))).collect();
        let contexts = Contexts::of(kinds, &waiting, forward.compress.map(Coding::from));
        while !waiting.is_empty() && !ends.full && ends.in_a_row < ENDS_IN_A_ROW_MAX {
            let association = request(forward, peer, contexts.proposed()).await?;
            let writing = Writing { decoder: FrameDecoder::of_this_program(), output };
            let sending = Sending { association, contexts: &contexts, writing, number: 0 };
            sending.all(&mut waiting, forward, ledger, refusals, progress, &mut ends).await?;
        }
    }
    Ok(())
}

/// Associations that ended since something was acknowledged.
#[derive(Default)]
struct Ends {
    in_a_row: usize,
    /// One of them in silence.
    silent: bool,
    /// It has no room: nothing more is sent to it now.
    full: bool,
}

impl Ends {
    /// Whether this may have been for the object that was being sent. A peer that is silent at a second one is so for all: each would take its whole wait.
    fn may_be_the_object(&mut self, error: &AssociationError) -> bool {
        self.in_a_row += 1;
        match error {
            AssociationError::Silent => !std::mem::replace(&mut self.silent, true),
            AssociationError::Aborted | AssociationError::Broken(_) | AssociationError::Malformed(_) => true,
            _ => false,
        }
    }
}

fn kind(object: &Object) -> Kind<'_> {
    (&object.sop_class, &object.transfer_syntax)
}

async fn request(
    forward: &Forward,
    peer: &target::Peer,
    contexts: Vec<PresentationContextProposed>,
) -> Result<Association, ForwardError> {
    let proposal = Proposal {
        calling: forward.own_ae_title.clone(),
        called: peer.ae_title.as_str().to_owned(),
        contexts,
        user_variables: user_variables(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME),
    };
    let peer = Peer { host: &peer.host, port: peer.port, tls: forward.tls.as_ref() };
    Ok(Association::request(peer, proposal, STEP_WAIT).await?)
}

/// How an object is written for its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Byte for byte.
    AsItIs,
    /// In the default transfer syntax (PS3.5 10.1).
    Implicit,
    /// Its pixels in another transfer syntax, each as it was.
    Transcoded(Coding),
    /// Its compressed pixels decoded, in the default transfer syntax.
    NativeImplicit,
}

impl Form {
    /// Of what has this transfer syntax, as it goes to a peer that takes all of them: the first is the best.
    fn of(transfer_syntax: &Uid, compress: Option<Coding>) -> impl Iterator<Item = Self> {
        let (compressed, others) = match Syntax::of(transfer_syntax) {
            Some(_) => (None, [Self::Transcoded(Coding::Native), Self::NativeImplicit].as_slice()),
            None if transfer_syntax.as_str() == uid::EXPLICIT_LITTLE => {
                (compress.map(Self::Transcoded), [Self::Implicit].as_slice())
            }
            None => (None, [].as_slice()),
        };
        compressed.into_iter().chain([Self::AsItIs]).chain(others.iter().copied())
    }

    fn transfer_syntax(self, own: &Uid) -> &str {
        match self {
            Self::AsItIs => own.as_str(),
            Self::Implicit | Self::NativeImplicit => uid::IMPLICIT_LITTLE,
            Self::Transcoded(coding) => coding.uid(),
        }
    }

    fn is_fit(self, object: &Object) -> bool {
        match self {
            Self::AsItIs | Self::Implicit => true,
            Self::Transcoded(coding) => transcode::is_fit(&object.outline, &object.transfer_syntax, coding),
            Self::NativeImplicit => Self::Transcoded(Coding::Native).is_fit(object),
        }
    }
}

/// Context ids, each for one form of one kind: of each kind those come first that are better.
struct Contexts<'o>(BTreeMap<u8, (Kind<'o>, Form)>);

impl<'o> Contexts<'o> {
    /// Forms that none of the objects can have are not proposed.
    fn of(kinds: &[Kind<'o>], objects: &VecDeque<&Object>, compress: Option<Coding>) -> Self {
        let wanted = kinds.iter().flat_map(|&of| {
            let forms = Form::of(of.1, compress);
            let forms = forms
                .filter(move |form| objects.iter().any(|object| kind(object) == of && form.is_fit(object)));
            forms.map(move |form| (of, form))
        });
        Self((1..=u8::MAX).step_by(2).zip(wanted).collect())
    }

    fn proposed(&self) -> Vec<PresentationContextProposed> {
        let proposed = |(id, ((class, own), form)): (&u8, &(Kind<'_>, Form))| PresentationContextProposed {
            id: *id,
            abstract_syntax: class.as_str().to_owned(),
            transfer_syntaxes: vec![form.transfer_syntax(own).to_owned()],
        };
        self.0.iter().map(proposed).collect()
    }

    /// The contexts that were accepted for an object, the best first.
    fn accepted(&self, object: &Object, accepted: &BTreeMap<u8, Uid>) -> impl Iterator<Item = (u8, Form)> {
        let own = self.0.iter().filter(move |(id, (of, _))| *of == kind(object) && accepted.contains_key(id));
        own.map(|(id, (_, form))| (*id, *form)).filter(|(_, form)| form.is_fit(object))
    }
}

/// What became of an object.
enum Answer {
    Status(u16),
    /// No context for it.
    NotTaken,
    /// It cannot be written in any form that was accepted.
    Damaged,
}

struct Sending<'a, 'o> {
    association: Association,
    contexts: &'a Contexts<'o>,
    writing: Writing<'a>,
    number: usize,
}

impl Sending<'_, '_> {
    /// Sends what waits until the association ends, which an object that the peer cannot bear may bring about: the next association goes on behind it.
    async fn all(
        mut self,
        waiting: &mut VecDeque<&Object>,
        forward: &Forward,
        ledger: &mut Ledger,
        refusals: &mut Refusals,
        progress: &Progress,
        ends: &mut Ends,
    ) -> Result<(), ForwardError> {
        while let Some(object) = waiting.pop_front() {
            progress.advance(1);
            match self.send(object).await {
                Ok(Answer::Status(status)) if is_stored(status) => {
                    ledger.acknowledge(&object.name, status)?;
                    *ends = Ends::default();
                }
                Ok(Answer::Status(status)) => {
                    refusals.add(status_words(status));
                    if status & 0xFF00 == status::OUT_OF_RESOURCES {
                        ends.full = true;
                        waiting.clear();
                    }
                }
                Ok(Answer::NotTaken) => refusals.add(not_taken_words(object, forward)),
                Ok(Answer::Damaged) => refusals.add(DAMAGED.to_owned()),
                Err(ForwardError::Association(error)) if ends.may_be_the_object(&error) => {
                    refusals.add(format!("not acknowledged, {}", ForwardError::Association(error)));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.association.release().await;
        Ok(())
    }

    async fn send(&mut self, object: &Object) -> Result<Answer, ForwardError> {
        let accepted: Vec<_> = self.contexts.accepted(object, self.association.accepted()).collect();
        if accepted.is_empty() {
            return Ok(Answer::NotTaken);
        }
        let mut written = None;
        for (context, form) in accepted {
            if let Some(data_set) = self.writing.written(object, form)? {
                written = Some((context, data_set));
                break;
            }
        }
        let Some((context, (source, bytes))) = written else { return Ok(Answer::Damaged) };
        let padding: &[u8] = if object.is_padded() { &[0] } else { &[] };
        let mut data_set = tokio::fs::File::from_std(source).chain(padding);
        let object = store::Object {
            sop_class: &object.sop_class,
            sop_instance: &object.sop_instance,
            data_set: &mut data_set,
            bytes: bytes + padding.len() as u64,
        };
        self.number += 1;
        Ok(Answer::Status(store(&mut self.association, context, object, self.number).await?))
    }
}

/// What is not sent as it lies there is written to a file without a name first.
struct Writing<'a> {
    decoder: FrameDecoder,
    output: &'a Output,
}

impl Writing<'_> {
    /// A file that stands at the data set in this form, and its bytes; `None` where it cannot be written so.
    fn written(&self, object: &Object, form: Form) -> Result<Option<(File, u64)>, ForwardError> {
        let unreadable = |error: io::Error| AssociationError::Source(error.kind());
        let mut source = object.data_set().map_err(unreadable)?;
        let written = match form {
            Form::AsItIs => return Ok(Some((source, object.bytes))),
            Form::Implicit => self.implicit(&mut source, object.bytes),
            Form::Transcoded(coding) => self.transcoded(object, &mut source, coding),
            Form::NativeImplicit => self.transcoded(object, &mut source, Coding::Native).and_then(|native| {
                native.map_or(Ok(None), |(mut native, bytes)| self.implicit(&mut native, bytes))
            }),
        };
        written.map_err(|error| ForwardError::Disk("cannot write an image for it", error.kind()))
    }

    fn implicit(&self, source: &mut File, bytes: u64) -> io::Result<Option<(File, u64)>> {
        self.file(|out| match write_implicit(source, bytes, out) {
            Ok(()) => Ok(true),
            Err(ScanError::Damaged { .. }) => Ok(false),
            Err(ScanError::Io(error)) => Err(error),
        })
    }

    fn transcoded(
        &self,
        object: &Object,
        source: &mut File,
        coding: Coding,
    ) -> io::Result<Option<(File, u64)>> {
        let own = (&object.outline, &object.transfer_syntax);
        self.file(|out| match transcode(source, object.bytes, own, coding, &self.decoder, out) {
            Ok(()) => Ok(true),
            Err(TranscodeError::Io(error)) => Err(error),
            // This machine's fault, and no image's.
            Err(TranscodeError::NotDecoded(NotDecoded::Start)) => Err(io::ErrorKind::NotFound.into()),
            Err(TranscodeError::Header(_) | TranscodeError::NotDecoded(_) | TranscodeError::Unfit) => {
                Ok(false)
            }
        })
    }

    /// What `write` writes, standing at its start, and its bytes, where that says that it is whole.
    fn file(
        &self,
        write: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<bool>,
    ) -> io::Result<Option<(File, u64)>> {
        let mut out = io::BufWriter::new(self.output.nameless()?);
        if !write(&mut out)? {
            return Ok(None);
        }
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let bytes = file.stream_position()?;
        file.rewind()?;
        Ok(Some((file, bytes)))
    }
}

/// Success, and warnings: the object is stored (PS3.4 B.2.3, PS3.7 C.1, C.3).
fn is_stored(status: u16) -> bool {
    status == status::SUCCESS || status & 0xF000 == 0xB000 || matches!(status, 0x0001 | 0x0107 | 0x0116)
}

fn status_words(status: u16) -> String {
    let who = match status & 0xFF00 {
        status::OUT_OF_RESOURCES => "its administrator: it has no room or is busy",
        _ => "its administrator: see its log",
    };
    format!("refused with status {status:04X} ({who})")
}

fn not_taken_words(object: &Object, forward: &Forward) -> String {
    let (class, syntax) = (&object.sop_class, &object.transfer_syntax);
    let calling = &forward.own_ae_title;
    format!(
        "of SOP class {class} in transfer syntax {syntax} are not taken (its administrator: allow both to {calling})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_silence_may_be_the_objects_and_a_second_in_a_row_is_the_peers() {
        let mut ends = Ends::default();
        assert!(ends.may_be_the_object(&AssociationError::Silent));
        assert!(ends.may_be_the_object(&AssociationError::Aborted));
        assert!(!ends.may_be_the_object(&AssociationError::Silent));
        // Something was acknowledged.
        ends = Ends::default();
        assert!(ends.may_be_the_object(&AssociationError::Silent));
        assert!(!ends.may_be_the_object(&AssociationError::NotSendable));
    }
}
