//! The world of a schedule: gateways that are killed and paused, a disk that loses what was not synced, a mail server that loses its replies, readers, a
//! PACS that sends again, and people. Nothing here knows what is right.

use super::faults::{Act, Coverage, FAULTS, Fault};
use super::log::{Entry, Images, Rest, What};
use super::rules::QueueBug;
use crate::queue::{Book, Lease, Part, State, TokenNumber, Watch};
use fastrand::Rng;
use serde::Serialize;
use std::fmt;

pub(super) const SECOND: i64 = 1_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
/// The age of cases is noted as often.
pub(super) const NOTED_MS: i64 = 30 * SECOND;
const YEAR: i64 = 365 * DAY;
/// The clock when a schedule begins: no time of it is before 1970.
const BEGIN: i64 = 10 * YEAR;
/// Where the lease of whoever ends cases and empties mailboxes stands among those of deliveries.
pub(super) const KEEPER: usize = usize::MAX;
/// Destination of the doctors, and where studies wait for a press.
pub(super) const DOCTORS: u8 = 0;
pub(super) const HOLD: u8 = 1;
/// Pieces of a delivery: the first, and one more.
pub(super) const PIECES: u8 = 2;
/// Acts in which all must have come to rest once nothing goes wrong any more.
const REST_MAX: u32 = 4_000;
/// How often a schedule's PACS sends the study once more.
const PUSHES_MAX: u8 = 2;
/// Longest way of a mail, but for the time that passes at once: a mail server tries for five days (RFC 5321 4.5.4.1).
const LATE_MAX_MS: i64 = 5 * DAY / 2;
/// How often people withdraw a case of it.
const WITHDRAWALS_MAX: u8 = 3;
/// Of a hundred acts, those with a fault: some schedules are mild and get far, some are wild.
const FAULTS_OF_100: [u8; 5] = [2, 5, 9, 14, 24];

/// What a gateway is about to do. What it holds is lost when it is killed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) act: Act,
    /// Of which delivery, case, image or receipt.
    pub(super) place: usize,
    pub(super) doctor: u8,
    /// A bit for each doctor.
    pub(super) took: u8,
    pub(super) part: Part,
    /// A file, a ciphertext, a number of mails.
    pub(super) number: u32,
    /// Something more is to be done, or it is for good.
    pub(super) flag: bool,
    /// Where in the log it began.
    pub(super) since: usize,
}

impl Task {
    pub(super) fn new(act: Act, place: usize) -> Self {
        Self { act, place, doctor: 0, took: 0, part: Part::Cover, number: 0, flag: false, since: 0 }
    }

    pub(super) fn then(self, act: Act) -> Self {
        Self { act, ..self }
    }
}

/// A gateway; several share the queue and the spool.
#[derive(Debug, Default)]
pub(super) struct Gateway {
    pub(super) is_up: bool,
    pub(super) is_swept: bool,
    /// After a failed fsync it takes nothing in until it was started again.
    pub(super) is_shut: bool,
    pub(super) paused_until: i64,
    /// Of its clock.
    pub(super) offset_ms: i64,
    pub(super) pending: Option<Task>,
    pub(super) leases: Vec<(usize, TokenNumber)>,
    pub(super) watches: Vec<(usize, Watch)>,
    /// After a failure.
    pub(super) waits: Vec<(usize, i64)>,
    /// Receipts that it has read since its start.
    pub(super) read: u128,
    /// Until then it has counted how long it ran.
    pub(super) counted_ms: i64,
    /// Files that nobody needs any more.
    pub(super) releases: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Received { image: u8 },
    Bundle { delivery: usize },
    Parts { delivery: usize },
}

/// A file of the spool.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) images: Images,
    pub(super) owner: usize,
    pub(super) is_synced: bool,
    pub(super) is_named: bool,
    pub(super) is_name_synced: bool,
    pub(super) is_rotten: bool,
    /// A power cut took some of it.
    pub(super) is_torn: bool,
}

