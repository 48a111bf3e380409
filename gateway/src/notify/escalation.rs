//! Who is told next when nobody opens a delivery: a function of what happened and of the time.

use crate::journal::Ended;
use serde::Serialize;

/// After how long what happens while nobody opens a delivery, in milliseconds; never, where absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// A doctor's channels of the next level are tried, after the last that were.
    pub channel_after_ms: Option<i64>,
    /// The next of the group is told, after the one before was.
    pub escalate_after_ms: Option<i64>,
    /// All who are left are told, and all channels of everybody tried, after the first was told.
    pub everybody_after_ms: Option<i64>,
    /// The hospital is alarmed, after the last doctor was told.
    pub alarm_after_ms: i64,
}

impl Rules {
    /// Whether those who stand behind are ever told.
    pub fn tell_those_behind(&self) -> bool {
        self.escalate_after_ms.is_some() || self.everybody_after_ms.is_some()
    }
}

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
    /// Nobody waits for this one: the mail server takes nothing for it, or it handed the case over.
    pub is_out: bool,
    /// Up to which level channels tell this one.
    pub level: u32,
    /// When that was raised, if it was.
    pub level_at_ms: Option<i64>,
}

impl Standing {
    fn is_told(&self) -> bool {
        self.stands_behind == 0 || self.escalated_at_ms.is_some()
    }

    /// When this one was told last. A notice that does not go out holds nobody up: the study lies in the mailbox.
    fn told_at_ms(&self) -> Option<i64> {
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

/// A delivery with everything that decides who is told next.
#[derive(Clone, Copy)]
pub struct Escalation<'a> {
    /// How its doctors stand.
    pub standings: &'a [Standing],
    /// The rules that hold for it.
    pub rules: Rules,
    /// The least level above one that channels of a doctor have.
    pub next_level: &'a dyn Fn(&str, u32) -> Option<u32>,
    /// The first moment from one on that is outside of a doctor's quiet hours; that moment itself, where they do not count.
    pub awake_at_ms: &'a dyn Fn(&str, i64) -> i64,
}

impl Escalation<'_> {
    /// Who is told next.
    pub fn next(&self) -> Next {
        let waiting = self.standings.iter().filter(|one| !one.is_told() && !one.is_out);
        let Some(next) = waiting.min_by_key(|one| one.stands_behind) else { return Next::Over };
        if self.is_opened() || !self.rules.tell_those_behind() {
            return Next::Over;
        }
        match self.waited_for_since_ms() {
            // It is in no mailbox yet.
            None => Next::Wait,
            // Nobody of those who were to be told can be reached.
            Some(None) => Next::Tell { doctor: next.doctor.clone(), at_ms: i64::MIN },
            Some(Some(since_ms)) => {
                let in_turn = self.rules.escalate_after_ms.map(|after_ms| since_ms.saturating_add(after_ms));
                let at_ms = in_turn.into_iter().chain(self.everybody_at_ms()).min();
                at_ms.map_or(Next::Wait, |at_ms| Next::Tell { doctor: next.doctor.clone(), at_ms })
            }
        }
    }

    /// Whose further channels are tried next.
    pub fn raises(&self) -> Vec<Raise> {
        if self.is_opened() {
            return Vec::new();
        }
        let everybody_at_ms = self.everybody_at_ms();
        let told = self.reached().filter(|one| one.is_told() && one.submitted_at_ms.is_some());
        let raise = |one: &Standing| {
            let level = self.level_above(one, one.level)?;
            let since_ms = self.waits_since_ms(one).max(one.level_at_ms)?;
            let in_turn = self.rules.channel_after_ms.map(|after_ms| since_ms.saturating_add(after_ms));
            // One who is told later than everybody was begins with every channel.
            let of_all = everybody_at_ms.map(|at_ms| at_ms.max(since_ms));
            match (in_turn, of_all) {
                (Some(at_ms), of_all) if of_all.is_none_or(|of_all| at_ms < of_all) => {
                    Some(Raise { doctor: one.doctor.clone(), level, at_ms })
                }
                (_, Some(at_ms)) => {
                    let levels = std::iter::successors(Some(level), |level| self.level_above(one, *level));
                    Some(Raise { doctor: one.doctor.clone(), level: levels.last()?, at_ms })
                }
                _ => None,
            }
        };
        told.filter_map(raise).collect()
    }

    /// When the hospital is to be alarmed: none while there is somebody left to tell or nobody has it, and none once somebody has opened it.
    pub fn alarm_at_ms(&self) -> Option<i64> {
        let is_left = |one: &Standing| !one.is_told() && self.rules.tell_those_behind();
        if self.is_opened() || self.reached().any(is_left) {
            return None;
        }
        // Where nobody of them can be reached it is the hospital's turn at once.
        let alarm = |since_ms: i64| since_ms.saturating_add(self.rules.alarm_after_ms);
        Some(self.waited_for_since_ms()?.map_or(i64::MIN, alarm))
    }

