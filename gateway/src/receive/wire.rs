//! PDUs on a blocking socket: a length limit for each kind before a byte of it is taken, and a deadline for the whole.
//!
//! P-DATA-TF bodies stay in one buffer and are never copied; all other PDUs go through dicom-ul's reader and writer.

use super::fault::Fault;
use super::limits::{
    ASSOCIATE_BYTES_MAX, ASSOCIATE_WAIT, CLOSE_BYTES_MAX, CLOSE_WAIT, OTHER_PDU_BYTES_MAX, STOP_NOTICED,
};
use dicom_ul::pdu::{PDU_HEADER_SIZE, Pdu, read_pdu, write_pdu};
use dimse::fragments::{P_DATA_TF, p_data};
use dimse::limits::{PDU_BYTES_MAX, PEER_PDU_BYTES_MIN};
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tls::AcceptError;

/// PDU type of A-ASSOCIATE-RQ (PS3.8 9.3.2).
const ASSOCIATE_RQ: u8 = 0x01;
/// PDU types of the standard: 01 to 07 (PS3.8 9.3.1).
const PDU_TYPES: std::ops::RangeInclusive<u8> = 0x01..=0x07;
/// Bytes of a PDU header: type, reserved, length (PS3.8 9.3.1).
const HEADER_BYTES: usize = PDU_HEADER_SIZE as usize;

/// A PDU of the peer.
pub(super) enum Incoming<'a> {
    /// The body of a P-DATA-TF.
    Data(&'a [u8]),
    /// Any other.
    Control(Box<Pdu>),
}

/// One connection.
pub(super) struct Wire {
    reader: BufReader<Line>,
    body: Vec<u8>,
    peer_pdu_bytes_max: usize,
}

impl Wire {
    /// Takes over a connected socket, which it makes blocking and without delay: a response is one small segment, and
    /// waiting for more of them costs 40 ms an image.
    ///
    /// # Errors
    /// The socket's, or why a TLS peer is refused.
    pub(super) fn new(
        stream: TcpStream,
        tls: Option<&tls::Listener>,
        stopping: Arc<AtomicBool>,
    ) -> Result<Self, AcceptError> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(ASSOCIATE_WAIT))?;
        let timed = Timed { stream, deadline: Instant::now() + ASSOCIATE_WAIT, stopping };
        let line = match tls {
            None => Line::Plain(timed),
            Some(tls) => Line::Tls(Box::new(tls.accept(timed)?)),
        };
        Ok(Self {
            reader: BufReader::with_capacity(PDU_BYTES_MAX, line),
            body: Vec::new(),
            peer_pdu_bytes_max: PEER_PDU_BYTES_MIN,
        })
    }

    /// Longest PDU the peer takes, in bytes after the header; 0 stands for any (PS3.8 D.1).
    pub(super) fn limit_sending(&mut self, pdu_bytes_max: u32) {
        let bytes = usize::try_from(pdu_bytes_max).unwrap_or(PDU_BYTES_MAX);
        self.peer_pdu_bytes_max =
            if bytes == 0 { PDU_BYTES_MAX } else { bytes.clamp(PEER_PDU_BYTES_MIN, PDU_BYTES_MAX) };
    }

    /// The next PDU, which must have come whole within `wait`.
    pub(super) fn receive(&mut self, wait: Duration) -> Result<Incoming<'_>, Fault> {
        self.reader.get_mut().timed().deadline = Instant::now() + wait;
        let mut header = [0; HEADER_BYTES];
        self.reader.read_exact(&mut header)?;
        let [pdu_type, _, l0, l1, l2, l3] = header;
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).map_err(|_| Fault::PduTooLong)?;
        check_length(pdu_type, length)?;
        let whole = HEADER_BYTES + length;
        // Grown once and then kept: clearing 128 KiB for each PDU would cost as much as hashing them.
        self.body.resize(whole.max(self.body.len()), 0);
        if let Some((head, body)) = self.body.get_mut(..whole).and_then(|pdu| pdu.split_first_chunk_mut()) {
            *head = header;
            self.reader.read_exact(body)?;
        }
        let pdu = self.body.get(..whole).unwrap_or_default();
        if pdu_type == P_DATA_TF {
            return Ok(Incoming::Data(pdu.get(HEADER_BYTES..).unwrap_or_default()));
        }
        Ok(Incoming::Control(Box::new(parse(pdu)?)))
    }

    /// Sends a PDU other than P-DATA-TF.
    pub(super) fn send(&mut self, pdu: &Pdu, wait: Duration) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|_| Fault::Unbuildable)?;
        self.write(&bytes, wait)
    }

    /// Sends a command set that no data set follows, in as many PDUs as the peer's limit asks for.
    pub(super) fn send_command(&mut self, context: u8, command: &[u8], wait: Duration) -> Result<(), Fault> {
        let bytes = p_data(context, true, command, self.peer_pdu_bytes_max);
        self.write(&bytes, wait)
    }

    /// Closes our direction and waits a little for the peer to close its own: a socket closed with unread bytes is
    /// reset, and the peer would never read our last PDU (PS3.8 9.2.3, Sta13).
    pub(super) fn close(mut self) {
        let line = self.reader.get_mut();
        line.say_goodbye();
        let timed = line.timed();
        timed.deadline = Instant::now() + CLOSE_WAIT;
        if timed.stream.shutdown(Shutdown::Write).is_ok() {
            let _ = io::copy(&mut (&mut self.reader).take(CLOSE_BYTES_MAX as u64), &mut io::sink());
        }
    }

    fn write(&mut self, bytes: &[u8], wait: Duration) -> Result<(), Fault> {
        let line = self.reader.get_mut();
        line.timed().stream.set_write_timeout(Some(wait))?;
        line.write_all(bytes)?;
        Ok(line.flush()?)
    }
}

fn check_length(pdu_type: u8, length: usize) -> Result<(), Fault> {
    let length_max = match pdu_type {
        P_DATA_TF => PDU_BYTES_MAX,
        ASSOCIATE_RQ => ASSOCIATE_BYTES_MAX,
        known if PDU_TYPES.contains(&known) => OTHER_PDU_BYTES_MAX,
        _ => return Err(Fault::UnknownPdu),
    };
    if length > length_max { Err(Fault::PduTooLong) } else { Ok(()) }
}

/// dicom-ul answers `None` for a PDU that is not whole, which it is here: then a length inside it is wrong.
fn parse(bytes: &[u8]) -> Result<Pdu, Fault> {
    let limit = u32::try_from(ASSOCIATE_BYTES_MAX).unwrap_or(u32::MAX);
    read_pdu(bytes, limit, true).ok().flatten().ok_or(Fault::MalformedPdu)
}

/// Plain, or TLS over the same socket.
enum Line {
    Plain(Timed),
    Tls(Box<tls::Accepted<Timed>>),
}

impl Line {
    fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Plain(timed) => timed,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// RFC 8446 6.1: without close_notify the peer may take the end for a cut.
    fn say_goodbye(&mut self) {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(timed) => timed.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A socket whose reads end at a deadline, however slowly bytes drip in, and soon after the service is being stopped.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
    stopping: Arc<AtomicBool>,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stopping.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left.min(STOP_NOTICED)))?;
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

/// The write timeout of the socket bounds each write.
impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
