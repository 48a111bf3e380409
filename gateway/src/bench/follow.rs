//! Waits for a study that was sent, by the journal of the running gateway, and takes the times of its stages from there.

use super::BenchError;
use super::report::{Collected, MEGABYTE};
use crate::config::Config;
use crate::journal::{DeliveryReport, Journal, State};
use crate::ledger::STAGES;
use compressor::Uid;
use std::time::{Duration, Instant};

/// Between two looks; what is measured are the journal's own times.
const LOOK: Duration = Duration::from_millis(250);
/// How long the gateway may take up to the notice, besides the silence that it waits for.
const DELIVER_WAIT: Duration = Duration::from_secs(15 * 60);
/// How long it takes at most until images that were acknowledged are in a case.
const JOURNAL_WAIT: Duration = Duration::from_secs(30);

/// Gives the delivery once it was pulled, or `wait` after its notice.
pub(super) async fn follow(
    journal: &Journal,
    config: &Config,
    destination: &str,
    study: &Uid,
    wait: Duration,
) -> Result<DeliveryReport, BenchError> {
    let began = Instant::now();
    let deliver_wait = DELIVER_WAIT + Duration::from_millis(config.dicom.silence_ms);
    let (mut case, mut notified) = (None, None);
    loop {
        if case.is_none() {
            case = journal.open_case(destination, study).await?;
        }
        let delivery = match case {
            Some(case) => journal.report_of_case(case).await?.into_iter().next(),
            None => None,
        };
        match delivery {
            Some(delivery) => match State::parse(&delivery.state) {
                Some(State::Pulled | State::Closed) => return Ok(delivery),
                Some(State::Failed | State::Cancelled | State::Recalled) => return Err(stuck(delivery)),
                Some(State::Notified) if notified.get_or_insert_with(Instant::now).elapsed() >= wait => {
                    return Ok(delivery);
                }
                _ if notified.is_none() && began.elapsed() >= deliver_wait => return Err(stuck(delivery)),
                _ => {}
            },
            None if began.elapsed() >= JOURNAL_WAIT => return Err(BenchError::NotInJournal),
            None => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn stuck(delivery: DeliveryReport) -> BenchError {
    let trouble = delivery.trouble.map(|trouble| format!(": {trouble}")).unwrap_or_default();
    BenchError::Stuck { state: delivery.state, trouble }
}

/// Its times, sizes and ratio.
#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
pub(super) fn collect(delivery: &DeliveryReport, collected: &mut Collected) {
    for stage in STAGES {
        if let Some(seconds) = delivery.seconds.get(stage) {
            collected.cost(stage, "s", *seconds);
        }
    }
    if let Some(notified) = delivery.click_to_notified {
        collected.cost("first image to notice", "s", notified);
        let waited = delivery.seconds.get("assemble").copied().unwrap_or_default();
        collected.cost("of that without assemble", "s", notified - waited);
    }
    if let Some(pulled) = delivery.click_to_pulled {
        collected.cost("first image to receipt", "s", pulled);
    }
    let bundle = delivery.summary.as_ref().and_then(|summary| summary.get("bundle_bytes")?.as_f64());
    if let Some(bundle) = bundle.filter(|bundle| *bundle > 0.0) {
        collected.rate("ratio", ": 1", delivery.received_bytes as f64 / bundle);
        collected.cost("bundle", "MB", bundle / MEGABYTE);
    }
    if let Some(mail) = delivery.mail_bytes {
        collected.cost("mail", "MB", mail as f64 / MEGABYTE);
    }
}
