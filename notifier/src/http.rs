//! Notices over HTTPS: one POST, one answer. Which request it is says a template.

mod body;
mod template;

pub use body::{Body, Format};
pub use template::Template;

use crate::error::unusable;
use crate::limits::{ANSWER_BYTES_MAX, HTTP_WAIT};
use crate::{Accepted, Channel, Language, Notice, NoticeError, Secret, Sending};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, Uri};
use std::time::Duration;
use template::Asked;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tls::{Https, HttpsError, Trust};

/// A server that takes notices, and how.
pub struct HttpServer {
    /// Absolute `https` URL. It may be a secret.
    pub url: String,
    /// Whom to trust, and who we are.
    pub trust: Trust,
    /// How we log in.
    pub login: Login,
    /// What is sent.
    pub template: Template,
    /// What an answer must contain to be one that takes the notice, beside its status.
    pub answer_contains: Option<String>,
}

/// How a request says who sends it.
pub enum Login {
    /// Not by a header: by the URL, a signature or a certificate.
    None,
    /// A token (RFC 6750 2.1).
    Bearer(Secret),
    /// User and password (RFC 7617 2).
    Basic {
        /// User.
        user: String,
        /// Password.
        password: Secret,
    },
}

/// Sends notices over HTTPS.
pub struct HttpChannel {
    https: Https,
    url: Uri,
    login: Login,
    template: Template,
    answer_contains: Option<String>,
}

/// Host and port of an absolute `https` URL without user and password; none for any other text.
pub fn host_of(url: &str) -> Option<(String, u16)> {
    tls::authority(&url.parse().ok()?)
}

impl HttpChannel {
    /// Prepares the channel; connects to nothing yet.
    ///
    /// # Errors
    /// [`NoticeError::Configuration`].
    pub fn new(server: HttpServer) -> Result<Self, NoticeError> {
        let url: Uri = server.url.parse().map_err(|_| unusable("the URL cannot be read"))?;
        if tls::authority(&url).is_none() {
            return Err(unusable("the URL is not https with a host"));
        }
        let https = Https { trust: server.trust, wait: HTTP_WAIT, answer_bytes_max: ANSWER_BYTES_MAX };
        let HttpServer { login, template, answer_contains, .. } = server;
        Ok(Self { https, url, login, template, answer_contains })
    }

    async fn post(&self, notice: &Notice, to: &str, language: Language) -> Result<Accepted, NoticeError> {
        let asked = self.template.ask(&self.url, notice, to, language, OffsetDateTime::now_utc())?;
        let answer = self.https.send(self.request(asked)?).await.map_err(not_answered)?;
        self.judge(&answer, OffsetDateTime::now_utc())
    }

    fn request(&self, asked: Asked) -> Result<Request<Vec<u8>>, NoticeError> {
        let mut request = Request::post(asked.url)
            .header(USER_AGENT, "scanpost")
            .header(CONTENT_TYPE, asked.content_type)
            .body(asked.body)
            .map_err(|_| unusable("the request cannot be laid out"))?;
        for (name, value) in asked.headers {
            let value = HeaderValue::from_str(&value).map_err(|_| unusable("a header cannot be laid out"))?;
            request.headers_mut().insert(name, value);
        }
        if let Some(authorization) = self.login.header()? {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    fn judge(&self, answer: &Response<Vec<u8>>, now: OffsetDateTime) -> Result<Accepted, NoticeError> {
        let (status, code) = (answer.status(), answer.status().as_u16());
        let reply = status.canonical_reason().unwrap_or_default().to_owned();
        match code {
            200..=299 if self.is_as_agreed(answer.body()) => Ok(Accepted),
            200..=299 => Err(NoticeError::Answer { reason: "answer_contains is not in it".to_owned() }),
            300..=399 => Err(NoticeError::Redirected { code }),
            401 | 403 | 407 => Err(NoticeError::Login { code, reply }),
            408 | 425 | 429 | 500..=599 => {
                Err(NoticeError::Busy { code, reply, retry_after: retry_after(answer.headers(), now) })
            }
            _ => Err(NoticeError::Refused { code, reply }),
        }
    }

    fn is_as_agreed(&self, body: &[u8]) -> bool {
        self.answer_contains
            .as_ref()
            .is_none_or(|words| body.windows(words.len().max(1)).any(|part| part == words.as_bytes()))
    }
}

impl Channel for HttpChannel {
    fn send<'a>(&'a self, notice: &'a Notice, to: &'a str, language: Language) -> Sending<'a> {
        Box::pin(self.post(notice, to, language))
    }
}

impl Login {
    fn header(&self) -> Result<Option<HeaderValue>, NoticeError> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Bearer(token) => format!("Bearer {}", read(token)?),
            Self::Basic { user, password } => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{}", read(password)?)))
            }
        };
        let mut header = HeaderValue::from_str(&text)
            .map_err(|_| NoticeError::Secret { reason: "it has other characters than a header may have" })?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

fn read(secret: &Secret) -> Result<String, NoticeError> {
    secret().ok_or(NoticeError::Secret { reason: "its file cannot be read" })
}

fn not_answered(error: HttpsError) -> NoticeError {
    match error {
        HttpsError::Tls(error) => error.into(),
        HttpsError::TooLong { .. } => NoticeError::Answer { reason: error.to_string() },
        HttpsError::Url => unusable("the URL is not https with a host"),
        error => NoticeError::Unreachable { reason: error.to_string() },
    }
}

/// Seconds, or a time (RFC 9110 10.2.3); none where it is neither, or over.
fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => (OffsetDateTime::parse(text, &Rfc2822).ok()? - now).try_into().ok(),
    }
}

#[cfg(test)]
mod tests;
