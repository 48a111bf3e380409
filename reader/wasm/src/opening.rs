//! What a browser asks about covers, certificates, enrolments, receipts and links: bytes are parsed and laid out by [`seal`] alone, the
//! browser's WebCrypto answers what needs a key.
//!
//! A question is JSON, `{"name of the question": {fields}}`, the answer is JSON: an object, or where what came was refused
//! `{"code": …, "words": …}`. Bytes are base64 with padding, ids and digests hex, certificates DER, signatures r ‖ s. Nothing is kept between two questions.

mod code;
mod fields;

pub(crate) use code::Refused;

use crate::{OK, study, with};
use compressor::Phi;
use fields::{Answer, Fields};
use seal::answer::{self, AnswerPoint, SealedAnswer, Words};
use seal::certificate::Certificate;
use seal::certificate::draft::{self, Role};
use seal::cms::envelope::{self, KeyRequest, agreement::kdf_tail};
use seal::cms::signed::{self, Verification};
use seal::cover::{Cover, cover_bytes_max};
use seal::ecdsa;
use seal::enrol::{self, Confirmation, Renewal, Request};
use seal::error::Refusal;
use seal::ids::{DeliveryId, Digest};
use seal::limits::{CONFIRMATION_BYTES_MAX, PIECES_MAX};
use seal::link::{self, Link, Secret};
use seal::piece::Header;
use seal::receipt::{Receipt, ReceiptKind};
use seal::statement;
use serde_json::Value;
use zeroize::Zeroize;

/// Longest question: the longest cover in base64, and the longest list of sites beside it.
const QUESTION_BYTES_MAX: usize = 4 << 20;

/// What came is refused: the output says why.
const REFUSED: i32 = -2;

const COVER: &str = "the cover";
const LINK: &str = "the link";

/// Answers the input, a question in JSON, see [above](self). 0, or −2 where what came is refused: then the output is
/// `{"code": …, "words": …}`.
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_ask() -> i32 {
    answered(respond)
}

/// Nonce (12 bytes) and associated data (36) of a segment in a piece: the input is the header of the piece, `counter` counts the sealed
/// segments of the piece from 0. As [`scanpost_ask`].
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_bound(segment: u32, counter: u32) -> i32 {
    answered(|header| {
        let header = Header::parse(header)?;
        Ok([&seal::piece::nonce(counter.into())[..], &header.associated_data(segment)].concat())
    })
}

/// Reads an index: 48 bytes for each segment, that is piece, offset, bytes and counter (`u32`, little endian) and SHA-256. The input is the bytes of
/// each of `pieces` pieces (`u32`, little endian), then the index. As [`scanpost_ask`].
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_index(pieces: usize) -> i32 {
    answered(|input| study::index(input, pieces))
}

/// Reads a manifest segment. As [`scanpost_ask`].
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_manifest() -> i32 {
    answered(study::manifest)
}

/// Reads where the images of a series lie, as far as its header segments are here: the input is `question_bytes` of JSON, `{"transfer_syntax": UID, "heads": [[head bytes,
/// tail bytes], …], "parts": [[coded bytes, raw bytes], …]}`, then the segments. As [`scanpost_ask`].
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_geometry(question_bytes: usize) -> i32 {
    answered(|input| study::geometry(input, question_bytes))
}

pub(crate) fn answered(work: impl FnOnce(&[u8]) -> Result<Vec<u8>, Refused>) -> i32 {
    with(|worker| {
        let (code, output) = match work(&worker.input) {
            Ok(output) => (OK, output),
            Err(refused) => (REFUSED, refused.to_json()),
        };
        worker.output = output;
        // Some of it was secret, and none is needed again.
        worker.input.zeroize();
        code
    })
}

