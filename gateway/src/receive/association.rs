//! One association from its request to its end, on a thread of its own (PS3.8 9.2, acceptor side).

pub(super) mod exchange;

use super::disk::Disk;
use super::fault::Fault;
use super::limits::ASSOCIATE_WAIT;
use super::negotiate::{Agreement, Rejection, congestion, negotiate};
use super::storing::Storing;
use super::wire::{Incoming, Wire};
use super::{AssociationInfo, Intake};
use dicom_ul::pdu::{AssociationRQ, Pdu};
use exchange::Exchange;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tls::AcceptError;
use tokio::runtime::Handle;

/// What all associations share.
pub(super) struct Service<I, D> {
    pub(super) intake: Arc<I>,
    pub(super) disk: Arc<D>,
    /// Longest wait for the next PDU, whole, and for the peer to take ours.
    pub(super) idle: Duration,
    /// Where the journal's futures run.
    pub(super) runtime: Handle,
    /// Set once, when the service is being stopped.
    pub(super) stopping: Arc<AtomicBool>,
}

/// A connection as it was accepted.
pub(super) struct Caller {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Set where the peer must speak TLS.
    pub(super) tls: Option<Arc<tls::Listener>>,
}

/// Serves a connection to its end. Every fault is told to the peer where possible, and logged with who must act.
pub(super) fn run<I: Intake, D: Disk>(service: &Service<I, D>, caller: Caller) {
    let peer = caller.peer;
    let Some(mut wire) = open_wire(service, caller) else { return };
    match associate(service, &mut wire) {
        Ok(agreement) => converse(service, &mut wire, agreement, peer),
        Err(fault) => {
            tell(&mut wire, &fault);
            alert(service, &fault, peer);
            log_unassociated(&fault, peer);
        }
    }
    wire.close();
}

/// Tells a peer for whom there is no room so, once its request has come.
pub(super) fn turn_away<I: Intake, D: Disk>(service: &Service<I, D>, caller: Caller) {
    let peer = caller.peer;
    let Some(mut wire) = open_wire(service, caller) else { return };
    let fault = match requested(&mut wire) {
        Ok(_) => reject(&mut wire, congestion()),
        Err(fault) => fault,
    };
    tell(&mut wire, &fault);
    log_unassociated(&fault, peer);
    wire.close();
}

fn open_wire<I: Intake, D>(service: &Service<I, D>, caller: Caller) -> Option<Wire> {
    let Caller { stream, peer, tls } = caller;
    match Wire::new(stream, tls.as_deref(), Arc::clone(&service.stopping)) {
        Ok(wire) => Some(wire),
        Err(AcceptError::Refused(words)) => {
            service.intake.peer_refused(peer, words);
            tracing::warn!(stage = "receive", %peer, act = "operator", "a TLS connection is refused: {words}");
            None
        }
        Err(AcceptError::Stream(error)) => {
            log_unopened(&error, peer);
            None
        }
    }
}

/// A port check ends before the handshake does, see [`log_unassociated`].
fn log_unopened(error: &io::Error, peer: SocketAddr) {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => tracing::debug!(stage = "receive", %peer, "no TLS handshake came"),
        kind => tracing::warn!(stage = "receive", %peer, "cannot set up a connection: {kind}"),
    }
}

fn associate<I: Intake, D>(service: &Service<I, D>, wire: &mut Wire) -> Result<Agreement, Fault> {
    let request = requested(wire)?;
    let agreement = match negotiate(request, &*service.intake) {
        Ok(agreement) => agreement,
        Err(rejection) => return Err(reject(wire, rejection)),
    };
    wire.limit_sending(agreement.peer_pdu_bytes_max);
    wire.send(&Pdu::AssociationAC(agreement.answer.clone()), ASSOCIATE_WAIT)?;
    Ok(agreement)
}

