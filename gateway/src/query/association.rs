//! The association with a PACS, over TCP or TLS (PS3.8 9.2, requestor side). dicom-ul reads and writes the PDUs; its own client cannot
//! tell a silent PACS from one without TLS.

use super::QueryError;
use crate::config::Pacs;
use crate::dimse::uid;
use crate::query::error::Lasting;
use crate::receive::limits::PDU_BYTES_MAX;
use crate::receive::own_user_variables;
use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, AssociationRJResult, AssociationRQ, PDU_HEADER_SIZE, Pdu,
    PresentationContextProposed, PresentationContextResult, PresentationContextResultReason, read_pdu,
    write_pdu,
};
use std::io;
use std::time::Duration;
use tls::{TlsError, Trust};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The one presentation context that is proposed (PS3.8 9.3.2.2: odd).
const CONTEXT: u8 = 1;
/// PS3.7 A.2.1.
const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// PS3.8 9.3.2.
const PROTOCOL_VERSION: u16 = 1;
/// Bytes of a PDU header: type, reserved, length (PS3.8 9.3.1).
const HEADER_BYTES: usize = PDU_HEADER_SIZE as usize;

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// An association on which a Study Root query may be sent.
pub(super) struct Association {
    socket: Box<dyn Socket>,
    wait: Duration,
    host: String,
    port: u16,
}

impl Association {
    /// Connects and agrees on the query; each step may take `wait`.
    pub(super) async fn request(pacs: &Pacs, wait: Duration) -> Result<Self, QueryError> {
        let (host, port) = pacs.host_and_port().ok_or(QueryError::Configuration)?;
        let socket: Box<dyn Socket> = match &pacs.tls {
            Some(files) => Box::new(Trust::read(files)?.connect(host, port, wait).await?),
            None => Box::new(tcp(host, port, wait).await?),
        };
        let mut association = Self { socket, wait, host: host.to_owned(), port };
        association.send(&Pdu::AssociationRQ(proposal(pacs))).await?;
        let answer = association.receive().await;
        match answer.map_err(|error| unexplained(error, pacs))? {
            Pdu::AssociationAC(answer) => check(&answer.presentation_contexts)?,
            Pdu::AssociationRJ(rejection) => {
                return Err(QueryError::Refused(match rejection.result {
                    AssociationRJResult::Permanent => Lasting::Permanent,
                    AssociationRJResult::Transient => Lasting::Temporary,
                }));
            }
            Pdu::AbortRQ { .. } => return Err(QueryError::Aborted),
            _ => return Err(QueryError::Malformed("a PDU that may not come now")),
        }
        Ok(association)
    }

    /// The presentation context of the query.
    pub(super) fn context(&self) -> u8 {
        CONTEXT
    }

    pub(super) async fn send(&mut self, pdu: &Pdu) -> Result<(), QueryError> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|_| QueryError::Configuration)?;
        let written = async {
            self.socket.write_all(&bytes).await?;
            self.socket.flush().await
        };
        let written = timeout(self.wait, written).await.map_err(|_| QueryError::Silent)?;
        written.map_err(|error| self.broken(&error))
    }

    pub(super) async fn receive(&mut self) -> Result<Pdu, QueryError> {
        let pdu = timeout(self.wait, self.pdu()).await.map_err(|_| QueryError::Silent)??;
        let limit = u32::try_from(PDU_BYTES_MAX).unwrap_or(u32::MAX);
        let pdu = read_pdu(pdu.as_slice(), limit, true).ok().flatten();
        pdu.ok_or(QueryError::Malformed("what is no DICOM answer"))
    }

    /// Ends in order; a PACS that does not take part changes nothing.
    pub(super) async fn release(mut self) {
        let released = async {
            self.send(&Pdu::ReleaseRQ).await?;
            self.receive().await
        };
        let _ = released.await;
        let _ = self.socket.shutdown().await;
    }

    pub(super) async fn abort(mut self) {
        let source = AbortRQSource::ServiceProvider(AbortRQServiceProviderReason::ReasonNotSpecified);
        let _ = self.send(&Pdu::AbortRQ { source }).await;
        let _ = self.socket.shutdown().await;
    }

    async fn pdu(&mut self) -> Result<Vec<u8>, QueryError> {
        let mut header = [0; HEADER_BYTES];
        self.socket.read_exact(&mut header).await.map_err(|error| self.broken(&error))?;
        let [_, _, l0, l1, l2, l3] = header;
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if length > PDU_BYTES_MAX {
            return Err(QueryError::Malformed("a PDU that is longer than allowed"));
        }
        let mut bytes = header.to_vec();
        bytes.resize(HEADER_BYTES + length, 0);
        let body = bytes.get_mut(HEADER_BYTES..).unwrap_or_default();
        let read = self.socket.read_exact(body).await;
        read.map_err(|error| self.broken(&error))?;
        Ok(bytes)
    }

    fn broken(&self, error: &io::Error) -> QueryError {
        let tls = TlsError::behind(error, &self.host, self.port);
        tls.map_or_else(|| QueryError::Unreachable(error.kind()), QueryError::Tls)
    }
}

/// A query is a few small PDUs, each waiting for its answer: Nagle would add 40 ms to every one.
async fn tcp(host: &str, port: u16, wait: Duration) -> Result<TcpStream, QueryError> {
    let connected = timeout(wait, TcpStream::connect((host, port))).await.map_err(|_| QueryError::Silent)?;
    let stream = connected.map_err(|error| QueryError::Unreachable(error.kind()))?;
    stream.set_nodelay(true).map_err(|error| QueryError::Unreachable(error.kind()))?;
    Ok(stream)
}

/// In TLS 1.3 a PACS refuses a client's certificate after the handshake; its alert is lost where it hangs up on our request at once.
fn unexplained(error: QueryError, pacs: &Pacs) -> QueryError {
    let shows_none = pacs.tls.as_ref().is_some_and(|files| files.client_certificate.is_none());
    if shows_none && matches!(error, QueryError::Unreachable(_)) { QueryError::HungUp } else { error }
}

fn proposal(pacs: &Pacs) -> AssociationRQ {
    AssociationRQ {
        protocol_version: PROTOCOL_VERSION,
        calling_ae_title: pacs.own_ae_title.clone(),
        called_ae_title: pacs.ae_title.clone(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: vec![PresentationContextProposed {
            id: CONTEXT,
            abstract_syntax: uid::STUDY_ROOT_FIND.to_owned(),
            transfer_syntaxes: vec![uid::IMPLICIT_LITTLE.to_owned()],
        }],
        user_variables: own_user_variables(),
    }
}

/// The PACS must have accepted our context with the transfer syntax that we proposed.
fn check(contexts: &[PresentationContextResult]) -> Result<(), QueryError> {
    let ours = contexts.iter().find(|context| context.id == CONTEXT);
    match ours {
        Some(context) if context.reason == PresentationContextResultReason::Acceptance => {
            let accepted = context.transfer_syntax.trim_end_matches(['\0', ' ']);
            if accepted == uid::IMPLICIT_LITTLE {
                return Ok(());
            }
            Err(QueryError::Malformed("a transfer syntax was accepted that was not proposed"))
        }
        _ => Err(QueryError::NotOffered),
    }
}