    fn is_opened(&self) -> bool {
        self.standings.iter().any(|one| one.has_opened)
    }

    fn reached(&self) -> impl Iterator<Item = &Standing> {
        self.standings.iter().filter(|one| !one.is_out)
    }

    fn level_above(&self, one: &Standing, level: u32) -> Option<u32> {
        (self.next_level)(&one.doctor, level)
    }

    /// Since when an answer of this one is waited for: nobody answers in quiet hours, and no notice goes then.
    fn waits_since_ms(&self, one: &Standing) -> Option<i64> {
        Some((self.awake_at_ms)(&one.doctor, one.told_at_ms()?))
    }

    /// When the mail server had all of it for the last who can be reached.
    fn had_ms(&self) -> Option<i64> {
        self.reached().filter_map(|one| one.submitted_at_ms).max()
    }

    /// When everybody's turn comes.
    fn everybody_at_ms(&self) -> Option<i64> {
        let after_ms = self.rules.everybody_after_ms?;
        let had_ms = self.had_ms();
        let told = self.reached().filter(|one| one.is_told());
        Some(told.filter_map(|one| self.waits_since_ms(one).or(had_ms)).min()?.saturating_add(after_ms))
    }

    /// Since when the last of those who were told is waited for; inner none where none of them can be reached. None while nobody has it. One whose
    /// mailbox stalls is waited for since others have it, and no longer than they are.
    fn waited_for_since_ms(&self) -> Option<Option<i64>> {
        let had_ms = self.had_ms();
        let told = self.reached().filter(|one| one.is_told());
        let since: Option<Vec<i64>> = told.map(|one| self.waits_since_ms(one).or(had_ms)).collect();
        since.map(|since| since.into_iter().max())
    }
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
    const RULES: Rules = Rules {
        channel_after_ms: None,
        escalate_after_ms: Some(AFTER_MS),
        everybody_after_ms: None,
        alarm_after_ms: 60_000,
    };

