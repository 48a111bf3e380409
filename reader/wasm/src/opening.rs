//! What a browser asks to open a case: about covers, pieces, the index, the manifest and where images lie.

use crate::question::{Answer, Fields, Refused, answered, told};
use crate::study;
use seal::cms::envelope::{self, KeyRequest, agreement::kdf_tail};
use seal::cms::signed::{self, Verification};
use seal::cover::{Cover, cover_bytes_max};
use seal::ecdsa;
use seal::error::Refusal;
use seal::ids::Digest;
use seal::limits::PIECES_MAX;
use seal::piece::Header;

const COVER: &str = "the cover";

/// Nonce (12 bytes) and associated data (36) of a segment in a piece: the input is the header of the piece, `counter` counts the sealed
/// segments of the piece from 0. As [`scanpost_ask`](crate::question::scanpost_ask).
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_bound(segment: u32, counter: u32) -> i32 {
    answered(|header| {
        let header = Header::parse(header)?;
        Ok([&seal::piece::nonce(counter.into())[..], &header.associated_data(segment)].concat())
    })
}

/// Reads an index: 48 bytes for each segment, that is piece, offset, bytes and counter (`u32`, little endian) and SHA-256. The input is the bytes of
/// each of `pieces` pieces (`u32`, little endian), then the index. As [`scanpost_ask`](crate::question::scanpost_ask).
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_index(pieces: usize) -> i32 {
    answered(|input| study::index(input, pieces))
}

/// Reads a manifest segment. As [`scanpost_ask`](crate::question::scanpost_ask).
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_manifest() -> i32 {
    answered(study::manifest)
}

/// Reads where the images of a series lie, as far as its header segments are here: the input is `question_bytes` of JSON, `{"transfer_syntax": UID, "heads": [[head bytes,
/// tail bytes], …], "parts": [[coded bytes, raw bytes], …]}`, then the segments. As [`scanpost_ask`](crate::question::scanpost_ask).
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_geometry(question_bytes: usize) -> i32 {
    answered(|input| study::geometry(input, question_bytes))
}

/// None where it is another module's question.
pub(crate) fn respond(name: &str, fields: &Fields) -> Option<Result<Vec<u8>, Refused>> {
    let answer = match name {
        // As the site signed it.
        "cover" => return Some(cover(fields)),
        "envelope" => envelope(fields),
        "signed" => signed(fields),
        "piece" => piece(fields),
        _ => return None,
    };
    Some(answer.map(Answer::into_json))
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
    let candidates: Vec<_> = signed.candidates(&sites)?.into_iter().map(told).collect::<Result<_, _>>()?;
    let Verification { message, signature } = &signed.verification;
    let signature = ecdsa::pair(signature).ok_or(Refusal::WrongSignature(COVER))?;
    let answer = Answer::default().bytes("message", message).bytes("signature", &signature);
    Ok(answer.answers("candidates", &candidates))
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
