//! The journal and the book are driven with the same events, drawn by seed, and must say the same after each.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::journal::tests::instance;
use crate::journal::tests_postgres::database;
use crate::journal::{
    Ended, EndedCase, EndedMail, HeldAs, Journal, NewInstance, PART_COVER, Press, PressAnswer, PressedStudy,
    Recorded, State,
};
use crate::notify::ends;
use crate::roster::Standby;
use crate::spool::FileKey;
use compressor::Uid;
use compressor::bundle::Summary;
use fastrand::Rng;
use seal::cover::Completeness;
use seal::ids::{CaseId, DeliveryId, Digest};
use std::collections::{BTreeMap, BTreeSet};

/// Events of one journal, and journals of a run.
const EVENTS: usize = 160;
const JOURNALS: u64 = 6;
const JOURNALS_LONG: u64 = 400;
const DOCTORS: [&str; 2] = ["sato", "tanaka"];
const DESTINATIONS: [&str; 2] = ["ONCALL", "HOLD"];
const PIECES: u8 = 2;
const HOUR_MS: i64 = 60 * 60 * 1000;
const AGE_MS: i64 = 24 * HOUR_MS;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

/// Both, and which row is which.
struct Twins {
    journal: Journal,
    book: Book,
    cases: Vec<CaseId>,
    deliveries: Vec<DeliveryId>,
    now_ms: i64,
    files: u32,
    /// Instances that were damaged and came again.
    healed: u32,
    chance: Rng,
}

impl Twins {
    async fn new(seed: u64, folder: &tempfile::TempDir) -> Self {
        let master = FileKey::random().unwrap();
        let journal =
            Journal::open_with(database(&folder.path().join("journal.sqlite")), Some(master)).await.unwrap();
        let (book, chance) = (Book::default(), Rng::with_seed(seed));
        Self {
            journal,
            book,
            cases: Vec::new(),
            deliveries: Vec::new(),
            now_ms: 10 * YEAR_MS,
            files: 0,
            healed: 0,
            chance,
        }
    }

    fn doctor(&mut self) -> u8 {
        self.chance.u8(..2)
    }

    /// A delivery, a late one rather than an early one.
    fn delivery(&mut self) -> Option<usize> {
        let all = self.deliveries.len();
        let last = all.saturating_sub(1 + self.chance.usize(..3).min(self.chance.usize(..3)));
        (all > 0).then_some(last)
    }

    /// The last delivery of which mailboxes are looked into.
    fn withdrawn(&self) -> Option<usize> {
        let has_mails = |delivery: &Delivery| delivery.shares.iter().any(|share| share.mail.is_some());
        self.book.deliveries.iter().rposition(has_mails)
    }

    /// New rows of the journal get the places of those of the book.
    async fn follow(&mut self) {
        while self.deliveries.len() < self.book.deliveries.len() {
            let known: BTreeSet<_> = self.deliveries.iter().copied().collect();
            let all = self.journal.histories().await.unwrap();
            let new: Vec<_> = all.iter().map(|one| one.delivery).filter(|id| !known.contains(id)).collect();
            assert_eq!(new.len(), 1, "one delivery begins at a time");
            self.deliveries.extend(new);
        }
        assert_eq!(self.deliveries.len(), self.journal.histories().await.unwrap().len());
        for (place, id) in self.deliveries.iter().enumerate() {
            let case = self.journal.delivery(*id).await.unwrap().case;
            let place = self.book.deliveries[place].case;
            if place == self.cases.len() {
                self.cases.push(case);
            }
            assert_eq!(self.cases[place], case);
        }
    }

