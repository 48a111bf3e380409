//! How long the certificates of the directory, and those of ours, still last, said aloud before they end.

use crate::check::{certificates, ends_at};
use crate::clock::now_ms;
use crate::config::Config;
use crate::journal::{Device, Journal, Standing};
use std::sync::Arc;
use std::time::Duration;

const DAY_SECONDS: i64 = 86_400;
/// From here on it is said once a day.
const WARN_DAYS: i64 = 30;
/// From here on it is said as an error.
const URGENT_DAYS: i64 = 7;
/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(86_400);

/// How long a certificate still lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Longer than anybody must think of.
    Far,
    /// Within 30 days: so many whole days are left.
    Soon(i64),
    /// Within 7 days.
    Urgent(i64),
    /// It has ended.
    Expired,
}

/// How long certificate and identity of a device last together; `now` in seconds since 1970-01-01 UTC.
pub fn expiry(device: &Device, now: i64) -> Expiry {
    lasting(device.ends_at(), now)
}

fn lasting(ends_at: i64, now: i64) -> Expiry {
    let left = ends_at - now;
    // The second `now` has begun already: it is not counted as left, so that a whole day more is never said than `check` says.
    match (left - 1) / DAY_SECONDS {
        _ if left < 0 => Expiry::Expired,
        days if days < URGENT_DAYS => Expiry::Urgent(days),
        days if days < WARN_DAYS => Expiry::Soon(days),
        _ => Expiry::Far,
    }
}

/// Says at start and every day which active certificates end soon, and which of ours. Never ends.
pub(crate) async fn warn(config: Arc<Config>, journal: Journal) {
    loop {
        for (key, path) in certificates(&config) {
            // A file that cannot be read is said where it is used.
            if let Some(ends_at) = ends_at(path) {
                say_ours(&key, lasting(ends_at, now_ms() / 1000));
            }
        }
        match journal.devices().await {
            Ok(devices) => devices.iter().for_each(|device| say(device, now_ms() / 1000)),
            Err(error) => tracing::warn!(%error, "the directory of doctors cannot be read"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn say_ours(key: &str, expiry: Expiry) {
    match expiry {
        Expiry::Far => {}
        Expiry::Soon(days) => {
            tracing::warn!(key, days, "a certificate of the configuration ends soon (operator: renew it)");
        }
        Expiry::Urgent(days) => {
            tracing::error!(
                key,
                days,
                "a certificate of the configuration ends within a week (operator: renew it now)"
            );
        }
        Expiry::Expired => {
            tracing::error!(key, "a certificate of the configuration has expired (operator: renew it now)");
        }
    }
}

fn say(device: &Device, now: i64) {
    let Device { doctor, device: name, .. } = device;
    if device.standing != Standing::Active {
        return;
    }
    match expiry(device, now) {
        Expiry::Far => {}
        Expiry::Soon(days) => {
            tracing::warn!(
                doctor,
                device = name,
                days,
                "a doctor's certificate ends soon (operator: arrange a new one)"
            );
        }
        Expiry::Urgent(days) => {
            tracing::error!(
                doctor,
                device = name,
                days,
                "a doctor's certificate ends within a week (operator: get a new one now)"
            );
        }
        Expiry::Expired => {
            tracing::error!(
                doctor,
                device = name,
                "a doctor's certificate has expired and nothing is sealed for it (operator: get a new one)"
            );
        }
    }
}
