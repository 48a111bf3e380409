//! How far a study has come, in words, a tone and six steps: pure, so that every state can be looked at in a test.

use super::clean;
use super::site::Site;
use super::words::{Words, fill};
use crate::journal::{Choice, DeliveryReport, DoctorReport, Ended, Study, WaitingPress};
use serde_json::Value;

/// Steps after the press: received, compressed, sealed, submitted, notified, opened.
pub(super) const STEPS: usize = 6;

/// Without a part for so long, in milliseconds, nobody knows when it ends.
const STALLED_MS: i64 = 30_000;

/// Colour of a row's state; each has a sign of its own too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Waits for a press.
    Still,
    /// Under way.
    Going,
    /// The doctor has it.
    Good,
    /// A person must act.
    Ask,
    /// It did not work.
    Bad,
    /// Withdrawn.
    Over,
}

impl Tone {
    /// Class name and sign.
    pub(super) fn signs(self) -> (&'static str, &'static str) {
        match self {
            Self::Still => ("still", "○"),
            Self::Going => ("going", "▶"),
            Self::Good => ("good", "✓"),
            Self::Ask => ("ask", "?"),
            Self::Bad => ("bad", "!"),
            Self::Over => ("over", "–"),
        }
    }
}

/// What a row shows of a study's way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// Steps behind it.
    pub(super) done: usize,
    pub(super) tone: Tone,
    /// One line.
    pub(super) words: String,
    /// More lines.
    pub(super) details: Vec<String>,
    /// A press that can still be taken back.
    pub(super) waiting: Option<Waiting>,
    /// Instances here and listed, where a choice is waited for.
    pub(super) missing: Option<(u64, u32)>,
    /// A sign of a doctor who looked at it is here.
    pub(super) is_opened: bool,
    /// Nobody has opened it in time, and nobody at the hospital has heard of that.
    pub(super) rings: bool,
    /// Somebody of those who were notified can be again: outside recipients are told by telephone.
    pub(super) can_tell_again: bool,
}

/// A press that does not count yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Its number.
    pub(super) press: i64,
    /// When it will count, milliseconds since 1970-01-01 UTC.
    pub(super) due_at_ms: i64,
}

/// The state of a study; `waiting`: a press of it that can still be taken back.
pub(super) fn of(study: &Study, waiting: Option<&WaitingPress>, site: &Site, words: &Words) -> Stage {
    let delivery = &study.delivery;
    let state = delivery.state.as_str();
    let told = delivery.doctors.iter().filter(|doctor| doctor.is_told() && doctor.passed_on_at_ms.is_none());
    let names = told.map(|doctor| site.doctor(&doctor.doctor, words)).collect::<Vec<_>>();
    let to = names.join(words.comma);
    let mut stage = Stage {
        done: 0,
        tone: Tone::Going,
        words: String::new(),
        details: Vec::new(),
        waiting: None,
        missing: None,
        is_opened: false,
        rings: false,
        can_tell_again: false,
    };
    match (state, waiting) {
        _ if delivery.ended.is_some() => closed(&mut stage, study, site, words),
        ("held", Some(press)) => {
            let to: Vec<_> = press.doctors.iter().map(|doctor| site.doctor(doctor, words)).collect();
            stage.words = fill(words.st_waiting, &[&to.join(words.comma)]);
            stage.waiting = Some(Waiting { press: press.id, due_at_ms: press.due_at_ms });
        }
        ("held", None) => (stage.tone, stage.words) = (Tone::Still, words.st_held.to_owned()),
        ("received", _) => receiving(&mut stage, study, words),
        ("assembled", _) => (stage.done, stage.words) = (1, reading(delivery, words.st_compressing, words)),
        ("compressed", _) => (stage.done, stage.words) = (2, reading(delivery, words.st_sealing, words)),
        ("sealed", _) => (stage.done, stage.words) = (3, submitting(study, site.now_ms(), words)),
        ("submitted", _) => notifying(&mut stage, study, &to, site, words),
        ("notified" | "pulled", _) => notified(&mut stage, study, site, words),
        ("failed", _) => (stage.tone, stage.words) = (Tone::Bad, words.st_failed.to_owned()),
        ("cancelled", _) => (stage.tone, stage.words) = (Tone::Over, words.st_cancelled.to_owned()),
        ("recalled", _) => (stage.tone, stage.words) = (Tone::Over, words.st_recalled.to_owned()),
        _ => state.clone_into(&mut stage.words),
    }
    if matches!(state, "submitted" | "notified") {
        stage.details.extend(delivery.doctors.iter().flat_map(|doctor| channels(doctor, site, words)));
    }
    if matches!(state, "recalled" | "cancelled" | "closed") {
        stage.details.extend(
            delivery.doctors.iter().filter_map(|doctor| withdrawn(doctor, state == "closed", site, words)),
        );
    }
    alarm(&mut stage, study, &to, site, words);
    if state == "failed" {
        stage.done = steps_before(study);
        stage.details.extend(damaged(delivery, words.st_damaged_left));
    }
    if let Some(line) = completeness(study, words).filter(|_| state != "held") {
        stage.details.push(line);
    }
    if let Some(chosen) = &delivery.chosen {
        let said = match chosen.choice {
            Choice::Wait => words.st_chose_wait,
            Choice::Partial => words.st_chose_partial,
        };
        stage.details.push(fill(said, &[&super::clean(&chosen.by)]));
    }
    if let Some(line) = compression(study, words) {
        stage.details.push(line);
    }
    if let Some(pressed) = &study.delivery.pressed {
        let at = site.time(pressed.at_ms);
        stage.details.push(fill(words.st_pressed, &[&at, &super::clean(&pressed.by), &to]));
    }
    stage
}