fn requested(wire: &mut Wire) -> Result<AssociationRQ, Fault> {
    match wire.receive(ASSOCIATE_WAIT) {
        Ok(Incoming::Control(pdu)) => match *pdu {
            Pdu::AssociationRQ(request) => Ok(request),
            Pdu::AbortRQ { .. } => Err(Fault::PeerAborted),
            _ => Err(Fault::UnexpectedPdu),
        },
        Ok(Incoming::Data(_)) => Err(Fault::UnexpectedPdu),
        Err(Fault::UnknownPdu | Fault::PduTooLong) => Err(Fault::NotDicom),
        Err(fault) => Err(fault),
    }
}

fn reject(wire: &mut Wire, rejection: Rejection) -> Fault {
    match wire.send(&Pdu::AssociationRJ(rejection.answer), ASSOCIATE_WAIT) {
        Ok(()) => rejection.fault,
        Err(fault) => fault,
    }
}

fn converse<I: Intake, D: Disk>(
    service: &Service<I, D>,
    wire: &mut Wire,
    agreement: Agreement,
    peer: SocketAddr,
) {
    let info = AssociationInfo::new(agreement.calling, agreement.called);
    let storing = Storing::new(
        Arc::clone(&service.intake),
        Arc::clone(&service.disk),
        info.clone(),
        service.runtime.clone(),
    );
    let mut exchange = Exchange::new(storing, agreement.contexts);
    let end = until_released(service, wire, &mut exchange);
    let stored = exchange.end();
    service.intake.association_ended(info.id);
    if let Err(fault) = &end {
        tell(wire, fault);
    }
    log_end(&info, &end, stored, peer);
}

/// Reads PDUs and answers messages until the peer releases the association.
fn until_released<I: Intake, D: Disk>(
    service: &Service<I, D>,
    wire: &mut Wire,
    exchange: &mut Exchange<I, D>,
) -> Result<(), Fault> {
    loop {
        let answers = match wire.receive(service.idle) {
            Ok(Incoming::Data(body)) => exchange.take(body)?,
            Ok(Incoming::Control(pdu)) => match *pdu {
                Pdu::ReleaseRQ if exchange.at_rest() => return wire.send(&Pdu::ReleaseRP, service.idle),
                Pdu::AbortRQ { .. } => return Err(Fault::PeerAborted),
                _ => return Err(Fault::UnexpectedPdu),
            },
            Err(_) if service.stopping.load(Ordering::Relaxed) => return Err(Fault::Stopping),
            Err(fault) => return Err(fault),
        };
        for (context, command) in answers {
            wire.send_command(context, &command, service.idle)?;
        }
    }
}

/// The peer may be gone already: then there is nobody to tell.
fn tell(wire: &mut Wire, fault: &Fault) {
    if let Some(pdu) = fault.abort() {
        let _ = wire.send(&pdu, ASSOCIATE_WAIT);
    }
}

/// A peer that calls nobody we know, or is none of DICOM's, may be trying doors.
fn alert<I: Intake, D>(service: &Service<I, D>, fault: &Fault, peer: SocketAddr) {
    match fault {
        Fault::Rejected(reason) => service.intake.peer_refused(peer, reason),
        Fault::NotDicom => service.intake.peer_refused(peer, "the peer does not speak DICOM"),
        _ => {}
    }
}

/// A connection closed without a word is a port check, which a monitoring system does every minute.
fn log_unassociated(fault: &Fault, peer: SocketAddr) {
    let act = fault.who_must_act().as_str();
    match fault {
        Fault::Cut | Fault::Stopping => tracing::debug!(stage = "receive", %peer, "no association: {fault}"),
        _ => tracing::warn!(stage = "receive", %peer, act, "no association: {fault}"),
    }
}

fn log_end(info: &AssociationInfo, end: &Result<(), Fault>, stored: u64, peer: SocketAddr) {
    let AssociationInfo { id, calling, called } = info;
    match end {
        Ok(()) => {
            tracing::info!(stage = "receive", association = id, %calling, %called, stored, "association released");
        }
        Err(fault) => {
            let act = fault.who_must_act().as_str();
            tracing::warn!(
                stage = "receive", association = id, %calling, %called, %peer, stored, act,
                "association broken: {fault}"
            );
        }
    }
}
