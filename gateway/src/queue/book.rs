//! The rows of the queue as plain values, from the first instance to the receipts. Each function is one transaction of the journal: it happens whole or not at all.
//!
//! What is left out: residuals, links, mail programs, and doctors who stand behind others (these have a simulator of their own, `simulate`).

use super::case::CaseEnd;
use super::{CASE_OPEN_MS, GivesUp, Kept, Lease, State, Step};

/// Pieces of a delivery that are told apart: more do not fit into a share's bits.
pub const PIECES_MAX: u8 = 63;

/// A part of a delivery that the mail server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From 1.
    Piece(u8),
    /// It completes the delivery.
    Cover,
}

/// An instance that is durable in the spool and is to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct NewRow<'a> {
    /// AE title that it was sent to.
    pub destination: u8,
    /// Which SOP Instance UID.
    pub uid: u8,
    /// Which bytes.
    pub content: u8,
    /// Its file.
    pub file: u32,
    /// Doctors of the destination; nobody where it waits for a press.
    pub doctors: &'a [u8],
    /// The clock of the gateway that received it, milliseconds since 1970-01-01 UTC.
    pub now_ms: i64,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedRow {
    /// It belongs to this delivery.
    New {
        /// Which delivery.
        delivery: usize,
        /// Other bytes of the same UID are in the case.
        conflict: bool,
        /// File of the same bytes in a dead letter: it may go.
        replaced: Option<u32>,
    },
    /// The case has it, in this delivery.
    Duplicate {
        /// Which delivery.
        delivery: usize,
    },
    /// The case had it in a file that is damaged or gone: the new one takes its place.
    Healed {
        /// Which delivery.
        delivery: usize,
        /// The damaged file: it may go.
        replaced: u32,
    },
}

/// What became of a press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressing {
    /// This delivery was begun.
    Begun(usize),
    /// It was before.
    Already(usize),
    /// Nothing lies here.
    NotHere,
}

/// An instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Place of its case.
    pub case: usize,
    /// Place of its delivery.
    pub delivery: usize,
    /// Which SOP Instance UID.
    pub uid: u8,
    /// Which bytes.
    pub content: u8,
    /// Its file.
    pub file: u32,
    /// Known to be damaged or gone.
    pub is_damaged: bool,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseRow {
    /// AE title that it was sent to.
    pub destination: u8,
    /// By the clock, milliseconds since 1970-01-01 UTC.
    pub opened_at_ms: i64,
    /// How long the gateway had run by then.
    pub opened_running_ms: i64,
    /// What comes now is another case.
    pub is_closed: bool,
    /// The key that opens what lies of it in the spool.
    pub has_key: bool,
    /// How long the gateway had run when a doctor had the last of it.
    pub mailed_running_ms: Option<i64>,
    /// How it stands with its end.
    pub end: CaseEnd,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Place of its case.
    pub case: usize,
    /// 1 for the first of the case.
    pub sequence: u32,
    /// Where it stands.
    pub state: State,
    /// Instances that were counted when it was assembled.
    pub assembled: Option<u32>,
    /// Its bundle is durable.
    pub has_bundle: bool,
    /// Its pieces and cover are durable: which ciphertext.
    pub cover: Option<u32>,
    /// How many pieces, at most [`PIECES_MAX`].
    pub pieces: u8,
    /// Failures in a row of the stage under way.
    pub attempts: u32,
    /// It goes before others.
    pub urgent: bool,
    /// A person asked for it.
    pub is_pressed: bool,
    /// When it was withdrawn or ended.
    pub withdrawn: Option<WithdrawnRow>,
    /// Its doctors.
    pub shares: Vec<Share>,
    /// Who works on it.
    pub lease: Lease,
}

/// When a delivery was withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WithdrawnRow {
    /// By the clock, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// How long the gateway had run by then.
    pub running_ms: i64,
}

/// A doctor of a delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Which doctor.
    pub doctor: u8,
    /// Pieces that the mail server took, a bit for each.
    pub pieces: u64,
    /// It took the cover.
    pub has_cover: bool,
    /// It takes no mail for this doctor.
    pub refused: bool,
    /// The cover was seen in the mailbox.
    pub cover_seen: bool,
    /// A channel took the notice.
    pub notified: bool,
    /// A person asked that this one be told once more.
    pub told_again: bool,
    /// What the doctor's receipts say.
    pub told: Told,
    /// What is known of its mails, once it is withdrawn.
    pub mail: Option<MailLeft>,
}

