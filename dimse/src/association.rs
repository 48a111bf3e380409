//! An association that we ask for, over TCP or TLS (PS3.8 9.2, requestor side). dicom-ul reads and writes the PDUs around the messages; its own
//! client cannot tell a silent peer from one without TLS.

use crate::AssociationError;
use crate::fragments::{P_DATA_TF, PDV_HEADER_BYTES, p_data, push_p_data_header};
use crate::limits::{PDU_BYTES_MAX, PEER_PDU_BYTES_MIN, SLOWEST_BYTES_S};
use crate::uid;
use compressor::Uid;
use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, AssociationAC, AssociationRJResult, AssociationRQ,
    PDU_HEADER_SIZE, Pdu, PresentationContextProposed, PresentationContextResultReason, UserVariableItem,
    read_pdu, write_pdu,
};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tls::{ClientFiles, TlsError, Trust};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// PS3.8 9.3.2.
const PROTOCOL_VERSION: u16 = 1;
/// Bytes of a PDU header: type, reserved, length (PS3.8 9.3.1).
const HEADER_BYTES: usize = PDU_HEADER_SIZE as usize;
/// How long a peer has to take part in ending an association whose result is already known.
const END_WAIT: Duration = Duration::from_secs(2);

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// Where the peer is.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'p> {
    /// Host name or address, as in its certificate.
    pub host: &'p str,
    /// Its port.
    pub port: u16,
    /// Set where it must speak TLS (PS3.15 B.12).
    pub tls: Option<&'p ClientFiles>,
}

/// What an association is wanted for.
pub struct Proposal {
    /// AE title by which we call.
    pub calling: String,
    /// AE title that is called.
    pub called: String,
    /// Presentation contexts, ids odd (PS3.8 9.3.2.2).
    pub contexts: Vec<PresentationContextProposed>,
    /// [`user_variables`], and roles where we are the SCP (PS3.7 D.3.3.4).
    pub user_variables: Vec<UserVariableItem>,
}

