//! The oracle: reads the log of a night and says what must not be. Written from what the hospital is promised, without the gateway's rules:
//! whoever changes those changes nothing here.

use super::night::{Entry, Known, Log, What};
use super::{Counts, Settings};
use crate::journal::Ended;
use serde::Serialize;
use std::ops::Range;

/// Latest that anything may be told behind its time.
const LATE_MAX_MS: i64 = 1_000;
/// Longest way of a notice from a channel to a phone, or to where carriers lose it.
const WAY_MAX_MS: i64 = 60 * 60 * 1000;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// In which case.
    pub case: u32,
    /// When, milliseconds since the night began.
    pub at_ms: i64,
    /// What.
    pub what: &'static str,
}

pub(super) struct Judged {
    pub(super) violations: Vec<Violation>,
    pub(super) counts: Counts,
    pub(super) latest_ms: i64,
}

pub(super) fn judge(log: &Log, settings: Settings) -> Judged {
    let mut judged = Judged { violations: Vec::new(), counts: Counts::default(), latest_ms: 0 };
    judged.counts.events = log.entries.len();
    for entries in log.entries.chunk_by(|one, next| one.case == next.case) {
        let mut entries: Vec<&Entry> = entries.iter().collect();
        entries.sort_by_key(|entry| entry.at_ms);
        Judge::new(settings, &log.down, &mut judged).case(&entries);
    }
    judged
}

/// What the log says of one doctor.
#[derive(Clone, Default)]
struct Doctor {
    known: Known,
    told: Option<i64>,
    mailed: Option<i64>,
    refused: bool,
    opened: bool,
    handed_over: bool,
    accepted: Vec<i64>,
    arrived: usize,
    level: u32,
    raised: Option<i64>,
    not_taken: bool,
}

impl Doctor {
    /// Nobody waits for this one.
    fn is_out(&self) -> bool {
        self.refused || self.handed_over
    }

    fn awake(&self, at: i64) -> i64 {
        self.known.quiet.as_ref().filter(|quiet| quiet.contains(&at)).map_or(at, |quiet| quiet.end)
    }

    /// Since when an answer is waited for. The press tells nobody who is first: the mail does.
    fn waits(&self) -> Option<i64> {
        let turn = self.told.filter(|_| self.known.before > 0);
        let told = [turn, self.mailed, self.accepted.first().copied()].into_iter().flatten().max()?;
        Some(self.awake(told))
    }
}

/// What must happen next, and when.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Tell(usize, i64),
    Alarm(i64),
    Nothing,
}

struct Judge<'a> {
    settings: Settings,
    down: &'a [Range<i64>],
    judged: &'a mut Judged,
    case: u32,
    doctors: Vec<Doctor>,
    opened: bool,
    alarmed: bool,
    heard: bool,
    first_mailed: Option<i64>,
    ended: Option<Ended>,
    is_failed: bool,
    /// When it last changed what is due.
    since: i64,
}

impl<'a> Judge<'a> {
    fn new(settings: Settings, down: &'a [Range<i64>], judged: &'a mut Judged) -> Self {
        Self {
            settings,
            down,
            judged,
            case: 0,
            doctors: Vec::new(),
            opened: false,
            alarmed: false,
            heard: false,
            first_mailed: None,
            ended: None,
            is_failed: false,
            since: 0,
        }
    }

    fn case(mut self, entries: &[&Entry]) {
        let Some(first) = entries.first() else { return };
        self.case = first.case;
        self.judged.counts.cases += 1;
        for entry in entries {
            self.missed(entry);
            self.take(entry);
        }
        let last = entries.last().map_or(0, |entry| entry.at_ms);
        self.end(last);
    }

    /// What was due long before this entry and is not it.
    fn missed(&mut self, entry: &Entry) {
        self.missed_raises(entry);
        let (at, is_it) = match (self.due(), &entry.what) {
            (Due::Nothing, _) => return,
            (Due::Tell(doctor, at), What::Told(told)) => (at, doctor == *told),
            (Due::Alarm(at), What::Alarmed) => (at, true),
            (Due::Tell(_, at) | Due::Alarm(at), _) => (at, false),
        };
        if !is_it && self.possible(at) + LATE_MAX_MS < entry.at_ms {
            self.violated(entry.at_ms, "what was due did not happen in time");
            // Said once.
            self.since = i64::MAX;
        }
    }

    fn missed_raises(&mut self, entry: &Entry) {
        for doctor in 0..self.doctors.len() {
            let is_it = matches!(entry.what, What::Raised(raised, _) if raised == doctor);
            let due = self.raise_due(doctor).map(|(due, _)| due);
            let Some(due) = due.filter(|_| !is_it && self.since != i64::MAX) else {
                continue;
            };
            if self.possible(due) + LATE_MAX_MS < entry.at_ms {
                self.violated(entry.at_ms, "further channels were not tried in time");
                // Said once.
                self.of(doctor).level = u32::MAX;
            }
        }
    }

