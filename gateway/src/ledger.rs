//! The time ledger by weeks: seconds from the click to each step, of all cases of a week. Pure.

use crate::journal::{Ended, LedgerLine};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeMap;

/// The stages, in the order of the data.
pub(crate) const STAGES: [&str; 7] =
    ["receive", "assemble", "compress", "seal", "submit", "notify", "pulled"];
/// The steps after the click.
pub(crate) const STEPS: [&str; 5] = ["submitted", "notified", "fetched", "first_image", "acknowledged"];

/// Seconds to one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
}

/// What cases came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) cases: usize,
    /// The hospital was alarmed because nobody had opened them.
    pub(crate) alarmed: usize,
    /// They ended, and nobody had opened them.
    pub(crate) unopened: usize,
    /// In the order of [`STEPS`]; none where no case came so far.
    pub(crate) steps: [Option<Quantiles>; 5],
}

/// Weeks by their Mondays, the newest first.
pub(crate) fn weeks(lines: &[LedgerLine], zone: &TimeZone) -> Vec<(Date, Summary)> {
    let mut weeks: BTreeMap<Date, Vec<&LedgerLine>> = BTreeMap::new();
    for line in lines {
        weeks.entry(monday(line.clicked_at_ms, zone)).or_default().push(line);
    }
    weeks.into_iter().rev().map(|(monday, lines)| (monday, summary(lines.iter().copied()))).collect()
}

/// When the week began, so many weeks ago; milliseconds since 1970-01-01 UTC.
pub(crate) fn since_ms(now_ms: i64, weeks: u32, zone: &TimeZone) -> i64 {
    let first = monday(now_ms, zone).checked_sub(i64::from(weeks).weeks()).unwrap_or(Date::MIN);
    first.to_zoned(zone.clone()).map_or(0, |begins| begins.timestamp().as_millisecond())
}

/// Of any cases.
pub(crate) fn summary<'l>(lines: impl Iterator<Item = &'l LedgerLine> + Clone) -> Summary {
    let mut steps: [Vec<f64>; 5] = Default::default();
    for line in lines.clone() {
        for (all, one) in steps.iter_mut().zip(seconds(line)) {
            all.extend(one);
        }
    }
    let quantiles = |mut seconds: Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        Some(Quantiles { p50: quantile(&seconds, 50)?, p95: quantile(&seconds, 95)? })
    };
    Summary {
        cases: lines.clone().count(),
        alarmed: lines.clone().filter(|line| line.alarmed).count(),
        unopened: lines.clone().filter(|line| line.ended == Some(Ended::Unopened)).count(),
        steps: steps.map(quantiles),
    }
}

/// A line for each case (RFC 4180): its random id, times, seconds from the click.
pub(crate) fn csv(lines: &[LedgerLine], zone: &TimeZone) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["case", "clicked_at", "urgent"].into_iter().chain(STEPS).chain(["alarmed", "ended"]);
    let mut write = |fields: Vec<String>| writer.write_record(fields).is_ok();
    write(head.map(str::to_owned).collect());
    for line in lines {
        let at = Timestamp::from_millisecond(line.clicked_at_ms).unwrap_or_default().to_zoned(zone.clone());
        let mut fields = vec![
            line.case.to_string(),
            at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            line.urgent.to_string(),
        ];
        fields.extend(
            seconds(line).map(|seconds| seconds.map_or(String::new(), |seconds| format!("{seconds:.3}"))),
        );
        fields.push(line.alarmed.to_string());
        fields.push(line.ended.map_or(String::new(), |ended| ended.word().to_owned()));
        write(fields);
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// From the click to each of [`STEPS`].
fn seconds(line: &LedgerLine) -> [Option<f64>; 5] {
    let steps = [
        line.submitted_at_ms,
        line.notified_at_ms,
        line.fetched_at_ms,
        line.first_image_at_ms,
        line.acknowledged_at_ms,
    ];
    #[expect(clippy::cast_precision_loss, reason = "a difference of milliseconds is far below 2^52")]
    steps.map(|at_ms| at_ms.map(|at_ms| (at_ms - line.clicked_at_ms) as f64 / 1000.0))
}

fn monday(at_ms: i64, zone: &TimeZone) -> Date {
    let day = Timestamp::from_millisecond(at_ms).unwrap_or_default().to_zoned(zone.clone()).date();
    day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days()).unwrap_or(day)
}

