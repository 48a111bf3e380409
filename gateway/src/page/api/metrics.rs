//! `/metrics`: the operator's figures as Prometheus reads them (text format 0.0.4). No patient data, no name of anybody.

use super::super::figures::{Figures, figures};
use super::super::{Refused, Shared};
use super::caller::Caller;
use super::problem::Problem;
use crate::clock::now_ms;
use crate::journal::DutyTest;
use crate::ledger;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use std::fmt::Write;

/// Seven days.
const LATELY_MS: i64 = 7 * 24 * 60 * 60 * 1000;

pub(super) async fn metrics(
    State(page): State<Shared>,
    _caller: Caller,
) -> Result<impl IntoResponse, Problem> {
    let figures = figures(&page, now_ms()).await.map_err(|_: Refused| Problem::OURS)?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text(&figures, now_ms())))
}

fn text(figures: &Figures, now_ms: i64) -> String {
    let mut text = String::new();
    let head =
        |name: &str, help: &str| format!("# HELP scanpost_{name} {help}\n# TYPE scanpost_{name} gauge\n");
    text += &head("deliveries", "Newest delivery of each case, by state.");
    for (state, count) in &figures.states {
        let _ = writeln!(text, "scanpost_deliveries{{state=\"{state}\"}} {count}");
    }
    text += &head("stage_seconds", "Seconds of each stage, by quantile.");
    for times in &figures.stages {
        for (quantile, seconds) in [("0.5", times.p50), ("0.95", times.p95)] {
            let _ = writeln!(
                text,
                "scanpost_stage_seconds{{stage=\"{}\",quantile=\"{quantile}\"}} {seconds}",
                times.stage
            );
        }
    }
    let lately = figures.ledger.iter().filter(|line| now_ms - line.clicked_at_ms < LATELY_MS);
    let week = ledger::summary(lately);
    text += &head(
        "click_seconds",
        "Seconds from the click to each step, of the cases of the last seven days, by quantile.",
    );
    for (step, times) in ledger::STEPS.into_iter().zip(&week.steps) {
        let Some(times) = times else { continue };
        for (quantile, seconds) in [("0.5", times.p50), ("0.95", times.p95)] {
            let _ =
                writeln!(text, "scanpost_click_seconds{{to=\"{step}\",quantile=\"{quantile}\"}} {seconds}");
        }
    }
    text += &head("cases_7d", "Cases of the last seven days, all of them and by what went wrong.");
    for (what, count) in [("all", week.cases), ("alarmed", week.alarmed), ("ended_unopened", week.unopened)] {
        let _ = writeln!(text, "scanpost_cases_7d{{what=\"{what}\"}} {count}");
    }
    text += &head("notices", "Notices of deliveries that nobody has opened, by channel and state.");
    for (channel, state, count) in &figures.notices {
        let _ = writeln!(text, "scanpost_notices{{channel=\"{channel}\",state=\"{state}\"}} {count}");
    }
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let outstanding = &figures.outstanding;
    let ends = figures.certificates.iter().map(|(_, ends_at)| *ends_at);
    // One that has ended is counted by itself: it would stand before the next one for ever.
    let (ended, to_end): (Vec<i64>, Vec<i64>) = ends.partition(|ends_at| *ends_at <= now_ms / 1000);
    let day: u64 = figures.hours.iter().sum();
    for (name, help, value) in [
        ("received_bytes_24h", "Bytes received in the last 24 hours.", day),
        ("dead_letters", "Deliveries that are not tried again by themselves.", count(outstanding.failed)),
        (
            "unsent_seconds",
            "Seconds since the images or the press of the delivery that waits longest for the mail server; 0: none waits.",
            outstanding.unsent_since_ms.map_or(0, |since_ms| count((now_ms - since_ms) / 1000)),
        ),
        (
            "mailboxes_full",
            "Deliveries that a doctor's full mailbox holds up.",
            count(outstanding.mailboxes_full),
        ),
        (
            "recipients_refused",
            "Doctors who get nothing, of deliveries that nobody has opened.",
            count(outstanding.refused),
        ),
        ("alarms_unheard", "Alarms that nobody has heard.", count(figures.ringing)),
        ("intake_open", "1: objects are taken from modalities and PACS.", u64::from(figures.takes)),
        (
            "audit_written",
            "1: the audit trail could be written when it last had something to tell.",
            u64::from(figures.audit_written),
        ),
        ("clock_seconds", "The gateway's clock, Unix time.", count(now_ms / 1000)),
        (
            "unopened",
            "Deliveries notified over five minutes ago and not opened.",
            count(outstanding.unopened),
        ),
        ("in_trouble", "Deliveries with something that a person must do.", count(outstanding.in_trouble)),
        (
            "doctors_not_reachable",
            "Doctors who have not opened the test at the start of their duty in time.",
            u64::try_from(figures.not_reachable).unwrap_or(u64::MAX),
        ),
        ("disk_free_bytes", "Free bytes of the disk that holds the state folder.", figures.free_bytes),
        ("disk_bytes", "Size of that disk.", figures.disk_bytes),
        (
            "device_certificates_ended",
            "Certificates of doctors' devices that have ended and are not revoked.",
            u64::try_from(ended.len()).unwrap_or(u64::MAX),
        ),
    ] {
        text += &head(name, help);
        let _ = writeln!(text, "scanpost_{name} {value}");
    }
    text += &daily(figures, head);
    text += &head("certificate_ends_seconds", "When a certificate ends, Unix time; of doctors the next one.");
    for (of, ends_at) in [
        ("doctors", to_end.first().copied()),
        ("site", figures.site_ends_at),
        ("page", figures.page_ends_at),
        ("dicom", figures.dicom_ends_at),
    ] {
        if let Some(ends_at) = ends_at {
            let _ = writeln!(text, "scanpost_certificate_ends_seconds{{of=\"{of}\"}} {ends_at}");
        }
    }
    text
}

