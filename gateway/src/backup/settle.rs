//! The first start after a restore: before anything is sent, told or taken, the journal is brought up to what trail and mailboxes show.

use crate::audit::{self, Audit, Fault, Message};
use crate::clock::{now_ms, time_of};
use crate::config::Config;
use crate::journal::{EndedAgain, Journal};
use crate::pulled::record::{Kind, Record, Trouble, folder_digest};
use crate::pulled::{self, Request, Sinks};
use crate::serve::{ServeError, inbound_request};
use seal::ids::{CaseId, DeliveryId, Digest};
use seal::native::Certificate;
use seal::receipt::ReceiptKind;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::{mpsc, watch};

/// Records of the inbound process that may wait.
const RECORDS_WAITING_MAX: usize = 64;
/// Deliveries that one process is to clear, counted for each folder: of about 100 bytes in a request of at most 4 MiB, which has certificates as well.
const PAIRS_MAX: usize = 20_000;

/// What the mailboxes showed, for the pipeline: covers and receipts. None where nothing was restored. The journal stays marked until that is taken.
pub(crate) async fn settle(
    config: &Config,
    journal: &Journal,
    audit: &Audit,
    site: &Certificate,
) -> Result<Option<Vec<Record>>, ServeError> {
    let Some(restored) = journal.restored().await? else { return Ok(None) };
    let request = inbound_request(config, journal).await?;
    let backed_up_at = time_of(restored.backed_up_at_ms);
    tracing::warn!(%backed_up_at, "restored from a backup: audit trail and mailboxes are read before anything is sent or taken");
    audit.record(Message::restored(backed_up_at)).await?;
    let folder = audit::folder(&config.state);
    let (endings, faults) = audit::endings(&folder, site)
        .map_err(|error| ServeError::Io { what: folder.display().to_string(), error })?;
    for Fault { file, line, message, reason } in faults {
        tracing::error!(
            file,
            line,
            message,
            reason,
            act = "operator",
            "the audit trail is damaged: cases that it has as over behind that place are not known to be (operator: see docs/backup.md)"
        );
    }
    let looked = first_look(request.clone()).await?;
    let searched = |doctor: &&String| {
        let folder = config.doctors.get(*doctor).map(|doctor| folder_digest(&doctor.folder));
        !config.is_mail_program(doctor) && folder.is_none_or(|folder| !looked.missing.contains(&folder))
    };
    let searched: Vec<String> = config.doctors.keys().filter(searched).cloned().collect();
    for (case, ended) in &endings {
        end_again(config, journal, *case, ended, &searched).await?;
    }
    let mut covers: BTreeMap<DeliveryId, BTreeSet<String>> = BTreeMap::new();
    for record in looked.seen.iter().filter(|record| record.kind == Kind::CoverSeen) {
        covers
            .entry(record.delivery)
            .or_default()
            .extend(pulled::doctors_of(config, record.recipient).cloned());
    }
    for (&delivery, doctors) in &covers {
        let doctors: Vec<String> = doctors.iter().cloned().collect();
        let is_news = journal.found_mailed(delivery, &doctors, now_ms()).await?;
        if let Some(ended) = endings.values().find(|ended| ended.deliveries.contains(&delivery)) {
            // Under another case than it had, where the journal has never heard of it.
            let case = journal.delivery(delivery).await?.case;
            end_again(config, journal, case, ended, &searched).await?;
        } else if is_news {
            tracing::warn!(stage = "submit", %delivery, ?doctors, "it was mailed after the backup was made, and is not sent to them again");
        }
    }
    journal.pass_over_numbers().await?;
    let mut orphans = journal.unsealed().await?;
    orphans.retain(|id| !covers.contains_key(id));
    for orphans in orphans.chunks((PAIRS_MAX / request.folders.len().max(1)).max(1)) {
        clear_orphans(request.clone(), orphans).await?;
    }
    Ok(Some(looked.seen))
}

/// Deletion survives the restore: what the trail has as ended or withdrawn ends at once, and is looked for in every mailbox that can be searched.
async fn end_again(
    config: &Config,
    journal: &Journal,
    case: CaseId,
    ended: &EndedAgain,
    searched: &[String],
) -> Result<(), ServeError> {
    let hold = config.dicom.hold.as_deref();
    let Some(withdrawal) = journal.end_again(case, ended, hold, searched, now_ms()).await? else {
        return Ok(());
    };
    tracing::warn!(%case, "the audit trail has a case as over that the backup has as open, or does not know: it is ended again");
    for (delivery, _) in withdrawal.ended {
        // Nobody of ours may look into the mailbox of a mail program.
        for recipient in journal.recipients(delivery).await? {
            if config.is_mail_program(&recipient.doctor) {
                journal.mails_stay(delivery, &recipient.doctor).await?;
            }
        }
    }
    Ok(())
}

/// What the first look found.
struct Looked {
    /// Covers and receipts, but for requests for exact files: those begin a delivery, and are told again by the process that follows.
    seen: Vec<Record>,
    /// Folders that are missing, or may not be read.
    missing: BTreeSet<Digest>,
}

/// Everything that lies in the mailboxes now. Does not end before the server let all folders be read that there are: what is not known to be in them
/// would be sent again. What is to be deleted is left to the process that follows, which tells how much that was.
async fn first_look(mut request: Request) -> Result<Looked, ServeError> {
    let mut looked = Looked { seen: Vec::new(), missing: BTreeSet::new() };
    request.folders.iter_mut().for_each(|folder| folder.withdrawn.clear());
    inbound(request, |record| {
        match record.kind {
            Kind::Trouble(Trouble::None) if record.recipient == Digest([0; 32]) => return true,
            Kind::Trouble(Trouble::None) => drop(looked.missing.remove(&record.recipient)),
            Kind::Trouble(Trouble::NoFolder) => drop(looked.missing.insert(record.recipient)),
            // Another process begins anew.
            Kind::Confined(_) => looked.missing.clear(),
            Kind::Receipt(ReceiptKind::ExactWanted) => {}
            Kind::CoverSeen | Kind::Receipt(_) => looked.seen.push(record),
            _ => {}
        }
        false
    })
    .await?;
    Ok(looked)
}

/// Pieces without a cover, of deliveries that are sealed again: nobody can open them, and they have the names of those that are to come. In the folders
/// that mails come to alone: whether a cover lies in another one is not known. A folder that is missing has none.
async fn clear_orphans(mut request: Request, orphans: &[DeliveryId]) -> Result<(), ServeError> {
    let mut left: BTreeSet<(Digest, DeliveryId)> = BTreeSet::new();
    for folder in &mut request.folders {
        let withdrawn =
            |id: &DeliveryId| pulled::Withdrawn { delivery: *id, receipts: false, everywhere: false };
        folder.withdrawn = orphans.iter().map(withdrawn).collect();
        left.extend(orphans.iter().map(|id| (folder_digest(&folder.folder), *id)));
    }
    inbound(request, |record| {
        match record.kind {
            Kind::NoneLeft | Kind::NotRemoved => drop(left.remove(&(record.recipient, record.delivery))),
            Kind::Trouble(Trouble::NoFolder) => left.retain(|(folder, _)| *folder != record.recipient),
            _ => {}
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
