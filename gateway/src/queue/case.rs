//! The end of a case in the [`Book`]: withdrawal, close, expiry, what is deleted by then, and what must not be.

use super::book::{Book, CaseRow, Delivery, MailLeft, WithdrawnRow, begun};
use super::{State, Step};
use crate::journal::Ended;
use crate::notify::Aged;

/// How long a case stays open at least, in milliseconds: a day, as DESIGN 4 has duplicates merged only in an open case.
pub const CASE_OPEN_MS: i64 = 24 * 60 * 60 * 1000;
/// How long the mailboxes are looked into for mails of a withdrawn delivery, in milliseconds: one that the mail server took in the last
/// moment may be on its way.
pub const LOOKED_FOR_MS: i64 = 60 * 60 * 1000;
/// And where not all of it was deleted there: a mail server tries for five days (RFC 5321 4.5.4.1).
pub const ON_ITS_WAY_MS: i64 = 5 * 24 * 60 * 60 * 1000;

/// The longest time that counts as the gateway's running at once, in milliseconds: it is noted every 30 s, and who comes to it later stood still in between.
pub const RAN_MAX_MS: i64 = 120 * 1000;

/// How it stands with the end of a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaseEnd {
    /// Nobody opened it, everybody was told: the page rings.
    pub alarmed: bool,
    /// A person at the hospital said to have heard.
    pub heard: bool,
    /// It has ended.
    pub ended: Option<Ended>,
    /// The trail has the proof, and the journal has forgotten whose study it was.
    pub proved: bool,
}

/// Why a case is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A person wants it; the study waits under this destination for another press, or is given up.
    Withdraw {
        /// Destination.
        hold: Option<u8>,
    },
    /// It has ended.
    End,
}

impl Book {
    /// The gateway has run for so long since this was last said.
    pub fn ran(&mut self, ms: i64) {
        self.running_ms += ms.max(0);
    }

    /// It has run for so long since then: a clock that jumps makes nothing older.
    fn has_run(&self, since_running_ms: i64, ms: i64) -> bool {
        since_running_ms <= self.running_ms - ms
    }

