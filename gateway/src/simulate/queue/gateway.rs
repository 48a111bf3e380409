//! What a gateway does next, and what becomes of it. The order of the acts is that of `receive`, `pipeline` and `submit`; what they write goes through
//! the rules of the queue.

use super::faults::{Act, Fault};
use super::log::{Images, What};
use super::rules::QueueBug;
use super::world::{
    At, DAY, DOCTORS, File, Gateway, HOLD, HOUR, KEEPER, Kind, MINUTE, Mail, NOTED_MS, PIECES, SECOND, Says,
    Task, World, bit,
};
use crate::journal::Ended;
use crate::notify::{Aged, ends};
use crate::queue::{
    CASE_OPEN_MS, NewRow, Part, Pressing, RAN_MAX_MS, RecordedRow, State, Step, TokenNumber, Watch, Wish,
};
use crate::submit::retry;
use fastrand::Rng;

/// `[case] expire_hours` and `alarm_after_s`.
const EXPIRE_MS: i64 = DAY;
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
                pick.offer(3, Task::new(Act::WriteFile, place));
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
            if self.would_finish(place) {
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

    fn notice(&self, place: usize) -> Option<Task> {
        self.untold(place).first().map(|doctor| Task { doctor: *doctor, ..Task::new(Act::SendNotice, place) })
    }

    fn untold(&self, place: usize) -> Vec<u8> {
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

    fn would_finish(&self, place: usize) -> bool {
        let Some(delivery) = self.book.deliveries.get(place) else { return false };
        let mut shares = delivery.shares.iter();
        delivery.state.after(Step::Pulled).is_some()
            && shares.clone().any(|share| share.told.pulled)
            && shares.all(|share| share.told.pulled || share.refused)
    }

    fn offer_receipts(&self, who: usize, pick: &mut Pick<'_>) {
        for (place, receipt) in self.receipts.iter().enumerate() {
            let is_read = self.gateways[who].read.checked_shr(number(place)).is_none_or(|read| read & 1 == 1);
            if !is_read && receipt.from_ms <= self.now_ms {
                pick.offer(2, Task::new(Act::NoteReceipt, place));
            }
        }
        for mail in self.mails.iter().filter(|mail| mail.at == At::Mailbox && mail.part == Part::Cover) {
            let share = self.book.deliveries.get(mail.delivery);
            let share =
                share.and_then(|delivery| delivery.shares.iter().find(|share| share.doctor == mail.doctor));
            if share.is_some_and(|share| !share.cover_seen) {
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

    fn aged(&self, case: usize, clock_ms: i64) -> Option<Aged> {
        if !self.has(QueueBug::DeletesByClock) {
            return self.book.aged(case, EXPIRE_MS);
        }
        let is_aged = self.book.cases.get(case).is_some_and(|row| clock_ms - row.opened_at_ms >= EXPIRE_MS);
        self.book.aged(case, i64::MIN / 2).filter(|_| is_aged)
    }

    fn key_goes(&self, case: usize, clock_ms: i64) -> bool {
        if !self.has(QueueBug::DeletesByClock) {
            return self.book.key_goes(case, clock_ms);
        }
        let has_it = |one: &crate::queue::Delivery| one.state == State::Pulled || one.state.is_over();
        let row = self.book.cases.get(case);
        row.is_some_and(|row| row.has_key && row.opened_at_ms < clock_ms - CASE_OPEN_MS)
            && self.book.deliveries.iter().filter(|one| one.case == case).all(has_it)
    }

    fn looks_for(&self, place: usize, doctor: u8, clock_ms: i64) -> bool {
        let Some(delivery) = self.book.deliveries.get(place) else { return false };
        let share = delivery.shares.iter().find(|share| share.doctor == doctor);
        let Some(mail) = share.and_then(|share| share.mail) else { return false };
        let at_ms = delivery.withdrawn.map_or(0, |withdrawn| withdrawn.at_ms);
        match self.bug {
            Some(QueueBug::LooksOnce) => !mail.looked && !mail.stays,
            Some(QueueBug::LooksByClock) => (!mail.looked && !mail.stays) || at_ms > clock_ms - HOUR,
            _ => self.book.looks_for(place, doctor),
        }
    }

    fn mails_of(&self, place: usize, doctor: u8) -> usize {
        let is_it = |mail: &&Mail| mail.delivery == place && mail.doctor == doctor && mail.at == At::Mailbox;
        self.mails.iter().filter(is_it).count()
    }

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
            Act::SendPart => self.send_part(who, task, fault),
            Act::SendNotice => self.send_notice(task, fault),
            Act::RemoveMails => self.remove_mails(task, fault),
            Act::Release => {
                self.release(who, task.place);
                None
            }
            Act::Prove => {
                let of_case =
                    |place: usize| self.book.deliveries.get(place).is_some_and(|one| one.case == task.place);
                let left = self.mails.iter().any(|mail| {
                    of_case(mail.delivery)
                        && self.readers[usize::from(mail.doctor)].gives_right
                        && !self.emptied.contains(&(mail.delivery, mail.doctor))
                });
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

    fn receive(&mut self, who: usize, task: Task, fault: Option<Fault>) -> Option<Task> {
        let fails = matches!(fault, Some(Fault::DiskFull | Fault::SyncFails));
        if fails {
            // A700; a failed fsync shuts the door.
            self.gateways[who].is_shut |= fault == Some(Fault::SyncFails);
            if !(task.act == Act::Record && task.flag) {
                self.files.retain(|file| file.number != task.number);
            }
            return None;
        }
        let with = |world: &mut Self, change: fn(&mut File)| {
            world.files.iter_mut().filter(|file| file.number == task.number).for_each(change);
        };
        match task.act {
            Act::WriteFile => {
                let since = self.log.len();
                let image = u8::try_from(task.place).unwrap_or(u8::MAX);
                self.log(What::Sends { image, destination: self.destination });
                let number = self.number();
                self.files.push(file(number, Kind::Received { image }, bit(task.place), who));
                Some(Task { number, since, ..task.then(Act::SyncFile) })
            }
            Act::SyncFile => {
                if !self.has(QueueBug::SkipsFileSync) {
                    with(self, |file| file.is_synced = true);
                }
                Some(task.then(Act::NameFile))
            }
            Act::NameFile => {
                with(self, |file| file.is_named = true);
                Some(task.then(Act::SyncFolder))
            }
            Act::SyncFolder => {
                if !self.has(QueueBug::SkipsFolderSync) {
                    with(self, |file| file.is_name_synced = true);
                }
                let early = self.has(QueueBug::AcknowledgesEarly);
                Some(Task { flag: early, ..task.then(if early { Act::Answer } else { Act::Record }) })
            }
            Act::Record => {
                self.record(who, task);
                (!task.flag).then(|| task.then(Act::Answer))
            }
            _ => {
                if fault != Some(Fault::CutBefore) {
                    self.images[task.place].is_sent = false;
                    let image = u8::try_from(task.place).unwrap_or(u8::MAX);
                    self.log(What::Acknowledged { image, since: task.since });
                }
                task.flag.then(|| task.then(Act::Record))
            }
        }
    }

    fn record(&mut self, who: usize, task: Task) {
        let Some(image) = self.images.get(task.place).copied() else { return };
        if self.received(task.number).is_none() {
            return;
        }
        let everybody: Vec<u8> =
            (0..self.readers.len()).filter_map(|doctor| u8::try_from(doctor).ok()).collect();
        let doctors = if self.destination == DOCTORS { everybody.as_slice() } else { &[] };
        let (destination, now_ms) = (self.destination, self.clock_ms(who));
        let row = NewRow {
            destination,
            uid: image.uid,
            content: image.content,
            file: task.number,
            doctors,
            now_ms,
        };
        let running_ms = self.book.running_ms;
        if self.has(QueueBug::ClosesByClock) {
            self.book.running_ms = i64::MAX / 2;
        }
        let cases = self.book.cases.len();
        let recorded = self.book.record(row);
        self.book.running_ms = running_ms;
        self.book.cases.iter_mut().skip(cases).for_each(|case| case.opened_running_ms = running_ms);
        match recorded {
            RecordedRow::Duplicate { .. } => self.files.retain(|file| file.number != task.number),
            RecordedRow::New { delivery, conflict, replaced } => {
                self.files.retain(|file| Some(file.number) != replaced);
                if conflict && self.has(QueueBug::OverwritesTwins) {
                    self.book.instances.retain(|one| {
                        one.delivery != delivery || one.uid != image.uid || one.content == image.content
                    });
                }
            }
        }
        self.follow();
    }

    /// What is true of new cases and deliveries.
    fn follow(&mut self) {
        let up_ms = self.up_ms;
        self.opened_up_ms.resize(self.book.cases.len(), up_ms);
        self.mailed_up_ms.resize(self.book.cases.len(), up_ms);
        while self.ids.len() < self.book.deliveries.len() {
            let id = self.number();
            self.ids.push(id);
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
                let doctors: Vec<u8> =
                    (0..self.readers.len()).filter_map(|doctor| u8::try_from(doctor).ok()).collect();
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
            Act::NoteRemoved => self.book.mails_removed(task.place, task.doctor, task.number),
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

    fn trouble(&mut self, who: usize, task: Task) {
        let place = task.place;
        if task.flag && self.has(QueueBug::TellsNobody) {
            self.book.step(place, Step::Cancelled);
            return;
        }
        self.book.troubled(place, task.flag);
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

    /// Bundle and parts: written, synced, and only then counted on.
    fn make(&mut self, who: usize, task: Task, fault: Option<Fault>) -> Option<Task> {
        let trouble = |permanent: bool| Some(Task { flag: permanent, ..task.then(Act::NoteTrouble) });
        if matches!(fault, Some(Fault::DiskFull | Fault::SyncFails)) {
            self.files.retain(|file| file.number != task.number);
            return trouble(false);
        }
        let place = task.place;
        let case = self.book.deliveries.get(place)?.case;
        if !self.book.cases.get(case)?.has_key {
            return None;
        }
        match task.act {
            Act::WriteBundle => {
                let files: Vec<_> = self
                    .book
                    .instances
                    .iter()
                    .filter(|one| one.delivery == place)
                    .map(|one| one.file)
                    .collect();
                if fault == Some(Fault::Rot) {
                    self.causes.push(place);
                    let first = files.first();
                    self.files
                        .iter_mut()
                        .filter(|file| first == Some(&file.number))
                        .for_each(|file| file.is_rotten = true);
                }
                let is_whole = |number: &u32| self.received(*number).is_some_and(File::is_whole);
                if !files.iter().all(is_whole) {
                    return trouble(true);
                }
                let images = self.images_of(|instance| instance.delivery == place);
                self.write(who, task, Kind::Bundle { delivery: place }, images)
            }
            Act::WriteParts => {
                if fault == Some(Fault::Rot) {
                    self.causes.push(place);
                }
                let is_bundle =
                    |file: &&mut File| file.is_named && file.kind == Kind::Bundle { delivery: place };
                let bundle = self.files.iter_mut().find(is_bundle);
                let Some(bundle) = bundle.filter(|file| file.is_whole() && fault != Some(Fault::Rot)) else {
                    // It is made anew from what was received, once a person says so.
                    self.files.retain(|file| file.kind != Kind::Bundle { delivery: place });
                    self.book.deliveries.get_mut(place)?.has_bundle = false;
                    return trouble(true);
                };
                let images = bundle.images;
                self.write(who, task, Kind::Parts { delivery: place }, images)
            }
            _ => {
                let is_skipped = self.has(QueueBug::SkipsMadeSync);
                for file in self.files.iter_mut().filter(|file| file.number == task.number) {
                    file.is_named = true;
                    (file.is_synced, file.is_name_synced) = (!is_skipped, !is_skipped);
                }
                let is_bundle = task.act == Act::SyncBundle;
                if is_bundle {
                    // Its name takes the place of an older one, if it is there.
                    let own = task.number;
                    let is_older = |file: &File| {
                        file.kind == Kind::Bundle { delivery: place } && file.is_named && file.number != own
                    };
                    if self.files.iter().any(|file| file.number == own) {
                        self.files.retain(|file| !is_older(file));
                    }
                }
                Some(task.then(if is_bundle { Act::NoteBundle } else { Act::NoteParts }))
            }
        }
    }

    fn write(&mut self, who: usize, task: Task, kind: Kind, images: Images) -> Option<Task> {
        let number = self.number();
        self.files.push(file(number, kind, images, who));
        let next = if task.act == Act::WriteBundle { Act::SyncBundle } else { Act::SyncParts };
        Some(Task { number, ..task.then(next) })
    }

    fn send_part(&mut self, who: usize, task: Task, fault: Option<Fault>) -> Option<Task> {
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

    fn send_notice(&mut self, task: Task, fault: Option<Fault>) -> Option<Task> {
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

    fn remove_mails(&mut self, task: Task, fault: Option<Fault>) -> Option<Task> {
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

    /// Gives back what lies of a delivery that was fetched, or of a case that is over.
    fn release(&mut self, who: usize, _place: usize) {
        let releases = std::mem::take(&mut self.gateways[who].releases);
        let book = &self.book;
        let is_over = |delivery: usize| {
            book.state_of(delivery).is_none_or(|state| state == State::Pulled || state.is_over())
        };
        let of_pulled = |number: u32| {
            book.instances
                .iter()
                .any(|one| one.file == number && book.state_of(one.delivery) == Some(State::Pulled))
        };
        self.files.retain(|file| match file.kind {
            Kind::Received { .. } => {
                !(releases.contains(&file.number) || of_pulled(file.number)) || book.needs(file.number)
            }
            Kind::Bundle { delivery } | Kind::Parts { delivery } => !is_over(delivery),
        });
    }

    /// What no delivery needs, at the start: of what was received, only what this gateway has written.
    fn sweep(&mut self, who: usize) {
        self.gateways[who].is_swept = true;
        let sweeps_failed = self.has(QueueBug::SweepsDeadLetters);
        let book = &self.book;
        let is_failed = |number: u32| {
            book.instances
                .iter()
                .any(|one| one.file == number && book.state_of(one.delivery) == Some(State::Failed))
        };
        let is_wanted = |delivery: usize| {
            book.state_of(delivery).is_some_and(|state| state.is_under_way() || state == State::Failed)
        };
        self.files.retain(|file| match file.kind {
            Kind::Received { .. } if file.owner != who => true,
            Kind::Received { .. } => book.needs(file.number) && !(sweeps_failed && is_failed(file.number)),
            Kind::Bundle { delivery } | Kind::Parts { delivery } => is_wanted(delivery),
        });
    }
}

fn token(gateway: &Gateway, place: usize) -> Option<TokenNumber> {
    gateway.leases.iter().find(|lease| lease.0 == place).map(|lease| lease.1)
}

fn lacking(delivery: &crate::queue::Delivery, part: Part) -> u8 {
    let lacking = delivery.shares.iter().filter(|share| !share.refused && !share.has(part));
    lacking.map(|share| 1 << share.doctor).fold(0, |all, one: u8| all | one)
}

fn doctors(took: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |doctor| took & (1 << doctor) != 0)
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn number_of_doctor(refused: u32) -> u8 {
    u8::try_from(refused.saturating_sub(1)).unwrap_or(u8::MAX)
}

fn file(number: u32, kind: Kind, images: Images, owner: usize) -> File {
    File {
        number,
        kind,
        images,
        owner,
        is_synced: false,
        is_named: false,
        is_name_synced: false,
        is_rotten: false,
        is_torn: false,
    }
}