    fn take(&mut self, entry: &Entry) {
        let at = entry.at_ms;
        let is_watched = self.since != i64::MAX;
        match &entry.what {
            What::Pressed(known) => {
                let of = |known: &Known| Doctor {
                    known: known.clone(),
                    told: (known.before == 0).then_some(at),
                    ..Doctor::default()
                };
                self.doctors = known.iter().map(of).collect();
            }
            What::Submitted(doctor) => {
                self.first_mailed = self.first_mailed.or(Some(at));
                self.of(*doctor).mailed = Some(at);
            }
            What::Refused(doctor) => self.of(*doctor).refused = true,
            What::Told(doctor) => self.told(*doctor, at),
            What::Raised(doctor, level) => self.raised(*doctor, *level, at),
            What::Accepted(doctor) => {
                self.judged.counts.notices += 1;
                if self.of(*doctor).awake(at) > at {
                    self.violated(at, "somebody was woken in quiet hours");
                }
                self.of(*doctor).accepted.push(at);
            }
            What::NotTaken(doctor) => self.of(*doctor).not_taken = true,
            What::Reached(doctor) | What::Lost(doctor) => self.of(*doctor).arrived += 1,
            What::Opens(_) => return,
            What::Opened(doctor) => self.of(*doctor).opened = true,
            What::HandedOver(doctor) => self.handed_over(*doctor, at),
            What::Alarmed => self.alarm(at),
            What::Heard => {
                if !self.alarmed {
                    self.violated(at, "an alarm was heard that nobody raised");
                }
                self.heard = true;
            }
            What::Failed => self.failed(at),
            What::Ended(how) => self.ended(*how, at),
        }
        self.opened = self.doctors.iter().any(|doctor| doctor.opened && !doctor.handed_over);
        if is_watched {
            self.since = at;
        }
    }

    /// What was opened is not, and whoever is responsible must hear of it anew.
    fn handed_over(&mut self, doctor: usize, at: i64) {
        self.judged.counts.handed_over += 1;
        if !self.of(doctor).opened {
            self.violated(at, "somebody handed over what was not opened");
        }
        self.of(doctor).handed_over = true;
        (self.alarmed, self.heard) = (false, false);
    }

    fn told(&mut self, doctor: usize, at: i64) {
        self.judged.counts.escalations += 1;
        if self.opened {
            self.violated(at, "somebody was told after it was opened");
        }
        match self.due() {
            Due::Tell(next, due) if next == doctor => self.punctual(due, at),
            _ => self.violated(at, "somebody was told out of turn"),
        }
        self.of(doctor).told = Some(at);
    }

    fn raised(&mut self, doctor: usize, level: u32, at: i64) {
        self.judged.counts.raises += 1;
        if self.opened {
            self.violated(at, "further channels were tried after it was opened");
        }
        match self.raise_due(doctor) {
            Some((due, up_to)) if up_to == level => self.punctual(due, at),
            _ => self.violated(at, "further channels were tried out of turn"),
        }
        let one = self.of(doctor);
        (one.level, one.raised) = (level, Some(at));
    }

    /// When further channels of a doctor are to be tried, and up to which level, from what the log has said so far.
    fn raise_due(&self, doctor: usize) -> Option<(i64, u32)> {
        let one = self.doctors.get(doctor)?;
        if self.opened || self.ended.is_some() || one.is_out() || one.level >= one.known.highest {
            return None;
        }
        one.told.and(one.mailed)?;
        let since = one.waits()?.max(one.raised.unwrap_or(0));
        let step = self.settings.rules.channel_after_ms.map(|after| (since + after, one.level + 1));
        let all = self.everybody_due().map(|due| (due.max(since), one.known.highest));
        match (step, all) {
            (Some(step), Some(all)) => Some(if step.0 < all.0 { step } else { all }),
            (step, all) => step.or(all),
        }
    }

    /// When the turn of everybody comes: so long after the first of those who can be reached was waited for.
    fn everybody_due(&self) -> Option<i64> {
        let after = self.settings.rules.everybody_after_ms?;
        let reached = || self.doctors.iter().filter(|doctor| !doctor.is_out());
        let had = reached().filter_map(|doctor| doctor.mailed).max();
        let told = reached().filter(|doctor| doctor.told.is_some());
        Some(told.filter_map(|doctor| doctor.waits().or(had)).min()? + after)
    }

    fn alarm(&mut self, at: i64) {
        self.judged.counts.alarmed += 1;
        if self.opened {
            self.violated(at, "the hospital was alarmed after it was opened");
        }
        match self.due() {
            Due::Alarm(due) => self.punctual(due, at),
            _ => self.violated(at, "the hospital was alarmed out of turn"),
        }
        self.alarmed = true;
    }

