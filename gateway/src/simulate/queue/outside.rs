//! The PACS, the mail server, and the readers.

use super::faults::{Act, Fault};
use super::log::What;
use super::peers::{At, Mail, Receipt, Says};
use super::rules::QueueBug;
use super::world::{DOCTORS, LATE_MAX_MS, PIECES, PUSHES_MAX, World};
use crate::queue::Part;
use crate::simulate::{HOUR, MINUTE};

impl World<'_> {
    /// The PACS sends once more what it sent, or images are made that were missing, or a technician sends the study again.
    pub(super) fn pacs_acts(&mut self) -> bool {
        self.events += 1;
        match self.chance.u8(..10) {
            0..3 => {
                let chosen = self.chance.usize(..self.images.len());
                self.images[chosen].is_sent |= self.images[chosen].is_made;
            }
            3..8 => {
                if let Some(image) = self.images.iter_mut().find(|image| !image.is_made) {
                    (image.is_made, image.is_sent) = (true, true);
                }
            }
            _ if self.pushes < PUSHES_MAX => {
                self.pushes += 1;
                self.images.iter_mut().for_each(|image| image.is_sent |= image.is_made);
            }
            _ => {}
        }
        true
    }

    /// The mail server and the readers. False where they have nothing to do.
    pub(super) fn outside_acts(&mut self) -> bool {
        let arriving = self.arriving();
        let reader = self.chance.usize(..self.readers.len());
        let readers = (reader..self.readers.len()).chain(0..reader);
        let first = readers
            .map(|reader| (reader, self.readers_act(reader)))
            .find_map(|(reader, act)| Some((reader, act?)));
        match (arriving, first) {
            (Some(mail), first) if first.is_none() || self.chance.bool() => self.arrive(mail),
            (_, Some((reader, act))) => self.read(reader, act),
            _ => return false,
        }
        self.events += 1;
        true
    }

    pub(super) fn arriving(&self) -> Option<usize> {
        let arrives = |mail: &Mail| matches!(mail.at, At::Way { until_ms } if until_ms <= self.now_ms);
        self.mails.iter().position(arrives)
    }

    pub(super) fn arrive(&mut self, place: usize) {
        let fault = self.fault(Act::Arrive);
        self.coverage.count(Act::Arrive, fault);
        self.happens(None, Act::Arrive, place, fault);
        match fault {
            Some(Fault::Late) => {
                let until_ms = self.now_ms + self.chance.i64(MINUTE..30 * HOUR);
                if until_ms - self.mails[place].sent_ms < LATE_MAX_MS {
                    self.mails[place].at = At::Way { until_ms };
                    return;
                }
            }
            Some(Fault::Doubled) => {
                let ms = self.chance.i64(0..HOUR);
                let copy = Mail { at: At::Way { until_ms: self.now_ms + ms }, ..self.mails[place] };
                self.mails.push(copy);
            }
            Some(Fault::Replayed) => {
                // Of a delivery that its doctor knows: what was taken back in time is not shown to who puts it back.
                let chosen = self.chance.usize(..self.mails.len());
                let old = self.mails[chosen];
                if self.readers[usize::from(old.doctor)].known.contains(&old.id) {
                    self.mails.push(Mail { at: At::Mailbox, is_replayed: true, since: self.events, ..old });
                }
            }
            _ => {}
        }
        let arriving = self.mails[place];
        let key = |mail: &Mail| (mail.delivery, mail.doctor, mail.part);
        let was_there = |mail: &Mail| !matches!(mail.at, At::Way { .. }) && key(mail) == key(&arriving);
        self.mails[place].is_copy = self.mails.iter().any(was_there);
        (self.mails[place].at, self.mails[place].since) = (At::Mailbox, self.events);
        if fault == Some(Fault::Moved) {
            let theirs = |mail: &&mut Mail| mail.doctor == arriving.doctor && mail.at == At::Mailbox;
            self.mails.iter_mut().filter(theirs).for_each(|mail| mail.is_moved = true);
        }
    }

    fn readers_act(&self, place: usize) -> Option<Act> {
        let reader = &self.readers[place];
        if !reader.is_awake {
            return None;
        }
        if reader.holds.is_some() {
            return Some(Act::Keep);
        }
        if !reader.owes.is_empty() {
            return Some(Act::SendReceipt);
        }
        self.readable(place).map(|_| Act::Fetch)
    }

    /// A cover in a doctor's mailbox that is new to the reader, and all of whose pieces are there.
    fn readable(&self, doctor: usize) -> Option<usize> {
        let shows_twice = self.has(QueueBug::ShowsTwice) && !self.is_calm;
        let is_new = |mail: &Mail| shows_twice || !self.readers[doctor].known.contains(&mail.id);
        let is_cover = |mail: &Mail| {
            usize::from(mail.doctor) == doctor && mail.at == At::Mailbox && mail.part == Part::Cover
        };
        self.mails.iter().position(|mail| is_cover(mail) && is_new(mail) && self.is_whole(mail))
    }

    pub(super) fn is_whole(&self, cover: &Mail) -> bool {
        (1..=PIECES).all(|piece| {
            self.mails.iter().any(|mail| {
                mail.part == Part::Piece(piece)
                    && mail.at == At::Mailbox
                    && (mail.id, mail.cipher, mail.doctor) == (cover.id, cover.cipher, cover.doctor)
            })
        })
    }

    pub(super) fn read(&mut self, place: usize, act: Act) {
        let fault = self.fault(act);
        self.coverage.count(act, fault);
        self.happens(None, act, place, fault);
        let Ok(doctor) = u8::try_from(place) else { return };
        if fault == Some(Fault::Kill) {
            self.readers[place].holds = None;
            return;
        }
        match act {
            Act::Fetch => self.readers[place].holds = self.readable(place),
            Act::Keep => {
                let Some(cover) = self.readers[place].holds.take().map(|mail| self.mails[mail]) else {
                    return;
                };
                let Mail { delivery, id, cipher, images, .. } = cover;
                self.readers[place].known.push(id);
                let says = [Says::Fetched, Says::FirstImage, Says::Seen, Says::Closed];
                let told =
                    if self.readers[place].closes { says.len() } else { self.chance.usize(1..says.len()) };
                let owed = says.into_iter().take(told);
                let owed = owed.map(|says| Receipt { delivery, cipher, doctor, says, from_ms: 0 });
                self.readers[place].owes.extend(owed);
                let case = self.book.deliveries.get(delivery).and_then(|one| self.book.cases.get(one.case));
                let destination = case.map_or(DOCTORS, |case| case.destination);
                let case = self.book.deliveries.get(delivery).map_or(0, |one| one.case);
                let opened_up_ms = self.opened_up_ms.get(case).copied().unwrap_or(0);
                self.log(What::Shown { doctor, destination, delivery, images, opened_up_ms });
            }
            _ => {
                let Some(owed) = self.readers[place].owes.first().copied() else { return };
                let late_ms = if fault == Some(Fault::Late) { self.chance.i64(0..10 * HOUR) } else { 0 };
                if fault != Some(Fault::CutBefore) {
                    self.receipts.push(Receipt { from_ms: self.now_ms + late_ms, ..owed });
                }
                if !matches!(fault, Some(Fault::CutBefore | Fault::CutAfter)) {
                    self.readers[place].owes.remove(0);
                }
            }
        }
    }
}
