//! What can be done, what can go wrong meanwhile, and how often each of these pairs came about.

use serde::Serialize;

/// One step of a gateway, a mail server or a reader: nothing lies between its begin and its end but a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Act {
    WriteFile,
    SyncFile,
    NameFile,
    SyncFolder,
    Record,
    Answer,
    Press,
    Withdraw,
    Close,
    TryAgain,
    TellAgain,
    Hear,
    TakeLease,
    Beat,
    Assemble,
    WriteBundle,
    NoteDamaged,
    AskAgain,
    SyncBundle,
    NoteBundle,
    WriteParts,
    SyncParts,
    NoteParts,
    SendPart,
    NotePart,
    NoteRefused,
    NoteSubmitted,
    SendNotice,
    NoteNotice,
    NoteNotified,
    NoteTrouble,
    NoteCover,
    NoteReceipt,
    Finish,
    Release,
    NoteRunning,
    Alarm,
    EndByTime,
    RemoveMails,
    RemoveMoved,
    NoteRemoved,
    NoteNoneLeft,
    Prove,
    Forget,
    DestroyKey,
    Sweep,
    Arrive,
    Fetch,
    Keep,
    SendReceipt,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Fault {
    /// SIGKILL.
    Kill,
    /// What was not synced may be gone, and every gateway is.
    PowerCut,
    /// A year.
    ClockForward,
    /// A year.
    ClockBack,
    /// SIGSTOP for longer than a lease lasts.
    Pause,
    DiskFull,
    /// EIO.
    SyncFails,
    /// A file of the spool is not what was written.
    Rot,
    /// For one doctor; a mailbox does not delete now.
    Refused4,
    /// For one doctor.
    Refused5,
    /// Nothing came through.
    CutBefore,
    /// It was taken, and the reply is lost (RFC 1047).
    CutAfter,
    Doubled,
    /// Somebody puts an old mail back.
    Replayed,
    Late,
    /// A mail program moves mails to another folder, or back.
    Moved,
}

pub(super) const ACTS: [Act; 50] = [
    Act::WriteFile,
    Act::SyncFile,
    Act::NameFile,
    Act::SyncFolder,
    Act::Record,
    Act::Answer,
    Act::Press,
    Act::Withdraw,
    Act::Close,
    Act::TryAgain,
    Act::TellAgain,
    Act::Hear,
    Act::TakeLease,
    Act::Beat,
    Act::Assemble,
    Act::WriteBundle,
    Act::NoteDamaged,
    Act::AskAgain,
    Act::SyncBundle,
    Act::NoteBundle,
    Act::WriteParts,
    Act::SyncParts,
    Act::NoteParts,
    Act::SendPart,
    Act::NotePart,
    Act::NoteRefused,
    Act::NoteSubmitted,
    Act::SendNotice,
    Act::NoteNotice,
    Act::NoteNotified,
    Act::NoteTrouble,
    Act::NoteCover,
    Act::NoteReceipt,
    Act::Finish,
    Act::Release,
    Act::NoteRunning,
    Act::Alarm,
    Act::EndByTime,
    Act::RemoveMails,
    Act::RemoveMoved,
    Act::NoteRemoved,
    Act::NoteNoneLeft,
    Act::Prove,
    Act::Forget,
    Act::DestroyKey,
    Act::Sweep,
    Act::Arrive,
    Act::Fetch,
    Act::Keep,
    Act::SendReceipt,
];

pub(super) const FAULTS: [Fault; 16] = [
    Fault::Kill,
    Fault::PowerCut,
    Fault::ClockForward,
    Fault::ClockBack,
    Fault::Pause,
    Fault::DiskFull,
    Fault::SyncFails,
    Fault::Rot,
    Fault::Refused4,
    Fault::Refused5,
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::Doubled,
    Fault::Replayed,
    Fault::Late,
    Fault::Moved,
];

impl Act {
    /// Of the reader.
    fn is_readers(self) -> bool {
        matches!(self, Self::Fetch | Self::Keep | Self::SendReceipt)
    }

    /// A transaction of the journal.
    fn is_commit(self) -> bool {
        let writes_no_row = matches!(
            self,
            Self::WriteFile
                | Self::SyncFile
                | Self::NameFile
                | Self::SyncFolder
                | Self::Answer
                | Self::WriteBundle
                | Self::AskAgain
                | Self::SyncBundle
                | Self::WriteParts
                | Self::SyncParts
                | Self::SendPart
                | Self::SendNotice
                | Self::Release
                | Self::RemoveMails
                | Self::RemoveMoved
                | Self::Prove
                | Self::Sweep
                | Self::Arrive
        );
        !writes_no_row && !self.is_readers()
    }

