//! What a gateway does with the disk, in the order of `receive`, `compress`, `seal` and the spool: written, synced, named, and only then counted on.

use super::faults::{Act, Fault};
use super::log::{Images, What, bit};
use super::peers::{File, Kind, Task};
use super::rules::QueueBug;
use super::world::{DOCTORS, World};
use crate::queue::{Book, Delivery, NewRow, RecordedRow, State, Step};

impl World<'_> {
    pub(super) fn receive(&mut self, who: usize, task: Task, fault: Option<Fault>) -> Option<Task> {
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
                self.log(What::Sends { image, destination: task.destination });
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
                    self.images[task.place].is_sent &= task.destination != self.destination;
                    self.asked.retain(|asked| *asked != (task.place, task.destination));
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
        let everybody = self.everybody();
        let (destination, now_ms) = (task.destination, self.clock_ms(who));
        let doctors = if destination == DOCTORS { everybody.as_slice() } else { &[] };
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
        if self.has(QueueBug::KeepsDamaged) {
            self.book.instances.iter_mut().for_each(|one| one.is_damaged = false);
        }
        let recorded = self.book.record(row);
        self.book.running_ms = running_ms;
        self.book.cases.iter_mut().skip(cases).for_each(|case| case.opened_running_ms = running_ms);
        match recorded {
            RecordedRow::Duplicate { .. } => self.files.retain(|file| file.number != task.number),
            RecordedRow::Healed { replaced, .. } => self.files.retain(|file| file.number != replaced),
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
    pub(super) fn follow(&mut self) {
        let up_ms = self.up_ms;
        self.opened_up_ms.resize(self.book.cases.len(), up_ms);
        self.mailed_up_ms.resize(self.book.cases.len(), up_ms);
        while self.ids.len() < self.book.deliveries.len() {
            let id = self.number();
            self.ids.push(id);
        }
    }

    /// Bundle and parts: written, synced, and only then counted on.
    pub(super) fn make(&mut self, who: usize, task: Task, fault: Option<Fault>) -> Option<Task> {
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
                if fault == Some(Fault::Rot) {
                    self.causes.push(place);
                    let first = self.book.instances.iter().find(|one| one.delivery == place);
                    let first = first.map(|one| one.file);
                    self.files
                        .iter_mut()
                        .filter(|file| first == Some(file.number))
                        .for_each(|file| file.is_rotten = true);
                }
                if !self.damaged_files(place).is_empty() {
                    return Some(task.then(Act::NoteDamaged));
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

    /// Received files of a delivery that are not what was written.
    pub(super) fn damaged_files(&self, place: usize) -> Vec<u32> {
        let of_it = self.book.instances.iter().filter(|one| one.delivery == place).map(|one| one.file);
        of_it.filter(|number| !self.received(*number).is_some_and(File::is_whole)).collect()
    }

    /// The PACS is asked for what is damaged. What it gives comes the way of all that it sends.
    pub(super) fn ask_again(&mut self, task: Task, fault: Option<Fault>) -> Option<Task> {
        let place = task.place;
        let case = self.book.deliveries.get(place).and_then(|one| self.book.cases.get(one.case));
        let destination = case.map_or(self.destination, |case| case.destination);
        let damaged = self.images_of(|one| one.delivery == place && one.is_damaged);
        let is_asked = fault != Some(Fault::CutBefore) && self.gives_again;
        for image in (0..self.images.len()).filter(|image| is_asked && damaged & bit(*image) != 0) {
            self.asked.retain(|asked| *asked != (image, destination));
            self.asked.push((image, destination));
        }
        let is_cut = matches!(fault, Some(Fault::CutBefore | Fault::CutAfter));
        let trouble = Task { flag: !is_cut, of_damage: true, ..task.then(Act::NoteTrouble) };
        (is_cut || !self.gives_again).then_some(trouble)
    }

    pub(super) fn write(&mut self, who: usize, task: Task, kind: Kind, images: Images) -> Option<Task> {
        let number = self.number();
        self.files.push(file(number, kind, images, who));
        let next = if task.act == Act::WriteBundle { Act::SyncBundle } else { Act::SyncParts };
        Some(Task { number, ..task.then(next) })
    }

    /// Gives back what lies of a delivery that was fetched, or of a case that is over.
    pub(super) fn release(&mut self, who: usize) {
        let releases = std::mem::take(&mut self.gateways[who].releases);
        let book = &self.book;
        let is_over = |delivery: usize| book.state_of(delivery).is_none_or(State::is_done);
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
    pub(super) fn sweep(&mut self, who: usize) {
        self.gateways[who].is_swept = true;
        if self.has(QueueBug::ForgetsHalf) {
            let half =
                |book: &Book, place: usize| book.deliveries.get(place).is_some_and(Delivery::is_mailed);
            for place in
                (0..self.book.deliveries.len()).filter(|place| half(&self.book, *place)).collect::<Vec<_>>()
            {
                self.book.step(place, Step::Submitted);
            }
        }
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
