//! What happened in a schedule, as somebody sees it who stands outside: the PACS, the doctors, the page, the mailboxes, and the disk's owner.

use crate::journal::Ended;

/// A set of images, a bit for each.
pub(super) type Images = u16;

/// The set of one image.
pub(super) fn bit(number: usize) -> Images {
    1_u16.checked_shl(u32::try_from(number).unwrap_or(u32::MAX)).unwrap_or(0)
}

/// The set of one case.
pub(super) fn case_bit(case: usize) -> u64 {
    1_u64.checked_shl(u32::try_from(case).unwrap_or(u32::MAX)).unwrap_or(0)
}

/// An entry of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// So long at least one gateway was up by then, in milliseconds.
    pub(super) up_ms: i64,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// The PACS begins to send an image.
    Sends { image: u8, destination: u8 },
    /// It was told Success, for what it began to send at this place of the log.
    Acknowledged { image: u8, since: usize },
    /// These belong to the delivery. `known`: all of its case by now; `listed`: what the PACS lists.
    Assembled { delivery: usize, images: Images, is_complete: bool, known: Images, listed: Images },
    /// A gateway wrote to a delivery under this token.
    Wrote { delivery: usize, token: u32 },
    /// The mail server said 5xx to a part for a doctor.
    RefusedForGood { delivery: usize, doctor: u8 },
    /// A person has a dead letter tried again.
    TriedAgain { delivery: usize },
    /// The page shows a dead letter. `has_cause`: a file of it was damaged, or the mail server refused it.
    DeadLetter { images: Images, has_cause: bool },
    /// A channel took a notice.
    Noticed { delivery: usize, case: usize, doctor: u8, is_loud: bool },
    /// A person wants another one.
    ToldAgain { delivery: usize },
    /// A doctor has these before the eyes. `opened_up_ms`: [`Entry::up_ms`] when the case was opened.
    Shown { doctor: u8, destination: u8, delivery: usize, images: Images, opened_up_ms: i64 },
    /// A person asked for a study that waited.
    Pressed { images: Images },
    /// A person withdrew a case, and the page says so.
    Withdrawn { destination: u8, images: Images },
    /// A case ended. `undelivered`: what no doctor can have got, where nobody at the page ended it. `mailed_up_ms`: [`Entry::up_ms`] when a doctor had
    /// the last of it.
    Ended { case: usize, destination: u8, images: Images, undelivered: Images, how: Ended, mailed_up_ms: i64 },
    /// The page rings.
    Alarmed { case: usize },
    /// A person heard it.
    Heard { case: usize },
    /// The page says of a withdrawn delivery that a mailbox has nothing of it. `left`: it has what could be deleted.
    Emptied { left: bool },
    /// The trail says that no mail of a case is left where the mailbox can be emptied.
    Proved { left: bool },
    /// The key of a case that has not ended is gone. `opened_up_ms`: [`Entry::up_ms`] when it was opened.
    KeyDestroyed { opened_up_ms: i64 },
}

/// How it is when all rest.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    /// The schedule came to rest.
    pub(super) is_reached: bool,
    /// Images of dead letters, and of studies that wait for a press, whose files are whole.
    pub(super) kept: Images,
    /// Images in a mailbox, whole, unread, of a doctor who reads no mail.
    pub(super) unread: Images,
    /// For each doctor who reads mail: images of deliveries under way or done for this doctor.
    pub(super) meant: [Images; 2],
    /// Mails of a withdrawn case lie where they could have been deleted.
    pub(super) has_leftovers: bool,
    /// Cases whose mails no doctor has opened, which have not ended.
    pub(super) unopened: u64,
}
