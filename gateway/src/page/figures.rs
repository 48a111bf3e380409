//! What the operator watches, out of the journal: numbers alone, no patient data.

use super::{Refused, Shared};
use crate::journal::{Standing, Study, StudyFilter};
use std::collections::BTreeMap;

/// The newest studies that count.
const STUDIES_MAX: u32 = 2_000;
/// Hours that are shown.
pub(super) const HOURS: usize = 24;
const HOUR_MS: i64 = 60 * 60 * 1000;
/// A notice that nobody followed for so long is shown.
const UNOPENED_AFTER_MS: i64 = 5 * 60 * 1000;

/// The stages, in the order of the data.
pub(super) const STAGES: [&str; 7] =
    ["receive", "assemble", "compress", "seal", "submit", "notify", "pulled"];

/// Seconds of one stage.
#[derive(Debug, PartialEq)]
pub(super) struct StageTimes {
    pub(super) stage: &'static str,
    pub(super) count: usize,
    pub(super) p50: f64,
    pub(super) p95: f64,
}

/// All numbers.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Deliveries in each state.
    pub(super) states: BTreeMap<String, u64>,
    pub(super) stages: Vec<StageTimes>,
    /// Bytes received in each of the last hours, the oldest first.
    pub(super) hours: [u64; HOURS],
    /// Notified over five minutes ago and opened by nobody.
    pub(super) unopened: u64,
    /// Under way, with something that a person must do.
    pub(super) in_trouble: u64,
    /// Of the disk that holds the state folder.
    pub(super) free_bytes: u64,
    pub(super) disk_bytes: u64,
    /// Certificates of doctors' devices by the time they end, seconds since 1970-01-01 UTC, the first to end first.
    pub(super) certificates: Vec<(String, i64)>,
}

/// Of now.
pub(super) async fn figures(page: &Shared, now_ms: i64) -> Result<Figures, Refused> {
    let filter = StudyFilter { limit: STUDIES_MAX, ..StudyFilter::default() };
    let mut figures = of(&page.journal.studies(&filter).await?, now_ms);
    if let Ok(disk) = rustix::fs::statvfs(&page.config.state) {
        (figures.free_bytes, figures.disk_bytes) =
            (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
    }
    let devices = page.journal.devices().await?;
    let active = devices.iter().filter(|device| device.standing == Standing::Active);
    figures.certificates = active.map(|device| (device.doctor.clone(), device.ends_at())).collect();
    figures.certificates.sort_by_key(|(_, ends_at)| *ends_at);
    Ok(figures)
}

fn of(studies: &[Study], now_ms: i64) -> Figures {
    let mut figures = Figures::default();
    for study in studies {
        let delivery = &study.delivery;
        *figures.states.entry(delivery.state.clone()).or_default() += 1;
        figures.in_trouble += u64::from(delivery.trouble.is_some());
        let notified = delivery.doctors.iter().filter_map(|doctor| doctor.notified_at_ms).max();
        let is_late = notified.is_some_and(|at_ms| now_ms - at_ms > UNOPENED_AFTER_MS);
        figures.unopened += u64::from(delivery.state == "notified" && is_late);
        let age_hours = (now_ms - study.last_received_ms.unwrap_or(study.opened_at_ms)) / HOUR_MS;
        let hour = usize::try_from(age_hours).ok().and_then(|age| (HOURS - 1).checked_sub(age));
        if let Some(bytes) = hour.and_then(|hour| figures.hours.get_mut(hour)) {
            *bytes += delivery.received_bytes;
        }
    }
    figures.stages = STAGES.into_iter().filter_map(|stage| times(stage, studies)).collect();
    figures
}

fn times(stage: &'static str, studies: &[Study]) -> Option<StageTimes> {
    let mut seconds: Vec<f64> =
        studies.iter().filter_map(|study| study.delivery.seconds.get(stage).copied()).collect();
    seconds.sort_by(f64::total_cmp);
    let p50 = quantile(&seconds, 50)?;
    Some(StageTimes { stage, count: seconds.len(), p50, p95: quantile(&seconds, 95)? })
}

/// Nearest rank: the smallest value that so many in a hundred do not exceed.
fn quantile(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&hundred, 50), quantile(&hundred, 95)), (Some(50.0), Some(95.0)));
        assert_eq!((quantile(&[7.0], 50), quantile(&[7.0], 95)), (Some(7.0), Some(7.0)));
        assert_eq!(quantile(&[], 50), None);
    }
}