/// Receipts of a doctor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The study is fetched.
    pub pulled: bool,
    /// The first image was on the screen.
    pub first_image: bool,
    /// The doctor says so.
    pub seen: bool,
}

/// Mails of a withdrawn delivery in one mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailLeft {
    /// So many were deleted.
    pub removed: u32,
    /// A look into all folders of the mailbox found none.
    pub looked: bool,
    /// The mailbox gives no right to delete.
    pub stays: bool,
    /// Folders of it that the look did not search.
    pub unsearched: u16,
}

/// All rows.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// How long the gateway has run with this queue, in milliseconds.
    pub running_ms: i64,
    /// Who counts that, ends cases and empties mailboxes.
    pub keeper: Lease,
    /// In the order of their opening.
    pub cases: Vec<CaseRow>,
    /// In the order of their begin.
    pub deliveries: Vec<Delivery>,
    /// In the order of their recording.
    pub instances: Vec<Instance>,
}

impl Share {
    /// The mail server has taken this part.
    pub fn has(&self, part: Part) -> bool {
        match part {
            Part::Piece(number) => self.pieces & bit(number) != 0,
            Part::Cover => self.has_cover,
        }
    }

    /// The doctor has looked at it.
    pub fn is_opened(&self) -> bool {
        self.told.pulled || self.told.first_image || self.told.seen
    }
}

impl Delivery {
    /// The mail server has taken something of it.
    pub fn is_mailed(&self) -> bool {
        self.shares.iter().any(|share| share.has_cover || share.pieces != 0)
    }

    /// Somebody has looked at it.
    pub fn is_opened(&self) -> bool {
        self.shares.iter().any(Share::is_opened)
    }

    /// The part that is to be sent next, with nobody else's turn before it: pieces in order, the cover last; none where nobody lacks any.
    pub fn next_part(&self) -> Option<Part> {
        let parts = (1..=self.pieces).map(Part::Piece).chain([Part::Cover]);
        let mut parts =
            parts.filter(|part| self.shares.iter().any(|share| !share.refused && !share.has(*part)));
        parts.next()
    }
}

impl Book {
    /// Records an instance.
    pub fn record(&mut self, new: NewRow<'_>) -> RecordedRow {
        if let Some(twin) = self.damaged_twin(new) {
            let Instance { delivery, file: replaced, .. } = *twin;
            (twin.file, twin.is_damaged) = (new.file, false);
            return RecordedRow::Healed { delivery, replaced };
        }
        let case = self.open_case(new.destination, new.now_ms);
        let twins = self.instances.iter().enumerate();
        let twins = twins.filter(|(_, twin)| (twin.case, twin.uid) == (case, new.uid));
        let (mut conflict, mut same) = (false, None);
        for (place, twin) in twins {
            match twin.content == new.content {
                true => same = Some((place, *twin)),
                false => conflict = true,
            }
        }
        if let Some((_, twin)) = same
            && self.state_of(twin.delivery) != Some(State::Failed)
        {
            return RecordedRow::Duplicate { delivery: twin.delivery };
        }
        let delivery = self.collecting(case, new.doctors);
        let NewRow { uid, content, file, .. } = new;
        let row = Instance { case, delivery, uid, content, file, is_damaged: false };
        let replaced = same.map(|(_, twin)| twin.file);
        match same.and_then(|(place, _)| self.instances.get_mut(place)) {
            Some(twin) => *twin = row,
            None => self.instances.push(row),
        }
        RecordedRow::New { delivery, conflict, replaced }
    }

    /// The first instance that waits for these bytes to come again, in any case of the destination.
    fn damaged_twin(&mut self, new: NewRow<'_>) -> Option<&mut Instance> {
        let is_it = |one: &Instance| {
            let waits = |state: State| state == State::Held || state.is_under_way();
            one.is_damaged
                && (one.uid, one.content) == (new.uid, new.content)
                && self.cases.get(one.case).is_some_and(|case| case.destination == new.destination)
                && self.state_of(one.delivery).is_some_and(waits)
        };
        let place = self.instances.iter().position(is_it)?;
        self.instances.get_mut(place)
    }

