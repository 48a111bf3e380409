//! What becomes of an act of a gateway. The order of the acts is that of `receive`, `pipeline` and `submit`; what they write goes through the rules of the
//! queue.

use super::faults::{Act, Fault};
use super::log::{Images, What, bit};
use super::peers::{At, Gateway, Kind, Says, Task};
use super::rules::QueueBug;
use super::world::{DOCTORS, HOLD, KEEPER, PIECES, World};
use crate::journal::Ended;
use crate::notify::ends;
use crate::queue::{Delivery, GivesUp, Part, Pressing, RAN_MAX_MS, State, Step, TokenNumber, Watch, Wish};
use crate::submit::retry;

impl World<'_> {
    /// Does it, with this fault. What follows at once is given back.
    pub(super) fn execute(&mut self, who: usize, task: Task, fault: Option<Fault>) -> Option<Task> {
        let fails = matches!(fault, Some(Fault::DiskFull | Fault::SyncFails));
        match task.act {
            Act::WriteFile | Act::SyncFile | Act::NameFile | Act::SyncFolder | Act::Record | Act::Answer => {
                self.receive(who, task, fault)
            }
            Act::WriteBundle | Act::SyncBundle | Act::WriteParts | Act::SyncParts => {
                self.make(who, task, fault)
            }
            Act::AskAgain => self.ask_again(task, fault),
            Act::SendPart => self.send_part(who, task, fault),
            Act::SendNotice => self.send_notice(task, fault),
            Act::RemoveMails | Act::RemoveMoved => self.remove_mails(task, fault),
            Act::Release => {
                self.release(who);
                None
            }
            Act::Prove => {
                let left = self.is_left(task.place);
                self.log(What::Proved { left });
                Some(task.then(Act::Forget))
            }
            Act::Sweep => {
                self.sweep(who);
                None
            }
            // The transaction did not happen; what it was for is found again.
            _ if fails => None,
            Act::TakeLease | Act::Beat => {
                self.lease_act(who, task);
                None
            }
            Act::Press | Act::Withdraw | Act::Close | Act::TryAgain | Act::TellAgain | Act::Hear => {
                self.people_act(who, task)
            }
            Act::NoteRunning
            | Act::Alarm
            | Act::EndByTime
            | Act::NoteRemoved
            | Act::NoteNoneLeft
            | Act::Forget
            | Act::DestroyKey => self.keep(who, task),
            Act::NoteCover => {
                self.book.mark(task.place, task.doctor, |share| share.cover_seen = true);
                None
            }
            Act::NoteReceipt => self.note_receipt(who, task),
            Act::Finish => self.book.finish(task.place).then(|| task.then(Act::Release)),
            _ => self.note(who, task),
        }
    }

    fn lease_act(&mut self, who: usize, task: Task) {
        let now_ms = self.now_ms;
        let own = token(&self.gateways[who], task.place);
        let seen = self.gateways[who].watches.iter().find(|watch| watch.0 == task.place).map(|watch| watch.1);
        let lease = match task.place {
            KEEPER => Some(&mut self.book.keeper),
            place => self.book.deliveries.get_mut(place).map(|delivery| &mut delivery.lease),
        };
        let Some(lease) = lease else { return };
        if task.act == Act::Beat {
            let lost = own.is_none_or(|own| !lease.beat(own));
            if lost {
                self.gateways[who].leases.retain(|lease| lease.0 != task.place);
            }
            return;
        }
        let watch = Watch::look(seen, lease, now_ms);
        let taken = lease.take(u8::try_from(who).unwrap_or(u8::MAX), &watch, now_ms);
        let gateway = &mut self.gateways[who];
        if let Some(token) = taken {
            gateway.watches.retain(|watch| watch.0 != task.place);
            gateway.leases.push((task.place, token));
            if task.place == KEEPER {
                gateway.counted_ms = now_ms;
            }
        }
    }

    /// Whether what a gateway writes under a lease is taken.
    fn may_write(&mut self, who: usize, place: usize) -> bool {
        let own = token(&self.gateways[who], place);
        let Some((own, lease)) = own.zip(self.lease(place)) else { return false };
        let is_taken = lease.is_held_by(own) || self.has(QueueBug::NoFencing);
        if !is_taken {
            self.gateways[who].leases.retain(|lease| lease.0 != place);
        } else if place != KEEPER {
            self.log(What::Wrote { delivery: place, token: own.0 });
        }
        is_taken
    }

    fn people_act(&mut self, who: usize, task: Task) -> Option<Task> {
        let place = task.place;
        match task.act {
            Act::Press => {
                let doctors = self.everybody();
                let urgent = self.chance.u8(..100) < 30;
                if let Pressing::Begun(delivery) = self.book.press(place, &doctors, urgent) {
                    let images = self.images_of(|instance| instance.delivery == delivery);
                    self.log(What::Pressed { images });
                }
                None
            }
            Act::Withdraw => {
                if self.has(QueueBug::DeletesBeforeTombstone) && !task.flag {
                    for mail in &mut self.mails {
                        let of_case =
                            self.book.deliveries.get(mail.delivery).is_some_and(|one| one.case == place);
                        if of_case && mail.at == At::Mailbox {
                            mail.at = At::Deleted;
                        }
                    }
                    return Some(Task { flag: true, ..task });
                }
                let images = self.images_of_case(place);
                let hold = self.holds_again.then_some(HOLD);
                let files = self.book.withdraw(place, Wish::Withdraw { hold }, self.clock_ms(who))?;
                self.withdrawals = self.withdrawals.saturating_sub(1);
                let destination = self.book.cases.get(place).map_or(DOCTORS, |case| case.destination);
                self.log(What::Withdrawn { destination, images });
                self.follow();
                self.gateways[who].releases = files;
                Some(task.then(Act::Release))
            }
            Act::Close => self.end(who, place, Ended::Closed, true),
            Act::TryAgain => {
                if self.book.retry(place) {
                    self.log(What::TriedAgain { delivery: place });
                    // Often enough somebody has mended what was refused.
                    self.refuses &= self.chance.u8(..);
                    if self.book.state_of(place).is_some_and(|state| state < State::Sealed) {
                        self.files.retain(|file| file.kind != Kind::Parts { delivery: place });
                    }
                }
                None
            }
            Act::TellAgain => {
                if !self.book.notify_again(place).is_empty() {
                    self.log(What::ToldAgain { delivery: place });
                }
                None
            }
            _ => {
                if self.book.alarm_heard(place) {
                    self.log(What::Heard { case: place });
                }
                None
            }
        }
    }

    fn images_of_case(&self, case: usize) -> Images {
        let is_open = |delivery: usize| self.book.state_of(delivery).is_some_and(|state| !state.is_over());
        self.images_of(|instance| instance.case == case && is_open(instance.delivery))
    }

    fn end(&mut self, who: usize, case: usize, how: Ended, by_page: bool) -> Option<Task> {
        let (images, undelivered) = (self.images_of_case(case), self.undelivered(case));
        let files = self.book.end(case, how, self.clock_ms(who))?;
        let mailed_up_ms = self.mailed_up_ms.get(case).copied().unwrap_or(0);
        let undelivered = if by_page { 0 } else { undelivered };
        let destination = self.book.cases.get(case).map_or(DOCTORS, |case| case.destination);
        self.log(What::Ended { case, destination, images, undelivered, how, mailed_up_ms });
        self.gateways[who].releases = files;
        Some(Task::new(Act::Release, case))
    }

    fn keep(&mut self, who: usize, task: Task) -> Option<Task> {
        if !self.may_write(who, KEEPER) {
            return None;
        }
        let clock_ms = self.clock_ms(who);
        match task.act {
            Act::NoteRunning => {
                let gateway = &mut self.gateways[who];
                // In a longer while it stood still.
                self.book.ran((self.now_ms - gateway.counted_ms).min(RAN_MAX_MS));
                gateway.counted_ms = self.now_ms;
            }
            Act::Alarm => {
                if self.book.is_unopened(task.place) && self.book.alarm(task.place) {
                    self.log(What::Alarmed { case: task.place });
                    if self.has(QueueBug::EndsUnheard) {
                        self.book.alarm_heard(task.place);
                    }
                }
            }
            Act::EndByTime => {
                let how = self.aged(task.place, clock_ms).and_then(ends)?;
                return self.end(who, task.place, how, false);
            }
            Act::NoteRemoved if task.flag => self.book.mails_stay(task.place, task.doctor),
            Act::NoteRemoved => {
                self.book.mails_removed(task.place, task.doctor, task.number);
                return Some(Task { number: 0, ..task.then(Act::RemoveMails) });
            }
            Act::NoteNoneLeft => {
                let hides = self.readers[usize::from(task.doctor)].hides;
                let unsearched = u16::from(hides && !self.has(QueueBug::CountsUnsearched));
                self.book.no_mail_left(task.place, task.doctor, unsearched);
                self.log(What::Emptied { left: !self.emptied.contains(&(task.place, task.doctor)) });
            }
            Act::Forget => self.book.forget(task.place),
            _ => {
                if self.key_goes(task.place, clock_ms) {
                    self.book.destroy_key(task.place);
                    let opened_up_ms = self.opened_up_ms.get(task.place).copied().unwrap_or(0);
                    self.log(What::KeyDestroyed { opened_up_ms });
                }
            }
        }
        None
    }

    fn note_receipt(&mut self, who: usize, task: Task) -> Option<Task> {
        let receipt = *self.receipts.get(task.place)?;
        let gateway = &mut self.gateways[who];
        gateway.read |= 1_u128.checked_shl(number(task.place)).unwrap_or(0);
        // Of another cover than the one that was sent.
        if self.book.deliveries.get(receipt.delivery)?.cover != Some(receipt.cipher) {
            return None;
        }
        self.book.mark(receipt.delivery, receipt.doctor, |share| match receipt.says {
            Says::Fetched => share.told.pulled = true,
            Says::FirstImage => share.told.first_image = true,
            Says::Seen | Says::Closed => share.told.seen = true,
        });
        let case = self.book.deliveries.get(receipt.delivery)?.case;
        (receipt.says == Says::Closed).then(|| self.end(who, case, Ended::Closed, false)).flatten()
    }

    /// What the stages of a delivery write, under its lease.
    fn note(&mut self, who: usize, task: Task) -> Option<Task> {
        let place = task.place;
        if !self.may_write(who, place) {
            return None;
        }
        match task.act {
            Act::Assemble => self.assemble(place),
            Act::NoteDamaged => {
                let damaged = self.damaged_files(place);
                self.book.note_damaged(place, &damaged);
                return Some(task.then(Act::AskAgain));
            }
            Act::NoteBundle => _ = self.book.compressed(place),
            Act::NoteParts => _ = self.book.sealed(place, PIECES, task.number),
            Act::NotePart => {
                for doctor in doctors(task.took) {
                    self.book.accepted(place, task.part, doctor);
                    let case = self.book.deliveries.get(place)?.case;
                    if let (Part::Cover, Some(mailed)) = (task.part, self.mailed_up_ms.get_mut(case)) {
                        *mailed = self.up_ms;
                    }
                }
                if self.has(QueueBug::NotesBeforeSending) {
                    return Some(task.then(Act::SendPart));
                }
                return match (task.number, task.flag) {
                    (0, false) => None,
                    (0, true) => Some(Task { flag: false, ..task.then(Act::NoteTrouble) }),
                    (refused, _) => {
                        Some(Task { doctor: number_of_doctor(refused), ..task.then(Act::NoteRefused) })
                    }
                };
            }
            Act::NoteRefused => self.book.mark(place, task.doctor, |share| share.refused = true),
            Act::NoteSubmitted => _ = self.book.step(place, Step::Submitted),
            Act::NoteNotice => self.book.mark(place, task.doctor, |share| share.notified = true),
            Act::NoteNotified => {
                if self.book.not_notified(place).is_empty() {
                    self.book.step(place, Step::Notified);
                }
            }
            _ => self.trouble(who, task),
        }
        None
    }

    fn assemble(&mut self, place: usize) {
        let Some(case) = self.book.deliveries.get(place).map(|delivery| delivery.case) else { return };
        let images = self.images_of(|instance| instance.delivery == place);
        let known = self.images_of(|instance| instance.case == case);
        let made = self.images.iter().enumerate().filter(|(_, image)| image.is_made);
        let listed = made.map(|(place, _)| bit(place)).fold(0, |all, one| all | one);
        let is_complete = listed & !known == 0 || self.has(QueueBug::SaysComplete);
        if self.book.assembled(place, images.count_ones()) {
            self.log(What::Assembled { delivery: place, images, is_complete, known, listed });
        }
    }

    pub(super) fn trouble(&mut self, who: usize, task: Task) {
        let place = task.place;
        if task.flag && self.has(QueueBug::TellsNobody) {
            self.book.step(place, Step::Cancelled);
            return;
        }
        let gives_up = match (task.flag, task.of_damage) {
            (false, _) => GivesUp::No,
            (true, false) => GivesUp::Yes,
            (true, true) => GivesUp::WhileDamaged,
        };
        self.book.troubled(place, gives_up);
        let Some(delivery) = self.book.deliveries.get(place) else { return };
        if delivery.state == State::Failed {
            let images = self.images_of(|instance| instance.delivery == place);
            let of_it = |number: u32| {
                self.book
                    .instances
                    .iter()
                    .any(|instance| instance.delivery == place && instance.file == number)
            };
            let has_cause = self.causes.contains(&place)
                || self.files.iter().any(|file| file.is_rotten && of_it(file.number));
            self.log(What::DeadLetter { images, has_cause });
        }
        let wait =
            retry::delay(self.book.deliveries.get(place).map_or(1, |one| one.attempts), self.chance.u64(..));
        let until_ms = self.now_ms + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 4);
        let waits = &mut self.gateways[who].waits;
        waits.retain(|wait| wait.0 != place);
        waits.push((place, until_ms));
    }
}

pub(super) fn token(gateway: &Gateway, place: usize) -> Option<TokenNumber> {
    gateway.leases.iter().find(|lease| lease.0 == place).map(|lease| lease.1)
}

pub(super) fn lacking(delivery: &Delivery, part: Part) -> u8 {
    let lacking = delivery.shares.iter().filter(|share| !share.refused && !share.has(part));
    lacking.map(|share| 1 << share.doctor).fold(0, |all, one: u8| all | one)
}

pub(super) fn doctors(took: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |doctor| took & (1 << doctor) != 0)
}

pub(super) fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn number_of_doctor(refused: u32) -> u8 {
    u8::try_from(refused.saturating_sub(1)).unwrap_or(u8::MAX)
}