    fn punctual(&mut self, due: i64, at: i64) {
        if at < due {
            self.violated(at, "somebody was told before the time");
        }
        let late = at - self.possible(due);
        self.judged.latest_ms = self.judged.latest_ms.max(late);
        if late > LATE_MAX_MS {
            self.violated(at, "somebody was told late");
        }
    }

    fn failed(&mut self, at: i64) {
        self.judged.counts.failed += 1;
        self.is_failed = true;
        if !self.doctors.iter().all(|doctor| doctor.refused) {
            self.violated(at, "it was given up although somebody could have it");
        }
    }

    fn ended(&mut self, how: Ended, at: i64) {
        let counts = &mut self.judged.counts;
        match how {
            Ended::Closed => counts.closed += 1,
            Ended::Expired | Ended::HandedOver => counts.expired += 1,
            Ended::Unopened => counts.unopened += 1,
        }
        let may = match how {
            Ended::Closed | Ended::Expired => self.opened,
            Ended::HandedOver => false,
            Ended::Unopened => !self.opened && self.heard,
        };
        if !may {
            self.violated(at, "it ended unopened before a person had heard the alarm");
        }
        let ran = self.first_mailed.map_or(0, |mailed| at - mailed - self.stood_still(mailed, at));
        if how != Ended::Closed && ran < self.settings.expire_ms {
            self.violated(at, "it ended before its time");
        }
        if self.ended.replace(how).is_some() {
            self.violated(at, "it ended twice");
        }
    }

    /// Once nothing happens any more.
    fn end(&mut self, at: i64) {
        self.judged.counts.opened += u32::from(self.opened);
        if self.is_failed {
            return;
        }
        if self.ended.is_none() {
            self.violated(at, "it never ended");
        }
        if !self.opened && !self.alarmed {
            self.violated(at, "nobody opened it, and no person at the hospital was told");
        }
        for doctor in self.doctors.clone() {
            let expected = doctor.accepted.iter().filter(|accepted| **accepted + WAY_MAX_MS < at).count();
            if doctor.arrived < expected {
                self.violated(at, "a channel took a notice that neither arrived nor was lost on the way");
            }
            let could_be = doctor.told.is_some() && doctor.mailed.is_some() && !doctor.is_out();
            if could_be && doctor.accepted.is_empty() && !doctor.not_taken && !self.opened {
                self.violated(at, "somebody whose turn it was never got a notice");
            }
        }
    }

    /// From what the log has said so far.
    fn due(&self) -> Due {
        if self.doctors.is_empty()
            || self.opened
            || self.ended.is_some()
            || self.is_failed
            || self.since == i64::MAX
        {
            return Due::Nothing;
        }
        let had =
            self.doctors.iter().filter(|doctor| !doctor.is_out()).filter_map(|doctor| doctor.mailed).max();
        let mut latest = None;
        for doctor in self.doctors.iter().filter(|doctor| doctor.told.is_some() && !doctor.is_out()) {
            // Where the mail stalls, the patient does not wait longer than for those who have it.
            let Some(waits) = doctor.waits().or(had) else { return Due::Nothing };
            latest = latest.max(Some(waits));
        }
        let untold =
            self.doctors.iter().enumerate().filter(|(_, doctor)| doctor.told.is_none() && !doctor.is_out());
        let next = untold.min_by_key(|(_, doctor)| doctor.known.before).map(|(place, _)| place);
        let rules = self.settings.rules;
        let is_anybody_told = rules.escalate_after_ms.is_some() || rules.everybody_after_ms.is_some();
        match next.filter(|_| is_anybody_told) {
            Some(place) => {
                let Some(latest) = latest else { return Due::Tell(place, self.since) };
                let turn = rules.escalate_after_ms.map(|after| latest + after);
                let times = [turn, self.everybody_due()].into_iter().flatten();
                times.min().map_or(Due::Nothing, |at| Due::Tell(place, at))
            }
            None if self.alarmed => Due::Nothing,
            None => Due::Alarm(latest.map_or(self.since, |latest| latest + rules.alarm_after_ms)),
        }
    }

    /// When the gateway could do what was due then: it cannot while it is down, nor before it was due at all.
    fn possible(&self, due: i64) -> i64 {
        let at = due.max(self.since);
        self.down.iter().find(|down| down.contains(&at)).map_or(at, |down| down.end)
    }

    fn stood_still(&self, from: i64, to: i64) -> i64 {
        self.down.iter().map(|down| (down.end.min(to) - down.start.max(from)).max(0)).sum()
    }

    fn of(&mut self, doctor: usize) -> &mut Doctor {
        if self.doctors.len() <= doctor {
            self.doctors.resize(doctor + 1, Doctor::default());
        }
        #[expect(clippy::indexing_slicing, reason = "made just now where it was missing")]
        &mut self.doctors[doctor]
    }

    fn violated(&mut self, at_ms: i64, what: &'static str) {
        self.judged.violations.push(Violation { case: self.case, at_ms, what });
    }
}
