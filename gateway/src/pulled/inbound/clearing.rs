//! Deletes what lies of withdrawn deliveries in a doctor's mailbox: in the folder that pieces come to, and wherever a mail program or a filter has
//! moved them since.

mod extents;

use super::super::record::{Kind, Record, folder_digest};
use super::super::request::Withdrawn;
use extents::Extents;
use seal::ids::{DeliveryId, Digest};
use seal::mail::Part;
use seal::mailbox::{FolderState, Found, ImapUid, Mailbox, MailboxError};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

pub(super) use extents::is_same_folder;

/// How long a receipt stays after it was looked at, where its case has ended: what was told of it may still be on its way to the journal.
pub(super) const KEPT: Duration = Duration::from_secs(10);
/// Pause before mails that could not be deleted are tried again: somebody may grant the right meanwhile.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// Pause between two looks into the other folders of a mailbox in which nothing was left; half of the minute in which all of a case is to be gone.
const ELSEWHERE_PAUSE: Duration = Duration::from_secs(30);
/// Looks in a row that found nothing to delete before that is told: a mail that is moved while the folders are looked at, from one that was not yet to one
/// that was already, is found by the next.
const QUIET_LOOKS: u8 = 2;
/// Other folders of a mailbox that are searched; real mailboxes have some dozens. The rest is told as not searched.
const FOLDERS_MAX: usize = 500;
/// Connections that may break in one folder, or as folders are listed, before that is given up: a mailbox that cannot be searched whole must not keep
/// the receipts of all from being read. It is told as not searched.
const BREAKS_MAX: u8 = 3;
/// Connections that may break in all the other folders of a mailbox before they are given up together.
const BREAKS_PER_MAILBOX_MAX: u32 = 9;
/// Times that a server may say in one folder that it cannot do it now, before that is taken for its last word.
const DELAYS_MAX: u8 = 10;

/// Looks that may delete the same part from one folder; copies that come late are some.
const DELETIONS_MAX: u8 = 5;

/// Which mailbox it is, and which messages are ours.
pub(super) struct Place {
    /// The folder that pieces come to.
    pub(super) own: String,
    /// Those of other doctors.
    pub(super) foreign: Vec<String>,
    /// End of our Message-IDs.
    pub(super) needle: String,
}

/// How far the folder that pieces come to was read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// Receipts from here on were not read, or so lately that they stay.
    pub(super) unread: ImapUid,
    /// When the last look began that read all there was.
    pub(super) began: Option<Instant>,
}

/// What is deleted from a mailbox, and how far that is.
pub(super) struct Clearing {
    place: Place,
    withdrawn: Vec<Withdrawn>,
    /// UIDVALIDITY and UIDNEXT of each folder when nothing of them was left in it.
    clean: HashMap<String, (u32, u32)>,
    /// What the gateway is to be told.
    records: Vec<Record>,
    /// Those of which was told that nothing is left.
    told: HashSet<DeliveryId>,
    /// What was deleted, but for receipts, each part once: of copies none says that more had arrived.
    deleted: HashSet<(DeliveryId, Part)>,
    /// Looks in a row that found nothing.
    quiet: u8,
    /// When all folders were looked at, and how many besides the own one were searched and were not.
    elsewhere: Option<(Instant, u16, u16)>,
    /// Another look into all folders is due earlier than otherwise: receipts wait in them.
    receipts_wait: bool,
    /// How often the connection broke in a folder; `""`: as they were listed.
    breaks: HashMap<String, u8>,
    /// How often in a row the server could not do it in a folder; `""`: list them.
    delays: HashMap<String, u8>,
    /// Receipts in other folders by UIDVALIDITY and UID: since when they are known there, or, where true, since when the own folder was read after that.
    receipts: HashMap<(String, u32, ImapUid), (Instant, bool)>,
    /// What was found in a folder when its connection broke before it was deleted.
    left_behind: HashMap<String, HashSet<DeliveryId>>,
    /// How many looks deleted a part from a folder.
    deletions: HashMap<(String, DeliveryId, Part), u8>,
    /// Mails could not be deleted; when that is tried again.
    try_again: Option<Instant>,
    /// The look that is under way.
    look: Option<Look>,
}

