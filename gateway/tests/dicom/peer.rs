//! A peer that sends whatever it is told to, on dicom-ul's PDUs and below them.

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{AssociationRQ, PresentationContextProposed, UserVariableItem, read_pdu};
use dicom_ul::{Pdu, write_pdu};
use dimse::elements::{Elements, push};
use dimse::fragments::push_pdv_header;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Context of CT Image Storage, Explicit VR Little Endian.
pub(crate) const CT: u8 = 1;
/// Context of Verification.
pub(crate) const VERIFICATION: u8 = 3;
/// Context of CT Image Storage in a transfer syntax nobody knows.
pub(crate) const UNKNOWN_SYNTAX: u8 = 5;
/// Context of a service we do not offer.
pub(crate) const REFUSED: u8 = 7;
/// The transfer syntax nobody knows.
pub(crate) const UNKNOWN_SYNTAX_UID: &str = "1.2.3.4.5.999";

/// One connection.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    /// Connected, nothing sent.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// With an association.
    pub(crate) fn associate(address: SocketAddr) -> Self {
        let mut peer = Self::connect(address);
        peer.send(&Pdu::AssociationRQ(request(super::service::CALLED)));
        let answer = peer.receive();
        assert!(matches!(answer, Some(Pdu::AssociationAC(_))), "no association: {answer:?}");
        peer
    }

    pub(crate) fn send(&mut self, pdu: &Pdu) {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).unwrap();
        self.send_bytes(&bytes);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// One P-DATA-TF with these values: context, control header, bytes.
    pub(crate) fn send_values(&mut self, values: &[(u8, u8, &[u8])]) {
        self.send_bytes(&p_data(values));
    }

    /// The next PDU; none where the connection ended.
    pub(crate) fn receive(&mut self) -> Option<Pdu> {
        let mut bytes = vec![0; 6];
        match self.0.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return None;
            }
            Err(error) => panic!("no answer: {error}"),
        }
        let length = u32::from_be_bytes(bytes[2..6].try_into().unwrap()) as usize;
        bytes.resize(6 + length, 0);
        self.0.read_exact(&mut bytes[6..]).unwrap();
        read_pdu(&bytes[..], 1 << 20, true).unwrap()
    }

    /// The status of the next response.
    pub(crate) fn status(&mut self) -> u16 {
        let Some(Pdu::PData { data }) = self.receive() else { panic!("no response") };
        let mut elements = Elements::of(&data[0].data).map(Result::unwrap);
        elements.find(|element| element.tag == 0x0000_0900).unwrap().u16().unwrap()
    }

    /// Sends an object whole and returns the status.
    pub(crate) fn store(&mut self, sop_instance: &str, data_set: &[u8]) -> u16 {
        self.send_values(&[(CT, COMMAND | LAST, &store_request(sop_instance))]);
        for piece in data_set.chunks(65_536) {
            self.send_values(&[(CT, 0, piece)]);
        }
        self.send_values(&[(CT, LAST, b"")]);
        self.status()
    }

    /// Releases the association in order.
    pub(crate) fn release(mut self) {
        self.send(&Pdu::ReleaseRQ);
        assert_eq!(self.receive(), Some(Pdu::ReleaseRP));
        assert_eq!(self.receive(), None);
    }
}

/// Control header bit: command.
pub(crate) const COMMAND: u8 = 1;
/// Control header bit: last fragment.
pub(crate) const LAST: u8 = 2;

pub(crate) fn p_data(values: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (context, control, bytes) in values {
        push_pdv_header(&mut body, *context, control & COMMAND != 0, control & LAST != 0, bytes.len());
        body.extend_from_slice(bytes);
    }
    let mut pdu = vec![4, 0];
    pdu.extend_from_slice(&(body.len() as u32).to_be_bytes());
    pdu.extend_from_slice(&body);
    pdu
}

pub(crate) fn request(called: &str) -> AssociationRQ {
    let context = |id, class: &str, syntax: &str| PresentationContextProposed {
        id,
        abstract_syntax: class.to_owned(),
        transfer_syntaxes: vec![syntax.to_owned()],
    };
    AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "RAW".to_owned(),
        called_ae_title: called.to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: vec![
            context(CT, uids::CT_IMAGE_STORAGE, uids::EXPLICIT_VR_LITTLE_ENDIAN),
            context(VERIFICATION, uids::VERIFICATION, uids::IMPLICIT_VR_LITTLE_ENDIAN),
            context(UNKNOWN_SYNTAX, uids::CT_IMAGE_STORAGE, UNKNOWN_SYNTAX_UID),
            context(REFUSED, uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND, uids::IMPLICIT_VR_LITTLE_ENDIAN),
        ],
        user_variables: vec![UserVariableItem::MaxLength(16_384)],
    }
}

/// A command set with these fields; `data_set` says whether one follows.
pub(crate) fn command(field: u16, sop_class: &str, sop_instance: Option<&str>, data_set: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, 0x0000_0002, sop_class.as_bytes(), 0);
    push(&mut bytes, 0x0000_0100, &field.to_le_bytes(), 0);
    push(&mut bytes, 0x0000_0110, &9_u16.to_le_bytes(), 0);
    push(&mut bytes, 0x0000_0800, &if data_set { 1_u16 } else { 0x0101 }.to_le_bytes(), 0);
    if let Some(uid) = sop_instance {
        push(&mut bytes, 0x0000_1000, uid.as_bytes(), 0);
    }
    bytes
}

pub(crate) fn store_request(sop_instance: &str) -> Vec<u8> {
    command(0x0001, uids::CT_IMAGE_STORAGE, Some(sop_instance), true)
}

pub(crate) fn echo_request() -> Vec<u8> {
    command(0x0030, uids::VERIFICATION, None, false)
}
