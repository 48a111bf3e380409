//! The world of a night: studies come, servers fail and come back, the gateway crashes, phones are dead, doctors open or do not, and somebody at the
//! hospital hears an alarm sooner or later. Nothing here knows what is right.

use super::rules::{Bug, Tried};
use super::{HOUR, MINUTE, SECOND, Settings};
use crate::journal::Ended;
use crate::notify::{Aged, Escalation, Next, Standing};
use crate::submit::retry;
use fastrand::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// A duty, from 20:00 to 08:00.
const NIGHT: i64 = 12 * HOUR;
/// Outages of one service in a night, at most, and how long one lasts at most.
const OUTAGES_MAX: usize = 6;
const OUTAGE_MAX: i64 = 40 * MINUTE;
/// The gateway's pause between two looks.
const LOOK_MAX: i64 = 200;

/// What happened, and when, in milliseconds since the night began.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at_ms: i64,
    pub(super) case: u32,
    pub(super) what: What,
}

/// What is known of a doctor at the press.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// How many stand before.
    pub(super) before: u32,
    /// The highest level of channels.
    pub(super) highest: u32,
    /// Quiet hours; none where the case is urgent.
    pub(super) quiet: Option<Range<i64>>,
}

/// Doctors are named by their place in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Somebody pressed.
    Pressed(Vec<Known>),
    /// The mail server has it for this one.
    Submitted(usize),
    /// It takes nothing for this one.
    Refused(usize),
    /// It is this one's turn.
    Told(usize),
    /// Channels up to this level tell this one.
    Raised(usize, u32),
    /// A channel took a notice.
    Accepted(usize),
    /// None will.
    NotTaken(usize),
    /// The notice is on the phone; seen from outside, as the next two.
    Reached(usize),
    /// The carrier lost it.
    Lost(usize),
    /// The doctor has opened it.
    Opens(usize),
    /// The gateway knows that.
    Opened(usize),
    /// The gateway knows that this one, who had opened it, hands it over.
    HandedOver(usize),
    Alarmed,
    Heard,
    /// The mail server takes it for nobody.
    Failed,
    Ended(Ended),
}

/// All of a night.
pub(super) struct Log {
    pub(super) entries: Vec<Entry>,
    /// When the gateway was down.
    pub(super) down: Vec<Range<i64>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Submit { doctor: usize, failures: u32 },
    Notify { doctor: usize, failures: u32 },
    Reach { doctor: usize },
    Open { doctor: usize },
    Receipt { doctor: usize },
    HandOver { doctor: usize },
    Hear,
    Close,
    Look,
}

impl Event {
    /// Of the gateway: it waits while that is down.
    fn is_ours(self) -> bool {
        !matches!(self, Self::Reach { .. } | Self::Open { .. })
    }
}

struct World {
    mail: Vec<Range<i64>>,
    notices: Vec<Range<i64>>,
    mailboxes: Vec<Range<i64>>,
    gateway: Vec<Range<i64>>,
}

pub(super) fn run(cases: u32, seed: u64, settings: Settings, bug: Option<Bug>) -> Log {
    let mut chance = Rng::with_seed(seed);
    let mut outages = || outages(&mut chance);
    let world = World { mail: outages(), notices: outages(), mailboxes: outages(), gateway: outages() };
    let mut entries = Vec::new();
    for number in 0..cases {
        let chance = Rng::with_seed(chance.u64(..));
        Case::new(number, settings, Tried(bug), &world, chance).run(&mut entries);
    }
    Log { entries, down: world.gateway }
}

/// In order, apart from each other.
fn outages(chance: &mut Rng) -> Vec<Range<i64>> {
    let mut begins: Vec<i64> = (0..chance.usize(0..=OUTAGES_MAX)).map(|_| chance.i64(0..NIGHT)).collect();
    begins.sort_unstable();
    let mut outages: Vec<Range<i64>> = Vec::new();
    for from in begins {
        // Most are short.
        let lasts = OUTAGE_MAX >> chance.u32(0..12);
        match outages.last_mut() {
            Some(last) if last.end >= from => last.end = last.end.max(from + lasts),
            _ => outages.push(from..from + lasts),
        }
    }
    outages
}

/// The first moment from `at` on outside of outages.
fn up(outages: &[Range<i64>], at: i64) -> i64 {
    outages.iter().find(|outage| outage.contains(&at)).map_or(at, |outage| outage.end)
}

/// The first moment from `at` on outside of a doctor's quiet hours.
fn awake(known: &[Known], doctor: usize, at: i64) -> i64 {
    let quiet = known.get(doctor).and_then(|known| known.quiet.as_ref());
    quiet.filter(|quiet| quiet.contains(&at)).map_or(at, |quiet| quiet.end)
}

