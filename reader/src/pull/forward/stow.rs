//! STOW-RS, user agent (PS3.18 10.5): objects as files, some in one request. Only what the answer names as stored is acknowledged.

use super::super::objects::Object;
use super::super::progress::Progress;
use super::ForwardError;
use super::ledger::Ledger;
use super::refusals::Refusals;
use crate::config::Forward;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compressor::Uid;
use seal::ids::Digest;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::{self, Read as _};
use std::time::Duration;
use tls::{Https, Trust};

/// Bytes of the objects of one request, which are in memory; a larger object goes alone.
const REQUEST_BYTES_MAX: u64 = 16 << 20;
/// For a request and its answer: 16 MiB over a slow line, and an archive that thinks.
const REQUEST_WAIT: Duration = Duration::from_secs(300);
/// Longest answer, in bytes: some hundred for each object of a request.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Sends all objects to the service at `base`.
///
/// # Errors
/// [`ForwardError`], with all that was not acknowledged.
pub(super) async fn send(
    forward: &Forward,
    base: &str,
    objects: &[&Object],
    ledger: &mut Ledger,
    progress: &Progress,
) -> Result<(), ForwardError> {
    let trust = Trust::read(&forward.tls.clone().unwrap_or_default())
        .map_err(|error| ForwardError::Web(error.to_string()))?;
    let https = Https { trust, wait: REQUEST_WAIT, answer_bytes_max: ANSWER_BYTES_MAX };
    let authorization = authorization(forward)?;
    let mut refusals = Refusals::default();
    for batch in batches(objects) {
        let unreadable = |error: io::Error| ForwardError::Disk("cannot read an image", error.kind());
        let request = request(base, authorization.as_ref(), batch).map_err(unreadable)?;
        let answer = https.send(request).await.map_err(|error| ForwardError::Web(error.to_string()))?;
        let answer = match answer.status() {
            StatusCode::OK | StatusCode::ACCEPTED | StatusCode::CONFLICT => Answer::read(answer.body()),
            status => return Err(ForwardError::Http(status.as_u16())),
        };
        for object in batch {
            match answer.of(object.sop_instance.as_str()) {
                Stored::Yes { warning } => ledger.acknowledge(&object.name, warning)?,
                Stored::No { reason } => refusals.add(failure_words(reason)),
                Stored::NotSaid => refusals.add(NOT_SAID.to_owned()),
            }
            progress.advance(1);
        }
    }
    refusals.result()
}

const NOT_SAID: &str = "not acknowledged, its answer does not name them (its administrator: see its log)";

fn failure_words(reason: Option<u16>) -> String {
    let who = match reason {
        Some(reason) if reason & 0xFF00 == 0xA700 => "its administrator: it has no room or is busy",
        Some(0x0122) => "its administrator: allow this SOP class",
        _ => "its administrator: see its log",
    };
    let reason = reason.map_or_else(String::new, |reason| format!(" with reason {reason:04X}"));
    format!("refused{reason} ({who})")
}

fn authorization(forward: &Forward) -> Result<Option<HeaderValue>, ForwardError> {
    let login = forward.login().map_err(|error| ForwardError::Web(error.to_string()))?;
    let Some((user, password)) = login else { return Ok(None) };
    let value = format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.as_str())));
    let mut value = HeaderValue::from_str(&value).map_err(|error| ForwardError::Web(error.to_string()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// As many as fit into one request, one at least.
fn batches<'a, 'o>(objects: &'a [&'o Object]) -> Vec<&'a [&'o Object]> {
    let mut batches = Vec::new();
    let mut rest = objects;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|object| {
            bytes += object.bytes;
            bytes <= REQUEST_BYTES_MAX
        });
        let (batch, behind) = rest.split_at(fitting.count().max(1));
        batches.push(batch);
        rest = behind;
    }
    batches
}