/// The last daily test that has come back or is late: one that is under way ends no alarm. Nothing before the first
/// one, and nothing where none is made any more: it would be late for ever.
fn daily(figures: &Figures, head: impl Fn(&str, &str) -> String) -> String {
    if !figures.has_daily {
        return String::new();
    }
    let is_decided = |test: &&DutyTest| test.returned_at_ms.is_some() || test.late_at_ms.is_some();
    let Some(last) = figures.daily.iter().find(is_decided) else { return String::new() };
    let mut text = head("daily_test_late", "1: the last daily test has not come back in time.");
    let _ = writeln!(text, "scanpost_daily_test_late {}", u8::from(last.late_at_ms.is_some()));
    if let Some(at_ms) = figures.daily_succeeded_at_ms {
        text += &head("daily_test_success_seconds", "When a daily test last came back in time, Unix time.");
        let _ = writeln!(text, "scanpost_daily_test_success_seconds {}", at_ms / 1000);
    }
    if let Some(seconds) = figures.daily.iter().find_map(|test| test.seconds.as_ref()) {
        text +=
            &head("daily_test_stage_seconds", "Seconds of each stage of the last daily test that came back.");
        for (stage, seconds) in seconds {
            let _ = writeln!(text, "scanpost_daily_test_stage_seconds{{stage=\"{stage}\"}} {seconds}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_has_ended_stands_before_no_other() {
        let certificates = [("ito", 50), ("sato", 100), ("tanaka", 101), ("suzuki", 900)];
        let certificates = certificates.map(|(doctor, ends_at)| (doctor.to_owned(), ends_at)).to_vec();
        let text = text(&Figures { certificates, ..Figures::default() }, 100_000);
        assert!(text.contains("scanpost_certificate_ends_seconds{of=\"doctors\"} 101\n"), "{text}");
        assert!(text.contains("scanpost_device_certificates_ended 2\n"), "{text}");
    }
}
