//! Who is told next when nobody opens a delivery: a function of what happened and of the time.

use crate::journal::Ended;

/// A doctor of a delivery. Times are milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Name in the configuration.
    pub doctor: String,
    /// 0: told at once; 1 and more: told when those before did not open it.
    pub stands_behind: u32,
    /// When it was this one's turn, where it did not come at once.
    pub escalated_at_ms: Option<i64>,
    /// When the mail server had all of it.
    pub submitted_at_ms: Option<i64>,
    /// When the last notice was accepted.
    pub notified_at_ms: Option<i64>,
    /// A signed receipt is here: fetched, first image shown, seen, or an answer.
    pub has_opened: bool,
    /// The mail server takes nothing for this one.
    pub is_refused: bool,
    /// Up to which level channels tell this one.
    pub level: u32,
    /// When that was raised, if it was.
    pub level_at_ms: Option<i64>,
}

impl Standing {
    fn is_told(&self) -> bool {
        self.stands_behind == 0 || self.escalated_at_ms.is_some()
    }

    /// Since when an answer is waited for. A notice that does not go out holds nobody up: the study lies in the mailbox.
    fn waited_for_since_ms(&self) -> Option<i64> {
        [self.notified_at_ms, self.submitted_at_ms, self.escalated_at_ms].into_iter().flatten().max()
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing any more: somebody opened it, or nobody is left.
    Over,
    /// Nothing yet, and not before something happens.
    Wait,
    /// This one is told then, unless somebody opens it before.
    Tell {
        /// Name in the configuration.
        doctor: String,
        /// When.
        at_ms: i64,
    },
}

/// Who is told next, `after_ms` after the one before was.
pub fn next(standings: &[Standing], after_ms: i64) -> Next {
    let waiting = standings.iter().filter(|one| !one.is_told() && !one.is_refused);
    let Some(next) = waiting.min_by_key(|one| one.stands_behind) else { return Next::Over };
    if standings.iter().any(|one| one.has_opened) {
        return Next::Over;
    }
    match waited_for_since_ms(standings) {
        // It is in no mailbox yet.
        None => Next::Wait,
        // Nobody of those who were to be told can be reached.
        Some(None) => Next::Tell { doctor: next.doctor.clone(), at_ms: i64::MIN },
        Some(Some(since_ms)) => {
            Next::Tell { doctor: next.doctor.clone(), at_ms: since_ms.saturating_add(after_ms) }
        }
    }
}

/// Further channels are tried for somebody then, unless one opens it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// Name in the configuration.
    pub doctor: String,
    /// Up to which level.
    pub level: u32,
    /// When.
    pub at_ms: i64,
}

/// Whose further channels are tried next, `after_ms` after the last that was: none once somebody has opened it.
/// `next_level`: the least level above one that channels of a doctor have.
pub fn raises(
    standings: &[Standing],
    after_ms: i64,
    next_level: impl Fn(&str, u32) -> Option<u32>,
) -> Vec<Raise> {
    if standings.iter().any(|one| one.has_opened) {
        return Vec::new();
    }
    let told =
        standings.iter().filter(|one| one.is_told() && !one.is_refused && one.submitted_at_ms.is_some());
    let raise = |one: &Standing| {
        let since_ms = one.waited_for_since_ms().max(one.level_at_ms)?;
        Some(Raise {
            doctor: one.doctor.clone(),
            level: next_level(&one.doctor, one.level)?,
            at_ms: since_ms.saturating_add(after_ms),
        })
    };
    told.filter_map(raise).collect()
}

/// When the hospital is to be alarmed, `alarm_after_ms` after the last doctor was told: none while there is somebody left to tell or nobody has it, and
/// none once somebody has opened it. `escalate_after_ms`: see [`next`]; without it nobody who stands behind is told.
pub fn alarm_at(standings: &[Standing], escalate_after_ms: Option<i64>, alarm_after_ms: i64) -> Option<i64> {
    let is_left = |one: &Standing| !one.is_told() && !one.is_refused && escalate_after_ms.is_some();
    if standings.iter().any(|one| one.has_opened || is_left(one)) {
        return None;
    }
    // Where nobody of them can be reached it is the hospital's turn at once.
    Some(waited_for_since_ms(standings)?.map_or(i64::MIN, |since_ms| since_ms.saturating_add(alarm_after_ms)))
}

