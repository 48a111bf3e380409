//! The queue without its disk: which event in which state leads where ([`State::after`]), and all rules of the rows as functions of plain values
//! ([`Book`]), so that millions of schedules of faults run through them in minutes (`simulate::queue`). The journal's states are these; where the
//! journal keeps a rule in SQL, a test drives both with the same events and compares them ([decision 0019](../../docs/decisions/0019-queue-model.md)).

mod book;
mod case;
mod lease;
mod state;

pub use book::{
    Book, CaseRow, Delivery, Instance, MailLeft, NewRow, PIECES_MAX, Part, Pressing, RecordedRow, Share,
    Told, WithdrawnRow,
};
pub use case::{CASE_OPEN_MS, LOOKED_FOR_MS, ON_ITS_WAY_MS, RAN_MAX_MS, Wish};
pub use lease::{LEASE_MS, Lease, TokenNumber, Watch};
pub use state::{GivesUp, Kept, State, Step};

#[cfg(test)]
mod journal_tests;
