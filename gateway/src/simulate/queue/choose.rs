//! What a gateway does next: one of all that is to be done, drawn.

use super::faults::Act;
use super::gateway::{lacking, number, token};
use super::log::bit;
use super::peers::{At, Gateway, Mail, Task};
use super::rules::QueueBug;
use super::world::{KEEPER, NOTED_MS, World};
use crate::journal::Ended;
use crate::notify::{Aged, ends};
use crate::queue::{CASE_OPEN_MS, Delivery, Part, State, Watch};
use crate::simulate::{HOUR, MINUTE};
use fastrand::Rng;

/// `[case] alarm_after_s`.
const ALARM_MS: i64 = 15 * MINUTE;

/// One of all that was offered, each as likely by its weight.
struct Pick<'a> {
    chance: &'a mut Rng,
    weights: u32,
    task: Option<Task>,
}

impl Pick<'_> {
    fn offer(&mut self, weight: u32, task: Task) {
        self.weights += weight;
        if self.chance.u32(..self.weights) < weight {
            self.task = Some(task);
        }
    }
}
impl World<'_> {
    /// What a gateway does next; none where there is nothing.
    pub(super) fn choose(&mut self, who: usize) -> Option<Task> {
        if !self.gateways[who].is_swept {
            return Some(Task::new(Act::Sweep, 0));
        }
        let mut chance = self.chance.clone();
        let mut pick = Pick { chance: &mut chance, weights: 0, task: None };
        if !self.gateways[who].is_shut {
            for (place, _) in self.images.iter().enumerate().filter(|(_, image)| image.is_sent) {
                pick.offer(3, Task { destination: self.destination, ..Task::new(Act::WriteFile, place) });
            }
            for (place, destination) in self.asked.iter().copied() {
                pick.offer(3, Task { destination, ..Task::new(Act::WriteFile, place) });
            }
        }
        self.offer_stages(who, &mut pick);
        self.offer_receipts(who, &mut pick);
        self.offer_people(&mut pick);
        self.offer_keeping(who, &mut pick);
        let task = pick.task;
        self.chance = chance;
        task
    }

    fn offer_stages(&mut self, who: usize, pick: &mut Pick<'_>) {
        for place in 0..self.book.deliveries.len() {
            let now_ms = self.now_ms;
            let waits = |wait: &(usize, i64)| wait.0 == place && wait.1 > now_ms;
            if self.book.may_finish(place) {
                pick.offer(2, Task::new(Act::Finish, place));
            }
            if self.gateways[who].waits.iter().any(waits) {
                continue;
            }
            if let Some(task) = self.stage(place, pick.chance) {
                self.offer_leased(who, place, 4, task, pick);
            }
        }
    }

    /// The next act of a delivery, for whoever holds its lease.
    fn stage(&self, place: usize, chance: &mut Rng) -> Option<Task> {
        let delivery = self.book.deliveries.get(place)?;
        let task = |act| Some(Task::new(act, place));
        match delivery.state {
            State::Received => {
                let waits = self.images.iter().any(|image| image.is_sent);
                let is_there = self.book.instances.iter().any(|instance| instance.delivery == place);
                let goes = is_there && (!waits || (!self.is_calm && chance.u8(..100) < 40));
                goes.then(|| Task::new(Act::Assemble, place))
            }
            State::Assembled if self.is_asked_for(place) => None,
            State::Assembled => task(Act::WriteBundle),
            State::Compressed if self.book.waits_for_earlier(place) => None,
            State::Compressed => task(Act::WriteParts),
            State::Sealed => {
                let notice = self.notice(place).filter(|_| chance.bool());
                notice.or_else(|| match delivery.next_part() {
                    Some(part) if self.has(QueueBug::NotesBeforeSending) => Some(Task {
                        part,
                        took: lacking(delivery, part),
                        flag: true,
                        ..Task::new(Act::NotePart, place)
                    }),
                    Some(part) => {
                        Some(Task { part, took: lacking(delivery, part), ..Task::new(Act::SendPart, place) })
                    }
                    None if delivery.shares.iter().all(|share| share.refused) => {
                        Some(Task { flag: true, ..Task::new(Act::NoteTrouble, place) })
                    }
                    None => task(Act::NoteSubmitted),
                })
            }
            State::Submitted => self.notice(place).or_else(|| task(Act::NoteNotified)),
            _ => None,
        }
    }

    /// The PACS is giving again what of a delivery is damaged.
    fn is_asked_for(&self, place: usize) -> bool {
        let damaged = self.images_of(|one| one.delivery == place && one.is_damaged);
        self.asked.iter().any(|(image, _)| damaged & bit(*image) != 0)
    }

    fn notice(&self, place: usize) -> Option<Task> {
        self.untold(place).first().map(|doctor| Task { doctor: *doctor, ..Task::new(Act::SendNotice, place) })
    }

    pub(super) fn untold(&self, place: usize) -> Vec<u8> {
        let delivery = self.book.deliveries.get(place).filter(|_| self.has(QueueBug::RingsAgain));
        let Some(delivery) = delivery else { return self.book.not_notified(place) };
        let shares = delivery.shares.iter().filter(|share| share.has_cover && !share.notified);
        shares.map(|share| share.doctor).collect()
    }

    /// For whoever holds the lease; for others, the lease, where they may take it.
    fn offer_leased(&mut self, who: usize, place: usize, weight: u32, task: Task, pick: &mut Pick<'_>) {
        let Some(lease) = self.lease(place).copied() else { return };
        let own = token(&self.gateways[who], place);
        // Who holds a token goes on, and is told at the next write whether it is good still.
        if own.is_some() {
            pick.offer(weight, task);
            if !self.is_calm {
                pick.offer(1, Task::new(Act::Beat, place));
            }
            return;
        }
        let now_ms = self.now_ms;
        let watches = &mut self.gateways[who].watches;
        let seen = watches.iter().find(|watch| watch.0 == place).map(|watch| watch.1);
        let watch = Watch::look(seen, &lease, now_ms);
        watches.retain(|watch| watch.0 != place);
        if lease.holder.is_none() || watch.is_over(now_ms) {
            pick.offer(weight, Task::new(Act::TakeLease, place));
        }
        if lease.holder.is_some() {
            watches.push((place, watch));
        }
    }

    fn offer_receipts(&self, who: usize, pick: &mut Pick<'_>) {
        for (place, receipt) in self.receipts.iter().enumerate() {
            let is_read = self.gateways[who].read.checked_shr(number(place)).is_none_or(|read| read & 1 == 1);
            if !is_read && receipt.from_ms <= self.now_ms {
                pick.offer(2, Task::new(Act::NoteReceipt, place));
            }
        }
        for mail in self.mails.iter().filter(|mail| mail.at == At::Mailbox && mail.part == Part::Cover) {
            let share = self.book.share(mail.delivery, mail.doctor);
            if share.is_some_and(|share| !share.cover_seen) && !mail.is_moved {
                pick.offer(1, Task { doctor: mail.doctor, ..Task::new(Act::NoteCover, mail.delivery) });
            }
        }
    }

    fn offer_people(&self, pick: &mut Pick<'_>) {
        for (place, delivery) in self.book.deliveries.iter().enumerate() {
            match delivery.state {
                State::Held if self.presses => pick.offer(3, Task::new(Act::Press, delivery.case)),
                State::Failed if !self.is_calm => pick.offer(2, Task::new(Act::TryAgain, place)),
                State::Notified if !self.is_calm && pick.chance.u8(..100) < 20 => {
                    pick.offer(1, Task::new(Act::TellAgain, place));
                }
                _ => {}
            }
        }
        for (place, case) in self.book.cases.iter().enumerate() {
            if self.hears && case.end.alarmed && !case.end.heard && case.end.ended.is_none() {
                pick.offer(2, Task::new(Act::Hear, place));
            }
            let is_mailed = self.book.deliveries.iter().any(|one| one.case == place && one.is_mailed());
            let is_wanted = !self.is_calm && pick.chance.u8(..100) < if is_mailed { 25 } else { 8 };
            if is_wanted
                && self.withdrawals > 0
                && self.book.deliveries.iter().any(|one| one.case == place && !one.state.is_over())
            {
                pick.offer(1, Task::new(Act::Withdraw, place));
            }
            if is_wanted && self.book.may_end(place, Ended::Closed) {
                pick.offer(2, Task::new(Act::Close, place));
            }
        }
    }

    /// What one gateway does for all.
    fn offer_keeping(&mut self, who: usize, pick: &mut Pick<'_>) {
        let mut offered: Vec<Task> = Vec::new();
        let holds =
            |gateway: &Gateway| token(gateway, KEEPER).is_some_and(|own| self.book.keeper.is_held_by(own));
        // Where nothing else happens, whoever keeps the queue notes it as time passes.
        let is_kept = self.is_calm && self.gateways.iter().any(holds);
        if !is_kept
            && self.now_ms - self.gateways[who].counted_ms >= NOTED_MS / 2
            && !self.book.cases.is_empty()
        {
            offered.push(Task::new(Act::NoteRunning, 0));
        }
        let clock_ms = self.clock_ms(who);
        for place in 0..self.book.cases.len() {
            let mut offer = |act| offered.push(Task::new(act, place));
            if self.book.is_unopened(place) && self.alarm_is_due(place) {
                offer(Act::Alarm);
            }
            if self.aged(place, clock_ms).and_then(ends).is_some_and(|how| self.book.may_end(place, how)) {
                offer(Act::EndByTime);
            }
            if self.book.is_to_prove(place) {
                offer(Act::Prove);
            }
            if self.key_goes(place, clock_ms) {
                offer(Act::DestroyKey);
            }
        }
        for (place, delivery) in self.book.deliveries.iter().enumerate() {
            for share in delivery.shares.iter().filter(|share| self.looks_for(place, share.doctor, clock_ms))
            {
                let looked = share.mail.is_none_or(|mail| mail.looked || mail.stays);
                if !looked
                    || (self.mails_of(place, share.doctor) > 0 && !share.mail.is_some_and(|mail| mail.stays))
                {
                    offered.push(Task { doctor: share.doctor, ..Task::new(Act::RemoveMails, place) });
                }
            }
        }
        for task in offered {
            self.offer_leased(who, KEEPER, 2, task, pick);
        }
    }

    fn alarm_is_due(&self, case: usize) -> bool {
        let since =
            self.book.cases.get(case).map(|row| row.mailed_running_ms.unwrap_or(row.opened_running_ms));
        let has_failed =
            self.book.deliveries.iter().any(|one| one.case == case && one.state == State::Failed);
        has_failed || since.is_some_and(|since| self.book.running_ms - since >= ALARM_MS)
    }

    pub(super) fn aged(&self, case: usize, clock_ms: i64) -> Option<Aged> {
        if !self.has(QueueBug::DeletesByClock) {
            return self.book.aged(case, self.expire_ms);
        }
        let is_aged =
            self.book.cases.get(case).is_some_and(|row| clock_ms - row.opened_at_ms >= self.expire_ms);
        self.book.aged(case, i64::MIN / 2).filter(|_| is_aged)
    }

    pub(super) fn key_goes(&self, case: usize, clock_ms: i64) -> bool {
        if !self.has(QueueBug::DeletesByClock) {
            return self.book.key_goes(case, clock_ms);
        }
        let has_it = |one: &Delivery| one.state.is_done();
        let row = self.book.cases.get(case);
        row.is_some_and(|row| row.has_key && row.opened_at_ms < clock_ms - CASE_OPEN_MS)
            && self.book.deliveries.iter().filter(|one| one.case == case).all(has_it)
    }

    fn looks_for(&self, place: usize, doctor: u8, clock_ms: i64) -> bool {
        let Some(delivery) = self.book.deliveries.get(place) else { return false };
        let share = self.book.share(place, doctor);
        let Some(mail) = share.and_then(|share| share.mail) else { return false };
        let at_ms = delivery.withdrawn.map_or(0, |withdrawn| withdrawn.at_ms);
        match self.bug {
            Some(QueueBug::LooksOnce) => !mail.looked && !mail.stays,
            Some(QueueBug::LooksByClock) => (!mail.looked && !mail.stays) || at_ms > clock_ms - HOUR,
            _ => self.book.looks_for(place, doctor),
        }
    }

    fn mails_of(&self, place: usize, doctor: u8) -> usize {
        let is_it = |mail: &&Mail| (mail.delivery, mail.doctor) == (place, doctor) && self.is_in_reach(mail);
        self.mails.iter().filter(is_it).count()
    }
}
