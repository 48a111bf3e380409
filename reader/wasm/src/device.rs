//! What a browser asks about this device's own certificates, its enrolment, receipts and links: in a module of its own, since no picture waits for it.

use crate::question::{Answer, Fields, Refused, told};
use compressor::Phi;
use seal::answer::{self, AnswerPoint, SealedAnswer, Words};
use seal::certificate::Certificate;
use seal::certificate::draft::{self, Role};
use seal::ecdsa;
use seal::enrol::{self, Confirmation, Renewal, Request};
use seal::error::Refusal;
use seal::ids::{DeliveryId, Digest};
use seal::limits::CONFIRMATION_BYTES_MAX;
use seal::link::{self, Link, Secret};
use seal::receipt::{Receipt, ReceiptKind};
use seal::statement;

const LINK: &str = "the link";

/// None where it is another module's question.
pub(crate) fn respond(name: &str, fields: &Fields) -> Option<Result<Answer, Refused>> {
    Some(match name {
        "draft" => draft(fields),
        "finish" => finish(fields),
        "code" => code(fields),
        "request" => request(fields),
        "fingerprint" => fingerprint(fields),
        "statement" => statement(fields),
        "confirmation_mac" => confirmation_mac(fields),
        "confirmation" => confirmation(fields),
        "renewal" => renewal(fields),
        "answer" => answer_to_seal(fields),
        "receipt" => receipt(fields),
        "signed_receipt" => signed_receipt(fields),
        "link" => link(fields),
        "link_secret" => link_secret(fields),
        _ => return None,
    })
}

/// What the identity's key has to sign for a certificate of the device's own.
fn draft(fields: &Fields) -> Result<Answer, Refused> {
    let role = match fields.text("role")? {
        "identity" => Role::Identity,
        "encryption" => Role::Encryption,
        _ => return Err(Refused::question()),
    };
    let (not_before, not_after) = (fields.number("not_before")?, fields.number("not_after")?);
    let draft = draft::draft(role, &fields.fixed("point")?, fields.fixed("serial")?, not_before, not_after);
    Ok(Answer::default().bytes("draft", &draft.map_err(|_| Refused::question())?))
}

/// The certificate from the draft and the signature.
fn finish(fields: &Fields) -> Result<Answer, Refused> {
    let whole = draft::finish(&fields.bytes("draft")?, &fields.fixed("signature")?);
    let whole = whole.map_err(|_| Refused::question())?;
    told(&Certificate::from_der(&whole).map_err(|_| Refused::question())?)
}

/// What a code of an invitation says, as it was typed (SPEC 8.1).
fn code(fields: &Fields) -> Result<Answer, Refused> {
    let code =
        enrol::Code::parse(fields.text("text")?).ok_or_else(|| Refused::wrong("the code was mistyped"))?;
    Ok(["invitation", "request", "confirmation"].iter().fold(
        Answer::default()
            .text("site", code.site().as_str())
            .bytes("secret", code.secret())
            .bytes("salt", enrol::CODE_SALT),
        |answer, usage| answer.bytes(usage, &code.info(usage)),
    ))
}

/// A request to enrol, to be signed (SPEC 8.2).
fn request(fields: &Fields) -> Result<Answer, Refused> {
    let request = Request {
        invitation: fields.invitation()?,
        certificate: fields.certificate("certificate")?,
        identity: fields.certificate("identity")?,
        device: fields.text("device")?.to_owned(),
        at: fields.number("at")?,
    };
    let content = request.to_bytes().ok_or_else(|| Refused::wrong("the name of the device does not fit"))?;
    Ok(to_sign(enrol::REQUEST_PURPOSE, &content))
}

/// What two people compare (SPEC 8.3).
fn fingerprint(fields: &Fields) -> Result<Answer, Refused> {
    let (certificate, identity) = (fields.digest("certificate")?, fields.digest("identity")?);
    let text = enrol::fingerprint(fields.invitation()?, &certificate, &identity);
    Ok(Answer::default().text("fingerprint", &text))
}

/// A statement from its signature and content (SPEC 8.2).
fn statement(fields: &Fields) -> Result<Answer, Refused> {
    let signature = signature(fields)?;
    Ok(Answer::default().bytes("statement", &statement::join(&signature, &fields.bytes("content")?)))
}

/// MAC of a confirmation, and what it is over (SPEC 8.4).
fn confirmation_mac(fields: &Fields) -> Result<Answer, Refused> {
    let message = fields.bytes("message")?;
    let (mac, rest) = statement::split_mac(&message, CONFIRMATION_BYTES_MAX, enrol::CONFIRMATION)?;
    Ok(Answer::default().bytes("mac", mac).bytes("statement", rest))
}

/// What is to be checked of a confirmation whose MAC was right.
fn confirmation(fields: &Fields) -> Result<Answer, Refused> {
    let bytes = fields.bytes("statement")?;
    let (signature, content) = statement::split(&bytes, enrol::CONFIRMATION)?;
    let confirmation = Confirmation::parse(content)?;
    let (certificate, identity) = (fields.digest("certificate")?, fields.digest("identity")?);
    if !confirmation.takes(fields.invitation()?, &certificate, &identity) {
        return Err(Refusal::NotEnrolled.into());
    }
    let answer = to_check(enrol::CONFIRMATION_PURPOSE, content, signature, enrol::CONFIRMATION)?;
    Ok(answer.answer("site", &told(&confirmation.site)?))
}

