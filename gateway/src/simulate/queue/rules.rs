//! Bugs that can be planted.

use serde::Serialize;

/// A bug in the gateways, or in the reader, that the oracle must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum QueueBug {
    /// C-STORE is answered before the row is committed.
    AcknowledgesEarly,
    /// A received file is not synced.
    SkipsFileSync,
    /// Its name is not.
    SkipsFolderSync,
    /// Bundle and pieces are not synced before the journal counts on them.
    SkipsMadeSync,
    /// Other bytes of the same SOP Instance UID take the place of those that are here.
    OverwritesTwins,
    /// A study of which images are missing goes as complete.
    SaysComplete,
    /// A delivery of which a reply was lost goes again, all of it, under another id.
    NewId,
    /// After a lost reply the delivery is sealed anew.
    SealsAgain,
    /// A part counts as sent before it is.
    NotesBeforeSending,
    /// A start takes what was half submitted for submitted.
    ForgetsHalf,
    /// A 5xx is tried again.
    RetriesForGood,
    /// What failed for good is withdrawn in silence.
    TellsNobody,
    /// The start sweeps away what a dead letter needs.
    SweepsDeadLetters,
    /// A write under an old lease is taken.
    NoFencing,
    /// A supplement rings as the first did.
    RingsAgain,
    /// The reader does not know what it has shown.
    ShowsTwice,
    /// Mails of a case are deleted before the journal says that it is withdrawn.
    DeletesBeforeTombstone,
    /// A look into the mailbox that found nothing is the last.
    LooksOnce,
    /// Only the folder that mails come to is looked into.
    LooksInOneFolder,
    /// One look that found nothing is enough, whatever was moved meanwhile.
    LooksThroughOnce,
    /// A mailbox that does not delete now counts as one without mails.
    TrustsRefusals,
    /// A folder that may not be read counts as searched.
    CountsUnsearched,
    /// The age of a case is told by the clock.
    DeletesByClock,
    /// So is whether a study that comes again is a new case.
    ClosesByClock,
    /// So is for how long a mailbox is looked into.
    LooksByClock,
    /// The same bytes of an instance whose file is damaged count as a duplicate.
    KeepsDamaged,
    /// An alarm counts as heard when it rings.
    EndsUnheard,
}
