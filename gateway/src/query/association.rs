//! The association with a PACS, over TCP or TLS (PS3.8 9.2, requestor side). dicom-ul reads and writes the PDUs around the messages; its own
//! client cannot tell a silent PACS from one without TLS.

use super::QueryError;
use crate::config::Pacs;
use crate::dimse::fragments::{P_DATA_TF, PDV_HEADER_BYTES, p_data};
use crate::dimse::uid;
use crate::query::error::Lasting;
use crate::receive::limits::{PDU_BYTES_MAX, PEER_PDU_BYTES_MIN};
use crate::receive::own_user_variables;
use compressor::Uid;
use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, AssociationAC, AssociationRJResult, AssociationRQ,
    PDU_HEADER_SIZE, Pdu, PresentationContextProposed, PresentationContextResultReason, UserVariableItem,
    read_pdu, write_pdu,
};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tls::{TlsError, Trust};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// PS3.8 9.3.2.
const PROTOCOL_VERSION: u16 = 1;
/// Bytes of a PDU header: type, reserved, length (PS3.8 9.3.1).
const HEADER_BYTES: usize = PDU_HEADER_SIZE as usize;
/// How long a PACS has to take part in ending an association whose result is already known.
const END_WAIT: Duration = Duration::from_secs(2);

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// What an association is wanted for.
pub(crate) struct Proposal {
    /// AE title that is called.
    pub(crate) called: String,
    /// Presentation contexts, ids odd (PS3.8 9.3.2.2).
    pub(crate) contexts: Vec<PresentationContextProposed>,
    /// SOP classes of which we are the SCP (PS3.7 D.3.3.4).
    pub(crate) roles: Vec<UserVariableItem>,
}

/// An association. Dropped before [`Association::release`], it is aborted in order.
pub(crate) struct Association {
    /// None once it is over.
    socket: Option<Box<dyn Socket>>,
    wait: Duration,
    host: String,
    port: u16,
    accepted: BTreeMap<u8, Uid>,
    peer_pdu_bytes_max: usize,
    /// What came of the next PDU.
    incoming: Vec<u8>,
    /// A PDU of ours is half way out.
    sending: bool,
}

impl Association {
    /// Connects and agrees on what is proposed; each step may take `wait`.
    pub(crate) async fn request(pacs: &Pacs, proposal: Proposal, wait: Duration) -> Result<Self, QueryError> {
        let (host, port) = pacs.host_and_port().ok_or(QueryError::Configuration)?;
        let socket: Box<dyn Socket> = match &pacs.tls {
            Some(files) => Box::new(Trust::read(files)?.connect(host, port, wait).await?),
            None => Box::new(tcp(host, port, wait).await?),
        };
        let mut association = Self {
            socket: Some(socket),
            wait,
            host: host.to_owned(),
            port,
            accepted: BTreeMap::new(),
            peer_pdu_bytes_max: PEER_PDU_BYTES_MIN,
            incoming: Vec::new(),
            sending: false,
        };
        let request = Pdu::AssociationRQ(association_request(pacs, &proposal));
        association.send(&request).await?;
        let answer = association.pdu_within_wait().await.and_then(|pdu| parse(&pdu));
        match answer.map_err(|error| unexplained(error, pacs))? {
            Pdu::AssociationAC(answer) => association.agree(&answer, &proposal.contexts)?,
            Pdu::AssociationRJ(rejection) => {
                association.socket = None;
                return Err(QueryError::Refused(match rejection.result {
                    AssociationRJResult::Permanent => Lasting::Permanent,
                    AssociationRJResult::Transient => Lasting::Temporary,
                }));
            }
            other => return Err(association.out_of_turn(&other)),
        }
        Ok(association)
    }

    /// The presentation contexts that the PACS accepted, with their transfer syntaxes.
    pub(crate) fn accepted(&self) -> &BTreeMap<u8, Uid> {
        &self.accepted
    }

    pub(crate) async fn send_command(&mut self, context: u8, command: &[u8]) -> Result<(), QueryError> {
        self.write(&p_data(context, true, command, self.peer_pdu_bytes_max)).await
    }

    pub(crate) async fn send_data_set(&mut self, context: u8, data_set: &[u8]) -> Result<(), QueryError> {
        self.write(&p_data(context, false, data_set, self.peer_pdu_bytes_max)).await
    }