fn respond(question: &[u8]) -> Result<Vec<u8>, Refused> {
    if question.len() > QUESTION_BYTES_MAX {
        return Err(Refused::question());
    }
    let Ok(Value::Object(question)) = serde_json::from_slice(question) else {
        return Err(Refused::question());
    };
    let (name, fields) = question.into_iter().next().ok_or_else(Refused::question)?;
    let Value::Object(fields) = fields else { return Err(Refused::question()) };
    let fields = Fields(fields);
    let answer = match name.as_str() {
        // As the site signed it.
        "cover" => return cover(&fields),
        "envelope" => envelope(&fields),
        "signed" => signed(&fields),
        "piece" => piece(&fields),
        "certificate" => told(&fields.certificate("certificate")?),
        "draft" => draft(&fields),
        "finish" => finish(&fields),
        "code" => code(&fields),
        "request" => request(&fields),
        "fingerprint" => fingerprint(&fields),
        "statement" => statement(&fields),
        "confirmation_mac" => confirmation_mac(&fields),
        "confirmation" => confirmation(&fields),
        "renewal" => renewal(&fields),
        "answer" => answer_to_seal(&fields),
        "receipt" => receipt(&fields),
        "signed_receipt" => signed_receipt(&fields),
        "link" => link(&fields),
        "link_secret" => link_secret(&fields),
        _ => Err(Refused::question()),
    };
    Ok(answer?.into_value().to_string().into_bytes())
}

/// What is to be computed to decrypt a cover (SPEC 5.1).
fn envelope(fields: &Fields) -> Result<Answer, Refused> {
    let cover = fields.bytes("cover")?;
    if cover.len() > cover_bytes_max(PIECES_MAX as usize) {
        return Err(Refusal::Malformed(COVER).into());
    }
    let envelope = envelope::parse(&cover, &fields.certificate("recipient")?)?;
    let KeyRequest::Agreement(key) = envelope.key else { return Err(Refusal::KeyWrapping.into()) };
    Ok(Answer::default()
        .bytes("ephemeral_point", &key.ephemeral_point)
        .bytes("kdf_tail", &kdf_tail(&key.shared_info))
        .bytes("wrapped_key", &key.wrapped_key)
        .bytes("nonce", &envelope.decryption.nonce)
        .bytes("sealed", &envelope.decryption.sealed))
}

/// Whose signature is to be checked under a decrypted cover (SPEC 5.2).
fn signed(fields: &Fields) -> Result<Answer, Refused> {
    let (plain, sites) = (fields.bytes("signed")?, fields.certificates("sites")?);
    let signed = signed::parse(&plain, COVER)?;
    let candidates = signed.candidates(&sites)?.into_iter().map(|site| Ok(told(site)?.into_value()));
    let candidates: Vec<Value> = candidates.collect::<Result<_, Refused>>()?;
    let Verification { message, signature } = &signed.verification;
    let signature = ecdsa::pair(signature).ok_or(Refusal::WrongSignature(COVER))?;
    let answer = Answer::default().bytes("message", message).bytes("signature", &signature);
    Ok(answer.value("candidates", Value::Array(candidates)))
}

/// The cover, once the signature of `site` was found right (SPEC 5.4).
fn cover(fields: &Fields) -> Result<Vec<u8>, Refused> {
    let plain = fields.bytes("signed")?;
    let signed = signed::parse(&plain, COVER)?;
    signed.check_time(&fields.certificate("site")?)?;
    let recipient = Digest::of(&fields.bytes("recipient")?);
    Cover::accept(signed.content, fields.count("cover_bytes")? as usize, &recipient)?;
    Ok(signed.content.to_vec())
}

/// What the key of a piece is made of (SPEC 2.1).
fn piece(fields: &Fields) -> Result<Answer, Refused> {
    let header = Header::parse(&fields.bytes("header")?)?;
    header.check(fields.delivery()?, fields.count("number")?)?;
    Ok(Answer::default().bytes("salt", &header.salt).bytes("info", &header.key_info()))
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
    Ok(Answer::default().text("fingerprint", text))
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
    Ok(answer.value("site", told(&confirmation.site)?.into_value()))
}

/// A new certificate under the same identity, to be signed (SPEC 8.5).
fn renewal(fields: &Fields) -> Result<Answer, Refused> {
    let renewal = Renewal {
        identity: fields.digest("identity")?,
        certificate: fields.certificate("certificate")?,
        at: fields.number("at")?,
    };
    let content = renewal.to_bytes().ok_or_else(Refused::question)?;
    Ok(to_sign(enrol::RENEWAL_PURPOSE, &content).text("id", renewal.id()))
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
        .text("link", terms.link)
        .text("case", terms.case)
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

/// What a certificate with a key on P-256 says.
fn told(certificate: &Certificate) -> Result<Answer, Refused> {
    let point = certificate.point().ok_or_else(Refused::question)?;
    Ok(Answer::default()
        .bytes("certificate", certificate.der())
        .bytes("point", point)
        .number("not_before", certificate.not_before())
        .number("not_after", certificate.not_after()))
}

#[cfg(test)]
mod tests;
