//! C-STORE, service class user (PS3.4 B): one association, each object in the transfer syntax that it has, or, where the peer takes that not, uncompressed
//! ones in Implicit VR Little Endian.

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
/// Kinds of objects in one association: each has two contexts at most, of 128 (PS3.8 9.3.2.2).
const KINDS_MAX: usize = 64;
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
        let contexts = Contexts::of(kinds);
        while !waiting.is_empty() && !ends.full && ends.in_a_row < ENDS_IN_A_ROW_MAX {
            let association = request(forward, peer, contexts.proposed()).await?;
            let sending = Sending { association, contexts: &contexts, output, number: 0 };
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

/// Context ids: each kind has one in its own transfer syntax, and Explicit VR Little Endian another in the default one (PS3.5 10.1).
struct Contexts<'o>(BTreeMap<u8, (Kind<'o>, &'o str)>);

impl<'o> Contexts<'o> {
    fn of(kinds: &[Kind<'o>]) -> Self {
        let wanted = kinds.iter().flat_map(|&kind| {
            let own = kind.1.as_str();
            let second = (own == uid::EXPLICIT_LITTLE).then_some(uid::IMPLICIT_LITTLE);
            [Some(own), second].into_iter().flatten().map(move |syntax| (kind, syntax))
        });
        Self((1..=u8::MAX).step_by(2).zip(wanted).collect())
    }

    fn proposed(&self) -> Vec<PresentationContextProposed> {
        let proposed = |(id, ((class, _), syntax)): (&u8, &(Kind<'_>, &str))| PresentationContextProposed {
            id: *id,
            abstract_syntax: class.as_str().to_owned(),
            transfer_syntaxes: vec![(*syntax).to_owned()],
        };
        self.0.iter().map(proposed).collect()
    }

    /// The first of an object's contexts that was accepted, and whether it is that of its own transfer syntax.
    fn accepted(&self, object: &Object, accepted: &BTreeMap<u8, Uid>) -> Option<(u8, bool)> {
        let (id, (_, syntax)) =
            self.0.iter().find(|(id, (of, _))| *of == kind(object) && accepted.contains_key(id))?;
        Some((*id, *syntax == object.transfer_syntax.as_str()))
    }
}

/// What became of an object.
enum Answer {
    Status(u16),
    /// No context for it.
    NotTaken,
    /// Its data set cannot be written anew.
    Damaged,
}

struct Sending<'a, 'o> {
    association: Association,
    contexts: &'a Contexts<'o>,
    output: &'a Output,
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
        let accepted = self.contexts.accepted(object, self.association.accepted());
        let Some((context, is_own_syntax)) = accepted else { return Ok(Answer::NotTaken) };
        let unreadable = |error: io::Error| AssociationError::Source(error.kind());
        let mut source = object.data_set().map_err(unreadable)?;
        let mut bytes = object.bytes;
        if !is_own_syntax {
            match implicit(&mut source, bytes, self.output) {
                Ok((written, length)) => (source, bytes) = (written, length),
                Err(ScanError::Damaged { .. }) => return Ok(Answer::Damaged),
                Err(ScanError::Io(error)) => {
                    return Err(ForwardError::Disk("cannot write an image for it", error.kind()));
                }
            }
        }
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

/// A file without a name that holds the data set in Implicit VR Little Endian, and its bytes.
fn implicit(source: &mut File, bytes: u64, output: &Output) -> Result<(File, u64), ScanError> {
    let file = output.nameless()?;
    let mut out = io::BufWriter::new(file);
    write_implicit(source, bytes, &mut out)?;
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    let length = file.stream_position()?;
    file.rewind()?;
    Ok((file, length))
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
