//! The first start after a restore: before anything is sent, told or taken, the journal is brought up to what trail and mailboxes show.

use crate::audit::{self, Audit, Message};
use crate::clock::now_ms;
use crate::config::Config;
use crate::journal::Journal;
use crate::pulled::record::{Kind, Record, Trouble, folder_digest};
use crate::pulled::{self, Request, Sinks};
use crate::serve::ServeError;
use seal::ids::{DeliveryId, Digest};
use seal::native::Certificate;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};

/// Records of the inbound process that may wait.
const RECORDS_WAITING_MAX: usize = 64;

/// What the mailboxes showed, for the pipeline: covers and receipts. None where nothing was restored. The journal stays marked until that is taken.
pub(crate) async fn settle(
    config: &Config,
    journal: &Journal,
    audit: &Audit,
    site: &Certificate,
    request: Request,
) -> Result<Option<Vec<Record>>, ServeError> {
    let Some(restored) = journal.restored().await? else { return Ok(None) };
    let backed_up_at = OffsetDateTime::from_unix_timestamp(restored.backed_up_at_ms / 1000);
    let backed_up_at = backed_up_at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    tracing::warn!(%backed_up_at, "restored from a backup: audit trail and mailboxes are read before anything is sent or taken");
    audit.record(Message::restored(backed_up_at)).await?;
    end_again(config, journal, site).await?;
    let seen = first_look(request.clone()).await?;
    let mut covers: BTreeMap<DeliveryId, BTreeSet<String>> = BTreeMap::new();
    for record in seen.iter().filter(|record| record.kind == Kind::CoverSeen) {
        if let Some(doctor) = journal.doctor_of(record.recipient).await? {
            covers.entry(record.delivery).or_default().insert(doctor);
        }
    }
    for (delivery, doctors) in covers {
        let doctors: Vec<String> = doctors.into_iter().collect();
        if journal.found_mailed(delivery, &doctors, now_ms()).await? {
            tracing::warn!(stage = "submit", %delivery, ?doctors, "it was mailed after the backup was made, and is not sent to them again");
        }
    }
    clear_orphans(request, &journal.unsealed().await?).await?;
    Ok(Some(seen))
}

/// Deletion survives the restore: what the trail has as ended or withdrawn ends at once, and is looked for in every mailbox.
async fn end_again(config: &Config, journal: &Journal, site: &Certificate) -> Result<(), ServeError> {
    let folder = audit::folder(&config.state);
    let endings = audit::endings(&folder, site)
        .map_err(|error| ServeError::Io { what: folder.display().to_string(), error })?;
    let hold = config.dicom.hold.as_deref();
    let doctors: Vec<String> =
        config.doctors.keys().filter(|doctor| !config.is_mail_program(doctor)).cloned().collect();
    for (case, ended) in endings {
        let Some(withdrawal) = journal.end_again(case, &ended, hold, &doctors, now_ms()).await? else {
            continue;
        };
        tracing::warn!(%case, "the audit trail has a case as over that the backup has as open: it is ended again");
        for (delivery, _) in withdrawal.ended {
            // Nobody of ours may look into the mailbox of a mail program.
            for recipient in journal.recipients(delivery).await? {
                if config.is_mail_program(&recipient.doctor) {
                    journal.mails_stay(delivery, &recipient.doctor).await?;
                }
            }
        }
    }
    Ok(())
}

/// Everything that lies in the mailboxes now. Does not end before the server let all folders be read that there are: what is not known to be in them
/// would be sent again. What is to be deleted is left to the process that follows, which tells how much that was.
async fn first_look(mut request: Request) -> Result<Vec<Record>, ServeError> {
    let mut seen = Vec::new();
    request.folders.iter_mut().for_each(|folder| folder.withdrawn.clear());
    inbound(request, |record| {
        let is_all = record.kind == Kind::Trouble(Trouble::None) && record.recipient == Digest([0; 32]);
        seen.push(record);
        is_all
    })
    .await?;
    seen.retain(|record| matches!(record.kind, Kind::CoverSeen | Kind::Receipt(_)));
    Ok(seen)
}

/// Pieces without a cover, of deliveries that are sealed again: nobody can open them, and they have the names of those that are to come.
async fn clear_orphans(mut request: Request, unsealed: &[DeliveryId]) -> Result<(), ServeError> {
    let mut left: BTreeSet<(Digest, DeliveryId)> = BTreeSet::new();
    for folder in &mut request.folders {
        let withdrawn =
            |id: &DeliveryId| pulled::Withdrawn { delivery: *id, receipts: false, everywhere: true };
        folder.withdrawn = unsealed.iter().map(withdrawn).collect();
        left.extend(unsealed.iter().map(|id| (folder_digest(&folder.folder), *id)));
    }
    if left.is_empty() {
        return Ok(());
    }
    inbound(request, |record| {
        if matches!(record.kind, Kind::NoneLeft | Kind::NotRemoved) {
            left.remove(&(record.recipient, record.delivery));
        }
        left.is_empty()
    })
    .await
}

/// Runs the inbound process until `is_all` says so of a record.
async fn inbound(request: Request, mut is_all: impl FnMut(Record) -> bool) -> Result<(), ServeError> {
    if request.folders.is_empty() {
        return Ok(());
    }
    // So that the first look into all mailboxes is told of.
    let (_requests, requests) = watch::channel(Request { troubled: true, ..request });
    let (records, mut taken) = mpsc::channel(RECORDS_WAITING_MAX);
    // Enrolments are read again by the process that follows.
    let (enrolments, mut ignored) = mpsc::channel(RECORDS_WAITING_MAX);
    tokio::spawn(async move { while ignored.recv().await.is_some() {} });
    let watched = tokio::spawn(pulled::watch(requests, Sinks { records, enrolments }));
    while let Some(record) = taken.recv().await {
        if is_all(record) {
            drop(taken);
            let _ = watched.await;
            return Ok(());
        }
    }
    Err(ServeError::Ended("the first look into the mailboxes"))
}
