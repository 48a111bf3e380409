//! The world of a schedule: gateways that are killed and paused, a disk that loses what was not synced, a mail server that loses its replies, readers, a
//! PACS that sends again, and people. Nothing here knows what is right.

use super::faults::{Act, Coverage, FAULTS, Fault};
use super::gateway::token;
use super::log::{Entry, Images, Rest, What, bit};
use super::peers::{At, File, Gateway, Happened, Image, Kind, Mail, Reader, Receipt};
use super::rules::QueueBug;
use crate::queue::{Book, Instance, LEASE_MS, Lease};
use crate::simulate::{HOUR, MINUTE, SECOND};
use fastrand::Rng;

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
pub(super) const PUSHES_MAX: u8 = 2;
/// Longest way of a mail, but for the time that passes at once: a mail server tries for five days (RFC 5321 4.5.4.1).
pub(super) const LATE_MAX_MS: i64 = 5 * DAY / 2;
/// How often people withdraw a case of it.
const WITHDRAWALS_MAX: u8 = 3;
/// Of a hundred acts, those with a fault: some schedules are mild and get far, some are wild.
const FAULTS_OF_100: [u8; 5] = [2, 5, 9, 14, 24];
/// And of acts that few schedules come to.
const RARE_FAULTS_OF_100: u8 = 60;

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
    /// Images that the PACS was asked for again, and under which AE title; it gives them until it is told Success.
    pub(super) asked: Vec<(usize, u8)>,
    /// It has still what it sent, and gives it.
    pub(super) gives_again: bool,
    /// Where the PACS sends to.
    pub(super) destination: u8,
    /// What is withdrawn waits for another press.
    pub(super) holds_again: bool,
    pub(super) presses: bool,
    /// `[case] expire_hours`, in milliseconds.
    pub(super) expire_ms: i64,
    /// Somebody at the hospital hears alarms.
    pub(super) hears: bool,
    pub(super) faults_of_100: u8,
    pub(super) pushes: u8,
    pub(super) numbers: u32,
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
            hides: chance.u8(..100) < 10,
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
        let expire_ms = chance.choice([DAY, 3 * DAY]).unwrap_or(DAY);
        let gives_again = chance.u8(..100) < 70;
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
            asked: Vec::new(),
            gives_again,
            destination,
            holds_again,
            presses,
            expire_ms,
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
            if token(gateway, KEEPER).is_some_and(|token| keeper.is_held_by(token)) {
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
                let ms = self.chance.i64(LEASE_MS..4 * LEASE_MS);
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

    pub(super) fn happens(&mut self, gateway: Option<usize>, act: Act, place: usize, fault: Option<Fault>) {
        let Some(happened) = &mut self.happened else { return };
        let (at_ms, place) = (self.now_ms, (place != KEEPER).then_some(place));
        let states = self.book.deliveries.iter().map(|delivery| delivery.state.word()).collect();
        happened.push(Happened { at_ms, gateway, act, place, fault, states });
    }

    /// What goes wrong with this act, if anything does.
    pub(super) fn fault(&mut self, act: Act) -> Option<Fault> {
        let is_rare = matches!(
            act,
            Act::DestroyKey
                | Act::Close
                | Act::NoteRefused
                | Act::EndByTime
                | Act::Prove
                | Act::Forget
                | Act::NoteDamaged
                | Act::AskAgain
        );
        let faults_of_100 = if is_rare { RARE_FAULTS_OF_100 } else { self.faults_of_100 };
        if self.is_calm || self.chance.u8(..100) >= faults_of_100 {
            return None;
        }
        let possible = FAULTS.into_iter().filter(|fault| act.cannot(*fault).is_none());
        let chosen = self.chance.usize(..possible.clone().count().max(1));
        possible.clone().nth(chosen)
    }

    fn kill(&mut self, place: usize) {
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

    /// All doctors.
    pub(super) fn everybody(&self) -> Vec<u8> {
        (0..self.readers.len()).filter_map(|doctor| u8::try_from(doctor).ok()).collect()
    }

    pub(super) fn lease(&self, place: usize) -> Option<&Lease> {
        if place == KEEPER {
            Some(&self.book.keeper)
        } else {
            self.book.deliveries.get(place).map(|delivery| &delivery.lease)
        }
    }

    /// Images of a delivery, by what the queue has.
    pub(super) fn images_of(&self, is_meant: impl Fn(&Instance) -> bool) -> Images {
        let meant = self.book.instances.iter().filter(|instance| is_meant(instance));
        meant.map(|instance| bit(self.image(instance.uid, instance.content))).fold(0, |all, one| all | one)
    }

    pub(super) fn image(&self, uid: u8, content: u8) -> usize {
        self.images
            .iter()
            .position(|image| (image.uid, image.content) == (uid, content))
            .unwrap_or(usize::MAX)
    }

    pub(super) fn received(&self, number: u32) -> Option<&File> {
        let is_it = |file: &&File| file.number == number && matches!(file.kind, Kind::Received { .. });
        self.files.iter().find(is_it)
    }
}

fn image(uid: u8, content: u8, is_made: bool) -> Image {
    Image { uid, content, is_made, is_sent: is_made }
}
