//! STOW-RS, user agent (PS3.18 10.5): objects as files, some in one request. Only what the answer names as stored is acknowledged.

use super::super::objects::Object;
use super::super::progress::Progress;
use super::ledger::Ledger;
use super::refusals::Refusals;
use super::{ENDS_IN_A_ROW_MAX, ForwardError};
use crate::config::Forward;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use axum::http::{Request, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compressor::Uid;
use dimse::limits::SLOWEST_BYTES_S;
use seal::ids::Digest;
use serde::Deserialize;
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read as _};
use std::time::Duration;
use tls::{Https, HttpsError, Trust};

/// Bytes of the objects of one request, which are in memory; a larger object goes alone.
const REQUEST_BYTES_MAX: u64 = 16 << 20;
/// A larger object is not sent: it would be in memory whole.
const OBJECT_BYTES_MAX: u64 = 512 << 20;
/// For a request and its answer, beside what its bytes take: an archive that thinks.
const REQUEST_WAIT: Duration = Duration::from_secs(300);
/// About what stands before each data set: headers of its part, preamble, meta group.
const FRONT_BYTES: u64 = 1024;
/// Longest answer, in bytes: some hundred for each object of a request.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Sends all objects to the service at `base`.
///
/// # Errors
/// [`ForwardError`]: what ended it before it was through.
pub(super) async fn send(
    forward: &Forward,
    base: &str,
    objects: &[&Object],
    ledger: &mut Ledger,
    refusals: &mut Refusals,
    progress: &Progress,
) -> Result<(), ForwardError> {
    let trust = Trust::read(&forward.tls.clone().unwrap_or_default())
        .map_err(|error| ForwardError::Web(error.to_string()))?;
    let mut https = Https { trust, wait: REQUEST_WAIT, answer_bytes_max: ANSWER_BYTES_MAX };
    let authorization = authorization(forward)?;
    let (objects, too_large): (Vec<&Object>, Vec<&Object>) =
        objects.iter().copied().partition(|object| object.bytes <= OBJECT_BYTES_MAX);
    too_large.iter().for_each(|_| refusals.add(TOO_LARGE.to_owned()));
    progress.advance(too_large.len() as u64);
    let mut waiting: VecDeque<&[&Object]> = batches(&objects).into();
    let mut ends = Ends::default();
    while let Some(batch) = waiting.pop_front() {
        let unreadable = |error: io::Error| ForwardError::Disk("cannot read an image", error.kind());
        let request = request(base, authorization.as_ref(), batch).map_err(unreadable)?;
        https.wait = wait(request.body().len() as u64);
        let answer = match ends.take(https.send(request).await)? {
            Taken::Answer(answer) => answer,
            // One object among them may be why: the others are not to wait for it.
            Taken::Refused(_) if batch.len() > 1 => {
                let (first, second) = batch.split_at(batch.len() / 2);
                waiting.push_front(second);
                waiting.push_front(first);
                continue;
            }
            Taken::Refused(words) | Taken::Late(words) => {
                batch.iter().for_each(|_| refusals.add(words.clone()));
                progress.advance(batch.len() as u64);
                ends.in_a_row += 1;
                if ends.in_a_row == ENDS_IN_A_ROW_MAX {
                    return Ok(());
                }
                continue;
            }
        };
        for object in batch {
            match answer.of(object.sop_instance.as_str()) {
                Stored::Yes { warning } => {
                    ledger.acknowledge(&object.name, warning)?;
                    ends = Ends::default();
                }
                Stored::No { reason } => refusals.add(failure_words(reason)),
                Stored::NotSaid => refusals.add(NOT_SAID.to_owned()),
            }
            progress.advance(1);
        }
    }
    Ok(())
}

/// For a request of so many bytes.
fn wait(bytes: u64) -> Duration {
    REQUEST_WAIT + Duration::from_secs(bytes / SLOWEST_BYTES_S)
}

/// Requests without an answer since something was acknowledged.
#[derive(Default)]
struct Ends {
    in_a_row: usize,
    /// One of them was not answered in time.
    late: bool,
}

/// What became of a request.
enum Taken {
    Answer(Answer),
    /// Refused whole, and why: perhaps for one of its objects.
    Refused(String),
    /// Not answered in time.
    Late(String),
}

impl Ends {
    /// # Errors
    /// What the service would do to any request.
    fn take(&mut self, sent: Result<Response<Vec<u8>>, HttpsError>) -> Result<Taken, ForwardError> {
        match sent {
            Ok(answer) => match answer.status() {
                StatusCode::OK | StatusCode::ACCEPTED | StatusCode::CONFLICT => {
                    Ok(Taken::Answer(Answer::read(answer.body())))
                }
                status if OF_THE_OBJECTS.contains(&status) => {
                    let error = ForwardError::Http(status.as_u16());
                    Ok(Taken::Refused(format!("refused, {error}")))
                }
                status => Err(ForwardError::Http(status.as_u16())),
            },
            // A service that takes no such body may hang up in the middle of it.
            Err(error @ HttpsError::Broken { .. }) => {
                Ok(Taken::Refused(format!("not acknowledged, {error}")))
            }
            // One that is late a second time is so for all: each request would take its whole wait.
            Err(error @ HttpsError::Silent { .. }) if !std::mem::replace(&mut self.late, true) => {
                Ok(Taken::Late(format!("not acknowledged, {error}")))
            }
            Err(error) => Err(ForwardError::Web(error.to_string())),
        }
    }
}

/// Answers to what is in a request, and not to who sends it or when.
const OF_THE_OBJECTS: [StatusCode; 4] = [
    StatusCode::BAD_REQUEST,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
];
const TOO_LARGE: &str = "too large for STOW-RS (you: forward them by C-STORE)";
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
    let bytes = objects.iter().map(|object| object.bytes + FRONT_BYTES).sum::<u64>();
    let mut body = Vec::with_capacity(usize::try_from(bytes).map_err(io::Error::other)?);
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
struct StoreResponse {
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
        let response: StoreResponse = serde_json::from_slice(body).unwrap_or_default();
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_the_objects_ends_nothing_and_what_is_the_services_does() {
        let answered = |status: u16| {
            let answer = Response::builder().status(status).body(Vec::new()).unwrap();
            Ends::default().take(Ok(answer))
        };
        for status in [400, 413, 415, 422] {
            assert!(matches!(answered(status), Ok(Taken::Refused(_))), "{status}");
        }
        assert!(matches!(answered(409), Ok(Taken::Answer(_))));
        for status in [401, 403, 404, 429, 500, 503] {
            assert!(matches!(answered(status), Err(ForwardError::Http(_))), "{status}");
        }
        let (host, reason) = ("pacs.example".to_owned(), "closed".to_owned());
        let broken = Err(HttpsError::Broken { host: host.clone(), reason });
        assert!(matches!(Ends::default().take(broken), Ok(Taken::Refused(_))));
        let silent = || Err(HttpsError::Silent { host: host.clone() });
        let mut ends = Ends::default();
        assert!(matches!(ends.take(silent()), Ok(Taken::Late(_))));
        assert!(matches!(ends.take(silent()), Err(ForwardError::Web(_))));
        // A line of half a megabit brings the largest object within the wait.
        assert!(wait(OBJECT_BYTES_MAX).as_secs() >= OBJECT_BYTES_MAX * 8 / 524_288);
    }

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