/// One look into the folders. It takes several turns where there are many.
#[derive(Default)]
struct Look {
    /// Something of what was withdrawn was there, and was deleted.
    found: bool,
    /// The server could not do something now.
    delayed: bool,
    /// Something stays for a while.
    kept: HashSet<DeliveryId>,
    /// Something cannot be deleted.
    refused: HashSet<DeliveryId>,
    /// The other folders, once they were listed.
    listed: Option<Listed>,
}

/// How far a look into the other folders is.
#[derive(Default)]
struct Listed {
    left: VecDeque<Folder>,
    searched: u16,
    unsearched: u16,
}

/// Another folder of the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    name: String,
    /// What a doctor said may be deleted here. Not where the folder shows the mails of others, nor where another doctor's mails may be moved to.
    loses_receipts: bool,
}

/// Whether all of a folder could be looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Searched {
    Whole,
    InPart,
}

/// Where a look was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    OwnFolder,
    AllFolders,
}

impl Clearing {
    pub(super) fn new(place: Place, withdrawn: Vec<Withdrawn>) -> Self {
        Self {
            place,
            withdrawn,
            clean: HashMap::new(),
            records: Vec::new(),
            told: HashSet::new(),
            deleted: HashSet::new(),
            quiet: 0,
            elsewhere: None,
            receipts_wait: false,
            breaks: HashMap::new(),
            delays: HashMap::new(),
            receipts: HashMap::new(),
            left_behind: HashMap::new(),
            deletions: HashMap::new(),
            try_again: None,
            look: None,
        }
    }

    pub(super) fn is_due(&self) -> bool {
        let waits = self.quiet >= QUIET_LOOKS && self.try_again.is_some_and(|at| Instant::now() < at);
        !self.withdrawn.is_empty() && (self.look.is_some() || !waits)
    }

    /// A look has begun and has folders left.
    pub(super) fn is_under_way(&self) -> bool {
        self.look.is_some()
    }

    /// What the gateway is to be told, also after an error.
    pub(super) fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// Begins a look with the own folder, which was just opened with `state`.
    ///
    /// # Errors
    /// [`MailboxError`] of the own folder or of the connection.
    pub(super) async fn begin(
        &mut self,
        state: FolderState,
        reading: Reading,
        mailbox: &mut Mailbox,
    ) -> Result<(), MailboxError> {
        self.try_again = None;
        let mut look = Look::default();
        let own = self.place.own.clone();
        self.clear(&own, state, reading, None, mailbox, &mut look).await?;
        self.look = Some(look);
        Ok(())
    }

    /// Goes on with a look that has begun: in at most so many of the other folders as `turn` has left.
    ///
    /// # Errors
    /// [`MailboxError`] of the connection. The look goes on where it was.
    pub(super) async fn go_on(
        &mut self,
        reading: Reading,
        mailbox: &mut Mailbox,
        turn: &mut usize,
    ) -> Result<(), MailboxError> {
        let Some(mut look) = self.look.take() else { return Ok(()) };
        if look.listed.is_none() && !self.is_elsewhere_due(&look) {
            self.judge(&look, Scope::OwnFolder);
            return Ok(());
        }
        let searched = self.look_elsewhere(reading, mailbox, &mut look, turn).await;
        match searched {
            Ok(true) => self.judge(&look, Scope::AllFolders),
            _ => self.look = Some(look),
        }
        searched.map(|_| ())
    }

    fn is_elsewhere_due(&self, look: &Look) -> bool {
        let pause = if self.receipts_wait { KEPT } else { ELSEWHERE_PAUSE };
        let is_fresh = self.elsewhere.is_some_and(|(at, ..)| at.elapsed() < pause);
        self.quiet < QUIET_LOOKS || look.found || !is_fresh
    }