/// Nearest rank: the smallest value that so many in a hundred do not exceed.
pub(crate) fn quantile(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use seal::ids::CaseId;

    fn tokyo() -> TimeZone {
        TimeZone::get("Asia/Tokyo").unwrap()
    }

    fn line(clicked: &str, notified_after_s: Option<i64>) -> LedgerLine {
        let clicked_at_ms = tokyo().to_timestamp(clicked.parse().unwrap()).unwrap().as_millisecond();
        LedgerLine {
            case: CaseId([7; 16]),
            urgent: true,
            clicked_at_ms,
            submitted_at_ms: Some(clicked_at_ms + 1_500),
            notified_at_ms: notified_after_s.map(|seconds| clicked_at_ms + seconds * 1000),
            fetched_at_ms: None,
            first_image_at_ms: None,
            acknowledged_at_ms: None,
            alarmed: false,
            ended: None,
        }
    }

    #[test]
    fn a_week_begins_on_monday_by_the_clock_of_the_site() {
        // 2026-11-29 is a Sunday, and still Sunday at UTC when it is Monday in Tokyo.
        let lines = [
            line("2026-11-29T23:59:59", Some(10)),
            line("2026-11-30T00:00", Some(20)),
            line("2026-11-30T08:00", None),
        ];
        let weeks = weeks(&lines, &tokyo());
        let mondays: Vec<_> =
            weeks.iter().map(|(monday, summary)| (monday.to_string(), summary.cases)).collect();
        assert_eq!(mondays, [("2026-11-30".into(), 2), ("2026-11-23".into(), 1)]);
        assert_eq!(weeks[0].1.steps[0], Some(Quantiles { p50: 1.5, p95: 1.5 }));
        assert_eq!(weeks[0].1.steps[1], Some(Quantiles { p50: 20.0, p95: 20.0 }));
        assert_eq!(weeks[0].1.steps[2], None, "nobody has fetched one");
        let now_ms = lines[2].clicked_at_ms;
        assert_eq!(since_ms(now_ms, 0, &tokyo()), lines[1].clicked_at_ms);
        assert_eq!(since_ms(now_ms, 1, &tokyo()), lines[1].clicked_at_ms - 7 * 86_400_000);
    }

    #[test]
    fn alarms_and_unopened_ends_are_counted_apart() {
        let mut lines = vec![line("2026-11-30T00:00", Some(10)); 3];
        lines[1].alarmed = true;
        (lines[2].alarmed, lines[2].ended) = (true, Some(Ended::Unopened));
        let all = summary(lines.iter());
        assert_eq!((all.cases, all.alarmed, all.unopened), (3, 2, 1));
    }

    #[test]
    fn a_line_has_seconds_and_nothing_where_it_did_not_come_so_far() {
        let mut one = line("2026-11-30T02:14:05", Some(9));
        one.ended = Some(Ended::Closed);
        let expected = "case,clicked_at,urgent,submitted,notified,fetched,first_image,acknowledged,alarmed,ended\n\
            07070707070707070707070707070707,2026-11-30T02:14:05+09:00,true,1.500,9.000,,,,false,closed\n";
        assert_eq!(csv(&[one], &tokyo()), expected);
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&hundred, 50), quantile(&hundred, 95)), (Some(50.0), Some(95.0)));
        assert_eq!((quantile(&[7.0], 50), quantile(&[7.0], 95)), (Some(7.0), Some(7.0)));
        assert_eq!(quantile(&[], 50), None);
    }
}