fn receiving(stage: &mut Stage, study: &Study, words: &Words) {
    let here = study.delivery.instances;
    match study.delivery.listed {
        Some(listed) => {
            stage.tone = Tone::Ask;
            stage.missing = Some((here, listed));
            stage.words = fill(words.st_missing, &[&here.to_string(), &listed.to_string()]);
        }
        None => stage.words = fill(words.st_receiving, &[&here.to_string()]),
    }
}

/// What a stage does that reads what was received, or what keeps it from that.
fn reading(delivery: &DeliveryReport, stage: &str, words: &Words) -> String {
    damaged(delivery, words.st_damaged).unwrap_or_else(|| stage.to_owned())
}

/// "2 of 24 images are damaged", where some are.
fn damaged(delivery: &DeliveryReport, form: &str) -> Option<String> {
    let [damaged, all] = [delivery.damaged, delivery.instances].map(|count| count.to_string());
    (delivery.damaged > 0).then(|| fill(form, &[&damaged, &all]))
}

/// "3 of 20 parts, about 40 s", as long as parts are taken.
fn submitting(study: &Study, now_ms: i64, words: &Words) -> String {
    let delivery = &study.delivery;
    let recipients = u32::try_from(delivery.doctors.len()).unwrap_or(1);
    // The cover of each doctor comes last.
    let all = delivery.pieces.map_or(0, |pieces| (pieces + 1).saturating_mul(recipients));
    let parts = fill(words.st_submitting, &[&delivery.accepted_parts.to_string(), &all.to_string()]);
    match seconds_left(delivery.accepted_parts, all, delivery.accepted_between_ms, now_ms) {
        Some(seconds) => parts + words.comma + &fill(words.st_seconds_left, &[&seconds.to_string()]),
        None => parts,
    }
}

/// By the pace of `accepted` of `all` parts, the first and the last of which were taken `between`; none before two of them, and where none was for a
/// while: then nobody knows.
fn seconds_left(accepted: u32, all: u32, between: Option<(i64, i64)>, now_ms: i64) -> Option<i64> {
    let (first_ms, last_ms) = between?;
    let since_ms = now_ms - last_ms;
    if since_ms > STALLED_MS {
        return None;
    }
    let left = i64::from(all.saturating_sub(accepted));
    let pace = (last_ms - first_ms).checked_mul(left)?.checked_div(i64::from(accepted.checked_sub(1)?))?;
    Some((pace - since_ms).max(0) / 1000 + 1)
}