    /// False where folders are left for another turn.
    async fn look_elsewhere(
        &mut self,
        reading: Reading,
        mailbox: &mut Mailbox,
        look: &mut Look,
        turn: &mut usize,
    ) -> Result<bool, MailboxError> {
        let mut listed = match look.listed.take() {
            Some(listed) => listed,
            None => self.list(mailbox, look).await?,
        };
        while let Some(folder) = listed.left.front().cloned() {
            if *turn == 0 {
                look.listed = Some(listed);
                return Ok(false);
            }
            *turn -= 1;
            let searched = match self.is_given_up(&folder.name) {
                true => {
                    look.refused.extend(self.left_behind.get(&folder.name).into_iter().flatten());
                    Ok(None)
                }
                false => self.clear_other(&folder, reading, mailbox, look).await,
            };
            match searched {
                Ok(searched) => {
                    let is_whole = searched == Some(Searched::Whole);
                    let count = if is_whole { &mut listed.searched } else { &mut listed.unsearched };
                    *count = count.saturating_add(1);
                    listed.left.pop_front();
                }
                Err(error) => {
                    look.listed = Some(listed);
                    return Err(error);
                }
            }
        }
        self.receipts_wait = !self.receipts.is_empty();
        self.elsewhere = Some((Instant::now(), listed.searched, listed.unsearched));
        Ok(true)
    }

    /// The other folders that are to be searched. What was known of those that are no longer there is forgotten.
    async fn list(&mut self, mailbox: &mut Mailbox, look: &mut Look) -> Result<Listed, MailboxError> {
        let unlisted = Listed { unsearched: 1, ..Listed::default() };
        if !self.withdrawn.iter().any(|one| one.everywhere) {
            return Ok(Listed::default());
        }
        if self.is_given_up("") {
            return Ok(unlisted);
        }
        let listed = other_folders(&self.place, mailbox).await;
        if matches!(listed, Err(MailboxError::Refused { .. })) && !self.is_last_word("") {
            look.delayed = true;
        }
        let Some((left, unsearched)) = self.unless_broken("", listed)? else { return Ok(unlisted) };
        self.delays.remove("");
        let known: HashSet<&str> = left.iter().map(|folder| folder.name.as_str()).collect();
        let stays = |name: &str| name.is_empty() || name == self.place.own || known.contains(name);
        self.clean.retain(|name, _| stays(name));
        self.breaks.retain(|name, _| stays(name));
        self.delays.retain(|name, _| stays(name));
        self.receipts.retain(|(name, ..), _| stays(name));
        self.left_behind.retain(|name, _| stays(name));
        self.deletions.retain(|(name, ..), _| stays(name));
        Ok(Listed { left: left.into(), searched: 0, unsearched })
    }

    /// None for a folder that could not be searched.
    async fn clear_other(
        &mut self,
        folder: &Folder,
        reading: Reading,
        mailbox: &mut Mailbox,
        look: &mut Look,
    ) -> Result<Option<Searched>, MailboxError> {
        let cleared = match mailbox.open_folder(&folder.name).await {
            Ok(state) => self.clear(&folder.name, state, reading, Some(folder), mailbox, look).await,
            Err(error) => Err(error),
        };
        if let Err(MailboxError::Refused { .. }) = cleared
            && !self.is_last_word(&folder.name)
        {
            look.delayed = true;
        }
        self.unless_broken(&folder.name, cleared)
    }

    fn is_given_up(&self, folder: &str) -> bool {
        let all: u32 = self.breaks.values().map(|breaks| u32::from(*breaks)).sum();
        self.breaks.get(folder).is_some_and(|breaks| *breaks >= BREAKS_MAX) || all >= BREAKS_PER_MAILBOX_MAX
    }

    /// The server could not do it in this folder now; true where it said so too often.
    fn is_last_word(&mut self, folder: &str) -> bool {
        let delays = self.delays.entry(folder.to_owned()).or_default();
        *delays = delays.saturating_add(1);
        *delays > DELAYS_MAX
    }

    /// None for a folder that this login may not open, that was deleted since, or that cannot be searched: it holds up no other.
    fn unless_broken<T>(
        &mut self,
        folder: &str,
        done: Result<T, MailboxError>,
    ) -> Result<Option<T>, MailboxError> {
        match done {
            Ok(done) => {
                self.breaks.remove(folder);
                Ok(Some(done))
            }
            Err(
                MailboxError::NoFolder { .. }
                | MailboxError::Refused { .. }
                | MailboxError::TooMany { .. }
                | MailboxError::TooManyFolders { .. }
                | MailboxError::Gone,
            ) => Ok(None),
            Err(error) => {
                let breaks = self.breaks.entry(folder.to_owned()).or_default();
                *breaks = breaks.saturating_add(1);
                Err(error)
            }
        }
    }