    async fn event(&mut self) -> &'static str {
        let now_ms = self.now_ms;
        let drawn = self.chance.u8(..50);
        if drawn < 8 || self.deliveries.is_empty() {
            self.record().await;
            return "record";
        }
        let is_of_mails = matches!(drawn, 35 | 42..46);
        let withdrawn = self.withdrawn().filter(|_| is_of_mails);
        let Some(place) = withdrawn.or_else(|| self.delivery()) else { return "none" };
        let (id, doctor) = (self.deliveries[place], self.doctor());
        let name = DOCTORS[usize::from(doctor)];
        let case = self.book.deliveries[place].case;
        let case_id = self.cases[case];
        match drawn {
            8..11 => {
                let urgent = self.chance.bool();
                let standby = Standby { group: None, doctors: Vec::new() };
                let doctors = DOCTORS.map(String::from).to_vec();
                let study = PressedStudy::Case(case_id);
                let press =
                    Press { study, doctors, standby, urgent, note: None, by: "yamada".into(), at_ms: now_ms };
                let pressed = self.journal.press(&press, None::<HeldAs<'_>>).await.unwrap();
                match (self.book.press(case, &[0, 1], urgent), pressed) {
                    (Pressing::Begun(place), PressAnswer::Begun(id)) => {
                        assert_eq!(self.deliveries[place], id)
                    }
                    (Pressing::Already(place), PressAnswer::Already { delivery, .. }) => {
                        assert_eq!(self.deliveries[place], delivery);
                    }
                    (Pressing::NotHere, PressAnswer::NotHere) => {}
                    both => panic!("{both:?}"),
                }
                "press"
            }
            11..20 => {
                // Several stages at once, so that some get far.
                for _ in 0..self.chance.u8(1..14) {
                    self.advance(place).await;
                }
                "advance"
            }
            20 => {
                let gives_up =
                    self.chance.choice([GivesUp::No, GivesUp::Yes, GivesUp::WhileDamaged]).unwrap();
                let is_dead = self.journal.troubled(id, "trouble", gives_up, now_ms).await.unwrap();
                assert_eq!(self.book.troubled(place, gives_up), is_dead);
                "troubled"
            }
            21 => {
                self.journal.refused(id, name, "refused").await.unwrap();
                self.book.mark(place, doctor, |share| share.refused = true);
                "refused"
            }
            22..24 => {
                self.journal.pulled(id, name, now_ms).await.unwrap();
                self.book.mark(place, doctor, |share| share.told.pulled = true);
                "pulled"
            }
            24 => {
                self.journal.seen(id, name, now_ms).await.unwrap();
                self.book.mark(place, doctor, |share| share.told.seen = true);
                "seen"
            }
            25 => {
                self.journal.cover_seen(id, name, now_ms).await.unwrap();
                self.book.mark(place, doctor, |share| share.cover_seen = true);
                "cover seen"
            }
            26..28 => {
                let done = self.journal.reached(id, Step::Pulled, now_ms).await.unwrap();
                assert_eq!(self.book.step(place, Step::Pulled), done);
                "finish"
            }
            28 => {
                assert_eq!(self.journal.retry(id).await.unwrap(), self.book.retry(place));
                "retry"
            }
            29 => {
                let told = self.journal.notify_again(id).await.unwrap();
                let twins = self.book.notify_again(place);
                assert_eq!(self.names(&twins), told);
                "notify again"
            }
            30 => {
                let hold = self.chance.bool().then_some(1_u8);
                let word = hold.map(|hold| DESTINATIONS[usize::from(hold)]);
                let withdrawn = self.journal.withdraw(case_id, word, "yamada", now_ms).await.unwrap();
                let files = self.book.withdraw(case, Wish::Withdraw { hold }, now_ms);
                assert_eq!(
                    withdrawn.map(|withdrawn| sorted(withdrawn.files)),
                    files.map(|files| sorted(names_of(&files)))
                );
                "withdraw"
            }
            31..33 => {
                let all = [Ended::Closed, Ended::Expired, Ended::HandedOver, Ended::Unopened];
                let how = self.chance.choice(all).unwrap();
                let ended = self.journal.end(case_id, how, None, now_ms).await.unwrap();
                let files = self.book.end(case, how, now_ms);
                assert_eq!(
                    ended.map(|ended| sorted(ended.files)),
                    files.map(|files| sorted(names_of(&files))),
                    "{how:?}"
                );
                "end"
            }
            33 => {
                assert_eq!(self.journal.alarm(case_id, now_ms).await.unwrap(), self.book.alarm(case));
                "alarm"
            }
            34 => {
                let heard = self.journal.alarm_heard(case_id, "yamada", now_ms).await.unwrap();
                assert_eq!(heard, self.book.alarm_heard(case));
                "heard"
            }
            35 => {
                let removed = self.chance.u32(1..4);
                self.journal.mails_removed(id, name, removed).await.unwrap();
                self.book.mails_removed(place, doctor, removed);
                "mails removed"
            }
            42..44 => {
                // Of a look into one folder alone the book says nothing: it knows no links.
                let folders = self.chance.bool().then(|| (3, self.chance.u16(..3)));
                self.journal.no_mail_left(id, name, folders, now_ms).await.unwrap();
                if let Some((_, unsearched)) = folders {
                    self.book.no_mail_left(place, doctor, unsearched);
                }
                "no mail left"
            }
            44..46 => {
                self.journal.mails_stay(id, name).await.unwrap();
                self.book.mails_stay(place, doctor);
                "mails stay"
            }
            46..48 => {
                let of_it = self.book.instances.iter().filter(|one| one.delivery == place);
                let files: Vec<_> = of_it.map(|one| one.file).filter(|_| self.chance.bool()).collect();
                let found = self.journal.note_damaged(id, &names_of(&files), now_ms).await.unwrap();
                assert_eq!(found, self.book.note_damaged(place, &files));
                "damaged"
            }
            36 => {
                for case in self.journal.to_prove().await.unwrap() {
                    self.journal.forget(case.case, now_ms).await.unwrap();
                    self.book.forget(self.place_of(case.case));
                }
                "forget"
            }
            37 => {
                let destroyed = self.journal.destroy_keys_over(now_ms).await.unwrap();
                let goes: Vec<_> =
                    (0..self.cases.len()).filter(|case| self.book.key_goes(*case, now_ms)).collect();
                let ids: BTreeSet<_> = goes.iter().map(|case| self.cases[*case]).collect();
                assert_eq!(destroyed.into_iter().collect::<BTreeSet<_>>(), ids);
                goes.into_iter().for_each(|case| self.book.destroy_key(case));
                "keys"
            }
            _ => {
                let ms = self.chance.choice([1_000, HOUR_MS, 30 * HOUR_MS, YEAR_MS, -YEAR_MS]).unwrap();
                self.now_ms += ms;
                // Where the clock was set, the gateway has not run for as long.
                let ran = if ms.abs() == YEAR_MS { 0 } else { ms };
                self.journal.ran(ran).await.unwrap();
                self.book.ran(ran);
                "time"
            }
        }
    }