    /// The open case of a destination; opened here.
    fn open_case(&mut self, destination: u8, now_ms: i64) -> usize {
        self.close_over(destination, now_ms, CASE_OPEN_MS);
        match self.open_case_of(destination) {
            Some(case) => case,
            None => self.new_case(destination, now_ms),
        }
    }

    pub(super) fn open_case_of(&self, destination: u8) -> Option<usize> {
        self.cases.iter().position(|case| case.destination == destination && !case.is_closed)
    }

    pub(super) fn new_case(&mut self, destination: u8, now_ms: i64) -> usize {
        self.cases.push(CaseRow {
            destination,
            opened_at_ms: now_ms,
            opened_running_ms: self.running_ms,
            is_closed: false,
            has_key: true,
            mailed_running_ms: None,
            end: CaseEnd::default(),
        });
        self.cases.len() - 1
    }

    /// The delivery of a case that collects; a supplement begins where none does.
    fn collecting(&mut self, case: usize, doctors: &[u8]) -> usize {
        let collects = |delivery: &&(usize, u32, State)| matches!(delivery.2, State::Held | State::Received);
        let of_case = |book: &Self| {
            let all = book.deliveries.iter().enumerate().filter(|(_, delivery)| delivery.case == case);
            all.map(|(place, delivery)| (place, delivery.sequence, delivery.state)).collect::<Vec<_>>()
        };
        let all = of_case(self);
        if let Some((place, ..)) = all.iter().filter(collects).max_by_key(|delivery| delivery.1) {
            return *place;
        }
        let sequence = all.iter().map(|delivery| delivery.1).max().unwrap_or(0) + 1;
        let pressed = self.pressed_last(case);
        let held = doctors.is_empty() && pressed.is_none();
        let pressed = pressed.and_then(|place| self.deliveries.get(place));
        let urgent = pressed.is_some_and(|pressed| pressed.urgent);
        let followed = pressed.iter().flat_map(|pressed| pressed.shares.iter().map(|share| share.doctor));
        let shares = followed.chain(doctors.iter().copied()).map(share).collect();
        let is_pressed = pressed.is_some();
        let state = if held { State::Held } else { State::Received };
        self.begin(Delivery { urgent, is_pressed, shares, ..begun(case, sequence, state) })
    }

    pub(super) fn begin(&mut self, delivery: Delivery) -> usize {
        self.deliveries.push(delivery);
        self.deliveries.len() - 1
    }

    fn pressed_last(&self, case: usize) -> Option<usize> {
        let all = self.deliveries.iter().enumerate();
        let pressed = all.filter(|(_, one)| one.case == case && one.is_pressed && !one.state.is_over());
        pressed.max_by_key(|(_, one)| one.sequence).map(|(place, _)| place)
    }

    /// A person asks for the study of a case.
    pub fn press(&mut self, case: usize, doctors: &[u8], urgent: bool) -> Pressing {
        let all = self.deliveries.iter().enumerate();
        let open =
            all.filter(|(_, one)| one.case == case && one.state != State::Failed && !one.state.is_over());
        let last =
            open.max_by_key(|(_, one)| (one.state == State::Held, one.sequence)).map(|(place, _)| place);
        let Some(place) = last else { return Pressing::NotHere };
        if !self.step(place, Step::Pressed) {
            return Pressing::Already(place);
        }
        if let Some(delivery) = self.deliveries.get_mut(place) {
            (delivery.is_pressed, delivery.urgent) = (true, urgent);
            delivery.shares.extend(doctors.iter().copied().map(share));
        }
        Pressing::Begun(place)
    }

    /// Fixes what belongs to a delivery, if it still has just so many instances.
    pub fn assembled(&mut self, place: usize, instances: u32) -> bool {
        let counted = self.instances.iter().filter(|one| one.delivery == place).count();
        if usize::try_from(instances) != Ok(counted) || !self.step(place, Step::Assembled) {
            return false;
        }
        self.with(place, |delivery| delivery.assembled = Some(instances));
        true
    }

    /// The bundle is durable.
    pub fn compressed(&mut self, place: usize) -> bool {
        let done = self.step(place, Step::Compressed);
        self.with(place, |delivery| delivery.has_bundle |= done);
        if done {
            self.note_damaged(place, &[]);
        }
        done
    }