/// PS3.18 8.6.1.2.
fn request(
    base: &str,
    authorization: Option<&HeaderValue>,
    objects: &[&Object],
) -> io::Result<Request<Vec<u8>>> {
    let mut body = Vec::new();
    let uids: Vec<&str> = objects.iter().map(|object| object.sop_instance.as_str()).collect();
    // 64 characters that nothing can hold by chance.
    let boundary = Digest::of(uids.join("\\").as_bytes()).to_string();
    for object in objects {
        body.extend_from_slice(format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").as_bytes());
        body.extend_from_slice(&object.front()?);
        object.data_set()?.take(object.bytes).read_to_end(&mut body)?;
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let kind = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
    let mut request = Request::post(format!("{base}/studies"))
        .header(CONTENT_TYPE, kind)
        .header(ACCEPT, "application/dicom+json");
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    request.body(body).map_err(io::Error::other)
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    /// Stored, with this warning or 0.
    Yes {
        warning: u16,
    },
    No {
        reason: Option<u16>,
    },
    NotSaid,
}

/// The Store Instances Response (PS3.18 10.5.3), by SOP Instance UID.
#[derive(Debug, Default)]
struct Answer(HashMap<String, Stored>);

#[derive(Deserialize, Default)]
struct Response {
    #[serde(rename = "00081198", default)]
    failed: Sequence,
    #[serde(rename = "00081199", default)]
    stored: Sequence,
}

#[derive(Deserialize, Default)]
struct Sequence {
    #[serde(rename = "Value", default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "00081155", default)]
    instance: Values<String>,
    #[serde(rename = "00081196", default)]
    warning: Values<u16>,
    #[serde(rename = "00081197", default)]
    failure: Values<u16>,
}

#[derive(Deserialize)]
struct Values<T> {
    #[serde(rename = "Value", default = "Vec::new")]
    values: Vec<T>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { values: Vec::new() }
    }
}

impl Answer {
    /// What is no such answer names nothing.
    fn read(body: &[u8]) -> Self {
        let response: Response = serde_json::from_slice(body).unwrap_or_default();
        let mut answers = HashMap::new();
        let uid = |item: &Item| item.instance.values.first().and_then(|uid| Uid::parse(uid).ok());
        for item in &response.stored.items {
            let warning = item.warning.values.first().copied().unwrap_or_default();
            answers.extend(uid(item).map(|uid| (uid.as_str().to_owned(), Stored::Yes { warning })));
        }
        // Who says both has failed.
        for item in &response.failed.items {
            let reason = item.failure.values.first().copied();
            answers.extend(uid(item).map(|uid| (uid.as_str().to_owned(), Stored::No { reason })));
        }
        Self(answers)
    }

    fn of(&self, instance: &str) -> Stored {
        self.0.get(instance).copied().unwrap_or(Stored::NotSaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_as_stored_is() {
        let answer = Answer::read(
            br#"{"00081190": {"vr": "UR", "Value": ["https://pacs.example/studies/1"]},
                "00081199": {"vr": "SQ", "Value": [
                    {"00081155": {"vr": "UI", "Value": ["1.2.1"]}},
                    {"00081155": {"vr": "UI", "Value": ["1.2.2"]}, "00081196": {"vr": "US", "Value": [45056]}},
                    {"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]},
                "00081198": {"vr": "SQ", "Value": [
                    {"00081155": {"vr": "UI", "Value": ["1.2.3"]}, "00081197": {"vr": "US", "Value": [272]}},
                    {"00081197": {"vr": "US"}}]}}"#,
        );
        assert_eq!(answer.of("1.2.1"), Stored::Yes { warning: 0 });
        assert_eq!(answer.of("1.2.2"), Stored::Yes { warning: 0xB000 });
        assert_eq!(answer.of("1.2.3"), Stored::No { reason: Some(0x0110) });
        assert_eq!(answer.of("1.2.4"), Stored::NotSaid);
        for nothing in ["", "<html>", "{}", "[]", r#"{"00081199": {"vr": "SQ"}}"#] {
            assert_eq!(Answer::read(nothing.as_bytes()).of("1.2.1"), Stored::NotSaid, "{nothing}");
        }
        assert_eq!(
            failure_words(Some(0xA700)),
            "refused with reason A700 (its administrator: it has no room or is busy)"
        );
    }
}