    fn of(standings: &[Standing], rules: Rules) -> Escalation<'_> {
        Escalation { standings, rules, next_level: &|_, _| None, awake_at_ms: &|_, at_ms| at_ms }
    }

    fn next(standings: &[Standing]) -> Next {
        of(standings, RULES).next()
    }

    fn standing(doctor: &str, stands_behind: u32) -> Standing {
        Standing {
            doctor: doctor.into(),
            stands_behind,
            escalated_at_ms: None,
            submitted_at_ms: Some(1_000),
            notified_at_ms: None,
            has_opened: false,
            is_out: false,
            level: 0,
            level_at_ms: None,
        }
    }

    /// The third has one channel, the others three.
    fn levels(doctor: &str, level: u32) -> Option<u32> {
        (doctor != "third" && level < 2).then_some(level + 1)
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
                if one.is_told() && !one.is_out && one.notified_at_ms.is_none() && now_ms > 1_000 {
                    one.notified_at_ms = Some(now_ms);
                }
                one.has_opened |= opens == Some((one.doctor.as_str(), now_s));
            }
            if let Next::Tell { doctor, at_ms } = next(&group)
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
        nobody[1].is_out = true;
        assert_eq!(run(nobody, None, 3600), [("second".into(), 1), ("third".into(), 182)]);
        let mut gap = group();
        gap[2].is_out = true;
        assert_eq!(run(gap, None, 3600), [("third".into(), 182)]);
    }

    #[test]
    fn it_waits_for_the_mail_server_and_not_for_the_notice() {
        let mut group = group();
        for one in &mut group {
            one.submitted_at_ms = None;
        }
        assert_eq!(next(&group), Next::Wait, "nobody has it");
        group[2].submitted_at_ms = Some(2_000);
        let tell = |at_ms| Next::Tell { doctor: "second".into(), at_ms };
        assert_eq!(next(&group), tell(182_000), "the first one's mailbox stalls, the second has it");
        group[1].submitted_at_ms = Some(5_000);
        assert_eq!(next(&group), Next::Tell { doctor: "second".into(), at_ms: 185_000 });
        group[1].notified_at_ms = Some(9_000);
        assert_eq!(next(&group), Next::Tell { doctor: "second".into(), at_ms: 189_000 });
    }

    #[test]
    fn one_channel_after_the_other_is_tried_until_somebody_opens_it() {
        let mut group = group();
        let rules = Rules { channel_after_ms: Some(60_000), ..RULES };
        let raises = |group: &[Standing]| Escalation { next_level: &levels, ..of(group, rules) }.raises();
        let raise = |level, at_ms| Raise { doctor: "first".into(), level, at_ms };
        assert_eq!(raises(&group), [raise(1, 61_000)], "who stands behind was not told yet");
        group[1].notified_at_ms = Some(5_000);
        assert_eq!(raises(&group), [raise(1, 65_000)]);
        (group[1].level_at_ms, group[1].level) = (Some(66_000), 1);
        assert_eq!(raises(&group), [raise(2, 126_000)]);
        let tell = Next::Tell { doctor: "second".into(), at_ms: 185_000 };
        assert_eq!(next(&group), tell, "further channels put nobody's turn off");
        group[1].level = 2;
        assert_eq!(raises(&group), []);
        group[1].level = 1;
        group[0].has_opened = true;
        assert_eq!(raises(&group), []);
    }

    #[test]
    fn everybody_is_told_by_every_channel_when_their_time_comes() {
        let rules = Rules { channel_after_ms: Some(60_000), everybody_after_ms: Some(200_000), ..RULES };
        let mut group = group();
        group[1].notified_at_ms = Some(5_000);
        (group[2].escalated_at_ms, group[2].notified_at_ms) = (Some(185_000), Some(186_000));
        let third = |at_ms| Next::Tell { doctor: "third".into(), at_ms };
        assert_eq!(of(&group, RULES).next(), third(366_000));
        assert_eq!(of(&group, rules).next(), third(205_000), "counted from the first who was told");
        let alone = Rules { escalate_after_ms: None, ..rules };
        assert_eq!(of(&group, alone).next(), third(205_000), "also where nobody is told in turn");
        let mut stalls = self::group();
        stalls[1].submitted_at_ms = None;
        let second = Next::Tell { doctor: "second".into(), at_ms: 201_000 };
        assert_eq!(of(&stalls, alone).next(), second, "also where the first one's mailbox stalls");
        let raise = |doctor: &str, level, at_ms| Raise { doctor: doctor.into(), level, at_ms };
        let raises = |group: &[Standing]| Escalation { next_level: &levels, ..of(group, rules) }.raises();
        assert_eq!(raises(&group), [raise("first", 1, 65_000), raise("second", 2, 205_000)]);
        (group[1].level, group[1].level_at_ms) = (1, Some(190_000));
        assert_eq!(raises(&group), [raise("first", 2, 205_000), raise("second", 2, 205_000)]);
        // One who comes in later is told by every channel at once.
        group[2].notified_at_ms = Some(230_000);
        assert_eq!(raises(&group)[1], raise("second", 2, 230_000));
        group[0].has_opened = true;
        assert_eq!((of(&group, rules).next(), raises(&group)), (Next::Over, vec![]));
    }

    #[test]
    fn one_who_sleeps_is_waited_for_until_the_quiet_hours_are_over() {
        let mut group = group();
        group[1].notified_at_ms = Some(5_000);
        let awake = |doctor: &str, at_ms: i64| if doctor == "first" { at_ms.max(1_000_000) } else { at_ms };
        let rules = Rules { channel_after_ms: Some(60_000), everybody_after_ms: Some(300_000), ..RULES };
        fn with<'a>(of: Escalation<'a>, awake: &'a dyn Fn(&str, i64) -> i64) -> Escalation<'a> {
            Escalation { next_level: &levels, awake_at_ms: awake, ..of }
        }
        let tell = Next::Tell { doctor: "second".into(), at_ms: 1_180_000 };
        assert_eq!(with(of(&group, rules), &awake).next(), tell);
        assert_eq!(with(of(&group, rules), &awake).raises()[0].at_ms, 1_060_000);
        group[0].escalated_at_ms = Some(1_180_000);
        group[2].escalated_at_ms = Some(1_180_000);
        assert_eq!(with(of(&group, rules), &awake).alarm_at_ms(), Some(1_240_000));
    }

    #[test]
    fn the_hospital_is_alarmed_after_the_last_was_told_and_not_once_it_is_opened() {
        const ALONE: Rules = Rules { escalate_after_ms: None, ..RULES };
        let alarm_at = |group: &[Standing], rules| of(group, rules).alarm_at_ms();
        let mut group = group();
        assert_eq!(alarm_at(&group, RULES), None, "two are left to tell");
        assert_eq!(alarm_at(&group, ALONE), Some(61_000), "nobody who stands behind is ever told");
        group[1].notified_at_ms = Some(5_000);
        group[2].escalated_at_ms = Some(185_000);
        group[0].is_out = true;
        assert_eq!(alarm_at(&group, RULES), Some(245_000));
        group[2].notified_at_ms = Some(190_000);
        assert_eq!(alarm_at(&group, RULES), Some(250_000));
        group[1].submitted_at_ms = None;
        group[1].notified_at_ms = None;
        assert_eq!(alarm_at(&group, RULES), Some(250_000), "one whose mailbox stalls holds nobody up");
        group[1].is_out = true;
        group[2].has_opened = true;
        assert_eq!(alarm_at(&group, RULES), None);
        group[2].has_opened = false;
        group[2].is_out = true;
        assert_eq!(alarm_at(&group, RULES), Some(i64::MIN), "nobody can be reached");
    }

    #[test]
    fn without_anybody_behind_there_is_nothing_to_do() {
        assert_eq!(next(&[standing("first", 0)]), Next::Over);
        assert_eq!(next(&[]), Next::Over);
    }
}