/// Since when the last of those who were told is waited for; inner none where none of them can be reached. None while nobody has it. One whose
/// mailbox stalls is waited for since others have it, and no longer than they are.
fn waited_for_since_ms(standings: &[Standing]) -> Option<Option<i64>> {
    let reached = || standings.iter().filter(|one| !one.is_refused);
    let had_ms = reached().filter_map(|one| one.submitted_at_ms).max();
    let told = reached().filter(|one| one.is_told());
    let since: Option<Vec<i64>> = told.map(|one| one.waited_for_since_ms().or(had_ms)).collect();
    since.map(|since| since.into_iter().max())
}

/// A case whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aged {
    /// A doctor has opened it.
    pub has_opened: bool,
    /// Mail programs or guests have it, and nobody else is waited for.
    pub is_handed_over: bool,
    /// A person at the hospital has heard that nobody has.
    pub alarm_was_heard: bool,
    /// Somebody outside may open it by a link still.
    pub has_good_link: bool,
}

/// How such a case ends; none where it must not yet.
pub fn ends(aged: Aged) -> Option<Ended> {
    match aged {
        Aged { has_good_link: true, .. } => None,
        Aged { has_opened: true, .. } => Some(Ended::Expired),
        Aged { is_handed_over: true, .. } => Some(Ended::HandedOver),
        Aged { alarm_was_heard: true, .. } => Some(Ended::Unopened),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const AFTER_MS: i64 = 180_000;

    fn standing(doctor: &str, stands_behind: u32) -> Standing {
        Standing {
            doctor: doctor.into(),
            stands_behind,
            escalated_at_ms: None,
            submitted_at_ms: Some(1_000),
            notified_at_ms: None,
            has_opened: false,
            is_refused: false,
            level: 0,
            level_at_ms: None,
        }
    }

    fn group() -> Vec<Standing> {
        vec![standing("third", 2), standing("first", 0), standing("second", 1)]
    }

    /// Lets time go by, second by second, and does what is to be done; notices take a second. Gives who was told, and when in seconds.
    fn run(mut group: Vec<Standing>, opens: Option<(&str, i64)>, until_s: i64) -> Vec<(String, i64)> {
        let mut told = Vec::new();
        for now_s in 1..=until_s {
            let now_ms = now_s * 1000;
            for one in &mut group {
                if one.is_told() && !one.is_refused && one.notified_at_ms.is_none() && now_ms > 1_000 {
                    one.notified_at_ms = Some(now_ms);
                }
                one.has_opened |= opens == Some((one.doctor.as_str(), now_s));
            }
            if let Next::Tell { doctor, at_ms } = next(&group, AFTER_MS)
                && at_ms <= now_ms
            {
                let one = group.iter_mut().find(|one| one.doctor == doctor).unwrap();
                one.escalated_at_ms = Some(now_ms);
                told.push((doctor, now_s));
            }
        }
        told
    }

    #[test]
    fn one_after_the_other_is_told_in_the_order_of_the_group_and_no_one_twice() {
        assert_eq!(run(group(), None, 3600), [("second".into(), 182), ("third".into(), 363)]);
    }

    #[test]
    fn whoever_opens_it_ends_it() {
        assert_eq!(run(group(), Some(("first", 181)), 3600), []);
        assert_eq!(run(group(), Some(("second", 200)), 3600), [("second".into(), 182)]);
        assert_eq!(run(group(), Some(("first", 300)), 3600), [("second".into(), 182)]);
        assert_eq!(run(group(), Some(("third", 100)), 3600), [], "one who was not told yet may look, too");
    }

    #[test]
    fn who_cannot_be_reached_is_passed_over_at_once() {
        let mut nobody = group();
        nobody[1].is_refused = true;
        assert_eq!(run(nobody, None, 3600), [("second".into(), 1), ("third".into(), 182)]);
        let mut gap = group();
        gap[2].is_refused = true;
        assert_eq!(run(gap, None, 3600), [("third".into(), 182)]);
    }

    #[test]
    fn it_waits_for_the_mail_server_and_not_for_the_notice() {
        let mut group = group();
        for one in &mut group {
            one.submitted_at_ms = None;
        }
        assert_eq!(next(&group, AFTER_MS), Next::Wait, "nobody has it");
        group[2].submitted_at_ms = Some(2_000);
        let tell = |at_ms| Next::Tell { doctor: "second".into(), at_ms };
        assert_eq!(
            next(&group, AFTER_MS),
            tell(182_000),
            "the first one's mailbox stalls, the second has it"
        );
        group[1].submitted_at_ms = Some(5_000);
        assert_eq!(next(&group, AFTER_MS), Next::Tell { doctor: "second".into(), at_ms: 185_000 });
        group[1].notified_at_ms = Some(9_000);
        assert_eq!(next(&group, AFTER_MS), Next::Tell { doctor: "second".into(), at_ms: 189_000 });
    }

    #[test]
    fn one_channel_after_the_other_is_tried_until_somebody_opens_it() {
        let mut group = group();
        let levels = |doctor: &str, level: u32| (doctor != "third" && level < 2).then_some(level + 1);
        let raises = |group: &[Standing]| raises(group, 60_000, levels);
        let raise = |level, at_ms| Raise { doctor: "first".into(), level, at_ms };
        assert_eq!(raises(&group), [raise(1, 61_000)], "who stands behind was not told yet");
        group[1].notified_at_ms = Some(5_000);
        assert_eq!(raises(&group), [raise(1, 65_000)]);
        (group[1].level_at_ms, group[1].level) = (Some(66_000), 1);
        assert_eq!(raises(&group), [raise(2, 126_000)]);
        let tell = Next::Tell { doctor: "second".into(), at_ms: 185_000 };
        assert_eq!(next(&group, AFTER_MS), tell, "further channels put nobody's turn off");
        group[1].level = 2;
        assert_eq!(raises(&group), []);
        group[1].level = 1;
        group[0].has_opened = true;
        assert_eq!(raises(&group), []);
    }

    #[test]
    fn the_hospital_is_alarmed_after_the_last_was_told_and_not_once_it_is_opened() {
        let mut group = group();
        assert_eq!(alarm_at(&group, Some(AFTER_MS), 60_000), None, "two are left to tell");
        assert_eq!(alarm_at(&group, None, 60_000), Some(61_000), "nobody who stands behind is ever told");
        group[1].notified_at_ms = Some(5_000);
        group[2].escalated_at_ms = Some(185_000);
        group[0].is_refused = true;
        assert_eq!(alarm_at(&group, Some(AFTER_MS), 60_000), Some(245_000));
        group[2].notified_at_ms = Some(190_000);
        assert_eq!(alarm_at(&group, Some(AFTER_MS), 60_000), Some(250_000));
        group[1].submitted_at_ms = None;
        group[1].notified_at_ms = None;
        assert_eq!(
            alarm_at(&group, Some(AFTER_MS), 60_000),
            Some(250_000),
            "one whose mailbox stalls holds nobody up"
        );
        group[1].is_refused = true;
        group[2].has_opened = true;
        assert_eq!(alarm_at(&group, Some(AFTER_MS), 60_000), None);
        group[2].has_opened = false;
        group[2].is_refused = true;
        assert_eq!(alarm_at(&group, Some(AFTER_MS), 60_000), Some(i64::MIN), "nobody can be reached");
    }

    #[test]
    fn without_anybody_behind_there_is_nothing_to_do() {
        assert_eq!(next(&[standing("first", 0)], AFTER_MS), Next::Over);
        assert_eq!(next(&[], AFTER_MS), Next::Over);
    }
}
