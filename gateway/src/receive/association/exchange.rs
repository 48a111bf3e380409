//! Messages of one association: each request gets its answer, each stored object its file and journal row (PS3.7 9).

use super::super::Intake;
use super::super::disk::Disk;
use super::super::fault::Fault;
use super::super::negotiate::Context;
use super::super::storing::{Object, SUCCESS, Storing, Verdict};
use dimse::fragments::{Event, Messages, Pdvs};
use dimse::{Command, field, status};
use std::collections::BTreeMap;

/// A command set to send, and its context.
pub(crate) type Answer = (u8, Vec<u8>);

/// The messages of one association.
pub(crate) struct Exchange<I, D: Disk> {
    storing: Storing<I, D>,
    contexts: BTreeMap<u8, Context>,
    messages: Messages,
    pending: Option<Pending<D>>,
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

impl<I: Intake, D: Disk> Exchange<I, D> {
    pub(crate) fn new(storing: Storing<I, D>, contexts: BTreeMap<u8, Context>) -> Self {
        Self { storing, contexts, messages: Messages::default(), pending: None }
    }

    /// No message is under way.
    pub(crate) fn at_rest(&self) -> bool {
        self.messages.at_rest()
    }

    /// Ends the exchange, an unfinished object is removed. Returns how many were stored.
    pub(crate) fn end(self) -> u64 {
        self.storing.stored()
    }

    /// Takes the body of a P-DATA-TF and returns what is to be answered.
    pub(crate) fn take(&mut self, body: &[u8]) -> Result<Vec<Answer>, Fault> {
        let mut answers = Vec::new();
        for pdv in Pdvs(body) {
            let event = self.messages.take(pdv?)?;
            answers.extend(self.event(event)?);
        }
        Ok(answers)
    }

    /// Takes what a fragment completed.
    pub(crate) fn event(&mut self, event: Event<'_>) -> Result<Option<Answer>, Fault> {
        match event {
            Event::Waiting => Ok(None),
            Event::Command(context, command) => self.begin(context, command),
            Event::DataSet(fragment, last) => Ok(self.go_on(fragment, last)),
        }
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
        self.storing.begin(sop_class, sop_instance, context.transfer_syntax.clone()).map(Box::new)
    }

    fn go_on(&mut self, fragment: &[u8], last: bool) -> Option<Answer> {
        let mut pending = self.pending.take()?;
        if let Course::Store(object) = &mut pending.course
            && let Err(verdict) = self.storing.write(object, fragment)
        {
            // The rest of the data set is skipped, so that the association stays usable (PS3.4 B.2.3, A7xx).
            pending.course = Course::Answer(verdict);
        }
        if last {
            return self.answer(pending);
        }
        self.pending = Some(pending);
        None
    }

    fn answer(&mut self, pending: Pending<D>) -> Option<Answer> {
        let Verdict(status, comment) = match pending.course {
            Course::Store(object) => self.storing.keep(*object),
            Course::Answer(verdict) => verdict,
            Course::Ignore => return None,
        };
        Some((pending.context, pending.request.response(status, comment)))
    }
}
