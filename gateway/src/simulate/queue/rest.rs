//! What is left when all rest, whatever the queue says.

use super::log::{Images, Rest, What, bit, case_bit};
use super::peers::{At, Mail};
use super::world::World;
use crate::queue::{Part, State};

impl World<'_> {
    /// Images of a case that no doctor can have got.
    pub(super) fn undelivered(&self, case: usize) -> Images {
        let mut images = 0;
        for (place, delivery) in self.book.deliveries.iter().enumerate() {
            if delivery.case != case || delivery.state.is_over() {
                continue;
            }
            let is_there = |mail: &Mail| mail.delivery == place && mail.part == Part::Cover;
            if !self.mails.iter().any(is_there) {
                images |= self.images_of(|instance| instance.delivery == place);
            }
        }
        images
    }

    /// A mail of a withdrawn case, where it could be deleted.
    pub(super) fn is_leftover(&self, mail: &Mail) -> bool {
        self.is_in_reach(mail)
            && !mail.is_replayed
            && self.readers[usize::from(mail.doctor)].gives_right
            && self.book.state_of(mail.delivery).is_some_and(State::is_over)
    }

    /// Out of a folder that the gateway may not read, when nobody looked any more: page and proof have told of that folder.
    fn came_out_late(&self, mail: &Mail) -> bool {
        let left = self.book.share(mail.delivery, mail.doctor).and_then(|share| share.mail);
        left.is_some_and(|left| left.unsearched > 0)
            && self.emptied.contains(&(mail.delivery, mail.doctor))
            && !self.book.looks_for(mail.delivery, mail.doctor)
    }

    /// It lies in a mailbox, in a folder that the gateway may read.
    pub(super) fn is_in_reach(&self, mail: &Mail) -> bool {
        mail.at == At::Mailbox && !self.is_hidden(mail)
    }

    fn is_hidden(&self, mail: &Mail) -> bool {
        mail.is_moved && self.readers[usize::from(mail.doctor)].hides
    }

    /// A proof would say of a case what is not so: that a mailbox is empty which was not emptied, or that a folder was searched which was not.
    pub(super) fn is_left(&self, case: usize) -> bool {
        let of_case =
            |mail: &&Mail| self.book.deliveries.get(mail.delivery).is_some_and(|one| one.case == case);
        let counts_all = |mail: &Mail| {
            let left = self.book.share(mail.delivery, mail.doctor).and_then(|share| share.mail);
            left.is_some_and(|left| left.unsearched == 0)
        };
        self.mails.iter().filter(of_case).any(|mail| {
            let is_emptied = self.emptied.contains(&(mail.delivery, mail.doctor));
            self.readers[usize::from(mail.doctor)].gives_right
                && (!is_emptied || (self.is_hidden(mail) && counts_all(mail)))
        })
    }

    pub(super) fn left(&self, is_reached: bool) -> Rest {
        let mut rest = Rest { is_reached, ..Rest::default() };
        for instance in &self.book.instances {
            let is_kept = matches!(self.book.state_of(instance.delivery), Some(State::Failed | State::Held));
            // Of a dead letter with an image that is rotten a person knows.
            let is_whole = self.received(instance.file).is_some_and(|file| !file.is_torn && file.is_named);
            let has_key = self.book.cases.get(instance.case).is_some_and(|case| case.has_key);
            if is_kept && is_whole && has_key {
                rest.kept |= bit(self.image(instance.uid, instance.content));
            }
        }
        for mail in self.mails.iter().filter(|mail| mail.at == At::Mailbox && !mail.is_replayed) {
            let state = self.book.state_of(mail.delivery);
            let reader = &self.readers[usize::from(mail.doctor)];
            if state.is_some_and(State::is_over) {
                // Where a mail came twice, nobody knows how many there are.
                let of_it = |one: &&Mail| (one.delivery, one.doctor) == (mail.delivery, mail.doctor);
                rest.has_leftovers |= self.is_leftover(mail)
                    && !self.came_out_late(mail)
                    && !self.mails.iter().filter(of_it).any(|one| one.is_copy || one.is_replayed);
            } else if mail.part == Part::Cover && !reader.is_awake && self.is_whole(mail) {
                rest.unread |= mail.images;
            }
        }
        for (place, delivery) in self.book.deliveries.iter().enumerate() {
            let is_with_them =
                matches!(delivery.state, State::Sealed | State::Submitted | State::Notified | State::Pulled);
            for share in delivery.shares.iter().filter(|share| is_with_them && !share.refused) {
                if self.readers[usize::from(share.doctor)].is_awake
                    && let Some(meant) = rest.meant.get_mut(usize::from(share.doctor))
                {
                    *meant |= self.images_of(|instance| instance.delivery == place);
                }
            }
        }
        for (place, case) in self.book.cases.iter().enumerate() {
            let deliveries = || self.book.deliveries.iter().enumerate().filter(|(_, one)| one.case == place);
            let waits = deliveries().any(|(_, one)| !one.state.is_over() && one.state != State::Held);
            let was_seen = |delivery: usize| {
                self.log.iter().any(
                    |entry| matches!(entry.what, What::Shown { delivery: shown, .. } if shown == delivery),
                )
            };
            if case.end.ended.is_none() && waits && !deliveries().any(|(delivery, _)| was_seen(delivery)) {
                rest.unopened |= case_bit(place);
            }
        }
        rest
    }
}
