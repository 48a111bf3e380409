//! How a browser asks: bytes are parsed and laid out by [`seal`] alone, the browser's WebCrypto answers what needs a key.
//!
//! A question is JSON, `{"name of the question": {fields}}`, the answer is JSON: an object, or where what came was refused
//! `{"code": …, "words": …}`. Bytes are base64 with padding, ids and digests hex, certificates DER, signatures r ‖ s. Nothing is kept between two questions.

mod answer;
mod code;
#[cfg(any(feature = "parser", feature = "device"))]
mod fields;

pub(crate) use answer::Answer;
pub(crate) use code::Refused;
#[cfg(any(feature = "parser", feature = "device"))]
pub(crate) use fields::Fields;

use crate::{OK, with};
#[cfg(any(feature = "parser", feature = "device"))]
use seal::certificate::Certificate;
use zeroize::Zeroize;

/// Longest question: the longest cover in base64, and the longest list of sites beside it.
#[cfg(any(feature = "parser", feature = "device"))]
const QUESTION_BYTES_MAX: usize = 4 << 20;

/// What came is refused: the output says why.
const REFUSED: i32 = -2;

/// Answers the input, a question in JSON, see [above](self). 0, or −2 where what came is refused: then the output is
/// `{"code": …, "words": …}`.
#[cfg(any(feature = "parser", feature = "device"))]
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_ask() -> i32 {
    answered(respond)
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

#[cfg(any(feature = "parser", feature = "device"))]
fn respond(question: &[u8]) -> Result<Vec<u8>, Refused> {
    if question.len() > QUESTION_BYTES_MAX {
        return Err(Refused::question());
    }
    let (name, fields) = Fields::of_question(question).ok_or_else(Refused::question)?;
    if name == "certificate" {
        return told(&fields.certificate("certificate")?).map(Answer::into_json);
    }
    #[cfg(feature = "parser")]
    if let Some(answer) = crate::opening::respond(&name, &fields) {
        return answer;
    }
    #[cfg(feature = "device")]
    if let Some(answer) = crate::device::respond(&name, &fields) {
        return answer.map(Answer::into_json);
    }
    Err(Refused::question())
}

/// What a certificate with a key on P-256 says.
#[cfg(any(feature = "parser", feature = "device"))]
pub(crate) fn told(certificate: &Certificate) -> Result<Answer, Refused> {
    let point = certificate.point().ok_or_else(Refused::question)?;
    Ok(Answer::default()
        .bytes("certificate", certificate.der())
        .bytes("point", point)
        .number("not_before", certificate.not_before())
        .number("not_after", certificate.not_after()))
}

#[cfg(all(test, feature = "parser", feature = "device"))]
mod tests;
