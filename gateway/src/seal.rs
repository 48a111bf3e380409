//! Seal: the bundle of a delivery becomes pieces and a cover that only the recipients can open.

use crate::clock::now_ms;
use crate::config::Doctor;
use crate::journal::{DeliveryInstance, DeliveryRow};
use crate::smime::{Content, Letter, Renderer};
use crate::spool::{self, FileKey, Received, Spool};
use compressor::bundle::{BundleFile, ResidualPart, read_manifest};
use seal::answer::AnswerPoint;
use seal::cover::{Completeness, ContentKeyText, Cover, FORMAT};
use seal::ids::Digest;
use seal::native::{
    Addressee, Certificate, SealError, SealedMessage, SealedPieces, Sealing, SiteKey, seal_delivery,
    seal_message,
};
use std::io;
use std::sync::Arc;

/// Words of the policy of a study that was coded without loss.
pub(crate) const POLICY_LOSSLESS: &str = "near 0";

/// What sealing needs besides the delivery.
pub struct Sealer {
    /// The site's name.
    pub site: String,
    /// Its signing key.
    pub key: Arc<SiteKey>,
    /// Secret that keys the digest of the content.
    pub content_secret: [u8; 32],
    /// Largest piece before base64, in bytes.
    pub piece_bytes_max: usize,
    /// Largest message for a mail program, with headers and base64, in bytes.
    pub message_bytes_max: usize,
    /// Renders its pictures.
    pub renderer: Renderer,
}

/// What is durable of a delivery: pieces and cover for readers, a message for each mail program.
#[derive(Debug)]
pub struct Sealed {
    /// None where no recipient has our reader.
    pub pieces: Option<SealedPieces>,
    /// By the numbers of their recipients.
    pub messages: Vec<SealedMessage>,
}

/// What a cover says that the delivery's row does not.
#[derive(Clone, Copy)]
pub struct Beside {
    /// Digest of the cover sealed before it in the case.
    pub previous: Option<Digest>,
    /// Where answers are sealed to.
    pub answers: Option<AnswerPoint>,
}

/// A recipient who has only a mail program.
pub struct Program {
    /// Name in the configuration.
    pub doctor: String,
    /// Number among the recipients of the delivery, from 1.
    pub number: u32,
    /// The certificates that mail is encrypted for.
    pub certificates: Vec<Certificate>,
    /// Address, encryption and language.
    pub table: Doctor,
}

/// Signs and encrypts the messages for mail programs: what a finished run left is taken as it is. `case_key` opens received files that lie
/// encrypted.
///
/// # Errors
/// [`SealError`].
pub fn seal_messages(
    sealer: &Sealer,
    spool: &Spool,
    delivery: &DeliveryRow,
    instances: Vec<DeliveryInstance>,
    programs: &[Program],
    case_key: Option<&FileKey>,
) -> Result<Vec<SealedMessage>, SealError> {
    let folder = spool.sealed(delivery.id);
    let mut messages = Vec::new();
    let mut missing = Vec::new();
    for program in programs {
        match SealedMessage::reopen(&folder, delivery.id, program.number)? {
            Some(message) => messages.push(message),
            None => missing.push(program),
        }
    }
    if missing.is_empty() {
        return Ok(messages);
    }
    let received = Received { spool, case_key };
    let content = Content::of(received, delivery.id, instances, &sealer.renderer, sealer.message_bytes_max)?;
    tracing::info!(stage = "seal", delivery = %delivery.id, pictures = content.pictures(), files = content.has_files(),
        "made the content for mail programs");
    for program in missing {
        let (doctor, sent_at) = (&program.table, now_ms() / 1000);
        if doctor.quirk_cbc_recipient {
            tracing::warn!(stage = "seal", delivery = %delivery.id, doctor = program.doctor,
                "encrypted without authentication, key images alone (operator: quirk_cbc_recipient asks for it)");
        }
        let entity = content.entity(&Letter {
            delivery: delivery.id,
            sent_at,
            site: &sealer.site,
            mailbox: &doctor.mailbox,
            language: doctor.language,
            completeness: delivery.completeness.unwrap_or(Completeness::NotProved { instances: 0 }),
            encryption: doctor.encryption(),
        });
        let to = Addressee {
            number: program.number,
            certificates: &program.certificates,
            encryption: doctor.encryption(),
        };
        messages.push(seal_message(&entity, delivery.id, sent_at, &sealer.key, &to, &folder)?);
    }
    messages.sort_by_key(SealedMessage::number);
    Ok(messages)
}