/// Milliseconds of outages between two moments.
fn down_between(outages: &[Range<i64>], from: i64, to: i64) -> i64 {
    outages.iter().map(|outage| (outage.end.min(to) - outage.start.max(from)).max(0)).sum()
}

struct Case<'a> {
    number: u32,
    settings: Settings,
    rules: Tried,
    world: &'a World,
    chance: Rng,
    coming: BinaryHeap<Reverse<(i64, u64, Event)>>,
    events: u64,
    next_look: Option<i64>,
    standings: Vec<Standing>,
    known: Vec<Known>,
    /// Whom a notice did not go to, since somebody had opened it.
    spared: Vec<usize>,
    mailed_at: Option<i64>,
    is_alarmed: bool,
    is_heard: bool,
    is_ended: bool,
}

impl<'a> Case<'a> {
    fn new(number: u32, settings: Settings, rules: Tried, world: &'a World, mut chance: Rng) -> Self {
        let doctors = chance.usize(1..=4);
        let at_once = if chance.u8(..100) < 20 { 2.min(doctors) } else { 1 };
        let standing = |place: usize| Standing {
            doctor: place.to_string(),
            stands_behind: u32::try_from((place + 1).saturating_sub(at_once)).unwrap_or(u32::MAX),
            escalated_at_ms: None,
            submitted_at_ms: None,
            notified_at_ms: None,
            has_opened: false,
            is_out: false,
            level: 0,
            level_at_ms: None,
        };
        let standings: Vec<_> = (0..doctors).map(standing).collect();
        let is_urgent = chance.u8(..100) < 70;
        let mut known = |standing: &Standing| {
            let (from, lasts) = (chance.i64(0..NIGHT), chance.i64(MINUTE..HOUR));
            let is_quiet = !is_urgent && chance.u8(..100) < 40;
            Known {
                before: standing.stands_behind,
                highest: chance.u32(0..=2),
                quiet: is_quiet.then_some(from..from + lasts),
            }
        };
        let known = standings.iter().map(&mut known).collect();
        Self {
            number,
            settings,
            rules,
            world,
            chance,
            coming: BinaryHeap::new(),
            events: 0,
            next_look: None,
            standings,
            known,
            spared: Vec::new(),
            mailed_at: None,
            is_alarmed: false,
            is_heard: false,
            is_ended: false,
        }
    }

    fn run(mut self, log: &mut Vec<Entry>) {
        let pressed = up(&self.world.gateway, self.chance.i64(0..NIGHT));
        self.log(log, pressed, What::Pressed(self.known.clone()));
        // Compressed and sealed.
        let sealed = pressed + self.chance.i64(2 * SECOND..=30 * SECOND);
        for doctor in 0..self.standings.len() {
            let after = self.chance.i64(0..=20 * SECOND);
            self.come(sealed + after, Event::Submit { doctor, failures: 0 });
        }
        while let Some(Reverse((at, _, event))) = self.coming.pop() {
            if self.is_ended {
                break;
            }
            let starts = up(&self.world.gateway, at);
            if event.is_ours() && starts > at {
                self.move_to(starts, at, event);
                continue;
            }
            self.happen(log, at, event);
        }
    }

    fn move_to(&mut self, starts: i64, at: i64, event: Event) {
        if event == Event::Look {
            if self.next_look == Some(at) {
                self.next_look = None;
                self.look_at(starts);
            }
            return;
        }
        self.come(starts, event);
    }

    fn happen(&mut self, log: &mut Vec<Entry>, at: i64, event: Event) {
        match event {
            Event::Submit { doctor, failures } => self.submit(log, at, doctor, failures),
            Event::Notify { doctor, failures } => self.notify(log, at, doctor, failures),
            Event::Reach { doctor } => {
                self.log(log, at, What::Reached(doctor));
                // Some phones are dead, some doctors asleep.
                if self.chance.u8(..100) < 70 {
                    let after = self.draw(90 * SECOND);
                    self.come(at + after, Event::Open { doctor });
                }
            }
            Event::Open { doctor } => {
                self.log(log, at, What::Opens(doctor));
                let written = up(&self.world.mailboxes, at + SECOND);
                let read = written + self.chance.i64(100..=1_500);
                self.come(read, Event::Receipt { doctor });
                return;
            }
            Event::Receipt { doctor } => {
                let is_first = !self.is_opened();
                let Some(standing) = self.standings.get_mut(doctor).filter(|one| !one.is_out) else { return };
                standing.has_opened = true;
                self.log(log, at, What::Opened(doctor));
                if self.chance.u8(..100) < 5 {
                    let after = self.draw(3 * MINUTE);
                    self.come(at + after, Event::HandOver { doctor });
                }
                if is_first && self.chance.u8(..100) < 60 {
                    let after = self.chance.i64(5 * MINUTE..6 * HOUR);
                    self.come(at + after, Event::Close);
                }
            }
            Event::HandOver { doctor } => self.hand_over(log, at, doctor),
            // Somebody may press the button of an alarm that is over.
            Event::Hear if !self.is_alarmed || self.is_heard => return,
            Event::Hear => {
                self.is_heard = true;
                self.log(log, at, What::Heard);
            }
            // Nobody closes what nobody has.
            Event::Close if !self.is_opened() => return,
            Event::Close => return self.end(log, at, Ended::Closed),
            Event::Look => {
                if self.next_look != Some(at) {
                    return;
                }
                self.next_look = None;
            }
        }
        if event.is_ours() && !self.is_ended {
            self.look(log, at);
        }
    }