    async fn record(&mut self) {
        let (uid, content, destination) = (self.chance.u8(..3), self.chance.u8(..2), self.chance.u8(..2));
        self.files += 1;
        let doctors: &[u8] = if destination == 0 { &[0, 1] } else { &[] };
        let new = NewInstance {
            file: name_of(self.files),
            file_key: Some(FileKey::random().unwrap()),
            destination: DESTINATIONS[usize::from(destination)].into(),
            sop_instance: Uid::parse(&format!("1.2.3.4.{uid}")).unwrap(),
            sha256: [content; 32],
            doctors: self.names(doctors),
            received_at_ms: self.now_ms,
            ..instance(1)
        };
        let recorded = self.journal.record_instance(new).await.unwrap();
        let row = NewRow { destination, uid, content, file: self.files, doctors, now_ms: self.now_ms };
        let twin = self.book.record(row);
        self.follow().await;
        let same = match (recorded, twin) {
            (Recorded::Duplicate { delivery, .. }, RecordedRow::Duplicate { delivery: place }) => {
                self.deliveries[place] == delivery
            }
            (
                Recorded::New { delivery, conflict, replaced, .. },
                RecordedRow::New { delivery: place, conflict: clashes, replaced: file },
            ) => self.deliveries[place] == delivery && conflict == clashes && replaced == file.map(name_of),
            (
                Recorded::Healed { delivery, replaced },
                RecordedRow::Healed { delivery: place, replaced: file },
            ) => {
                self.healed += 1;
                self.deliveries[place] == delivery && replaced == name_of(file)
            }
            _ => false,
        };
        assert!(same, "{twin:?}");
    }

    /// The next stage of a delivery; now and then one that is not its turn.
    async fn advance(&mut self, place: usize) {
        let (id, now_ms) = (self.deliveries[place], self.now_ms);
        let state = match self.chance.u8(..20) {
            0 => self.chance.choice(State::ALL).unwrap(),
            _ => self.book.deliveries[place].state,
        };
        match state {
            State::Received => {
                let counted = self.book.instances.iter().filter(|one| one.delivery == place).count();
                let counted = counted + usize::from(self.chance.u8(..6) == 0);
                let instances = u32::try_from(counted).unwrap();
                let complete = Completeness::NotProved { instances };
                let done = self.journal.assembled(id, instances, complete, now_ms).await.unwrap();
                assert_eq!(done, self.book.assembled(place, instances));
            }
            State::Assembled => {
                self.journal.compressed(id, &Summary::default(), None, now_ms).await.unwrap();
                self.book.compressed(place);
            }
            State::Compressed => {
                self.journal.sealed(id, PIECES.into(), 1000, Some(Digest([3; 32])), now_ms).await.unwrap();
                self.book.sealed(place, PIECES, 3);
            }
            _ => match self.book.deliveries[place].next_part() {
                Some(part) if state == State::Sealed => self.accept(place, part).await,
                _ => self.end_stage(place, state).await,
            },
        }
    }

