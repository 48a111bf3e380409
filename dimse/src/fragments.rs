//! From presentation data values to messages: a command, then perhaps a data set, one context (PS3.7 6.3.1, PS3.8 E.2).

use super::{Command, InvalidCommand};
use crate::limits::{COMMAND_BYTES_MAX, EMPTY_FRAGMENTS_MAX};

/// PDU type of P-DATA-TF (PS3.8 9.3.5).
pub const P_DATA_TF: u8 = 0x04;
/// Bytes of a PDU's type, reserved byte and length (PS3.8 9.3.1).
const P_DATA_HEADER_BYTES: usize = 6;
/// Bytes of a value's length field, context id and control header (PS3.8 9.3.5.1).
pub const PDV_HEADER_BYTES: usize = 6;
/// What the length field counts besides the fragment: context id and control header.
const LENGTH_OVERHEAD: usize = 2;
/// Control header bit 0: the fragment is of a command (PS3.8 E.2).
const COMMAND_BIT: u8 = 0x01;
/// Control header bit 1: the fragment is the last one (PS3.8 E.2).
const LAST_BIT: u8 = 0x02;

/// A presentation data value (PS3.8 9.3.5.1): one fragment of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pdv<'a> {
    /// Presentation context id.
    pub context: u8,
    /// Fragment of a command set, else of a data set.
    pub command: bool,
    /// Last fragment of that command set or data set.
    pub last: bool,
    /// The fragment; may be empty.
    pub bytes: &'a [u8],
}

/// Splits the body of a P-DATA-TF PDU; ends after the first value that does not fit. Nothing is copied.
pub struct Pdvs<'a>(pub &'a [u8]);

impl<'a> Iterator for Pdvs<'a> {
    type Item = Result<Pdv<'a>, Disorder>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let split = split_pdv(self.0);
        self.0 = split.map_or(&[][..], |(_, rest)| rest);
        Some(split.map(|(pdv, _)| pdv).ok_or(Disorder::TornValue))
    }
}

fn split_pdv(bytes: &[u8]) -> Option<(Pdv<'_>, &[u8])> {
    let (&[l0, l1, l2, l3, context, control], rest) = bytes.split_first_chunk::<PDV_HEADER_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).ok()?.checked_sub(LENGTH_OVERHEAD)?;
    let (bytes, rest) = rest.split_at_checked(length)?;
    Some((Pdv { context, command: control & COMMAND_BIT != 0, last: control & LAST_BIT != 0, bytes }, rest))
}

/// A command set or a data set as P-DATA-TF PDUs (PS3.8 9.3.5), none longer after its header than `pdu_bytes_max`, which must be more
/// than [`PDV_HEADER_BYTES`].
pub fn p_data(context: u8, command: bool, bytes: &[u8], pdu_bytes_max: usize) -> Vec<u8> {
    let fragment_bytes_max = pdu_bytes_max.saturating_sub(PDV_HEADER_BYTES).max(1);
    let mut pdus = Vec::with_capacity(bytes.len() + P_DATA_HEADER_BYTES + PDV_HEADER_BYTES);
    let mut fragments = bytes.chunks(fragment_bytes_max).peekable();
    while let Some(fragment) = fragments.next() {
        push_p_data_header(&mut pdus, context, command, fragments.peek().is_none(), fragment.len());
        pdus.extend_from_slice(fragment);
    }
    pdus
}

/// Appends the headers of a P-DATA-TF PDU with one value, whose fragment of `length` bytes follows.
pub fn push_p_data_header(out: &mut Vec<u8>, context: u8, command: bool, last: bool, length: usize) {
    out.extend_from_slice(&[P_DATA_TF, 0]);
    out.extend_from_slice(&u32::try_from(PDV_HEADER_BYTES + length).unwrap_or(u32::MAX).to_be_bytes());
    push_pdv_header(out, context, command, last, length);
}

/// Appends the header of a value whose fragment of `length` bytes follows.
pub fn push_pdv_header(out: &mut Vec<u8>, context: u8, command: bool, last: bool, length: usize) {
    let length = u32::try_from(length + LENGTH_OVERHEAD).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    let control = if command { COMMAND_BIT } else { 0 } | if last { LAST_BIT } else { 0 };
    out.extend_from_slice(&[context, control]);
}

/// The fragments do not make a message. Holds no value of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disorder {
    /// A value is longer than its PDU, or shorter than its own header.
    #[error("a presentation data value does not fit its PDU")]
    TornValue,
    /// A fragment of another context came before the message ended (PS3.8 E.2 forbids interleaving).
    #[error("fragments of two presentation contexts are interleaved")]
    Interleaved,
    /// A data set fragment where a command must come, or the other way round.
    #[error("a fragment of the wrong kind for this point of the message")]
    WrongKind,
    /// The command set is longer than [`COMMAND_BYTES_MAX`].
    #[error("the command set is too long")]
    CommandTooLong,
    /// More than [`EMPTY_FRAGMENTS_MAX`] fragments of one message hold nothing.
    #[error("too many empty fragments")]
    Empty,
    /// The command set cannot be followed.
    #[error(transparent)]
    Command(#[from] InvalidCommand),
}

/// What a fragment completed.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Nothing yet: a part of a command set.
    Waiting,
    /// A command set; a data set follows where it says so.
    Command(u8, Command),
    /// A part of the data set, and whether it is the last one.
    DataSet(&'a [u8], bool),
}

/// Where in a message the association is.
#[derive(Debug, Default)]
pub struct Messages {
    context: Option<u8>,
    in_data_set: bool,
    command: Vec<u8>,
    empty_fragments: usize,
}

impl Messages {
    /// Between two messages, when nothing of the next one has come yet.
    pub fn at_rest(&self) -> bool {
        self.context.is_none()
    }

    /// Takes the next fragment.
    ///
    /// # Errors
    /// [`Disorder`], after which the association must be aborted (PS3.8 9.2.2, AA-8).
    pub fn take<'a>(&mut self, pdv: Pdv<'a>) -> Result<Event<'a>, Disorder> {
        self.check(&pdv)?;
        self.context = Some(pdv.context);
        if !self.in_data_set {
            return self.take_command(&pdv);
        }
        if pdv.last {
            self.end();
        }
        Ok(Event::DataSet(pdv.bytes, pdv.last))
    }

    fn check(&mut self, pdv: &Pdv<'_>) -> Result<(), Disorder> {
        if self.context.is_some_and(|context| context != pdv.context) {
            return Err(Disorder::Interleaved);
        }
        if pdv.command == self.in_data_set {
            return Err(Disorder::WrongKind);
        }
        self.empty_fragments += usize::from(pdv.bytes.is_empty());
        if self.empty_fragments > EMPTY_FRAGMENTS_MAX { Err(Disorder::Empty) } else { Ok(()) }
    }

    fn take_command<'a>(&mut self, pdv: &Pdv<'_>) -> Result<Event<'a>, Disorder> {
        if self.command.len() + pdv.bytes.len() > COMMAND_BYTES_MAX {
            return Err(Disorder::CommandTooLong);
        }
        self.command.extend_from_slice(pdv.bytes);
        if !pdv.last {
            return Ok(Event::Waiting);
        }
        let command = Command::parse(&self.command)?;
        self.command.clear();
        self.in_data_set = command.data_set;
        if !command.data_set {
            self.end();
        }
        Ok(Event::Command(pdv.context, command))
    }

    fn end(&mut self) {
        self.context = None;
        self.in_data_set = false;
        self.empty_fragments = 0;
    }
}

#[cfg(test)]
#[path = "fragments_tests.rs"]
mod tests;
