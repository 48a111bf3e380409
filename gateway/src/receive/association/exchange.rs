//! Messages of one association: each request gets its answer, each stored object its file and journal row (PS3.7 9).

use super::super::disk::Disk;
use super::super::fault::Fault;
use super::super::negotiate::Context;
use super::super::store::{StoreError, Stored, Unfinished};
use super::super::{AssociationInfo, Intake, IntakeRefusal, ReceivedInstance};
use super::Service;
use crate::dimse::fragments::{Event, Messages, Pdvs};
use crate::dimse::{Command, field, status};
use compressor::Uid;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A command set to send, and its context.
pub(super) type Answer = (u8, Vec<u8>);

/// The messages of one association.
pub(super) struct Exchange<'a, I, D: Disk> {
    service: &'a Service<I, D>,
    info: &'a AssociationInfo,
    contexts: BTreeMap<u8, Context>,
    messages: Messages,
    pending: Option<Pending<D>>,
    stored: u64,
}

/// A request whose data set is coming.
struct Pending<D: Disk> {
    context: u8,
    request: Command,
    course: Course<D>,
}

/// What becomes of a request.
enum Course<D: Disk> {
    /// Its data set is being stored.
    Store(Box<Object<D>>),
    /// Its data set, if there is one, is skipped; then it is answered.
    Answer(Verdict),
    /// It is skipped and not answered.
    Ignore,
}

/// A status, and a constant text that explains it to the operator of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict(u16, &'static str);

const SUCCESS: Verdict = Verdict(status::SUCCESS, "");
const NO_STORAGE: Verdict =
    Verdict(status::OUT_OF_RESOURCES, "the object could not be written, see the gateway's log");

const NO_ROOM: Verdict = Verdict(status::OUT_OF_RESOURCES, "the gateway takes nothing at the moment");

struct Object<D: Disk> {
    unfinished: Unfinished<D>,
    sop_class: Uid,
    sop_instance: Uid,
    transfer_syntax: Uid,
}

impl<'a, I: Intake, D: Disk> Exchange<'a, I, D> {
    pub(super) fn new(
        service: &'a Service<I, D>,
        info: &'a AssociationInfo,
        contexts: BTreeMap<u8, Context>,
    ) -> Self {
        Self { service, info, contexts, messages: Messages::default(), pending: None, stored: 0 }
    }

    /// No message is under way.
    pub(super) fn at_rest(&self) -> bool {
        self.messages.at_rest()
    }

    /// Ends the exchange, an unfinished object is removed. Returns how many were stored.
    pub(super) fn end(self) -> u64 {
        self.stored
    }

    /// Takes the body of a P-DATA-TF and returns what is to be answered.
    pub(super) fn take(&mut self, body: &[u8]) -> Result<Vec<Answer>, Fault> {
        let mut answers = Vec::new();
        for pdv in Pdvs(body) {
            match self.messages.take(pdv?)? {
                Event::Waiting => {}
                Event::Command(context, command) => answers.extend(self.begin(context, command)?),
                Event::DataSet(fragment, last) => answers.extend(self.go_on(fragment, last)),
            }
        }
        Ok(answers)
    }

    fn begin(&mut self, context: u8, request: Command) -> Result<Option<Answer>, Fault> {
        let accepted = self.contexts.get(&context).ok_or(Fault::UnknownContext)?;
        let course = match request.field {
            field::C_STORE_RQ => self.store(accepted, &request).map_or_else(Course::Answer, Course::Store),
            field::C_ECHO_RQ => Course::Answer(SUCCESS),
            field::C_CANCEL_RQ => Course::Ignore,
            response if response & field::RESPONSE != 0 => return Err(Fault::UnexpectedPdu),
            _ => {
                Course::Answer(Verdict(status::UNRECOGNIZED_OPERATION, "only C-ECHO and C-STORE are served"))
            }
        };
        let pending = Pending { context, request, course };
        if pending.request.data_set {
            self.pending = Some(pending);
            return Ok(None);
        }
        Ok(self.answer(pending))
    }

