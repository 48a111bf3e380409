//! Receive: DICOM associations in, durable data sets and their journal rows out (C-ECHO and C-STORE SCP, PS3.4 A, B).
//!
//! Each association has a blocking thread of its own: it reads a PDU, hashes and writes its fragments to a temporary
//! file, makes file and folder durable, waits for the journal ([`Intake::commit`]), and only then answers success
//! (DESIGN 7). Memory of an association: one PDU, one read buffer, one write buffer, whatever the object's size.

mod association;
mod disk;
mod fault;
pub mod limits;
mod negotiate;
mod serve;
mod sop_class;
mod store;
mod storing;
mod wire;

pub(crate) use association::exchange::Exchange;
pub(crate) use disk::Folder;
pub(crate) use fault::Fault;
pub(crate) use negotiate::{Context, own_user_variables};
pub use serve::{Doors, serve};
pub(crate) use sop_class::is_storage;
pub(crate) use storing::{Object, SUCCESS, Storing};

pub use dimse::AeTitle;

use crate::spool::FileKey;
use compressor::Uid;
use seal::ids::CaseId;
use std::future::Future;
use std::io;
use std::net::SocketAddr;

/// An instance whose data set is durable in the receive folder. Not yet in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedInstance {
    /// Name of the file in the receive folder: 32 hex digits, nothing of the peer. Data set only: no preamble, no
    /// meta group.
    pub file: String,
    /// Key of the file; none if it is plain.
    pub key: Option<FileKey>,
    /// Length of the data set, in bytes.
    pub bytes: u64,
    /// SHA-256 of the data set.
    pub sha256: [u8; 32],
    /// SOP class that the C-STORE request named; not compared with the data set.
    pub sop_class: Uid,
    /// SOP instance that the C-STORE request named; not compared with the data set.
    pub sop_instance: Uid,
    /// Transfer syntax of its presentation context.
    pub transfer_syntax: Uid,
    /// AE title of the sender.
    pub calling: AeTitle,
    /// AE title it was sent to.
    pub called: AeTitle,
    /// Number of the association, see [`AssociationInfo::id`].
    pub association: u64,
    /// The case that we asked a PACS for it for; none of what a peer sends by itself.
    pub asked_for: Option<CaseId>,
}

/// Who talks to whom on one association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssociationInfo {
    /// Random, below 2^63, so that it is unique across restarts and fits an SQL integer.
    pub id: u64,
    /// AE title of the sender.
    pub calling: AeTitle,
    /// AE title it called.
    pub called: AeTitle,
}

impl AssociationInfo {
    /// With a fresh number.
    pub(crate) fn new(calling: AeTitle, called: AeTitle) -> Self {
        // A number cannot be had only where the kernel has no random bytes; then no file could be named either.
        let id = store::random().map_or(0, |bytes| u64::from_le_bytes(bytes) >> 1);
        Self { id, calling, called }
    }
}

/// Why an instance is not taken. The text holds no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeRefusal {
    /// No room, or the journal does not answer: status A700. The sender may try again.
    #[error("the gateway has no room or no journal, try later")]
    OutOfResources,
    /// The journal was asked to keep it and has not said whether it did: status A700, and the file stays. The sender may try again.
    #[error("the journal has not said whether it keeps the object, try later")]
    Unclear,
    /// The data set cannot be used: status C000. Sending it again will not help.
    #[error("the gateway cannot use this object")]
    CannotUnderstand,
    /// A PACS sent what it was not asked for: status 0124. It goes to nobody.
    #[error("the object was not asked for")]
    NotAskedFor,
}

/// What stands behind the receive stage: the destinations, the journal, the room on the disk.
pub trait Intake: Send + Sync + 'static {
    /// Whether this AE title stands for somebody.
    fn knows(&self, called: &AeTitle) -> bool;

    /// Whether an object may come now on this association: room on the disk, intake not stopped. Asked before each object,
    /// which is under way from then on until it is committed or the association ends.
    fn ready(&self, association: u64) -> bool;

    /// A new key under which the next object is written; none where objects are kept plain.
    ///
    /// # Errors
    /// The system gives no random bytes.
    fn new_key(&self) -> io::Result<Option<FileKey>> {
        Ok(None)
    }

    /// Makes the journal row of an instance durable. After an error the file is removed, unless that is [`IntakeRefusal::Unclear`].
    fn commit(&self, instance: ReceivedInstance) -> impl Future<Output = Result<(), IntakeRefusal>> + Send;

    /// File or folder could not be made durable: nothing may be acknowledged any more until an operator has looked.
    /// From now on [`Intake::ready`] must be false.
    fn storage_failed(&self);

    /// A peer was not let in, for this reason.
    fn peer_refused(&self, _peer: SocketAddr, _reason: &'static str) {}

    /// The association with this number ended, released or not; every instance of it was committed or refused before.
    fn association_ended(&self, association: u64);
}