    /// Pieces and cover are durable.
    pub fn sealed(&mut self, place: usize, pieces: u8, cover: u32) -> bool {
        let done = self.step(place, Step::Sealed);
        if done {
            self.with(place, |delivery| {
                (delivery.pieces, delivery.cover) = (pieces.min(PIECES_MAX), Some(cover))
            });
            self.note_damaged(place, &[]);
        }
        done
    }

    /// Of the received files of a delivery these are damaged or gone, and no others. Gives how many of them were not known to be.
    pub fn note_damaged(&mut self, place: usize, files: &[u32]) -> u64 {
        let mut found = 0;
        for instance in self.instances.iter_mut().filter(|one| one.delivery == place) {
            let is_damaged = files.contains(&instance.file);
            found += u64::from(is_damaged && !instance.is_damaged);
            instance.is_damaged = is_damaged;
        }
        found
    }

    /// A file of a delivery is known to be damaged or gone.
    pub fn is_damaged(&self, place: usize) -> bool {
        self.instances.iter().any(|one| one.delivery == place && one.is_damaged)
    }

    /// A step that needs no more than the state. False where it is not for this state: then nothing happens.
    pub fn step(&mut self, place: usize, step: Step) -> bool {
        let Some(delivery) = self.deliveries.get_mut(place) else { return false };
        let Some(next) = delivery.state.after(step) else { return false };
        delivery.state = next;
        delivery.attempts = 0;
        true
    }

    /// A failure of the stage under way. Returns whether it has become a dead letter.
    pub fn troubled(&mut self, place: usize, gives_up: GivesUp) -> bool {
        let is_final = match gives_up {
            GivesUp::No => false,
            GivesUp::Yes => true,
            GivesUp::WhileDamaged => self.is_damaged(place),
        };
        let Some(delivery) = self.deliveries.get_mut(place) else { return false };
        let Some(failed) = delivery.state.after(Step::GivenUp) else { return false };
        delivery.attempts += 1;
        if is_final {
            delivery.state = failed;
        }
        is_final
    }

    /// The mail server took a part for a doctor.
    pub fn accepted(&mut self, place: usize, part: Part, doctor: u8) {
        self.mark(place, doctor, |share| match part {
            Part::Piece(number) => share.pieces |= bit(number),
            Part::Cover => share.has_cover = true,
        });
        self.with(place, |delivery| delivery.attempts = delivery.attempts.min(1));
        let running_ms = self.running_ms;
        let case = self.deliveries.get(place).map(|delivery| delivery.case);
        if let (Part::Cover, Some(case)) = (part, case.and_then(|case| self.cases.get_mut(case))) {
            case.mailed_running_ms = Some(running_ms);
        }
    }

    /// A doctor's share of a delivery.
    pub fn share(&self, place: usize, doctor: u8) -> Option<&Share> {
        self.deliveries.get(place)?.shares.iter().find(|share| share.doctor == doctor)
    }

    /// Notes something of a doctor's share.
    pub fn mark(&mut self, place: usize, doctor: u8, mark: impl FnOnce(&mut Share)) {
        let share = self.deliveries.get_mut(place);
        let share =
            share.and_then(|delivery| delivery.shares.iter_mut().find(|share| share.doctor == doctor));
        share.map(mark).unwrap_or_default();
    }

    /// Doctors who have all of a delivery and were not told of it yet.
    pub fn not_notified(&self, place: usize) -> Vec<u8> {
        let Some(delivery) = self.deliveries.get(place) else { return Vec::new() };
        let untold = |share: &&Share| share.has_cover && !share.notified && self.is_told_of(delivery, share);
        delivery.shares.iter().filter(untold).map(|share| share.doctor).collect()
    }

    /// Notices of a delivery go to this doctor. What is added to a case that the doctor has is no second alarm, unless it is urgent or a person asks for one.
    fn is_told_of(&self, delivery: &Delivery, share: &Share) -> bool {
        let has_it = |earlier: &Delivery| {
            earlier.case == delivery.case
                && earlier.sequence < delivery.sequence
                && earlier.state != State::Failed
                && !earlier.state.is_over()
                && earlier
                    .shares
                    .iter()
                    .any(|one| one.doctor == share.doctor && one.has_cover && !one.refused)
        };
        let is_there = matches!(delivery.state, State::Submitted | State::Notified | State::Pulled)
            || (delivery.state == State::Sealed && delivery.attempts > 0);
        let rings = delivery.sequence == 1
            || delivery.urgent
            || share.told_again
            || !self.deliveries.iter().any(has_it);
        is_there && rings && !share.refused
    }

