//! What a gateway does over the network: parts to the mail server, notices to a channel, a look into a mailbox.

use super::faults::{Act, Fault};
use super::gateway::doctors;
use super::log::What;
use super::peers::{At, File, Kind, Mail, Task};
use super::rules::QueueBug;
use super::world::World;
use crate::queue::State;
use crate::simulate::SECOND;

/// Looks in a row that find nothing before that is told, as `pulled` has it.
const QUIET_LOOKS: u8 = 2;

impl World<'_> {
    pub(super) fn send_part(&mut self, who: usize, task: Task, fault: Option<Fault>) -> Option<Task> {
        let Task { place, part, took, .. } = task;
        let cover = self.book.deliveries.get(place)?.cover?;
        let is_it = |file: &&File| file.number == cover && file.kind == Kind::Parts { delivery: place };
        let trouble = |permanent: bool| Some(Task { flag: permanent, ..task.then(Act::NoteTrouble) });
        let Some(file) = self.files.iter().find(is_it).copied().filter(File::is_whole) else {
            return if self.book.state_of(place) == Some(State::Sealed) { trouble(true) } else { None };
        };
        if fault == Some(Fault::CutBefore) {
            return trouble(false);
        }
        let for_good = fault == Some(Fault::Refused5) || took & self.refuses != 0;
        let is_refused = for_good || fault == Some(Fault::Refused4);
        let refused = match (is_refused, took & self.refuses) {
            (false, _) => None,
            (true, 0) => self.one_of(took),
            (true, refuses) => self.one_of(refuses),
        };
        let taken = took & !refused.map_or(0, |doctor| 1 << doctor) & !self.refuses;
        for doctor in doctors(taken) {
            let until_ms = self.now_ms + self.chance.i64(0..5 * SECOND);
            let (id, cipher, images) = (self.ids.get(place).copied().unwrap_or(0), cover, file.images);
            let at = At::Way { until_ms };
            self.mails.push(Mail {
                delivery: place,
                id,
                part,
                cipher,
                images,
                doctor,
                at,
                sent_ms: self.now_ms,
                is_replayed: false,
                is_copy: false,
                is_moved: false,
                since: 0,
            });
        }
        if fault == Some(Fault::CutAfter) {
            self.after_a_lost_reply(who, place, file);
            return trouble(false);
        }
        if let (true, Some(doctor)) = (for_good, refused) {
            self.causes.push(place);
            self.log(What::RefusedForGood { delivery: place, doctor });
            if self.chance.bool() {
                self.refuses |= 1 << doctor;
            }
        }
        let noted = Task { took: taken, number: 0, flag: is_refused, ..task.then(Act::NotePart) };
        match refused {
            Some(doctor) if for_good && !self.has(QueueBug::RetriesForGood) => {
                Some(Task { number: u32::from(doctor) + 1, flag: false, ..noted })
            }
            _ if self.has(QueueBug::NotesBeforeSending) => None,
            _ => Some(noted),
        }
    }

    fn after_a_lost_reply(&mut self, who: usize, place: usize, file: File) {
        if self.has(QueueBug::NewId) {
            let id = self.number();
            self.ids.get_mut(place).map(|old| *old = id).unwrap_or_default();
            if let Some(delivery) = self.book.deliveries.get_mut(place) {
                delivery.shares.iter_mut().for_each(|share| (share.pieces, share.has_cover) = (0, false));
            }
        }
        if self.has(QueueBug::SealsAgain) && self.gateways[who].is_up {
            let number = self.number();
            self.files.push(File { number, ..file });
            self.book.deliveries.get_mut(place).map(|one| one.cover = Some(number)).unwrap_or_default();
        }
    }

    fn one_of(&mut self, took: u8) -> Option<u8> {
        let all: Vec<u8> = doctors(took).collect();
        self.chance.choice(all)
    }

    pub(super) fn send_notice(&mut self, task: Task, fault: Option<Fault>) -> Option<Task> {
        let Task { place, doctor, .. } = task;
        // It is asked once more before it is sent.
        if !self.untold(place).contains(&doctor) {
            return None;
        }
        let delivery = self.book.deliveries.get(place)?;
        let (case, is_loud) = (delivery.case, delivery.urgent || delivery.sequence == 1);
        if matches!(fault, None | Some(Fault::CutAfter | Fault::ClockForward | Fault::ClockBack)) {
            self.log(What::Noticed { delivery: place, case, doctor, is_loud });
        }
        match fault {
            Some(Fault::CutBefore | Fault::CutAfter | Fault::Refused4 | Fault::Refused5) => {
                Some(Task { flag: false, ..task.then(Act::NoteTrouble) })
            }
            _ => Some(task.then(Act::NoteNotice)),
        }
    }

    /// A look into a mailbox: first into the folder that mails come to, then into the other one. It is told that none is left after [`QUIET_LOOKS`] in a
    /// row that found nothing.
    pub(super) fn remove_mails(&mut self, task: Task, fault: Option<Fault>) -> Option<Task> {
        let Task { place, doctor, .. } = task;
        if fault == Some(Fault::CutBefore) {
            return None;
        }
        if !self.readers[usize::from(doctor)].gives_right {
            return Some(Task { flag: true, ..task.then(Act::NoteRemoved) });
        }
        let elsewhere = task.act == Act::RemoveMoved;
        let is_first = !elsewhere && task.quiet == 0;
        let since = if is_first { usize::try_from(self.events).unwrap_or(usize::MAX) } else { task.since };
        let task = Task { since, ..task };
        if fault == Some(Fault::Moved) {
            let (events, hides) = (self.events, self.readers[usize::from(doctor)].hides);
            let theirs = |mail: &&mut Mail| mail.doctor == doctor && mail.at == At::Mailbox && mail.is_moved;
            for mail in self.mails.iter_mut().filter(theirs) {
                mail.is_moved = false;
                // No look could find it before.
                mail.since = if hides { events } else { mail.since };
            }
        }
        let is_refused = fault == Some(Fault::Refused4);
        let mut removed = 0;
        for number in 0..self.mails.len() {
            let mail = self.mails[number];
            let is_here = (mail.delivery, mail.doctor, mail.is_moved) == (place, doctor, elsewhere);
            if is_here && self.is_in_reach(&mail) && !is_refused {
                self.mails[number].at = At::Deleted;
                removed += 1;
            }
        }
        if fault == Some(Fault::CutAfter) {
            return None;
        }
        let task = Task { number: task.number + removed, flag: false, ..task };
        if is_refused && !self.has(QueueBug::TrustsRefusals) {
            // The look does not count.
            let next = if task.number == 0 { Act::RemoveMails } else { Act::NoteRemoved };
            return Some(Task { quiet: 0, ..task.then(next) });
        }
        if is_refused {
            return Some(self.looked(Task { quiet: QUIET_LOOKS, ..task }));
        }
        if elsewhere || self.has(QueueBug::LooksInOneFolder) {
            return Some(self.looked(task));
        }
        Some(task.then(Act::RemoveMoved))
    }

    /// What follows on a look.
    fn looked(&mut self, task: Task) -> Task {
        let Task { place, doctor, since, .. } = task;
        if task.number > 0 {
            return Task { quiet: 0, ..task.then(Act::NoteRemoved) };
        }
        let looks = if self.has(QueueBug::LooksThroughOnce) { 1 } else { QUIET_LOOKS };
        if task.quiet + 1 < looks {
            return Task { quiet: task.quiet + 1, ..task.then(Act::RemoveMails) };
        }
        // What came since is another matter: nothing was there when they began.
        let was_there = |mail: &Mail| {
            (mail.delivery, mail.doctor) == (place, doctor)
                && self.is_in_reach(mail)
                && usize::try_from(mail.since).is_ok_and(|came| came < since)
        };
        if !self.mails.iter().any(was_there) {
            self.emptied.push((place, doctor));
        }
        task.then(Act::NoteNoneLeft)
    }
}
