//! One HTTP/1.1 request over TLS, for the few outside services that are spoken to so: a redirect is an answer like any other, and no
//! answer is longer than the caller bears.

use crate::{TlsError, Trust, bounded};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;

/// Port of `https` (RFC 9110 4.2.2).
const PORT: u16 = 443;

/// Whom to trust, how long to wait and how much to take.
#[derive(Clone, Debug)]
pub struct Https {
    /// Roots, revocation lists and our own certificate.
    pub trust: Trust,
    /// For connection and answer together.
    pub wait: Duration,
    /// Bytes of an answer's body that are taken at most.
    pub answer_bytes_max: usize,
}

/// Why there is no answer, by who must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpsError {
    /// No connection, or a server that may not be trusted.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Operator: not an absolute `https` URL with a host and without user and password.
    #[error("not an https URL with a host (operator: correct it)")]
    Url,
    /// Server: try again.
    #[error("{host} does not answer in time")]
    Silent {
        /// Host.
        host: String,
    },
    /// Server: try again.
    #[error("{host} ends the connection without a whole answer: {reason}")]
    Broken {
        /// Host.
        host: String,
        /// Words of the HTTP library, bounded and escaped.
        reason: String,
    },
    /// Server, or an operator who named the wrong one.
    #[error("{host} answers with more than {bytes_max} bytes")]
    TooLong {
        /// Host.
        host: String,
        /// What is taken.
        bytes_max: usize,
    },
}

impl HttpsError {
    /// Whether it can pass without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Tls(error) => error.is_temporary(),
            Self::Silent { .. } | Self::Broken { .. } => true,
            Self::Url | Self::TooLong { .. } => false,
        }
    }
}

impl Https {
    /// Sends a request, whose URL is absolute, and takes the whole answer.
    ///
    /// # Errors
    /// [`HttpsError`]. A status that refuses is an answer, not an error.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpsError> {
        self.exchange(None, request).await
    }

    /// [`Https::send`] to addresses that the caller looked up and found good: the name is not looked up again.
    ///
    /// # Errors
    /// As [`Https::send`].
    pub async fn send_to(
        &self,
        addresses: &[SocketAddr],
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, HttpsError> {
        self.exchange(Some(addresses), request).await
    }

    async fn exchange(
        &self,
        addresses: Option<&[SocketAddr]>,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, HttpsError> {
        let (host, port) = authority(request.uri()).ok_or(HttpsError::Url)?;
        let request = prepared(request).ok_or(HttpsError::Url)?;
        let done = async {
            let stream = match addresses {
                Some(addresses) => self.trust.fixed()?.connect(&host, addresses, self.wait).await?,
                None => self.trust.connect(&host, port, self.wait).await?,
            };
            self.answer(stream, &host, port, request).await
        };
        let late = || HttpsError::Silent { host: host.clone() };
        tokio::time::timeout(self.wait, done).await.map_err(|_| late())?
    }

    async fn answer(
        &self,
        stream: crate::Stream,
        host: &str,
        port: u16,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Vec<u8>>, HttpsError> {
        let broken = |error: &hyper::Error| match TlsError::behind(error, host, port) {
            Some(tls) => HttpsError::Tls(tls),
            None => HttpsError::Broken { host: host.to_owned(), reason: bounded(&error.to_string()) },
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        let exchange = async {
            let (head, body) =
                sender.send_request(request).await.map_err(|error| broken(&error))?.into_parts();
            let body =
                Limited::new(body, self.answer_bytes_max).collect().await.map_err(|error| match error
                    .downcast_ref::<hyper::Error>(
                ) {
                    Some(error) => broken(error),
                    None if error.is::<LengthLimitError>() => {
                        HttpsError::TooLong { host: host.to_owned(), bytes_max: self.answer_bytes_max }
                    }
                    None => HttpsError::Broken { host: host.to_owned(), reason: bounded(&error.to_string()) },
                })?;
            Ok(Response::from_parts(head, body.to_bytes().to_vec()))
        };
        // The connection moves the bytes; it ends when the answer is whole or with the caller's patience.
        tokio::pin!(connection);
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            ended = &mut connection => match ended {
                Ok(()) => exchange.await,
                Err(error) => Err(broken(&error)),
            },
        }
    }
}

/// Host as in a certificate, and port, of an absolute `https` URL without user and password; none for any other.
pub fn authority(url: &Uri) -> Option<(String, u16)> {
    let authority = url.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    (url.scheme_str() == Some("https") && !host.is_empty())
        .then(|| (host.to_owned(), authority.port_u16().unwrap_or(PORT)))
}

/// The request as it goes over the wire: origin form (RFC 9112 3.2.1), with Host, for one exchange.
fn prepared(request: Request<Vec<u8>>) -> Option<Request<Full<Bytes>>> {
    let (mut head, body) = request.into_parts();
    let host = HeaderValue::from_str(head.uri.authority()?.as_str()).ok()?;
    head.headers.insert(HOST, host);
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    head.uri = head.uri.path_and_query().map_or("/", |path| path.as_str()).parse().ok()?;
    Some(Request::from_parts(head, Full::new(Bytes::from(body))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_https_with_a_host_and_without_a_password_is_asked() {
        let host = |url: &str| authority(&url.parse().unwrap());
        assert_eq!(host("https://push.example/a"), Some(("push.example".to_owned(), 443)));
        assert_eq!(host("https://[::1]:8443/a"), Some(("::1".to_owned(), 8443)));
        for url in ["http://push.example/", "https://user:secret@push.example/", "/a", "push.example:443"] {
            assert_eq!(host(url), None, "{url}");
        }
    }

    #[test]
    fn the_wire_sees_path_and_host_apart() {
        let request = Request::post("https://sms.example:8443/send?to=phone").body(b"text".to_vec()).unwrap();
        let prepared = prepared(request).unwrap();
        assert_eq!(prepared.uri(), "/send?to=phone");
        assert_eq!(prepared.headers()[HOST], "sms.example:8443");
    }
}