    /// The body of the next P-DATA-TF. Dropped before it returns, it loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<Vec<u8>, QueryError> {
        let mut pdu = self.pdu_within_wait().await?;
        if pdu.first() == Some(&P_DATA_TF) {
            return Ok(pdu.split_off(HEADER_BYTES));
        }
        Err(self.out_of_turn(&parse(&pdu)?))
    }

    /// Ends in order; a PACS that does not take part changes nothing.
    pub(crate) async fn release(mut self) {
        let released = async {
            self.send(&Pdu::ReleaseRQ).await?;
            self.pdu_within_wait().await
        };
        let released = timeout(END_WAIT, released).await;
        if matches!(released, Ok(Ok(_)))
            && let Some(mut socket) = self.socket.take()
        {
            let _ = timeout(END_WAIT, socket.shutdown()).await;
        }
    }

    pub(crate) async fn abort(mut self) {
        if let Some(socket) = self.socket.take() {
            end(socket, !self.sending).await;
        }
    }

    /// The PACS must have accepted with transfer syntaxes that we proposed.
    fn agree(
        &mut self,
        answer: &AssociationAC,
        proposed: &[PresentationContextProposed],
    ) -> Result<(), QueryError> {
        for result in &answer.presentation_contexts {
            let ours = proposed.iter().find(|context| context.id == result.id);
            let (Some(ours), PresentationContextResultReason::Acceptance) = (ours, &result.reason) else {
                continue;
            };
            let syntax = Uid::parse(&result.transfer_syntax).ok();
            let syntax =
                syntax.filter(|syntax| ours.transfer_syntaxes.iter().any(|own| own == syntax.as_str()));
            let syntax = syntax.ok_or(QueryError::Malformed("a transfer syntax that was not proposed"))?;
            self.accepted.insert(result.id, syntax);
        }
        let announced = answer.user_variables.iter().find_map(|item| match item {
            UserVariableItem::MaxLength(bytes) => usize::try_from(*bytes).ok(),
            _ => None,
        });
        self.peer_pdu_bytes_max = match announced {
            // No limit (PS3.8 D.1).
            None | Some(0) => PDU_BYTES_MAX,
            Some(bytes) => bytes.clamp(PEER_PDU_BYTES_MIN, PDU_BYTES_MAX),
        };
        Ok(())
    }

    fn out_of_turn(&mut self, pdu: &Pdu) -> QueryError {
        if matches!(pdu, Pdu::AbortRQ { .. }) {
            self.socket = None;
            return QueryError::Aborted;
        }
        QueryError::Malformed("a PDU that may not come now")
    }

    async fn send(&mut self, pdu: &Pdu) -> Result<(), QueryError> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|_| QueryError::Configuration)?;
        self.write(&bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), QueryError> {
        let socket = self.socket.as_mut().ok_or(QueryError::Aborted)?;
        self.sending = true;
        let written = async {
            socket.write_all(bytes).await?;
            socket.flush().await
        };
        let written = timeout(self.wait, written).await.map_err(|_| QueryError::Silent)?;
        written.map_err(|error| self.broken(&error))?;
        self.sending = false;
        Ok(())
    }

    async fn pdu_within_wait(&mut self) -> Result<Vec<u8>, QueryError> {
        timeout(self.wait, self.pdu()).await.map_err(|_| QueryError::Silent)?
    }

    async fn pdu(&mut self) -> Result<Vec<u8>, QueryError> {
        loop {
            let whole = whole_bytes(&self.incoming)?;
            let missing = whole.saturating_sub(self.incoming.len());
            if missing == 0 && whole > HEADER_BYTES {
                return Ok(std::mem::take(&mut self.incoming));
            }
            let socket = self.socket.as_mut().ok_or(QueryError::Aborted)?;
            self.incoming.reserve(missing);
            let mut rest = socket.take(missing as u64);
            let read = rest.read_buf(&mut self.incoming).await;
            let read = read
                .and_then(|bytes| if bytes == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) });
            read.map_err(|error| self.broken(&error))?;
        }
    }

    fn broken(&self, error: &io::Error) -> QueryError {
        let tls = TlsError::behind(error, &self.host, self.port);
        tls.map_or_else(|| QueryError::Unreachable(error.kind()), QueryError::Tls)
    }
}

impl Drop for Association {
    fn drop(&mut self) {
        if let (Some(socket), Ok(runtime)) = (self.socket.take(), Handle::try_current()) {
            runtime.spawn(end(socket, !self.sending));
        }
    }
}

/// Aborts (PS3.8 9.3.8), unless a PDU of ours is half way out, and hangs up.
async fn end(mut socket: Box<dyn Socket>, abort: bool) {
    let source = AbortRQSource::ServiceProvider(AbortRQServiceProviderReason::ReasonNotSpecified);
    let mut bytes = Vec::new();
    let ended = async {
        if abort && write_pdu(&mut bytes, &Pdu::AbortRQ { source }).is_ok() {
            socket.write_all(&bytes).await?;
        }
        socket.shutdown().await
    };
    let _ = timeout(END_WAIT, ended).await;
}

/// How long the PDU is of which these are the first bytes; at first its header alone. The standard has none without a body.
fn whole_bytes(incoming: &[u8]) -> Result<usize, QueryError> {
    let Some(&[_, _, l0, l1, l2, l3]) = incoming.first_chunk::<HEADER_BYTES>() else {
        return Ok(HEADER_BYTES);
    };
    match usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])) {
        Ok(0) => Err(QueryError::Malformed("an empty PDU")),
        Ok(length) if length <= PDU_BYTES_MAX => Ok(HEADER_BYTES + length),
        _ => Err(QueryError::Malformed("a PDU that is longer than allowed")),
    }
}

fn parse(pdu: &[u8]) -> Result<Pdu, QueryError> {
    let limit = u32::try_from(PDU_BYTES_MAX).unwrap_or(u32::MAX);
    let pdu = read_pdu(pdu, limit, true).ok().flatten();
    pdu.ok_or(QueryError::Malformed("what is no DICOM answer"))
}

/// Messages are a few small PDUs, each waiting for its answer: Nagle would add 40 ms to every one.
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

fn association_request(pacs: &Pacs, proposal: &Proposal) -> AssociationRQ {
    let mut user_variables = own_user_variables();
    user_variables.extend(proposal.roles.iter().cloned());
    AssociationRQ {
        protocol_version: PROTOCOL_VERSION,
        calling_ae_title: pacs.own_ae_title.clone(),
        called_ae_title: proposal.called.clone(),
        application_context_name: uid::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: proposal.contexts.clone(),
        user_variables,
    }
}

const _: () = assert!(PEER_PDU_BYTES_MIN > PDV_HEADER_BYTES);