/// A new certificate under the same identity, to be signed (SPEC 8.5).
fn renewal(fields: &Fields) -> Result<Answer, Refused> {
    let renewal = Renewal {
        identity: fields.digest("identity")?,
        certificate: fields.certificate("certificate")?,
        at: fields.number("at")?,
    };
    let content = renewal.to_bytes().ok_or_else(Refused::question)?;
    Ok(to_sign(enrol::RENEWAL_PURPOSE, &content).text("id", &renewal.id().to_string()))
}

/// A receipt, to be signed (SPEC 7).
fn receipt(fields: &Fields) -> Result<Answer, Refused> {
    let message = receipt_of(fields)?.attested()?.message().map_err(|_| Refused::question())?;
    Ok(Answer::default().bytes("message", &message))
}

/// The receipt as it is sent.
fn signed_receipt(fields: &Fields) -> Result<Answer, Refused> {
    let (receipt, signature) = (receipt_of(fields)?, signature(fields)?);
    let identity = fields.certificate("identity")?;
    let built = receipt.attested()?.build(Some(&receipt.content()?), &signature, &identity, false);
    Ok(Answer::default().bytes("receipt", &built.map_err(|_| Refused::question())?))
}

fn receipt_of(fields: &Fields) -> Result<Receipt, Refused> {
    let fields = fields.fields("receipt")?;
    let kind = ReceiptKind::from_word(fields.text("kind")?).ok_or_else(Refused::question)?;
    let (delivery, cover, recipient) = bound(&fields)?;
    let receipt = Receipt::new(kind, delivery, cover, recipient, fields.number("at")?);
    let receipt = match kind {
        ReceiptKind::Fetched => Receipt { instances: fields.count("instances")?, ..receipt },
        ReceiptKind::Read => Receipt { seconds: Some(fields.count("seconds")?), ..receipt },
        ReceiptKind::Answer => Receipt { sealed: SealedAnswer::new(&fields.bytes("sealed")?), ..receipt },
        _ => receipt,
    };
    if receipt.is_sound() { Ok(receipt) } else { Err(Refused::question()) }
}

/// What a receipt is about.
fn bound(fields: &Fields) -> Result<(DeliveryId, Digest, Digest), Refused> {
    Ok((fields.delivery()?, fields.digest("cover")?, fields.digest("recipient")?))
}

/// An answer, to be sealed, and what its key is made of (SPEC 7.3). No words: call me back.
fn answer_to_seal(fields: &Fields) -> Result<Answer, Refused> {
    let said = match fields.text("words")? {
        "" => answer::Answer::CallBack,
        words => {
            let words = Words::new(Phi::new(words.to_owned()));
            answer::Answer::Words(
                words.ok_or_else(|| Refused::wrong("the answer is no line of a few words"))?,
            )
        }
    };
    let (delivery, cover, recipient) = bound(fields)?;
    let site = AnswerPoint(fields.fixed("site")?);
    let info = answer::key_info(delivery, &cover, &recipient, &fields.fixed("sender")?, &site);
    Ok(Answer::default().bytes("plain", &*said.to_plain()).bytes("salt", answer::SALT).bytes("info", &info))
}

/// What a link says, and what is to be checked (SPEC 10).
fn link(fields: &Fields) -> Result<Answer, Refused> {
    let bytes = fields.bytes("statement")?;
    let (signature, content) = statement::split(&bytes, LINK)?;
    let Link { terms, sealed } = Link::parse(content)?;
    let associated = terms.to_bytes().ok_or(Refusal::Malformed(LINK))?;
    Ok(to_check(link::PURPOSE, content, signature, LINK)?
        .text("link", &terms.link.to_string())
        .text("case", &terms.case.to_string())
        .number("expires", terms.expires)
        .bytes("certificate", terms.certificate.der())
        .bytes("associated", &associated)
        .bytes("sealed", &sealed))
}

/// What a link's passphrase sealed.
fn link_secret(fields: &Fields) -> Result<Answer, Refused> {
    let secret = Secret::parse(&fields.bytes("plain")?)?;
    Ok(Answer::default().bytes("key", &secret.key).bytes("site", secret.site.der()))
}

/// Content and what is signed for it.
fn to_sign(purpose: &str, content: &[u8]) -> Answer {
    Answer::default().bytes("message", &statement::message(purpose, content)).bytes("content", content)
}

/// What a signature is to be checked by.
fn to_check(purpose: &str, content: &[u8], signature: &[u8], what: &'static str) -> Result<Answer, Refused> {
    let signature = ecdsa::pair(signature).ok_or(Refusal::Damaged(what))?;
    let message = statement::message(purpose, content);
    Ok(Answer::default().bytes("message", &message).bytes("signature", &signature))
}

fn signature(fields: &Fields) -> Result<Vec<u8>, Refused> {
    ecdsa::der(&fields.fixed("signature")?).map_err(|_| Refused::question())
}