    fn of_case(&self, case: usize) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter().filter(move |delivery| delivery.case == case)
    }

    /// Closes the open case of a destination, if it is over and was opened so long ago, by the clock and by the time that the gateway ran.
    pub(super) fn close_over(&mut self, destination: u8, now_ms: i64, open_ms: i64) {
        let Some(place) = self.open_case_of(destination) else { return };
        let rests = |delivery: &Delivery| delivery.state == State::Failed || delivery.state.is_done();
        let is_over = self.of_case(place).all(rests);
        let is_old = |case: &CaseRow| {
            case.opened_at_ms < now_ms - open_ms && self.has_run(case.opened_running_ms, open_ms)
        };
        let closes = is_over && self.cases.get(place).is_some_and(is_old);
        if let Some(case) = self.cases.get_mut(place) {
            case.is_closed |= closes;
        }
    }

    /// Withdraws a case, or ends it. Gives the files that nobody needs any more; none where there is nothing to withdraw.
    pub fn withdraw(&mut self, case: usize, wish: Wish, now_ms: i64) -> Option<Vec<u32>> {
        let running_ms = self.running_ms;
        let (mut any, mut left) = (false, Vec::new());
        for (place, delivery) in self.deliveries.iter_mut().enumerate() {
            if delivery.case != case || delivery.state.is_over() {
                continue;
            }
            any = true;
            if delivery.state != State::Pulled {
                left.extend(self.instances.iter().filter(|one| one.delivery == place).map(|one| one.file));
            }
            // A part that the server took may not have been noted: once sealed, the mailboxes are looked into.
            if delivery.cover.is_some() {
                delivery.shares.iter_mut().for_each(|share| share.mail = Some(MailLeft::default()));
            }
            let step = match (delivery.is_mailed(), wish) {
                (false, _) => Step::Cancelled,
                (true, Wish::Withdraw { .. }) => Step::Recalled,
                (true, Wish::End) => Step::Closed,
            };
            delivery.state = delivery.state.after(step).unwrap_or(delivery.state);
            delivery.withdrawn = Some(WithdrawnRow { at_ms: now_ms, running_ms });
            delivery.lease.revoke();
        }
        if !any {
            return None;
        }
        if let Some(row) = self.cases.get_mut(case) {
            (row.is_closed, row.has_key) = (true, false);
        }
        if let Wish::Withdraw { hold: Some(hold) } = wish
            && !left.is_empty()
            && self.hold_again(hold, &left, now_ms)
        {
            left.clear();
        }
        Some(left)
    }

    /// What lies here waits for another press, as a case of its own. False where the study waits there already.
    fn hold_again(&mut self, hold: u8, files: &[u32], now_ms: i64) -> bool {
        self.close_over(hold, now_ms, 0);
        if self.open_case_of(hold).is_some() {
            return false;
        }
        let case = self.new_case(hold, now_ms);
        let delivery = self.begin(begun(case, 1, State::Held));
        for instance in self.instances.iter_mut().filter(|one| files.contains(&one.file)) {
            (instance.case, instance.delivery) = (case, delivery);
        }
        true
    }

    /// Somebody has opened a delivery of a case.
    pub fn is_opened(&self, case: usize) -> bool {
        self.of_case(case).any(Delivery::is_opened)
    }

    /// Whether a case may end so: none does while more of it is on its way to the doctors, which would be lost.
    pub fn may_end(&self, case: usize, how: Ended) -> bool {
        let Some(row) = self.cases.get(case) else { return false };
        let is_under_way = |one: &Delivery| match one.state {
            State::Held | State::Received | State::Assembled | State::Compressed => true,
            State::Sealed => !one.shares.iter().any(|share| share.has_cover),
            _ => false,
        };
        let is_unread = |one: &Delivery| {
            matches!(one.state, State::Sealed | State::Submitted | State::Notified)
                && (one.sequence == 1 || one.urgent)
                && !one.is_opened()
        };
        let has_instances = |place| self.instances.iter().any(|one| one.delivery == place);
        let has_failed = self
            .deliveries
            .iter()
            .enumerate()
            .any(|(place, one)| one.case == case && one.state == State::Failed && has_instances(place));
        let condition = match how {
            Ended::Closed => self.is_opened(case) && !has_failed && !self.of_case(case).any(is_unread),
            Ended::Expired => self.is_opened(case) && !has_failed,
            Ended::HandedOver => false,
            Ended::Unopened => row.end.heard && !has_failed && !self.is_opened(case),
        };
        let is_open = row.end.ended.is_none() && row.mailed_running_ms.is_some();
        is_open && condition && !self.of_case(case).any(is_under_way)
    }

    /// Ends a case. Gives the files that nobody needs any more; none where it may not end.
    pub fn end(&mut self, case: usize, how: Ended, now_ms: i64) -> Option<Vec<u32>> {
        let files = self.may_end(case, how).then(|| self.withdraw(case, Wish::End, now_ms)).flatten()?;
        if let Some(row) = self.cases.get_mut(case) {
            row.end.ended = Some(how);
        }
        Some(files)
    }

    /// What decides how a case ends that the mail server had the last of for longer than `age_ms` of the gateway's running; none of a younger one.
    pub fn aged(&self, case: usize, age_ms: i64) -> Option<Aged> {
        let row = self.cases.get(case)?;
        let is_aged = row.mailed_running_ms.is_some_and(|mailed| self.has_run(mailed, age_ms));
        let is_open = row.end.ended.is_none() && self.of_case(case).any(|one| !one.state.is_over());
        (is_aged && is_open).then(|| Aged {
            has_opened: self.is_opened(case),
            is_handed_over: false,
            alarm_was_heard: row.end.heard,
            has_good_link: false,
        })
    }

    /// Nobody has opened a delivery of a case that is with its doctors or does not get there, and no alarm was raised.
    pub fn is_unopened(&self, case: usize) -> bool {
        let counts = |one: &Delivery| match one.state {
            State::Received | State::Assembled | State::Compressed => one.attempts > 0,
            State::Sealed | State::Submitted | State::Notified | State::Pulled | State::Failed => true,
            _ => false,
        };
        let is_open = self.cases.get(case).is_some_and(|row| row.end.ended.is_none() && !row.end.alarmed);
        is_open && self.of_case(case).any(counts) && !self.is_opened(case)
    }

    /// The hospital is alarmed. False where it was.
    pub fn alarm(&mut self, case: usize) -> bool {
        let row = self.cases.get_mut(case).filter(|row| !row.end.alarmed && row.end.ended.is_none());
        row.map(|row| row.end.alarmed = true).is_some()
    }

    /// A person has heard the alarm. False where there is none that nobody has heard.
    pub fn alarm_heard(&mut self, case: usize) -> bool {
        let rings = |row: &&mut CaseRow| row.end.alarmed && !row.end.heard && row.end.ended.is_none();
        self.cases.get_mut(case).filter(rings).map(|row| row.end.heard = true).is_some()
    }

    /// Whether a mailbox is to be looked into for mails of a withdrawn delivery: once, for an hour after, and for days where not all of it was seen there.
    pub fn looks_for(&self, place: usize, doctor: u8) -> bool {
        let Some(delivery) = self.deliveries.get(place) else { return false };
        let mail = self.share(place, doctor).and_then(|share| share.mail);
        let (Some(mail), Some(withdrawn)) = (mail, delivery.withdrawn) else { return false };
        // As many were deleted as were mailed.
        let has_arrived = mail.removed > u32::from(delivery.pieces);
        let within = |ms| !self.has_run(withdrawn.running_ms, ms);
        (!mail.looked && !mail.stays)
            || (within(ON_ITS_WAY_MS) && (within(LOOKED_FOR_MS) || (!mail.stays && !has_arrived)))
    }

    /// So many mails were deleted, besides those that were told of before.
    pub fn mails_removed(&mut self, place: usize, doctor: u8, removed: u32) {
        self.mark(place, doctor, |share| {
            share.mail = share.mail.map(|mail| MailLeft { removed: mail.removed + removed, ..mail });
        });
    }

    /// A look into all folders of the mailbox but so many found none.
    pub fn no_mail_left(&mut self, place: usize, doctor: u8, unsearched: u16) {
        self.mark(place, doctor, |share| {
            share.mail = share.mail.map(|mail| MailLeft { looked: true, stays: false, unsearched, ..mail });
        });
    }

    /// A mailbox gives no right to delete.
    pub fn mails_stay(&mut self, place: usize, doctor: u8) {
        self.mark(place, doctor, |share| {
            share.mail = share.mail.map(|mail| MailLeft { stays: true, ..mail });
        });
    }

    /// A case has ended, its mails are known to be gone or to stay, and the trail has no proof yet.
    pub fn is_to_prove(&self, case: usize) -> bool {
        let is_known = |mail: MailLeft| mail.looked || mail.stays;
        let all = |one: &Delivery| one.shares.iter().filter_map(|share| share.mail).all(is_known);
        let end = self.cases.get(case).map(|row| row.end);
        end.is_some_and(|end| end.ended.is_some() && !end.proved) && self.of_case(case).all(all)
    }

    /// The trail has the proof: nothing tells whose study it was.
    pub fn forget(&mut self, case: usize) {
        self.instances.retain(|one| one.case != case);
        if let Some(row) = self.cases.get_mut(case) {
            row.end.proved = true;
        }
    }

    /// Whether the key of a case goes: it was opened a day ago, by the clock and by the time that the gateway ran, and the doctors have all of it.
    pub fn key_goes(&self, case: usize, now_ms: i64) -> bool {
        let has_it = |one: &Delivery| one.state.is_done();
        let is_over = |row: &CaseRow| {
            row.has_key
                && row.opened_at_ms < now_ms - CASE_OPEN_MS
                && self.has_run(row.opened_running_ms, CASE_OPEN_MS)
        };
        self.cases.get(case).is_some_and(is_over) && self.of_case(case).all(has_it)
    }

    /// Destroys the key of a case.
    pub fn destroy_key(&mut self, case: usize) {
        if let Some(row) = self.cases.get_mut(case) {
            (row.has_key, row.is_closed) = (false, true);
        }
    }
}