    /// The mail server takes a part for a doctor who lacks it.
    async fn accept(&mut self, place: usize, part: Part) {
        let shares = &self.book.deliveries[place].shares;
        let doctor = shares.iter().find(|share| !share.refused && !share.has(part)).unwrap().doctor;
        let number = if let Part::Piece(piece) = part { piece.into() } else { PART_COVER };
        let name = DOCTORS[usize::from(doctor)];
        self.journal.accepted(self.deliveries[place], number, name, self.now_ms).await.unwrap();
        self.book.accepted(place, part, doctor);
    }

    async fn end_stage(&mut self, place: usize, state: State) {
        let (id, now_ms) = (self.deliveries[place], self.now_ms);
        let step = match state {
            State::Sealed => Step::Submitted,
            State::Submitted => self.chance.choice([Step::Notified, Step::Pulled]).unwrap(),
            _ => Step::Pulled,
        };
        let done = self.journal.reached(id, step, now_ms).await.unwrap();
        assert_eq!(done, self.book.step(place, step));
    }

    fn names(&self, doctors: &[u8]) -> Vec<String> {
        doctors.iter().map(|doctor| DOCTORS[usize::from(*doctor)].to_owned()).collect()
    }

    fn place_of(&self, case: CaseId) -> usize {
        self.cases.iter().position(|one| *one == case).unwrap()
    }

    /// Everything that either says.
    async fn compare(&mut self) {
        self.follow().await;
        let (journal, book) = (&self.journal, &self.book);
        for (place, id) in self.deliveries.iter().enumerate() {
            let (row, twin) = (journal.delivery(*id).await.unwrap(), &book.deliveries[place]);
            assert_eq!((row.sequence, row.state, row.attempts), (twin.sequence, twin.state, twin.attempts));
            assert_eq!((row.urgent, row.pressed.is_some()), (twin.urgent, twin.is_pressed));
            let files = journal.instances(*id).await.unwrap().into_iter().map(|one| one.file).collect();
            let here = book.instances.iter().filter(|one| one.delivery == place).map(|one| one.file);
            assert_eq!(sorted(files), sorted(names_of(&here.collect::<Vec<_>>())));
            let damaged = journal.damaged(*id).await.unwrap().into_iter().map(|one| one.file).collect();
            let twins = book.instances.iter().filter(|one| one.delivery == place && one.is_damaged);
            assert_eq!(sorted(damaged), sorted(twins.map(|one| name_of(one.file)).collect()));
            for recipient in journal.recipients(*id).await.unwrap() {
                let share =
                    twin.shares.iter().find(|share| DOCTORS[usize::from(share.doctor)] == recipient.doctor);
                let share = share.unwrap();
                let said = (
                    recipient.submitted,
                    recipient.refused.is_some(),
                    recipient.cover_seen,
                    recipient.opened,
                );
                assert_eq!(said, (share.has_cover, share.refused, share.cover_seen, share.is_opened()));
            }
            assert_eq!(
                journal.not_notified(*id).await.unwrap(),
                self.names(&sorted(book.not_notified(place)))
            );
            let waits = journal.waits_for_earlier(row.case, row.sequence).await.unwrap();
            assert_eq!(waits, book.waits_for_earlier(place));
        }
        for (place, case) in self.cases.iter().enumerate() {
            let has_key = journal.case_key(*case).await.is_ok();
            assert_eq!(has_key, book.cases[place].has_key);
            for how in [Ended::Closed, Ended::Expired, Ended::HandedOver, Ended::Unopened] {
                assert_eq!(journal.may_end(*case, how).await.unwrap(), book.may_end(place, how), "{how:?}");
            }
        }
        let files = (1..=self.files).filter(|file| book.needs(*file)).map(name_of).collect();
        assert_eq!(sorted(journal.files().await.unwrap()), sorted::<String>(files));
        let proves = journal.to_prove().await.unwrap();
        let cases: BTreeSet<_> = proves.iter().map(|case| self.place_of(case.case)).collect();
        assert_eq!(cases, (0..self.cases.len()).filter(|case| book.is_to_prove(*case)).collect());
        for case in proves {
            self.compare_mails(&case);
        }
        let unopened: BTreeSet<_> =
            journal.unopened().await.unwrap().iter().map(|one| self.place_of(one.case)).collect();
        assert_eq!(unopened, (0..self.cases.len()).filter(|case| book.is_unopened(*case)).collect());
        let aged: BTreeSet<_> = journal
            .aged(AGE_MS)
            .await
            .unwrap()
            .into_iter()
            .map(|(case, aged)| (self.place_of(case), format!("{:?}", ends(aged))))
            .collect();
        let twins = (0..self.cases.len())
            .filter_map(|case| Some((case, format!("{:?}", ends(book.aged(case, AGE_MS)?)))));
        assert_eq!(aged, twins.collect());
        for report in journal.report().await.unwrap() {
            let place = self.deliveries.iter().position(|id| *id == report.id).unwrap();
            for doctor in report.doctors {
                let mut shares = book.deliveries[place].shares.iter();
                let share = shares.find(|share| DOCTORS[usize::from(share.doctor)] == doctor.doctor);
                let said =
                    doctor.withdrawn.map(|mail| (mail.removed, mail.looked_at_ms.is_some(), mail.stays));
                let twin = share.unwrap().mail.map(|mail| (mail.removed, mail.looked, mail.stays));
                assert_eq!(said, twin);
            }
        }
        let looks: BTreeSet<_> = journal
            .mails_to_remove(self.now_ms)
            .await
            .unwrap()
            .into_iter()
            .map(|one| (one.delivery, one.doctor))
            .collect();
        let mut twins = BTreeSet::new();
        for (place, id) in self.deliveries.iter().enumerate() {
            let shares = book.deliveries[place].shares.iter().map(|share| share.doctor);
            let looked = shares.filter(|doctor| book.looks_for(place, *doctor));
            twins.extend(looked.map(|doctor| (*id, DOCTORS[usize::from(doctor)].to_owned())));
        }
        assert_eq!(looks, twins);
    }
}

