//! pulled: what comes back from outside. It is read by a process of its own, [`inbound`], which has no spool, no keys and no
//! DICOM port; only [`record`]s of fixed size come over to this one.

mod enrolment;
pub mod inbound;
pub mod record;
mod request;
mod watch;

pub use enrolment::{Enrolment, EnrolmentKind};
pub(crate) use request::doctors_of;
pub use request::{Folder, Pinned, Request, Withdrawn, inbound_request};
pub use watch::{Sinks, watch, watch_program};

#[cfg(test)]
mod tests;
