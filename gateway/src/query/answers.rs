//! The answers to one C-FIND request, put together without I/O (PS3.7 9.1.2, PS3.4 C.4.1.1.4).

use super::QueryError;
use super::identifier::instance;
use crate::dimse::fragments::Event;
use crate::dimse::{Command, field, status};
use crate::receive::limits::{IDENTIFIER_BYTES_MAX, RESPONSES_MAX};
use compressor::Uid;
use std::collections::BTreeSet;

/// What was answered so far.
pub(super) struct Answers<'a> {
    study: &'a Uid,
    series: &'a Uid,
    context: u8,
    message_id: u16,
    responses: usize,
    identifier: Vec<u8>,
    instances: BTreeSet<Uid>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(study: &'a Uid, series: &'a Uid, context: u8, message_id: u16) -> Self {
        let (identifier, instances) = (Vec::new(), BTreeSet::new());
        Self { study, series, context, message_id, responses: 0, identifier, instances }
    }

    pub(super) fn into_instances(self) -> BTreeSet<Uid> {
        self.instances
    }

    /// Takes what a fragment completed; true after the last answer.
    pub(super) fn take(&mut self, event: Event<'_>) -> Result<bool, QueryError> {
        match event {
            Event::Waiting => Ok(false),
            Event::Command(context, command) => self.response(context, &command),
            Event::DataSet(fragment, last) => self.identifier(fragment, last).map(|()| false),
        }
    }

    fn response(&mut self, context: u8, response: &Command) -> Result<bool, QueryError> {
        let ours = response.field == field::C_FIND_RSP && response.responds_to == Some(self.message_id);
        if !ours || context != self.context {
            return Err(QueryError::Malformed("a message that is no answer to the query"));
        }
        match response.status {
            Some(status::PENDING | status::PENDING_WARNING) if response.data_set => {
                self.count().map(|()| false)
            }
            Some(status::SUCCESS) if !response.data_set => Ok(true),
            Some(status::PENDING | status::PENDING_WARNING) => {
                Err(QueryError::Malformed("a match without identifier"))
            }
            Some(status::SUCCESS) | None => Err(QueryError::Malformed("an answer without a usable status")),
            Some(status) => Err(QueryError::Failed { status }),
        }
    }

    fn count(&mut self) -> Result<(), QueryError> {
        self.identifier.clear();
        self.responses += 1;
        if self.responses > RESPONSES_MAX { Err(QueryError::TooMany) } else { Ok(()) }
    }

    fn identifier(&mut self, fragment: &[u8], last: bool) -> Result<(), QueryError> {
        if self.identifier.len() + fragment.len() > IDENTIFIER_BYTES_MAX {
            return Err(QueryError::Malformed("an identifier that is too long"));
        }
        self.identifier.extend_from_slice(fragment);
        if last {
            let instance =
                instance(&self.identifier, self.study, self.series).map_err(QueryError::Malformed)?;
            self.instances.insert(instance);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