/// Seals the bundle of a delivery for its recipients: all of it, all but a residual that is kept back, or that residual alone. What
/// an interrupted run left is thrown away and sealed with new salts; what a finished run left, before the journal heard of it, is
/// taken as it is. `case_key` opens a bundle that lies encrypted.
///
/// # Errors
/// [`SealError`].
pub fn seal(
    sealer: &Sealer,
    spool: &Spool,
    delivery: &DeliveryRow,
    instances: &[DeliveryInstance],
    recipients: &[Certificate],
    case_key: Option<&FileKey>,
    beside: Beside,
) -> Result<SealedPieces, SealError> {
    let folder = spool.sealed(delivery.id);
    if let Some(sealed) = SealedPieces::reopen(&folder, delivery.id)? {
        return Ok(sealed);
    }
    let bundle = spool.bundle(delivery.residual_of.unwrap_or(delivery.id));
    let mut bundle = BundleFile::read_from(spool::open_bundle(&bundle, case_key)?)?;
    let cover = Cover {
        format: FORMAT,
        case: delivery.case,
        delivery: delivery.id,
        sequence: delivery.sequence,
        previous: beside.previous,
        residual_of: delivery.residual_of,
        residual_until: delivery.residual_until_ms.map(|ms| ms / 1000),
        answers: beside.answers,
        content: content_digest(&sealer.content_secret, instances),
        site: sealer.site.clone(),
        sealed_at: now_ms() / 1000,
        recipients: recipients.iter().map(Certificate::digest).collect(),
        completeness: delivery.completeness.unwrap_or(Completeness::NotProved { instances: 0 }),
        policy: POLICY_LOSSLESS.to_owned(),
        content_key: ContentKeyText(String::new()),
        index: Digest([0; 32]),
        manifest: Digest([0; 32]),
        pieces: Vec::new(),
    };
    let sealing = Sealing { site: &sealer.key, recipients, piece_bytes_max: sealer.piece_bytes_max };
    let mut lengths = bundle.segment_lengths().to_vec();
    if cover.residual_of.is_none() && cover.residual_until.is_none() {
        return seal_delivery(&lengths, &mut bundle, cover, &sealing, &folder);
    }
    let manifest = read_manifest(&mut bundle).map_err(io::Error::other)?;
    let first = manifest.first_residual() as usize;
    if cover.residual_of.is_some() {
        lengths.drain(1..first.min(lengths.len()));
        return seal_delivery(
            &lengths,
            &mut ResidualPart::new(&mut bundle, &manifest),
            cover,
            &sealing,
            &folder,
        );
    }
    lengths.truncate(first);
    seal_delivery(&lengths, &mut bundle, cover, &sealing, &folder)
}

/// HMAC-SHA-256 over sorted (SOP Instance UID, SHA-256) pairs: equal for equal content, and says nothing to others.
fn content_digest(secret: &[u8; 32], instances: &[DeliveryInstance]) -> Digest {
    use aws_lc_rs::hmac;
    let mut pairs: Vec<_> =
        instances.iter().map(|instance| (instance.sop_instance.as_str(), instance.sha256)).collect();
    pairs.sort_unstable();
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    for (uid, sha256) in pairs {
        context.update(uid.as_bytes());
        context.update(&[0]);
        context.update(&sha256);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.sign().as_ref());
    Digest(digest)
}
