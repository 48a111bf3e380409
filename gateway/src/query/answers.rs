//! The answers to one C-FIND request, put together without I/O (PS3.7 9.1.2, PS3.4 C.4.1.1.4).

use super::QueryError;
use crate::receive::limits::IDENTIFIER_BYTES_MAX;
use dimse::fragments::Event;
use dimse::{Command, field, status};

/// What a fragment of an answer told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing yet.
    Nothing,
    /// The identifier of a match.
    Match(Vec<u8>),
    /// That was the last answer; `cancelled`: since we asked for the end.
    Over {
        /// By our C-CANCEL.
        cancelled: bool,
    },
}

/// What is known of the answer that is coming.
pub(super) struct Answers {
    context: u8,
    message_id: u16,
    identifier: Vec<u8>,
}

impl Answers {
    pub(super) fn new(context: u8, message_id: u16) -> Self {
        Self { context, message_id, identifier: Vec::new() }
    }

    /// Takes what a fragment completed.
    pub(super) fn take(&mut self, event: Event<'_>) -> Result<Told, QueryError> {
        match event {
            Event::Waiting => Ok(Told::Nothing),
            Event::Command(context, command) => self.response(context, &command),
            Event::DataSet(fragment, last) => self.identifier(fragment, last),
        }
    }

    fn response(&mut self, context: u8, response: &Command) -> Result<Told, QueryError> {
        let ours = response.field == field::C_FIND_RSP && response.responds_to == Some(self.message_id);
        if !ours || context != self.context {
            return Err(QueryError::Malformed("a message that is no answer to the query"));
        }
        match response.status {
            Some(status::PENDING | status::PENDING_WARNING) if response.data_set => {
                self.identifier.clear();
                Ok(Told::Nothing)
            }
            Some(status::SUCCESS) if !response.data_set => Ok(Told::Over { cancelled: false }),
            Some(status::CANCELLED) if !response.data_set => Ok(Told::Over { cancelled: true }),
            Some(status::PENDING | status::PENDING_WARNING) => {
                Err(QueryError::Malformed("a match without identifier"))
            }
            Some(status::SUCCESS) | None => Err(QueryError::Malformed("an answer without a usable status")),
            Some(status) => Err(QueryError::Failed { status }),
        }
    }

    fn identifier(&mut self, fragment: &[u8], last: bool) -> Result<Told, QueryError> {
        if self.identifier.len() + fragment.len() > IDENTIFIER_BYTES_MAX {
            return Err(QueryError::Malformed("an identifier that is too long"));
        }
        self.identifier.extend_from_slice(fragment);
        Ok(if last { Told::Match(std::mem::take(&mut self.identifier)) } else { Told::Nothing })
    }
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
