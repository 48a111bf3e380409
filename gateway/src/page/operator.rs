//! The operator's figures, as tables and plots that need no script.

use super::figures::{Figures, HOURS, StageTimes, figures};
use super::layout::{self, Place};
use super::session::Person;
use super::words::{Words, fill};
use super::{Refused, Shared, clean};
use crate::clock::now_ms;
use crate::duty::SHOWN;
use crate::journal::DutyTest;
use crate::ledger::{self, STAGES};
use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};

/// Seconds of a month: a certificate that ends before is marked.
const SOON_S: i64 = 30 * 24 * 60 * 60;
/// Certificates that are listed, the first to end.
const CERTIFICATES_MAX: usize = 20;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/operator", get(show)).route("/operator/ledger.csv", get(ledger_file))
}

/// Every case of the weeks that are shown.
async fn ledger_file(State(page): State<Shared>, person: Person) -> Result<impl IntoResponse, Refused> {
    if !person.role.may_inspect() {
        return Err(Refused::Role);
    }
    let figures = figures(&page, now_ms()).await?;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"scanpost-ledger.csv\""),
    ];
    Ok((headers, ledger::csv(&figures.ledger, &page.zone)))
}

async fn show(State(page): State<Shared>, person: Person) -> Result<Markup, Refused> {
    if !person.role.may_inspect() {
        return Err(Refused::Role);
    }
    let words = person.language.words();
    let now_ms = now_ms();
    let figures = figures(&page, now_ms).await?;
    let certificate = |whose: &str, ends_at: i64| {
        let day =
            jiff::Timestamp::from_second(ends_at).unwrap_or_default().to_zoned(page.zone.clone()).date();
        html! { li { (whose) ": " (day) @if ends_at - now_ms / 1000 < SOON_S { " " span .tag { (words.soon) } } } }
    };
    let today =
        jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(page.zone.clone()).date();
    let content = html! {
        div .sheet {
            h1 { (words.operator) }
            (numbers(&figures, words))
            h2 { (words.throughput) }
            (throughput(&figures, words))
            h2 { (words.stage_times) }
            (stages(&figures.stages, words))
            @if !figures.daily.is_empty() {
                h2 { (words.daily_tests) }
                (daily(&figures.daily, figures.has_daily.then_some(today), words))
            }
            h2 { (words.ledger) }
            (weeks(&figures, &page.zone, words))
            h2 { (words.own_certificates) }
            ul {
                @if let Some(ends_at) = figures.site_ends_at { (certificate(words.site_certificate, ends_at)) }
                @if let Some(ends_at) = figures.page_ends_at { (certificate(words.page_certificate, ends_at)) }
            }
            h2 { (words.certificates) }
            ul { @for (doctor, ends_at) in figures.certificates.iter().take(CERTIFICATES_MAX) { (certificate(&clean(doctor), *ends_at)) } }
        }
    };
    Ok(layout::page(&person, Place::Operator, words.operator, &content))
}

fn numbers(figures: &Figures, words: &Words) -> Markup {
    let state = |names: &[&str]| names.iter().filter_map(|name| figures.states.get(*name)).sum::<u64>();
    let outstanding = &figures.outstanding;
    let under_way = state(&["received", "assembled", "compressed", "sealed", "submitted"]);
    let free = fill(words.free_of, &[&gigabytes(figures.free_bytes), &gigabytes(figures.disk_bytes)]);
    let number = |label: &str, value: &str, is_bad: bool| html! { div .figure .bad[is_bad] { dt { (label) } dd { (value) } } };
    html! {
        dl .figures {
            (number(words.st_held, &state(&["held"]).to_string(), false))
            (number(words.under_way, &under_way.to_string(), false))
            (number(words.unopened, &outstanding.unopened.to_string(), outstanding.unopened > 0))
            (number(words.in_trouble, &outstanding.in_trouble.to_string(), outstanding.in_trouble > 0))
            (number(words.st_failed, &outstanding.failed.to_string(), outstanding.failed > 0))
            (number(words.doctors_away, &figures.not_reachable.to_string(), figures.not_reachable > 0))
            (number(words.disk, &free, figures.free_bytes < figures.disk_bytes / 10))
        }
    }
}

fn throughput(figures: &Figures, words: &Words) -> Markup {
    let most = figures.hours.iter().copied().max().unwrap_or(0).max(1);
    let label = fill(words.throughput_label, &[&megabytes(figures.hours.iter().sum()), &megabytes(most)]);
    html! {
        svg .plot role="img" aria-label=(label) viewBox=(format!("0 0 {} 104", HOURS * 20)) preserveAspectRatio="none" {
            @for (hour, bytes) in figures.hours.iter().enumerate() {
                @let height = bytes * 100 / most;
                rect .bar x=(hour * 20 + 2) y=(102 - height) width="16" height=(height + 2) {}
            }
        }
        p .hint { (label) }
    }
}