    /// What is to be told after a look.
    fn judge(&mut self, look: &Look, scope: Scope) {
        self.quiet = match look {
            Look { found: true, .. } => 0,
            Look { delayed: true, .. } => self.quiet.min(QUIET_LOOKS - 1),
            _ => self.quiet.saturating_add(1),
        };
        if !look.refused.is_empty() {
            self.try_again = Some(Instant::now() + TRY_AGAIN);
        }
        if self.quiet < QUIET_LOOKS {
            return;
        }
        let (searched, unsearched) =
            self.elsewhere.map_or((0, 0), |(_, searched, unsearched)| (searched, unsearched));
        let folder = self.digest();
        for Withdrawn { delivery, everywhere, .. } in &self.withdrawn {
            // What waits in another folder is known to a look into that one alone.
            let is_answered = scope == Scope::AllFolders || !everywhere;
            if look.refused.contains(delivery) {
                self.records.push(Record::new(Kind::NotRemoved, *delivery, folder));
            } else if is_answered && !look.kept.contains(delivery) && self.told.insert(*delivery) {
                let record = Record::new(Kind::NoneLeft, *delivery, folder);
                self.records.push(match everywhere {
                    true => record.with_folders(searched.saturating_add(1), unsearched),
                    false => record,
                });
            }
        }
    }

    fn digest(&self) -> Digest {
        folder_digest(&self.place.own)
    }

    /// Deletes from a folder that is open. `other`: it is not the own one.
    async fn clear(
        &mut self,
        folder: &str,
        state: FolderState,
        reading: Reading,
        other: Option<&Folder>,
        mailbox: &mut Mailbox,
        look: &mut Look,
    ) -> Result<Searched, MailboxError> {
        let now = (state.uid_validity, state.uid_next);
        // A server that does not say is looked at each time.
        if state.uid_next != 0 && self.clean.get(folder) == Some(&now) {
            return Ok(Searched::Whole);
        }
        self.clean.remove(folder);
        let found = mailbox.find(folder, ImapUid(1), &self.place.needle).await?;
        self.left_behind.remove(folder);
        let (mut is_clean, mut searched, mut is_delayed, mut is_last) = (true, Searched::Whole, false, false);
        let mut waiting = HashSet::new();
        for Withdrawn { delivery, receipts, .. } in
            self.withdrawn.clone().iter().filter(|one| one.everywhere || other.is_none())
        {
            let theirs = found.iter().filter(|message| message.id.delivery() == *delivery);
            let mut goes = Vec::new();
            for message in theirs {
                match message.id.part() {
                    Part::Cover | Part::Piece(_) | Part::Link => goes.push(message.clone()),
                    Part::Receipt { .. } if *receipts => match other {
                        // The folder counts as not searched: what was said stays in it.
                        Some(Folder { loses_receipts: false, .. }) => {
                            (is_clean, searched) = (false, Searched::InPart);
                        }
                        Some(_) if self.was_read(message, reading, &mut waiting) => {
                            goes.push(message.clone())
                        }
                        None if message.uid < reading.unread => goes.push(message.clone()),
                        _ => {
                            look.kept.insert(*delivery);
                            is_clean = false;
                        }
                    },
                    _ => {}
                }
            }
            if goes.is_empty() {
                continue;
            }
            match mailbox.remove(&goes).await {
                Ok(true) => {
                    if self.comes_back(folder, *delivery, &goes) {
                        look.refused.insert(*delivery);
                        is_clean = false;
                    } else {
                        look.found = true;
                        self.quiet = 0;
                        self.told.clear();
                    }
                    self.tell_removed(*delivery, &goes);
                }
                Ok(false) => {
                    look.refused.insert(*delivery);
                    is_clean = false;
                }
                // They were there, and are until a look says otherwise.
                Err(MailboxError::Refused { .. } | MailboxError::Gone) => {
                    // Counted once for each look.
                    let counts = !is_delayed;
                    (is_clean, is_delayed) = (false, true);
                    is_last = if counts { self.is_last_word(folder) } else { is_last };
                    if is_last {
                        look.refused.insert(*delivery);
                    } else {
                        look.kept.insert(*delivery);
                        look.delayed = true;
                    }
                }
                Err(error) => {
                    look.kept.insert(*delivery);
                    self.left_behind.entry(folder.to_owned()).or_default().insert(*delivery);
                    return Err(error);
                }
            }
        }
        if other.is_some() {
            self.receipts.retain(|key, _| key.0 != folder || waiting.contains(&(key.1, key.2)));
        }
        if !is_delayed {
            self.delays.remove(folder);
        }
        if is_clean {
            self.clean.insert(folder.to_owned(), now);
        }
        Ok(searched)
    }