    /// Every doctor who can be reached has fetched a delivery that waits for that.
    pub fn may_finish(&self, place: usize) -> bool {
        let Some(delivery) = self.deliveries.get(place) else { return false };
        let mut shares = delivery.shares.iter();
        delivery.state.after(Step::Pulled).is_some()
            && shares.clone().any(|share| share.told.pulled)
            && shares.all(|share| share.told.pulled || share.refused)
    }

    /// Ends a delivery, if it may finish.
    pub fn finish(&mut self, place: usize) -> bool {
        self.may_finish(place) && self.step(place, Step::Pulled)
    }

    /// A person has a dead letter tried again, for all its doctors. One of which nothing was mailed is sealed anew. False where it is none, or some of it was
    /// sent again since and belongs to another.
    pub fn retry(&mut self, place: usize) -> bool {
        let counted = self.instances.iter().filter(|one| one.delivery == place).count();
        let Some(delivery) = self.deliveries.get_mut(place) else { return false };
        if delivery.assembled.is_some_and(|assembled| usize::try_from(assembled) != Ok(counted)) {
            return false;
        }
        let kept = match (delivery.cover, delivery.has_bundle, delivery.assembled) {
            (Some(_), ..) if delivery.is_mailed() => Kept::Parts,
            (_, true, _) => Kept::Bundle,
            (_, _, Some(_)) => Kept::Completeness,
            _ => Kept::Instances,
        };
        if delivery.state == State::Failed {
            delivery.shares.iter_mut().for_each(|share| share.refused = false);
        }
        self.step(place, Step::TakenUp(kept))
    }

    /// The doctors who have not opened a delivery get another notice. Gives who.
    pub fn notify_again(&mut self, place: usize) -> Vec<u8> {
        let Some(delivery) = self.deliveries.get_mut(place) else { return Vec::new() };
        if !matches!(delivery.state, State::Notified | State::Pulled) {
            return Vec::new();
        }
        let mut doctors = Vec::new();
        for share in delivery.shares.iter_mut().filter(|share| !share.is_opened() && !share.refused) {
            (share.notified, share.told_again) = (false, true);
            doctors.push(share.doctor);
        }
        if !doctors.is_empty()
            && let Some(back) = delivery.state.after(Step::ToldAgain)
        {
            delivery.state = back;
        }
        doctors
    }

    /// An earlier delivery of the case is still on its way to being sealed.
    pub fn waits_for_earlier(&self, place: usize) -> bool {
        let Some(this) = self.deliveries.get(place) else { return false };
        let is_earlier = |one: &Delivery| one.case == this.case && one.sequence < this.sequence;
        let is_unsealed =
            |one: &Delivery| matches!(one.state, State::Received | State::Assembled | State::Compressed);
        self.deliveries.iter().any(|one| is_earlier(one) && is_unsealed(one))
    }

    /// Received files that a delivery still needs.
    pub fn needs(&self, file: u32) -> bool {
        let needs = |state: State| !state.is_done();
        self.instances.iter().any(|one| one.file == file && self.state_of(one.delivery).is_some_and(needs))
    }

    /// Where a delivery stands.
    pub fn state_of(&self, place: usize) -> Option<State> {
        self.deliveries.get(place).map(|delivery| delivery.state)
    }

    pub(super) fn with(&mut self, place: usize, change: impl FnOnce(&mut Delivery)) {
        self.deliveries.get_mut(place).map(change).unwrap_or_default();
    }
}

/// A new delivery without a doctor.
pub(super) fn begun(case: usize, sequence: u32, state: State) -> Delivery {
    Delivery {
        case,
        sequence,
        state,
        assembled: None,
        has_bundle: false,
        cover: None,
        pieces: 0,
        attempts: 0,
        urgent: false,
        is_pressed: false,
        withdrawn: None,
        shares: Vec::new(),
        lease: Lease::default(),
    }
}

fn share(doctor: u8) -> Share {
    Share { doctor, ..Share::default() }
}

fn bit(number: u8) -> u64 {
    1_u64.checked_shl(number.into()).unwrap_or(0)
}