fn stages(stages: &[StageTimes], words: &Words) -> Markup {
    let most =
        stages.iter().filter(|times| times.stage != "pulled").map(|times| times.p95).fold(0.001, f64::max);
    let width = |seconds: f64| format!("{:.1}", (seconds / most * 100.0).min(100.0));
    html! {
        div .wide { table {
            thead { tr { th { (words.stage) } th .number { (words.number) } th .number { "p50" } th .number { "p95" } th aria-hidden="true" {} } }
            tbody { @for times in stages {
                tr {
                    th scope="row" { (times.stage) }
                    td .number { (times.count) }
                    td .number { (format!("{:.1} s", times.p50)) }
                    td .number { (format!("{:.1} s", times.p95)) }
                    td .plotted aria-hidden="true" {
                        svg .line-plot viewBox="0 0 100 10" preserveAspectRatio="none" {
                            rect .far x="0" y="2" height="6" width=(width(times.p95)) {}
                            rect .bar x="0" y="2" height="6" width=(width(times.p50)) {}
                        }
                    }
                }
            } }
        } }
    }
}

/// Daily tests with the seconds of their stages; red where one was late, did not come back, or was not made.
fn daily(tests: &[DutyTest], today: Option<Date>, words: &Words) -> Markup {
    html! {
        div .wide { table .tests {
            thead { tr {
                th { (words.test_day) } th { (words.test_outcome) } th .number { (words.test_total) }
                @for stage in STAGES { th .number { (stage) } }
            } }
            tbody { @for (day, test) in days(tests, today) {
                @let (outcome, is_bad) = outcome(test, words);
                tr .bad[is_bad] {
                    th scope="row" { (day) }
                    td { (outcome) }
                    @for stage in std::iter::once("total").chain(STAGES) {
                        td .number { @if let Some(seconds) = test.and_then(|test| test.seconds.as_ref()?.get(stage)) { (format!("{seconds:.1} s")) } }
                    }
                }
            } }
        } }
    }
}

/// The last days, the newest first, back to the first test that is known; today only once it was begun. Without today, where no test is made any more,
/// those alone that were.
fn days(tests: &[DutyTest], today: Option<Date>) -> Vec<(String, Option<&DutyTest>)> {
    let Some(today) = today else {
        return tests.iter().map(|test| (test.occasion.clone(), Some(test))).collect();
    };
    let first = tests.iter().map(|test| test.occasion.clone()).min().unwrap_or_default();
    let mut days = Vec::new();
    for back in 0..=i64::from(SHOWN) {
        let Ok(day) = today.checked_sub(back.days()) else { break };
        let day = day.to_string();
        let test = tests.iter().find(|test| test.occasion == day);
        if day < first {
            break;
        }
        if back > 0 || test.is_some() {
            days.push((day, test));
        }
    }
    days.truncate(usize::try_from(SHOWN).unwrap_or(usize::MAX));
    days
}

fn outcome(test: Option<&DutyTest>, words: &Words) -> (&'static str, bool) {
    let Some(test) = test else { return (words.test_not_made, true) };
    match (test.returned_at_ms.is_some(), test.late_at_ms.is_some()) {
        (true, false) => (words.test_back, false),
        (true, true) => (words.test_late, true),
        (false, true) => (words.test_missing, true),
        (false, false) => (words.under_way, false),
    }
}

/// Seconds from the click to each step, by weeks: half of all cases took no longer than the first number, 95 in a hundred no longer than the second.
fn weeks(figures: &Figures, zone: &TimeZone, words: &Words) -> Markup {
    let heads = [
        words.to_submitted,
        words.to_notified,
        words.to_fetched,
        words.to_first_image,
        words.to_acknowledged,
    ];
    html! {
        p .hint { (words.ledger_hint) " " a href="/operator/ledger.csv" download { (words.ledger_file) } }
        div .wide { table {
            thead { tr {
                th { (words.week) } th .number { (words.number) }
                @for head in heads { th .number { (head) } }
                th .number { (words.alarms) } th .number { (words.unopened_ends) }
            } }
            tbody { @for (monday, week) in ledger::weeks(&figures.ledger, zone) {
                tr {
                    th scope="row" { (monday) }
                    td .number { (week.cases) }
                    @for step in &week.steps {
                        td .number { @if let Some(step) = step { (format!("{:.0} / {:.0} s", step.p50, step.p95)) } @else { "–" } }
                    }
                    td .number { (week.alarmed) }
                    td .number { (week.unopened) }
                }
            } }
        } }
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{} GB", bytes / 1_000_000_000)
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::journal::TestKind;
    use compressor::Uid;

    fn test(day: &str) -> DutyTest {
        DutyTest {
            id: 1,
            kind: TestKind::Daily,
            doctor: "constancy".into(),
            occasion: day.into(),
            study: Uid::parse("2.25.1").unwrap(),
            began_at_ms: 0,
            delivery: None,
            returned_at_ms: Some(1),
            answered_at_ms: Some(1),
            late_at_ms: None,
            seconds: None,
            ended_at_ms: None,
        }
    }

    #[test]
    fn a_day_without_a_test_is_shown_and_red_and_today_is_waited_for() {
        let tests = [test("2026-11-28"), test("2026-11-26")];
        let days = days(&tests, "2026-11-29".parse().ok());
        let words = super::super::words::Language::En.words();
        let shown: Vec<_> = days.iter().map(|(day, test)| (day.as_str(), outcome(*test, words).1)).collect();
        assert_eq!(shown, [("2026-11-28", false), ("2026-11-27", true), ("2026-11-26", false)]);
        assert_eq!(super::days(&tests[..1], "2027-11-29".parse().ok()).len(), 30);
        assert_eq!(super::days(&tests, None).len(), 2, "none is made any more");
    }
}