impl File {
    pub(super) fn is_whole(&self) -> bool {
        self.is_named && !self.is_rotten && !self.is_torn
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Way { until_ms: i64 },
    Mailbox,
    Deleted,
}

/// A mail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mail {
    pub(super) delivery: usize,
    /// As its Message-ID has it.
    pub(super) id: u32,
    pub(super) part: Part,
    pub(super) cipher: u32,
    pub(super) images: Images,
    pub(super) doctor: u8,
    pub(super) at: At,
    pub(super) sent_ms: i64,
    pub(super) is_replayed: bool,
    /// The mailbox had the same part before.
    pub(super) is_copy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Fetched,
    FirstImage,
    Seen,
    Closed,
}

/// A receipt in a mailbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    pub(super) delivery: usize,
    pub(super) cipher: u32,
    pub(super) doctor: u8,
    pub(super) says: Says,
    pub(super) from_ms: i64,
}

/// A doctor's reader.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) is_awake: bool,
    pub(super) closes: bool,
    /// The gateway may delete in this mailbox.
    pub(super) gives_right: bool,
    /// Ids of what it has shown, kept.
    known: Vec<u32>,
    /// A cover whose parts it has fetched.
    holds: Option<usize>,
    /// Receipts that the mailbox has not taken yet, kept.
    owes: Vec<Receipt>,
}

/// An image at the PACS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub(super) uid: u8,
    pub(super) content: u8,
    pub(super) is_made: bool,
    /// The PACS sends it until it is told Success.
    pub(super) is_sent: bool,
}

/// An act of a schedule, for whoever looks at one.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Happened {
    at_ms: i64,
    /// Number of the gateway; the mail server or a reader where absent.
    gateway: Option<usize>,
    act: Act,
    /// Place of the delivery, case, image, mail or receipt.
    place: Option<usize>,
    fault: Option<Fault>,
    /// The deliveries before it.
    states: Vec<&'static str>,
}

impl fmt::Display for Happened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.gateway.map_or("outside".into(), |gateway| format!("gateway {gateway}"));
        let place = self.place.map_or_else(String::new, |place| format!(" {place}"));
        let fault = self.fault.map_or_else(String::new, |fault| format!(", {fault:?}"));
        let seconds = self.at_ms as f64 / 1000.0;
        write!(
            formatter,
            "{seconds:>12.3} s  {who}: {:?}{place}{fault}  [{}]",
            self.act,
            self.states.join(" ")
        )
    }
}

pub(super) struct World<'a> {
    /// What happened, where somebody looks.
    pub(super) happened: Option<Vec<Happened>>,
    pub(super) chance: Rng,
    pub(super) bug: Option<QueueBug>,
    pub(super) coverage: &'a mut Coverage,
    pub(super) log: &'a mut Vec<Entry>,
    pub(super) book: Book,
    pub(super) now_ms: i64,
    pub(super) up_ms: i64,
    pub(super) events: u32,
    pub(super) gateways: Vec<Gateway>,
    pub(super) files: Vec<File>,
    pub(super) mails: Vec<Mail>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) readers: Vec<Reader>,
    pub(super) images: Vec<Image>,
    /// Where the PACS sends to.
    pub(super) destination: u8,
    /// What is withdrawn waits for another press.
    pub(super) holds_again: bool,
    pub(super) presses: bool,
    /// Somebody at the hospital hears alarms.
    pub(super) hears: bool,
    faults_of_100: u8,
    pushes: u8,
    numbers: u32,
    /// Nothing goes wrong any more.
    pub(super) is_calm: bool,
    /// What is true of each case and delivery, whatever the queue says.
    pub(super) opened_up_ms: Vec<i64>,
    pub(super) mailed_up_ms: Vec<i64>,
    pub(super) ids: Vec<u32>,
    /// Doctors for whom the mail server takes nothing, a bit for each.
    pub(super) refuses: u8,
    /// Deliveries that were refused, or had a damaged file.
    pub(super) causes: Vec<usize>,
    /// Left of what people withdraw.
    pub(super) withdrawals: u8,
    /// Mailboxes that were emptied.
    pub(super) emptied: Vec<(usize, u8)>,
}

