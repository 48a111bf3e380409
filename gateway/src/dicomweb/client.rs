//! HTTP/1.1 requests to a PACS: one connection, opened anew when the server closed it. Redirects are not followed.

use crate::config::Dicomweb;
use crate::query::QueryError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use std::time::Duration;
use tls::{TlsError, Trust};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A server, and how we show ourselves to it.
pub(super) struct Client {
    base: Uri,
    files: tls::ClientFiles,
    authorization: Option<HeaderValue>,
    wait: Duration,
    connection: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    /// Reads the password file; connects to nothing. Each step may take `wait`.
    pub(super) fn new(web: &Dicomweb, wait: Duration) -> Result<Self, QueryError> {
        let base = web.uri().map_err(|_| QueryError::Configuration)?;
        let authorization = web.login().map_err(|_| QueryError::Password)?.map(|(user, password)| {
            let mut value =
                HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))?;
            value.set_sensitive(true);
            Ok::<_, hyper::header::InvalidHeaderValue>(value)
        });
        let authorization = authorization.transpose().map_err(|_| QueryError::Password)?;
        Ok(Self { base, files: web.tls(), authorization, wait, connection: None })
    }

    /// The answer to a GET of what follows the base URL; its body is still to come. Only 2xx is an answer.
    pub(super) async fn get(
        &mut self,
        below: &str,
        accept: &'static str,
    ) -> Result<Response<Incoming>, QueryError> {
        let path = format!("{}{below}", self.base.path().trim_end_matches('/'));
        let mut request = Request::get(path).header(ACCEPT, accept).header(HOST, self.host_header());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(|_| QueryError::Configuration)?;
        let mut connection = self.connection().await?;
        let answer = timeout(self.wait, connection.sender.send_request(request)).await;
        let answer = answer.map_err(|_| QueryError::Silent)?.map_err(|error| self.broken(&error))?;
        self.connection = Some(connection);
        if answer.status().is_success() {
            return Ok(answer);
        }
        self.connection = None;
        Err(QueryError::Http { status: answer.status().as_u16() })
    }

    /// The next bytes of a body; none at its end.
    pub(super) async fn next(&self, body: &mut Incoming) -> Result<Option<Bytes>, QueryError> {
        loop {
            let frame = timeout(self.wait, body.frame()).await.map_err(|_| QueryError::Silent)?;
            let Some(frame) = frame else { return Ok(None) };
            // What is no data is a trailer.
            if let Ok(bytes) = frame.map_err(|error| self.broken(&error))?.into_data() {
                return Ok(Some(bytes));
            }
        }
    }

    /// The whole body, if it has at most `bytes_max`.
    pub(super) async fn whole(&self, mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, QueryError> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next(&mut body).await? {
            if whole.len() + bytes.len() > bytes_max {
                return Err(QueryError::Malformed("an answer that is too long"));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    async fn connection(&mut self) -> Result<Connection, QueryError> {
        if let Some(mut connection) = self.connection.take()
            && matches!(timeout(self.wait, connection.sender.ready()).await, Ok(Ok(())))
        {
            return Ok(connection);
        }
        let (host, port) = (self.host().to_owned(), self.port());
        if self.is_tls() {
            let stream = Trust::read(&self.files)?.connect(&host, port, self.wait).await?;
            return self.handshake(TokioIo::new(stream)).await;
        }
        let connected = timeout(self.wait, TcpStream::connect((host.as_str(), port))).await;
        let stream = connected.map_err(|_| QueryError::Silent)?;
        let stream = stream.map_err(|error| QueryError::Unreachable(error.kind()))?;
        stream.set_nodelay(true).map_err(|error| QueryError::Unreachable(error.kind()))?;
        self.handshake(TokioIo::new(stream)).await
    }

    async fn handshake<S>(&self, stream: S) -> Result<Connection, QueryError>
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(stream).await.map_err(|error| self.broken(&error))?;
        // Its error comes out of the request or the body as well.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, driver })
    }

    fn is_tls(&self) -> bool {
        self.base.scheme_str() != Some("http")
    }

    fn host(&self) -> &str {
        self.base.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    fn port(&self) -> u16 {
        self.base.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    fn host_header(&self) -> String {
        self.base.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default()
    }

    fn broken(&self, error: &hyper::Error) -> QueryError {
        if let Some(tls) = TlsError::behind(error, self.host(), self.port()) {
            return QueryError::Tls(tls);
        }
        if error.is_parse() {
            return QueryError::Malformed("what is no HTTP answer");
        }
        let kind = error.source().and_then(|inner| inner.downcast_ref::<io::Error>()).map(io::Error::kind);
        QueryError::Unreachable(kind.unwrap_or(io::ErrorKind::ConnectionAborted))
    }
}