impl Twins {
    /// What a proof says of each mailbox.
    fn compare_mails(&self, ended: &EndedCase) {
        let case = self.place_of(ended.case);
        let of_case = self.book.deliveries.iter().filter(|delivery| delivery.case == case);
        let shares = of_case.flat_map(|delivery| delivery.shares.iter().map(move |share| (delivery, share)));
        let mut twins = BTreeMap::<_, (u32, bool, Option<u32>, bool)>::new();
        for (delivery, share) in shares {
            let Some(mail) = share.mail else { continue };
            let name = DOCTORS[usize::from(share.doctor)].to_owned();
            let (removed, is_empty, unsearched, arrived) = twins.entry(name).or_insert((0, true, None, true));
            *removed += mail.removed;
            *is_empty &= mail.looked && !mail.stays;
            *unsearched = (*unsearched).max(mail.looked.then_some(mail.unsearched.into()));
            *arrived &= mail.removed > u32::from(delivery.pieces);
        }
        let said = ended.mails.iter().map(|mail| {
            let EndedMail { removed, empty_at_ms, folders_unsearched, arrived, .. } = mail;
            (mail.doctor.clone(), (*removed, empty_at_ms.is_some(), *folders_unsearched, *arrived))
        });
        assert_eq!(said.collect::<BTreeMap<_, _>>(), twins);
    }
}

fn name_of(file: u32) -> String {
    format!("{file:032x}")
}

fn names_of(files: &[u32]) -> Vec<String> {
    files.iter().copied().map(name_of).collect()
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort();
    all
}

async fn run(journals: u64) {
    let (mut counts, mut healed) = (BTreeMap::<_, u32>::new(), 0);
    for seed in 0..journals {
        let folder = tempfile::tempdir().unwrap();
        let mut twins = Twins::new(seed, &folder).await;
        let mut events = Vec::new();
        for _ in 0..EVENTS {
            let event = twins.event().await;
            events.push(event);
            *counts.entry(event).or_default() += 1;
            println!("seed {seed}, event {}: {event}", events.len());
            twins.compare().await;
        }
        healed += twins.healed;
    }
    println!("{journals} journals, {healed} healed, {counts:?}");
    assert!(counts.len() >= 22 && healed > 0, "all kinds of events must be there");
}

#[tokio::test]
async fn journal_and_book_say_the_same() {
    run(JOURNALS).await;
}

#[tokio::test]
#[ignore = "long"]
async fn journal_and_book_say_the_same_for_long() {
    run(JOURNALS_LONG).await;
}