impl<'a> World<'a> {
    pub(super) fn new(
        seed: u64,
        bug: Option<QueueBug>,
        coverage: &'a mut Coverage,
        log: &'a mut Vec<Entry>,
    ) -> Self {
        let mut chance = Rng::with_seed(seed);
        log.clear();
        let gateways = (0..chance.choice([1, 1, 2, 3]).unwrap_or(1))
            .map(|_| Gateway { is_up: true, ..Gateway::default() })
            .collect();
        let reader = |chance: &mut Rng| Reader {
            is_awake: chance.u8(..100) < 80,
            closes: chance.u8(..100) < 25,
            gives_right: chance.u8(..100) < 90,
            ..Reader::default()
        };
        let readers = (0..chance.usize(1..=2)).map(|_| reader(&mut chance)).collect();
        let uids = chance.u8(1..=3);
        let mut images: Vec<_> = (0..uids).map(|uid| image(uid, 0, uid == 0 || chance.bool())).collect();
        if chance.u8(..100) < 25 {
            images.push(image(chance.u8(..uids), 1, chance.bool()));
        }
        let destination = if chance.u8(..100) < 35 { HOLD } else { DOCTORS };
        let faults_of_100 = chance.choice(FAULTS_OF_100).unwrap_or(0);
        let (holds_again, presses, hears) = (chance.bool(), chance.u8(..100) < 90, chance.u8(..100) < 85);
        Self {
            happened: None,
            chance,
            bug,
            coverage,
            log,
            book: Book::default(),
            now_ms: 0,
            up_ms: 0,
            events: 0,
            gateways,
            files: Vec::new(),
            mails: Vec::new(),
            receipts: Vec::new(),
            readers,
            images,
            destination,
            holds_again,
            presses,
            hears,
            faults_of_100,
            pushes: 0,
            numbers: 0,
            is_calm: false,
            opened_up_ms: Vec::new(),
            mailed_up_ms: Vec::new(),
            ids: Vec::new(),
            refuses: 0,
            causes: Vec::new(),
            withdrawals: WITHDRAWALS_MAX,
            emptied: Vec::new(),
        }
    }

    /// So many events with faults; then everything is mended, and days pass.
    pub(super) fn run(&mut self, events: u32) -> Rest {
        while self.events < events {
            self.event();
        }
        self.is_calm = true;
        for place in 0..self.gateways.len() {
            self.gateways[place].paused_until = 0;
            if !self.gateways[place].is_up || self.gateways[place].is_shut {
                self.kill(place);
                self.start(place);
            }
        }
        self.images
            .iter_mut()
            .for_each(|image| (image.is_made, image.is_sent) = (true, image.is_sent || !image.is_made));
        let mut is_reached = self.rests();
        for ms in [20 * MINUTE, 25 * HOUR, 6 * DAY] {
            self.pass(ms);
            is_reached &= self.rests();
        }
        self.left(is_reached)
    }

    fn rests(&mut self) -> bool {
        let last = self.events + REST_MAX;
        while self.events < last {
            if self.calm_event() {
                continue;
            }
            let Some(at_ms) = self.next_due() else { return true };
            self.pass(at_ms - self.now_ms);
        }
        false
    }

    /// Whoever has something to do does it.
    fn calm_event(&mut self) -> bool {
        let first = self.chance.usize(..self.gateways.len());
        for place in (first..self.gateways.len()).chain(0..first) {
            if self.gateway_acts(place) {
                return true;
            }
        }
        self.outside_acts()
    }

    fn next_due(&self) -> Option<i64> {
        let waits = self.gateways.iter().flat_map(|gateway| gateway.waits.iter().map(|wait| wait.1));
        let ways = self.mails.iter().filter_map(|mail| match mail.at {
            At::Way { until_ms } => Some(until_ms),
            _ => None,
        });
        let receipts = self.receipts.iter().map(|receipt| receipt.from_ms);
        let leases =
            self.gateways.iter().flat_map(|gateway| gateway.watches.iter().map(|watch| watch.1.over_at_ms()));
        let all = waits.chain(ways).chain(receipts).chain(leases);
        all.filter(|at_ms| *at_ms > self.now_ms).min()
    }