    /// Whether an object may be stored, and where.
    fn store(&self, context: &Context, request: &Command) -> Result<Box<Object<D>>, Verdict> {
        let no_class = Verdict(status::SOP_CLASS_NOT_SUPPORTED, "no storage SOP class");
        let sop_class = request.sop_class.clone().filter(|_| context.storage).ok_or(no_class)?;
        let no_instance = Verdict(status::INVALID_SOP_INSTANCE, "the SOP instance UID is not a UID");
        let sop_instance = request.sop_instance.clone().ok_or(no_instance)?;
        if !request.data_set {
            return Err(Verdict(status::CANNOT_UNDERSTAND, "a C-STORE without data set"));
        }
        if !self.service.intake.ready(self.info.id) {
            return Err(NO_ROOM);
        }
        let unfinished = Unfinished::create(Arc::clone(&self.service.disk), || self.service.intake.new_key())
            .map_err(|error| self.failed(&error))?;
        Ok(Box::new(Object {
            unfinished,
            sop_class,
            sop_instance,
            transfer_syntax: context.transfer_syntax.clone(),
        }))
    }

    fn go_on(&mut self, fragment: &[u8], last: bool) -> Option<Answer> {
        let mut pending = self.pending.take()?;
        if let Course::Store(object) = &mut pending.course
            && let Err(error) = object.unfinished.write(fragment)
        {
            // The rest of the data set is skipped, so that the association stays usable (PS3.4 B.2.3, A7xx).
            pending.course = Course::Answer(self.failed(&error));
        }
        if last {
            return self.answer(pending);
        }
        self.pending = Some(pending);
        None
    }

    fn answer(&mut self, pending: Pending<D>) -> Option<Answer> {
        let Verdict(status, comment) = match pending.course {
            Course::Store(object) => self.keep(*object),
            Course::Answer(verdict) => verdict,
            Course::Ignore => return None,
        };
        Some((pending.context, pending.request.response(status, comment)))
    }

    /// Durable first, then the journal, then the answer (DESIGN 7).
    fn keep(&mut self, object: Object<D>) -> Verdict {
        let stored = match object.unfinished.finish() {
            Ok(stored) => stored,
            Err(error) => return self.failed(&error),
        };
        let Stored { file, key, bytes, sha256 } = stored;
        let instance = ReceivedInstance {
            file: file.clone(),
            key,
            bytes,
            sha256,
            sop_class: object.sop_class,
            sop_instance: object.sop_instance,
            transfer_syntax: object.transfer_syntax,
            calling: self.info.calling.clone(),
            called: self.info.called.clone(),
            association: self.info.id,
        };
        match self.service.runtime.block_on(self.service.intake.commit(instance)) {
            Ok(()) => {
                self.stored += 1;
                SUCCESS
            }
            Err(refusal) => self.refused(&file, refusal),
        }
    }

    fn refused(&self, file: &str, refusal: IntakeRefusal) -> Verdict {
        let association = self.info.id;
        tracing::warn!(stage = "receive", association, act = "operator", "an object was refused: {refusal}");
        // Without a journal row nothing refers to it; a file that cannot be removed now is found at the next start.
        let _ = self.service.disk.remove(file);
        match refusal {
            IntakeRefusal::OutOfResources => NO_ROOM,
            IntakeRefusal::CannotUnderstand => {
                Verdict(status::CANNOT_UNDERSTAND, "the gateway cannot use this object")
            }
        }
    }

    fn failed(&self, error: &StoreError) -> Verdict {
        let association = self.info.id;
        match error {
            StoreError::Sync(_) => {
                tracing::error!(stage = "receive", association, act = "operator", "intake stops: {error}");
                self.service.intake.storage_failed();
            }
            _ => tracing::error!(
                stage = "receive",
                association,
                act = "operator",
                "an object was refused: {error}"
            ),
        }
        NO_STORAGE
    }
}
