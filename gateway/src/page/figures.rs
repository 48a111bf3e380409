//! What the operator watches, out of the journal: numbers alone, no patient data.

use super::{Refused, Shared};
use crate::check::ends_at;
use crate::duty::SHOWN;
use crate::journal::{DutyTest, LedgerLine, Outstanding, Progress, Standing, TestKind};
use crate::ledger::{self, STAGES, quantile};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The newest studies that count.
const STUDIES_MAX: u32 = 2_000;
/// Hours that are shown.
pub(super) const HOURS: usize = 24;
/// They tell of hours and of thousands of studies.
const KEPT: Duration = Duration::from_secs(1);
const HOUR_MS: i64 = 60 * 60 * 1000;
/// A notice that nobody followed for so long is shown.
const UNOPENED_AFTER_MS: i64 = 5 * 60 * 1000;

/// Seconds of one stage.
#[derive(Debug, PartialEq)]
pub(super) struct StageTimes {
    pub(super) stage: &'static str,
    pub(super) count: usize,
    pub(super) p50: f64,
    pub(super) p95: f64,
}

/// Weeks that are shown, with this one.
pub(super) const WEEKS: u32 = 8;

/// All numbers.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// The last deliveries of the newest cases in each state.
    pub(super) states: BTreeMap<String, u64>,
    pub(super) stages: Vec<StageTimes>,
    /// Bytes received in each of the last hours, the oldest first.
    pub(super) hours: [u64; HOURS],
    /// What waits for somebody; unopened: notified over five minutes ago.
    pub(super) outstanding: Outstanding,
    /// Alarms that nobody has heard.
    pub(super) ringing: i64,
    /// Objects are taken from modalities and PACS.
    pub(super) takes: bool,
    /// The audit trail is written.
    pub(super) audit_written: bool,
    /// Notices of deliveries that nobody has opened, by channel and state.
    pub(super) notices: Vec<(String, String, i64)>,
    /// Doctors who have not opened the test at the start of their duty in time.
    pub(super) not_reachable: usize,
    /// A daily test is made.
    pub(super) has_daily: bool,
    /// The last daily tests, the newest first.
    pub(super) daily: Vec<DutyTest>,
    /// When one last came back in time, milliseconds since 1970-01-01 UTC.
    pub(super) daily_succeeded_at_ms: Option<i64>,
    /// What was asked for in the last [`WEEKS`], the oldest first.
    pub(super) ledger: Vec<LedgerLine>,
    /// Of the disk that holds the state folder.
    pub(super) free_bytes: u64,
    pub(super) disk_bytes: u64,
    /// Certificates of doctors' devices by the time they end, seconds since 1970-01-01 UTC, the first to end first.
    pub(super) certificates: Vec<(String, i64)>,
    /// That of the site, which signs covers: when it ends.
    pub(super) site_ends_at: Option<i64>,
    /// That of the page, as its file has it now: when it ends.
    pub(super) page_ends_at: Option<i64>,
    /// That of the DICOM port with TLS, as its file has it now: when it ends.
    pub(super) dicom_ends_at: Option<i64>,
}

/// The figures as they were read last, for all who look within [`KEPT`].
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<(Instant, Arc<Figures>)>>);

/// Of now, or of a moment ago.
pub(super) async fn figures(page: &Shared, now_ms: i64) -> Result<Arc<Figures>, Refused> {
    let mut kept = page.figures.0.lock().await;
    if let Some((read_at, figures)) = &*kept
        && read_at.elapsed() < KEPT
    {
        return Ok(figures.clone());
    }
    let figures = Arc::new(read(page, now_ms).await?);
    *kept = Some((Instant::now(), figures.clone()));
    Ok(figures)
}

async fn read(page: &Shared, now_ms: i64) -> Result<Figures, Refused> {
    let mut figures = of(&page.journal.progress(STUDIES_MAX).await?, now_ms);
    figures.outstanding = page.journal.outstanding(now_ms - UNOPENED_AFTER_MS).await?;
    if let Ok(disk) = rustix::fs::statvfs(&page.config.state) {
        (figures.free_bytes, figures.disk_bytes) =
            (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
    }
    let since_ms = ledger::since_ms(now_ms, WEEKS - 1, &page.zone);
    figures.ledger = page.journal.ledger(since_ms).await?;
    figures.notices = page.journal.notice_counts().await?;
    figures.ringing = page.journal.ringing().await?;
    figures.takes = page.takes();
    figures.audit_written = page.audit.is_written();
    figures.not_reachable = page.not_reachable().await?.len();
    figures.has_daily = page.config.duty.as_ref().is_some_and(|duty| duty.daily_to.is_some());
    figures.daily = page.journal.newest_duty_tests(TestKind::Daily, SHOWN).await?;
    figures.daily_succeeded_at_ms = page.journal.daily_succeeded_at_ms().await?;
    let devices = page.journal.devices().await?;
    let active = devices.iter().filter(|device| device.standing == Standing::Active);
    figures.certificates = active.map(|device| (device.doctor.clone(), device.ends_at())).collect();
    figures.site_ends_at = Some(page.pipeline.sealer.key.certificate().not_after());
    figures.page_ends_at = page.settings.certificate.as_deref().and_then(ends_at);
    let dicom = page.config.dicom.tls.as_ref().map(|tls| &tls.files.certificate);
    figures.dicom_ends_at = dicom.and_then(|path| ends_at(path));
    figures.certificates.sort_by_key(|(_, ends_at)| *ends_at);
    Ok(figures)
}

fn of(studies: &[Progress], now_ms: i64) -> Figures {
    let mut figures = Figures::default();
    for study in studies {
        *figures.states.entry(study.state.clone()).or_default() += 1;
        let age_hours = (now_ms - study.received_at_ms) / HOUR_MS;
        let hour = usize::try_from(age_hours).ok().and_then(|age| (HOURS - 1).checked_sub(age));
        if let Some(bytes) = hour.and_then(|hour| figures.hours.get_mut(hour)) {
            *bytes += study.received_bytes;
        }
    }
    figures.stages = STAGES.into_iter().filter_map(|stage| times(stage, studies)).collect();
    figures
}

fn times(stage: &'static str, studies: &[Progress]) -> Option<StageTimes> {
    let mut seconds: Vec<f64> =
        studies.iter().filter_map(|study| study.seconds.get(stage).copied()).collect();
    seconds.sort_by(f64::total_cmp);
    let p50 = quantile(&seconds, 50)?;
    Some(StageTimes { stage, count: seconds.len(), p50, p95: quantile(&seconds, 95)? })
}