    fn event(&mut self) {
        let happened = match self.chance.u8(..100) {
            0..72 => {
                let place = self.chance.usize(..self.gateways.len());
                self.gateway_acts(place)
            }
            72..88 => self.outside_acts(),
            88..92 => self.pacs_acts(),
            _ => false,
        };
        if !happened {
            // Whatever has come in this time comes before more of it passes.
            while let Some(mail) = self.arriving() {
                self.arrive(mail);
                self.events += 1;
            }
            // Nobody is in the middle of something for hours, nor leaves in a mailbox for so long what is to be deleted.
            let is_busy = self.gateways.iter().any(|gateway| gateway.pending.is_some())
                || self.mails.iter().any(|mail| self.is_leftover(mail));
            let ms = match self.chance.u8(..if is_busy { 14 } else { 16 }) {
                0..7 => self.chance.i64(1..SECOND),
                7..12 => self.chance.i64(SECOND..MINUTE),
                12..14 => self.chance.i64(MINUTE..20 * MINUTE),
                14 => self.chance.i64(HOUR..10 * HOUR),
                _ => self.chance.i64(DAY..2 * DAY),
            };
            self.pass(ms);
            self.events += 1;
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        if self.gateways.iter().any(|gateway| gateway.is_up) {
            self.up_ms += ms;
        }
        // A keeper that lives through hours notes them as they go, but for the last seconds.
        let keeper = self.book.keeper;
        for gateway in self
            .gateways
            .iter_mut()
            .filter(|gateway| gateway.is_up && gateway.paused_until <= self.now_ms - ms)
        {
            let token = gateway.leases.iter().find(|lease| lease.0 == KEEPER).map(|lease| lease.1);
            if token.is_some_and(|token| keeper.is_held_by(token)) {
                let since_ms = gateway.counted_ms.max(self.now_ms - ms - NOTED_MS);
                let noted = (self.now_ms - since_ms) / NOTED_MS * NOTED_MS;
                self.book.ran(noted);
                gateway.counted_ms = since_ms + noted;
            }
        }
    }

    pub(super) fn log(&mut self, what: What) {
        self.log.push(Entry { up_ms: self.up_ms, what });
    }

    pub(super) fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn has(&self, bug: QueueBug) -> bool {
        self.bug == Some(bug)
    }

    /// By a gateway's clock.
    pub(super) fn clock_ms(&self, gateway: usize) -> i64 {
        BEGIN + self.now_ms + self.gateways[gateway].offset_ms
    }

    /// False where this one has nothing to do, is down or stopped.
    fn gateway_acts(&mut self, place: usize) -> bool {
        if !self.gateways[place].is_up {
            if self.chance.u8(..100) < 40 {
                self.start(place);
                self.events += 1;
            }
            return true;
        }
        if self.gateways[place].paused_until > self.now_ms {
            return false;
        }
        let pending = self.gateways[place].pending.take();
        let Some(task) = pending.or_else(|| self.choose(place)) else { return false };
        self.events += 1;
        let fault = self.fault(task.act);
        self.coverage.count(task.act, fault);
        self.happens(Some(place), task.act, task.place, fault);
        match fault {
            Some(Fault::Kill) => self.kill(place),
            Some(Fault::PowerCut) => self.power_cut(),
            Some(Fault::Pause) => {
                let ms = self.chance.i64(crate::queue::LEASE_MS..4 * crate::queue::LEASE_MS);
                self.gateways[place].paused_until = self.now_ms + ms;
                self.gateways[place].pending = Some(task);
            }
            fault => {
                let year = self.chance.i64(DAY..=YEAR);
                match fault {
                    Some(Fault::ClockForward) => self.gateways[place].offset_ms = year,
                    Some(Fault::ClockBack) => self.gateways[place].offset_ms = -year,
                    _ => {}
                }
                self.gateways[place].pending = self.execute(place, task, fault);
            }
        }
        true
    }

    fn happens(&mut self, gateway: Option<usize>, act: Act, place: usize, fault: Option<Fault>) {
        let Some(happened) = &mut self.happened else { return };
        let (at_ms, place) = (self.now_ms, (place != KEEPER).then_some(place));
        let states = self.book.deliveries.iter().map(|delivery| delivery.state.word()).collect();
        happened.push(Happened { at_ms, gateway, act, place, fault, states });
    }

    /// What goes wrong with this act, if anything does.
    fn fault(&mut self, act: Act) -> Option<Fault> {
        if self.is_calm || self.chance.u8(..100) >= self.faults_of_100 {
            return None;
        }
        let possible = FAULTS.into_iter().filter(|fault| act.cannot(*fault).is_none());
        let chosen = self.chance.usize(..possible.clone().count().max(1));
        possible.clone().nth(chosen)
    }

    pub(super) fn kill(&mut self, place: usize) {
        let offset_ms = self.gateways[place].offset_ms;
        self.gateways[place] = Gateway { offset_ms, ..Gateway::default() };
    }

    fn start(&mut self, place: usize) {
        self.gateways[place].is_up = true;
    }

    fn power_cut(&mut self) {
        for place in 0..self.gateways.len() {
            self.kill(place);
        }
        let mut chance = self.chance.clone();
        self.files.retain_mut(|file| {
            file.is_torn |= !file.is_synced && chance.bool();
            let is_lost = (!file.is_synced && chance.bool()) || (!file.is_name_synced && chance.bool());
            file.is_synced = true;
            !is_lost && file.is_named
        });
        self.chance = chance;
    }

    /// The PACS sends once more what it sent, or images are made that were missing, or a technician sends the study again.
    fn pacs_acts(&mut self) -> bool {
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
    fn outside_acts(&mut self) -> bool {
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

    fn arriving(&self) -> Option<usize> {
        let arrives = |mail: &Mail| matches!(mail.at, At::Way { until_ms } if until_ms <= self.now_ms);
        self.mails.iter().position(arrives)
    }

    fn arrive(&mut self, place: usize) {
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
                    self.mails.push(Mail { at: At::Mailbox, is_replayed: true, ..old });
                }
            }
            _ => {}
        }
        let arriving = self.mails[place];
        let key = |mail: &Mail| (mail.delivery, mail.doctor, mail.part);
        let was_there = |mail: &Mail| !matches!(mail.at, At::Way { .. }) && key(mail) == key(&arriving);
        self.mails[place].is_copy = self.mails.iter().any(was_there);
        self.mails[place].at = At::Mailbox;
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

    fn is_whole(&self, cover: &Mail) -> bool {
        (1..=PIECES).all(|piece| {
            self.mails.iter().any(|mail| {
                mail.part == Part::Piece(piece)
                    && mail.at == At::Mailbox
                    && (mail.id, mail.cipher, mail.doctor) == (cover.id, cover.cipher, cover.doctor)
            })
        })
    }

    fn read(&mut self, place: usize, act: Act) {
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

    pub(super) fn lease(&self, place: usize) -> Option<&Lease> {
        if place == KEEPER {
            Some(&self.book.keeper)
        } else {
            self.book.deliveries.get(place).map(|delivery| &delivery.lease)
        }
    }

    /// Images of a delivery, by what the queue has.
    pub(super) fn images_of(&self, is_meant: impl Fn(&crate::queue::Instance) -> bool) -> Images {
        let meant = self.book.instances.iter().filter(|instance| is_meant(instance));
        meant.map(|instance| bit(self.image(instance.uid, instance.content))).fold(0, |all, one| all | one)
    }

    fn image(&self, uid: u8, content: u8) -> usize {
        self.images
            .iter()
            .position(|image| (image.uid, image.content) == (uid, content))
            .unwrap_or(usize::MAX)
    }

    pub(super) fn received(&self, number: u32) -> Option<&File> {
        let is_it = |file: &&File| file.number == number && matches!(file.kind, Kind::Received { .. });
        self.files.iter().find(is_it)
    }

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
    fn is_leftover(&self, mail: &Mail) -> bool {
        mail.at == At::Mailbox
            && !mail.is_replayed
            && self.readers[usize::from(mail.doctor)].gives_right
            && self.book.state_of(mail.delivery).is_some_and(State::is_over)
    }

    fn left(&self, is_reached: bool) -> Rest {
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
                rest.unopened |= 1_u64.checked_shl(u32::try_from(place).unwrap_or(u32::MAX)).unwrap_or(0);
            }
        }
        rest
    }
}

fn image(uid: u8, content: u8, is_made: bool) -> Image {
    Image { uid, content, is_made, is_sent: is_made }
}

pub(super) fn bit(number: usize) -> Images {
    1_u16.checked_shl(u32::try_from(number).unwrap_or(u32::MAX)).unwrap_or(0)
}