/// An association. Dropped before [`Association::release`], it is aborted in order.
pub struct Association {
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
    ///
    /// # Errors
    /// [`AssociationError`].
    pub async fn request(
        peer: Peer<'_>,
        proposal: Proposal,
        wait: Duration,
    ) -> Result<Self, AssociationError> {
        let Peer { host, port, tls } = peer;
        let socket: Box<dyn Socket> = match tls {
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
        let request = Pdu::AssociationRQ(association_request(&proposal));
        association.send(&request).await?;
        let answer = association.pdu_within_wait().await.and_then(|pdu| parse(&pdu));
        match answer.map_err(|error| unexplained(error, tls))? {
            Pdu::AssociationAC(answer) => association.agree(&answer, &proposal.contexts)?,
            Pdu::AssociationRJ(rejection) => {
                association.socket = None;
                return Err(AssociationError::Rejected {
                    permanent: rejection.result == AssociationRJResult::Permanent,
                });
            }
            other => return Err(association.out_of_turn(&other)),
        }
        Ok(association)
    }

    /// For a request of so many bytes and its answer: a step each, and what the slowest line takes. A peer that does a little within each step ends too.
    pub(crate) fn wait_for(&self, bytes: u64) -> Duration {
        2 * self.wait + Duration::from_secs(bytes / SLOWEST_BYTES_S)
    }

    /// The presentation contexts that the peer accepted, with their transfer syntaxes.
    pub fn accepted(&self) -> &BTreeMap<u8, Uid> {
        &self.accepted
    }

    /// Sends a whole command set.
    ///
    /// # Errors
    /// [`AssociationError`].
    pub async fn send_command(&mut self, context: u8, command: &[u8]) -> Result<(), AssociationError> {
        self.write(&p_data(context, true, command, self.peer_pdu_bytes_max)).await
    }

    /// Sends an identifier.
    ///
    /// # Errors
    /// [`AssociationError`].
    pub async fn send_identifier(&mut self, context: u8, identifier: &[u8]) -> Result<(), AssociationError> {
        self.write(&p_data(context, false, identifier, self.peer_pdu_bytes_max)).await
    }

    /// Sends a data set of `bytes` bytes as it is read, one PDU in memory.
    ///
    /// # Errors
    /// [`AssociationError`]; [`AssociationError::Source`] where it cannot be read or ends early. Then the association is of no use.
    pub async fn send_data_set(
        &mut self,
        context: u8,
        source: &mut (dyn AsyncRead + Unpin + Send),
        bytes: u64,
    ) -> Result<(), AssociationError> {
        // Even, but for the last one of an odd data set (PS3.8 9.3.5.1).
        let fragment_bytes_max = (self.peer_pdu_bytes_max - PDV_HEADER_BYTES) & !1;
        let mut left = bytes;
        let mut pdu = Vec::with_capacity(HEADER_BYTES + self.peer_pdu_bytes_max);
        loop {
            let fragment_bytes =
                usize::try_from(left).map_or(fragment_bytes_max, |left| left.min(fragment_bytes_max));
            left -= fragment_bytes as u64;
            pdu.clear();
            push_p_data_header(&mut pdu, context, false, left == 0, fragment_bytes);
            let front = pdu.len();
            pdu.resize(front + fragment_bytes, 0);
            let read = source.read_exact(pdu.get_mut(front..).unwrap_or_default()).await;
            read.map_err(|error| AssociationError::Source(error.kind()))?;
            self.write(&pdu).await?;
            if left == 0 {
                return Ok(());
            }
        }
    }

    /// The body of the next P-DATA-TF. Dropped before it returns, it loses nothing.
    ///
    /// # Errors
    /// [`AssociationError`].
    pub async fn receive(&mut self) -> Result<Vec<u8>, AssociationError> {
        let mut pdu = self.pdu_within_wait().await?;
        if pdu.first() == Some(&P_DATA_TF) {
            return Ok(pdu.split_off(HEADER_BYTES));
        }
        Err(self.out_of_turn(&parse(&pdu)?))
    }

    /// Ends in order; a peer that does not take part changes nothing.
    pub async fn release(mut self) {
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

    /// Ends at once (PS3.8 9.3.8).
    pub async fn abort(mut self) {
        if let Some(socket) = self.socket.take() {
            end(socket, !self.sending).await;
        }
    }

    /// The peer must have accepted with transfer syntaxes that we proposed.
    fn agree(
        &mut self,
        answer: &AssociationAC,
        proposed: &[PresentationContextProposed],
    ) -> Result<(), AssociationError> {
        for result in &answer.presentation_contexts {
            let ours = proposed.iter().find(|context| context.id == result.id);
            let (Some(ours), PresentationContextResultReason::Acceptance) = (ours, &result.reason) else {
                continue;
            };
            let syntax = Uid::parse(&result.transfer_syntax).ok();
            let syntax =
                syntax.filter(|syntax| ours.transfer_syntaxes.iter().any(|own| own == syntax.as_str()));
            let syntax =
                syntax.ok_or(AssociationError::Malformed("a transfer syntax that was not proposed"))?;
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

    fn out_of_turn(&mut self, pdu: &Pdu) -> AssociationError {
        if matches!(pdu, Pdu::AbortRQ { .. }) {
            self.socket = None;
            return AssociationError::Aborted;
        }
        AssociationError::Malformed("a PDU that may not come now")
    }

    async fn send(&mut self, pdu: &Pdu) -> Result<(), AssociationError> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|_| AssociationError::NotSendable)?;
        self.write(&bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), AssociationError> {
        let socket = self.socket.as_mut().ok_or(AssociationError::Aborted)?;
        self.sending = true;
        let written = async {
            socket.write_all(bytes).await?;
            socket.flush().await
        };
        let written = timeout(self.wait, written).await.map_err(|_| AssociationError::Silent)?;
        written.map_err(|error| self.broken(&error))?;
        self.sending = false;
        Ok(())
    }

    async fn pdu_within_wait(&mut self) -> Result<Vec<u8>, AssociationError> {
        timeout(self.wait, self.pdu()).await.map_err(|_| AssociationError::Silent)?
    }

    async fn pdu(&mut self) -> Result<Vec<u8>, AssociationError> {
        loop {
            let whole = whole_bytes(&self.incoming)?;
            let missing = whole.saturating_sub(self.incoming.len());
            if missing == 0 && whole > HEADER_BYTES {
                return Ok(std::mem::take(&mut self.incoming));
            }
            let socket = self.socket.as_mut().ok_or(AssociationError::Aborted)?;
            self.incoming.reserve(missing);
            let mut rest = socket.take(missing as u64);
            let read = rest.read_buf(&mut self.incoming).await;
            let read = read
                .and_then(|bytes| if bytes == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) });
            read.map_err(|error| self.broken(&error))?;
        }
    }

    fn broken(&self, error: &io::Error) -> AssociationError {
        let tls = TlsError::behind(error, &self.host, self.port);
        tls.map_or_else(|| AssociationError::Broken(error.kind()), AssociationError::Tls)
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
fn whole_bytes(incoming: &[u8]) -> Result<usize, AssociationError> {
    let Some(&[_, _, l0, l1, l2, l3]) = incoming.first_chunk::<HEADER_BYTES>() else {
        return Ok(HEADER_BYTES);
    };
    match usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])) {
        Ok(0) => Err(AssociationError::Malformed("an empty PDU")),
        Ok(length) if length <= PDU_BYTES_MAX => Ok(HEADER_BYTES + length),
        _ => Err(AssociationError::Malformed("a PDU that is longer than allowed")),
    }
}