/// Who is being told, and who is not woken.
fn notifying(stage: &mut Stage, study: &Study, to: &str, site: &Site, words: &Words) {
    let delivery = &study.delivery;
    let mut sleep = delivery.doctors.iter().filter_map(|doctor| sleeps(doctor, delivery, site, words));
    stage.done = STEPS - 2;
    stage.words = sleep.next().unwrap_or_else(|| fill(words.st_notifying, &[to]));
    stage.details.extend(sleep);
}

/// "Dr X opened it at 02:14" for who has, and for who has not since when they know of it.
fn notified(stage: &mut Stage, study: &Study, site: &Site, words: &Words) {
    let doctors = &study.delivery.doctors;
    let is_opened = doctors.iter().any(|doctor| doctor.opened_at_ms().is_some());
    stage.done = if is_opened { STEPS } else { STEPS - 1 };
    stage.tone = if is_opened { Tone::Good } else { Tone::Going };
    stage.is_opened = is_opened;
    stage.can_tell_again = doctors.iter().any(|doctor| !site.is_outside(&doctor.doctor));
    // The turn of one who stood behind may come in the moment in which somebody opens it: then no notice goes.
    let is_shown = |doctor: &&DoctorReport| {
        let no_notice = doctor.notified_at_ms.is_none() && doctor.opened_at_ms().is_none();
        doctor.is_told() && !(is_opened && no_notice && doctor.stands_behind > 0)
    };
    let lines = doctors.iter().filter(is_shown).map(|doctor| {
        let name = site.doctor(&doctor.doctor, words);
        if let Some(at_ms) = doctor.passed_on_at_ms {
            return (3, fill(words.st_passed_on, &[&name, &site.time(at_ms)]));
        }
        match (doctor.opened_at_ms(), doctor.notified_at_ms, &doctor.refused) {
            (Some(at_ms), ..) => (0, fill(words.st_opened, &[&name, &site.time(at_ms)])),
            (None, _, Some(_)) => (2, fill(words.st_refused, &[&name])),
            (None, None, None) if site.is_outside(&doctor.doctor) => (1, fill(words.st_link, &[&name])),
            (None, Some(at_ms), None) => (1, fill(words.st_notified, &[&name, &site.time(at_ms)])),
            (None, None, None) => {
                let sleeps = sleeps(doctor, &study.delivery, site, words);
                let form = if study.delivery.sequence > 1 { words.st_added } else { words.st_notifying };
                (1, sleeps.unwrap_or_else(|| fill(form, &[&name])))
            }
        }
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort_by_key(|(order, _)| *order);
    let mut lines = lines.into_iter().map(|(_, line)| line);
    stage.words = lines.next().unwrap_or_default();
    stage.details.extend(lines);
    for doctor in doctors {
        let name = site.doctor(&doctor.doctor, words);
        stage.details.extend(looked(doctor, &name, site, words));
        if let Some(at_ms) = doctor.escalated_at_ms {
            stage.details.push(fill(words.st_escalated, &[&site.time(at_ms), &name]));
        }
    }
    if !is_opened && let Some((name, at_ms)) = told_next(&study.delivery, site) {
        stage.details.push(fill(words.st_told_next, &[&site.time(at_ms), &site.doctor(name, words)]));
    }
}

/// "Closed by X at 02:40", and whether what was mailed is known to be gone.
fn closed(stage: &mut Stage, study: &Study, site: &Site, words: &Words) {
    let Some(ended) = &study.delivery.ended else { return };
    let at = site.time(ended.at_ms);
    stage.done = STEPS;
    stage.tone = Tone::Over;
    stage.words = match (ended.how, &ended.by) {
        (Ended::Closed, Some(by)) => fill(words.st_closed, &[&at, &site.who(by, words)]),
        (Ended::Closed, None) | (Ended::Expired | Ended::HandedOver, _) => fill(words.st_expired, &[&at]),
        (Ended::Unopened, _) => {
            (stage.done, stage.tone) = (STEPS - 1, Tone::Bad);
            fill(words.st_ended_unopened, &[&at])
        }
    };
    stage.details.push(match ended.proved_at_ms {
        Some(at_ms) => fill(words.st_deletion_proved, &[&site.time(at_ms)]),
        None => words.st_deletion_going.to_owned(),
    });
}

/// "Nobody has opened it: telephone Dr X", until a person has heard it or somebody opens it.
fn alarm(stage: &mut Stage, study: &Study, to: &str, site: &Site, words: &Words) {
    let Some(alarm) = &study.delivery.alarm else { return };
    match (&alarm.heard_by, alarm.heard_at_ms) {
        (Some(by), Some(at_ms)) => {
            stage.details.push(fill(words.st_alarm_heard, &[&clean(by), &site.time(at_ms)]))
        }
        _ if !alarm.rings => {}
        _ => {
            let waiting = std::mem::replace(&mut stage.words, fill(words.st_alarm, &[to]));
            stage.details.insert(0, waiting);
            (stage.tone, stage.rings) = (Tone::Bad, true);
        }
    }
}

/// "Dr X: first image 02:13:20, seen 02:14, 3 min on the screen", as far as the reader told.
fn looked(doctor: &DoctorReport, name: &str, site: &Site, words: &Words) -> Option<String> {
    let parts = [
        doctor.first_image_at_ms.map(|at_ms| fill(words.st_first_image, &[&site.time_exact(at_ms)])),
        doctor.seen_at_ms.map(|at_ms| fill(words.st_seen, &[&site.time(at_ms)])),
        doctor.read_seconds.map(|seconds| match (seconds + 30) / 60 {
            0 => fill(words.st_read_seconds, &[&seconds.to_string()]),
            minutes => fill(words.st_read_minutes, &[&minutes.to_string()]),
        }),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| fill(words.st_looked, &[name, &parts.join(words.comma)]))
}

/// The channels of a doctor that have not told so far, while nobody was: what happened, and who must act.
fn channels(doctor: &DoctorReport, site: &Site, words: &Words) -> Vec<String> {
    if doctor.opened_at_ms().is_some() {
        return Vec::new();
    }
    let name = site.doctor(&doctor.doctor, words);
    let failed = doctor.notices.iter().filter(|notice| notice.accepted_at_ms.is_none());
    let said = failed.filter_map(|notice| {
        let form = match (notice.state.as_str(), notice.error.is_some()) {
            ("refused", _) => words.st_channel_refused,
            (_, true) => words.st_channel_waits,
            (_, false) => return None,
        };
        let act = match notice.must_act.as_deref() {
            Some("server") => words.st_act_server,
            _ => words.st_act_operator,
        };
        Some(fill(form, &[&name, &super::clean(&notice.channel), act]))
    });
    said.collect()
}

/// Who is told when nobody opens it, and when.
fn told_next<'a>(delivery: &'a DeliveryReport, site: &Site) -> Option<(&'a str, i64)> {
    let next = delivery
        .doctors
        .iter()
        .filter(|doctor| !doctor.is_told() && doctor.refused.is_none() && doctor.passed_on_at_ms.is_none());
    let next = next.min_by_key(|doctor| doctor.stands_behind)?;
    let rules = site.rules(delivery.duty_group.as_deref());
    let waited = || delivery.doctors.iter().filter(|doctor| doctor.passed_on_at_ms.is_none());
    let notified = || waited().filter_map(|doctor| doctor.notified_at_ms);
    let in_turn = notified().max().zip(rules.escalate_after_ms);
    let with_all = notified().min().zip(rules.everybody_after_ms);
    let at_ms =
        [in_turn, with_all].into_iter().flatten().map(|(since_ms, after_ms)| since_ms + after_ms).min();
    Some((&next.doctor, at_ms?))
}

/// "Dr X is told at 07:00, after quiet hours", as long as that is so.
fn sleeps(doctor: &DoctorReport, delivery: &DeliveryReport, site: &Site, words: &Words) -> Option<String> {
    let is_over = doctor.refused.is_some() || doctor.passed_on_at_ms.is_some();
    let is_told = doctor.notified_at_ms.is_some() || doctor.opened_at_ms().is_some();
    let waits = doctor.is_told() && !is_told && !is_over && delivery.sequence == 1 && !delivery.urgent;
    let until_ms = site.quiet_until_ms(&doctor.doctor, site.now_ms()).filter(|_| waits)?;
    Some(fill(words.st_quiet, &[&site.doctor(&doctor.doctor, words), &site.time(until_ms)]))
}

/// What became of a doctor's mails, and whether they were opened before.
fn withdrawn(doctor: &DoctorReport, is_closed: bool, site: &Site, words: &Words) -> Option<String> {
    let name = site.doctor(&doctor.doctor, words);
    let mail = doctor.withdrawn.as_ref()?;
    let mails = match (mail.stays, mail.looked_at_ms) {
        (true, _) if is_closed => fill(words.st_mail_kept, &[&name]),
        (true, _) => fill(words.st_mail_stays, &[&name]),
        (false, Some(_)) => fill(words.st_mail_gone, &[&name, &mail.removed.to_string()]),
        (false, None) => fill(words.st_mail_looking, &[&name]),
    };
    let opened = match doctor.opened_at_ms() {
        Some(at_ms) => fill(words.st_was_opened, &[&site.time(at_ms)]),
        None => words.st_was_not_opened.to_owned(),
    };
    Some(format!("{mails}{}{opened}", words.comma))
}

fn steps_before(study: &Study) -> usize {
    let delivery = &study.delivery;
    match (delivery.pieces, &delivery.summary, &delivery.completeness) {
        (Some(_), ..) => 3,
        (_, Some(_), _) => 2,
        (.., Some(_)) => 1,
        _ => 0,
    }
}

fn completeness(study: &Study, words: &Words) -> Option<String> {
    let value = study.delivery.completeness.as_ref()?;
    let number = |name| value.get(name).and_then(Value::as_u64).unwrap_or(0).to_string();
    Some(match value.get("is").and_then(Value::as_str)? {
        "proved" => fill(words.st_complete, &[&number("instances")]),
        "partial" => fill(words.st_partial, &[&number("instances"), &number("listed")]),
        _ => fill(words.st_not_proved, &[&number("instances")]),
    })
}

fn compression(study: &Study, words: &Words) -> Option<String> {
    let summary = study.delivery.summary.as_ref()?;
    let number = |name| summary.get(name).and_then(Value::as_f64);
    let (source, bundle) = (number("source_bytes")?, number("bundle_bytes")?);
    let residual = number("residual_bytes").unwrap_or(0.0);
    if bundle - residual <= 0.0 {
        return None;
    }
    let ratio = format!("{:.1}", source / (bundle - residual));
    Some(match number("max_error") {
        Some(error) if error > 0.0 => fill(words.st_bounded, &[&ratio, &format!("{error:.0}")]),
        _ => fill(words.st_lossless, &[&ratio]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seconds_that_are_left_follow_the_pace_and_are_not_guessed() {
        // Five parts in eight seconds: two seconds each, fifteen to go, one second after the last.
        assert_eq!(seconds_left(5, 20, Some((1_000, 9_000)), 10_000), Some(30));
        assert_eq!(seconds_left(20, 20, Some((1_000, 9_000)), 9_500), Some(1));
        assert_eq!(
            seconds_left(19, 20, Some((1_000, 9_000)), 38_000),
            Some(1),
            "late, and not below nothing"
        );
        assert_eq!(
            seconds_left(5, 20, Some((1_000, 9_000)), 39_001),
            None,
            "nothing was taken for half a minute"
        );
        assert_eq!(seconds_left(1, 20, Some((1_000, 1_000)), 1_500), None, "one part has no pace");
        assert_eq!(seconds_left(0, 20, None, 1_500), None);
    }
}