    /// Something of it was deleted from this folder again and again: a program or the server puts it back, and a case must end all the same.
    fn comes_back(&mut self, folder: &str, delivery: DeliveryId, gone: &[Found]) -> bool {
        let parts: HashSet<Part> = gone.iter().map(|one| one.id.part()).collect();
        let mut comes_back = false;
        for part in parts {
            let deletions = self.deletions.entry((folder.to_owned(), delivery, part)).or_default();
            *deletions = deletions.saturating_add(1);
            comes_back |= *deletions > DELETIONS_MAX;
        }
        comes_back
    }

    /// Receipts tell nothing of whether all of the delivery was here.
    fn tell_removed(&mut self, delivery: DeliveryId, gone: &[Found]) {
        let mailed =
            gone.iter().map(|one| one.id.part()).filter(|part| !matches!(part, Part::Receipt { .. }));
        let removed = mailed.filter(|part| self.deleted.insert((delivery, *part))).count();
        if removed > 0 {
            let removed = Kind::Removed(u16::try_from(removed).unwrap_or(u16::MAX));
            self.records.push(Record::new(removed, delivery, self.digest()));
        }
    }

    /// Whether a receipt in another folder may go. It may be one that is in the own folder as well and unread there: the own folder was read after it was
    /// first seen here, and what was told of it has had time to arrive. Else it is noted as `waiting`.
    fn was_read(&mut self, receipt: &Found, reading: Reading, waiting: &mut HashSet<(u32, ImapUid)>) -> bool {
        let key = (receipt.folder.clone(), receipt.uid_validity, receipt.uid);
        let (since, is_read) = self.receipts.entry(key).or_insert((Instant::now(), false));
        if !*is_read && reading.began.is_some_and(|began| began > *since) {
            (*since, *is_read) = (Instant::now(), true);
        }
        let goes = *is_read && since.elapsed() >= KEPT;
        if !goes {
            waiting.insert((receipt.uid_validity, receipt.uid));
        }
        goes
    }
}

/// The other folders of the mailbox, with how many there are besides that are not searched. What shows the mails of others comes last: what was
/// deleted before is gone there, too.
async fn other_folders(place: &Place, mailbox: &mut Mailbox) -> Result<(Vec<Folder>, u16), MailboxError> {
    let delimiter = mailbox.delimiter(&place.own).await?;
    let extents = Extents::of(&place.own, &place.foreign, delimiter);
    let mut listed = mailbox.list(extents.start()).await?;
    listed.sort_by_key(|one| one.is_view);
    let (mut folders, mut unsearched) = (Vec::new(), 0_u16);
    for one in &listed {
        match extents.of_folder(one) {
            extents::Whose::Mine { is_alone } if one.is_sendable && folders.len() < FOLDERS_MAX => {
                let loses_receipts = is_alone && !one.is_view;
                folders.push(Folder { name: one.name.clone(), loses_receipts });
            }
            extents::Whose::Mine { .. } | extents::Whose::Nobodys => {
                unsearched = unsearched.saturating_add(1)
            }
            extents::Whose::Own | extents::Whose::Theirs => {}
        }
    }
    Ok((folders, unsearched))
}