    /// Asks a server for something, and hears whether it was done.
    fn is_answered(self) -> bool {
        matches!(
            self,
            Self::AskAgain
                | Self::SendPart
                | Self::SendNotice
                | Self::RemoveMails
                | Self::RemoveMoved
                | Self::SendReceipt
        )
    }

    /// Why a fault cannot strike here; none where it can.
    pub(super) fn cannot(self, fault: Fault) -> Option<&'static str> {
        let can = match fault {
            Fault::Kill => self != Self::Arrive,
            Fault::PowerCut | Fault::ClockForward | Fault::ClockBack | Fault::Pause => {
                self != Self::Arrive && !self.is_readers()
            }
            Fault::DiskFull => {
                self.is_commit() || matches!(self, Self::WriteFile | Self::WriteBundle | Self::WriteParts)
            }
            Fault::SyncFails => {
                self.is_commit()
                    || matches!(self, Self::SyncFile | Self::SyncFolder | Self::SyncBundle | Self::SyncParts)
            }
            Fault::Rot => matches!(self, Self::WriteBundle | Self::WriteParts),
            Fault::Refused4 => {
                matches!(self, Self::SendPart | Self::SendNotice | Self::RemoveMails | Self::RemoveMoved)
            }
            Fault::Refused5 => matches!(self, Self::SendPart | Self::SendNotice),
            Fault::CutBefore => self == Self::Answer || self.is_answered(),
            Fault::CutAfter => self.is_answered(),
            Fault::Doubled | Fault::Replayed => self == Self::Arrive,
            Fault::Late => matches!(self, Self::Arrive | Self::SendReceipt),
            Fault::Moved => matches!(self, Self::Arrive | Self::RemoveMoved),
        };
        (!can).then_some(match fault {
            Fault::Kill => "the mail server keeps what it took",
            Fault::PowerCut => "another computer: the reader's order of writing is tested in reader/",
            Fault::ClockForward | Fault::ClockBack => "reads no clock",
            Fault::Pause => "holds no lease",
            Fault::DiskFull => "writes nothing to the gateway's disk that must stay",
            Fault::SyncFails => "syncs nothing",
            Fault::Rot => "reads no file of the spool, or one that only the doctor's reader can check",
            Fault::Refused4 => "asks no mail server or channel to take or delete anything",
            Fault::Refused5 => "asks no mail server or channel to take anything",
            Fault::CutBefore | Fault::CutAfter => "has no connection whose end it must tell from success",
            Fault::Doubled | Fault::Replayed => "is no mail's way into a mailbox",
            Fault::Late => "is no mail's way",
            Fault::Moved => "sees no mail in another folder that was in this one, or the other way round",
        })
    }
}

/// How often each act was done, and each fault struck it.
#[derive(Clone)]
pub(super) struct Coverage {
    done: [u64; ACTS.len()],
    struck: [[u64; FAULTS.len()]; ACTS.len()],
}

impl Default for Coverage {
    fn default() -> Self {
        Self { done: [0; ACTS.len()], struck: [[0; FAULTS.len()]; ACTS.len()] }
    }
}

impl Coverage {
    pub(super) fn count(&mut self, act: Act, fault: Option<Fault>) {
        match fault {
            None => self.done.get_mut(act as usize).map(|count| *count += 1),
            Some(fault) => {
                let row = self.struck.get_mut(act as usize);
                row.and_then(|row| row.get_mut(fault as usize)).map(|count| *count += 1)
            }
        }
        .unwrap_or_default();
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (count, other) in self.done.iter_mut().zip(other.done) {
            *count += other;
        }
        for (count, other) in self.struck.iter_mut().flatten().zip(other.struck.iter().flatten()) {
            *count += other;
        }
    }

    /// Each act with each fault, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = Pair> {
        let rows = ACTS.into_iter().zip(self.struck);
        rows.flat_map(|(act, row)| {
            FAULTS.into_iter().zip(row).map(move |(fault, times)| Pair {
                act,
                fault,
                times,
                cannot: act.cannot(fault),
            })
        })
    }

    /// Acts that were never done.
    pub(super) fn undone(&self) -> Vec<Act> {
        ACTS.into_iter().zip(self.done).filter(|(_, done)| *done == 0).map(|(act, _)| act).collect()
    }
}

/// How often a fault struck an act.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Pair {
    pub(super) act: Act,
    pub(super) fault: Fault,
    pub(super) times: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cannot: Option<&'static str>,
}

impl Pair {
    /// It can be, and was not.
    pub(super) fn is_missed(&self) -> bool {
        self.cannot.is_none() && self.times == 0
    }
}