    fn is_opened(&self) -> bool {
        self.standings.iter().any(|one| one.has_opened)
    }

    fn hand_over(&mut self, log: &mut Vec<Entry>, at: i64, doctor: usize) {
        let hears = self.rules.hears_of_hand_overs();
        let Some(standing) = self.standings.get_mut(doctor).filter(|one| !one.is_out) else { return };
        if hears {
            (standing.is_out, standing.has_opened) = (true, false);
            (self.is_alarmed, self.is_heard) = (false, false);
            if !self.is_opened() {
                for doctor in std::mem::take(&mut self.spared) {
                    self.come(at, Event::Notify { doctor, failures: 0 });
                }
            }
        }
        self.log(log, at, What::HandedOver(doctor));
    }

    fn submit(&mut self, log: &mut Vec<Entry>, at: i64, doctor: usize, failures: u32) {
        let is_down = up(&self.world.mail, at) > at || self.chance.u8(..100) < 3;
        if is_down {
            let wait = self.wait(failures + 1);
            return self.come(at + wait, Event::Submit { doctor, failures: failures + 1 });
        }
        let is_refused = self.chance.u8(..100) < 1;
        let Some(standing) = self.standings.get_mut(doctor) else { return };
        if is_refused {
            standing.is_out = true;
            self.log(log, at, What::Refused(doctor));
            // A dead letter: the page says so.
            if self.standings.iter().all(|one| one.is_out) {
                self.is_ended = true;
                self.log(log, at, What::Failed);
            }
            return;
        }
        standing.submitted_at_ms = Some(at);
        let is_told = standing.stands_behind == 0 || standing.escalated_at_ms.is_some();
        self.mailed_at = self.mailed_at.or(Some(at));
        self.log(log, at, What::Submitted(doctor));
        if is_told {
            let after = self.chance.i64(100..=5_000);
            self.come(at + after, Event::Notify { doctor, failures: 0 });
        }
        if self.chance.u8(..100) < 2 {
            // Looks in without having been told.
            let after = self.chance.i64(0..HOUR);
            self.come(at + after, Event::Open { doctor });
        }
    }

    fn notify(&mut self, log: &mut Vec<Entry>, at: i64, doctor: usize, failures: u32) {
        let is_opened = self.is_opened();
        let awake = awake(&self.known, doctor, at);
        if awake > at && self.rules.lets_sleep() {
            return self.come(awake, Event::Notify { doctor, failures });
        }
        let Some(standing) = self.standings.get_mut(doctor) else { return };
        if standing.is_out {
            return;
        }
        // The turn of one who stood behind is over once somebody has opened it, and further channels are for nobody then.
        if is_opened && (standing.escalated_at_ms.is_some() || standing.level > 0) {
            self.spared.push(doctor);
            return;
        }
        if up(&self.world.notices, at) > at || self.chance.u8(..100) < 3 {
            let wait = self.wait(failures + 1);
            return self.come(at + wait, Event::Notify { doctor, failures: failures + 1 });
        }
        if self.chance.u8(..100) < 1 {
            return self.log(log, at, What::NotTaken(doctor));
        }
        standing.notified_at_ms = standing.notified_at_ms.or(Some(at));
        self.log(log, at, What::Accepted(doctor));
        if self.chance.u8(..100) < 1 {
            self.log(log, at, What::Lost(doctor));
        } else if self.rules.sends() {
            let after = self.draw(3 * SECOND);
            self.come(at + after, Event::Reach { doctor });
        }
    }

