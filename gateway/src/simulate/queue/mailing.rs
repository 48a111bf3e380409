//! What a gateway does over the network: parts to the mail server, notices to a channel, a look into a mailbox.

use super::faults::{Act, Fault};
use super::gateway::doctors;
use super::log::What;
use super::peers::{At, File, Kind, Mail, Task};
use super::rules::QueueBug;
use super::world::World;
use crate::queue::State;
use crate::simulate::SECOND;

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

    pub(super) fn remove_mails(&mut self, task: Task, fault: Option<Fault>) -> Option<Task> {
        let Task { place, doctor, .. } = task;
        if fault == Some(Fault::CutBefore) {
            return None;
        }
        if !self.readers[usize::from(doctor)].gives_right {
            return Some(Task { flag: true, ..task.then(Act::NoteRemoved) });
        }
        let mut removed = 0;
        for mail in &mut self.mails {
            if (mail.delivery, mail.doctor, mail.at) == (place, doctor, At::Mailbox) {
                mail.at = At::Deleted;
                removed += 1;
            }
        }
        self.emptied.push((place, doctor));
        (fault != Some(Fault::CutAfter)).then(|| Task {
            number: removed,
            flag: false,
            ..task.then(Act::NoteRemoved)
        })
    }
}