fn parse(pdu: &[u8]) -> Result<Pdu, AssociationError> {
    let limit = u32::try_from(PDU_BYTES_MAX).unwrap_or(u32::MAX);
    let pdu = read_pdu(pdu, limit, true).ok().flatten();
    pdu.ok_or(AssociationError::Malformed("what is no DICOM answer"))
}

/// Messages are a few small PDUs, each waiting for its answer: Nagle would add 40 ms to every one.
async fn tcp(host: &str, port: u16, wait: Duration) -> Result<TcpStream, AssociationError> {
    let connected =
        timeout(wait, TcpStream::connect((host, port))).await.map_err(|_| AssociationError::Silent)?;
    let stream = connected.map_err(|error| AssociationError::Unreachable(error.kind()))?;
    stream.set_nodelay(true).map_err(|error| AssociationError::Unreachable(error.kind()))?;
    Ok(stream)
}

/// In TLS 1.3 a server refuses a client's certificate after the handshake; its alert is lost where it hangs up on our request at once.
fn unexplained(error: AssociationError, tls: Option<&ClientFiles>) -> AssociationError {
    let shows_none = tls.is_some_and(|files| files.client_certificate.is_none());
    if shows_none && matches!(error, AssociationError::Broken(_)) { AssociationError::HungUp } else { error }
}

fn association_request(proposal: &Proposal) -> AssociationRQ {
    AssociationRQ {
        protocol_version: PROTOCOL_VERSION,
        calling_ae_title: proposal.calling.clone(),
        called_ae_title: proposal.called.clone(),
        application_context_name: uid::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: proposal.contexts.clone(),
        user_variables: proposal.user_variables.clone(),
    }
}

/// What every association says of us: the longest PDU that we take, and which program we are (PS3.7 D.3.3.1, D.3.3.2).
pub fn user_variables(implementation_class: &str, implementation_version: &str) -> Vec<UserVariableItem> {
    vec![
        UserVariableItem::MaxLength(u32::try_from(PDU_BYTES_MAX).unwrap_or(0)),
        UserVariableItem::ImplementationClassUID(implementation_class.to_owned()),
        UserVariableItem::ImplementationVersionName(implementation_version.to_owned()),
    ]
}

const _: () = assert!(PEER_PDU_BYTES_MIN > PDV_HEADER_BYTES);