    /// What the gateway does whenever something has changed, or it is time.
    fn look(&mut self, log: &mut Vec<Entry>, at: i64) {
        while let Next::Tell { doctor, at_ms } = self.decided(Tried::next) {
            if at_ms > at {
                let pause = self.chance.i64(0..=LOOK_MAX);
                self.look_at(at_ms + pause);
                break;
            }
            let Some(place) = self.standings.iter().position(|one| one.doctor == doctor) else { break };
            let Some(standing) = self.standings.get_mut(place) else { break };
            standing.escalated_at_ms = Some(at);
            let is_submitted = standing.submitted_at_ms.is_some();
            self.log(log, at, What::Told(place));
            if is_submitted {
                let after = self.chance.i64(50..=800);
                self.come(at + after, Event::Notify { doctor: place, failures: 0 });
            }
        }
        self.raise(log, at);
        self.alarm(log, at);
        self.age(log, at);
    }

    fn decided<T>(&self, decide: impl FnOnce(Tried, Escalation<'_>) -> T) -> T {
        let place = |doctor: &str| doctor.parse::<usize>().ok();
        let next_level = |doctor: &str, level: u32| {
            let highest = self.known.get(place(doctor)?)?.highest;
            (level < highest).then_some(level + 1)
        };
        let awake_at_ms =
            |doctor: &str, at: i64| place(doctor).map_or(at, |place| awake(&self.known, place, at));
        let it = Escalation {
            standings: &self.standings,
            rules: self.settings.rules,
            next_level: &next_level,
            awake_at_ms: &awake_at_ms,
        };
        decide(self.rules, it)
    }

    fn raise(&mut self, log: &mut Vec<Entry>, at: i64) {
        for raise in self.decided(Tried::raises) {
            if raise.at_ms > at {
                let pause = self.chance.i64(0..=LOOK_MAX);
                self.look_at(raise.at_ms + pause);
                continue;
            }
            let Some(place) = self.standings.iter().position(|one| one.doctor == raise.doctor) else {
                continue;
            };
            let Some(standing) = self.standings.get_mut(place) else { continue };
            (standing.level, standing.level_at_ms) = (raise.level, Some(at));
            self.log(log, at, What::Raised(place, raise.level));
            let after = self.chance.i64(50..=800);
            self.come(at + after, Event::Notify { doctor: place, failures: 0 });
            // The level after that may be near.
            self.look_at(at + 1);
        }
    }

    fn alarm(&mut self, log: &mut Vec<Entry>, at: i64) {
        if self.is_alarmed {
            return;
        }
        match self.decided(Tried::alarm_at_ms) {
            Some(at_ms) if at_ms <= at => {
                self.is_alarmed = true;
                self.log(log, at, What::Alarmed);
                // Somebody sits there, but for some nights.
                let after = if self.chance.u8(..100) < 2 {
                    self.chance.i64(HOUR..40 * HOUR)
                } else {
                    self.draw(MINUTE)
                };
                self.come(at + after, Event::Hear);
            }
            Some(at_ms) => {
                let pause = self.chance.i64(0..=LOOK_MAX);
                self.look_at(at_ms + pause);
            }
            None => {}
        }
    }

    /// Only the time that the gateway ran counts.
    fn age(&mut self, log: &mut Vec<Entry>, at: i64) {
        let Some(mailed_at) = self.mailed_at else { return };
        let age = at - mailed_at - down_between(&self.world.gateway, mailed_at, at);
        let left = self.settings.expire_ms - age;
        if left > 0 {
            return self.look_at(at + left);
        }
        let aged = Aged {
            has_opened: self.is_opened(),
            is_handed_over: false,
            alarm_was_heard: self.is_heard,
            has_good_link: false,
        };
        if let Some(how) = self.rules.ends(aged) {
            self.end(log, at, how);
        }
    }

    fn end(&mut self, log: &mut Vec<Entry>, at: i64, how: Ended) {
        self.is_ended = true;
        self.log(log, at, What::Ended(how));
    }

    fn look_at(&mut self, at: i64) {
        if self.next_look.is_none_or(|next| at < next) {
            self.next_look = Some(at);
            self.come(at, Event::Look);
        }
    }

    fn come(&mut self, at: i64, event: Event) {
        self.events += 1;
        self.coming.push(Reverse((at, self.events, event)));
    }

    fn wait(&mut self, failures: u32) -> i64 {
        i64::try_from(retry::delay(failures, self.chance.u64(..)).as_millis()).unwrap_or(i64::MAX)
    }

    /// Exponentially distributed.
    fn draw(&mut self, mean: i64) -> i64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "some minutes in milliseconds"
        )]
        let drawn = (-(1.0 - self.chance.f64()).ln() * mean as f64) as i64;
        drawn
    }

    fn log(&self, log: &mut Vec<Entry>, at_ms: i64, what: What) {
        log.push(Entry { at_ms, case: self.number, what });
    }
}
