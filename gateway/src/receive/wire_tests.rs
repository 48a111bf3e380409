//! Framing on a real socket pair.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use dimse::fragments::PDV_HEADER_BYTES;
use std::net::TcpListener;

const WAIT: Duration = Duration::from_secs(5);

fn pair() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let wire = Wire::new(listener.accept().unwrap().0, None, Arc::default()).unwrap();
    (wire, peer)
}

fn fault(bytes: &[u8]) -> Fault {
    let (mut wire, mut peer) = pair();
    peer.write_all(bytes).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    wire.receive(WAIT).err().unwrap()
}

#[test]
fn a_length_above_the_limit_of_its_kind_is_refused_before_the_body_comes() {
    assert_eq!(fault(&[4, 0, 0, 2, 0, 1]), Fault::PduTooLong);
    assert_eq!(fault(&[1, 0, 0, 4, 0, 1]), Fault::PduTooLong);
    assert_eq!(fault(&[5, 0, 0, 0, 4, 1]), Fault::PduTooLong);
    assert_eq!(fault(&[4, 0, 0xFF, 0xFF, 0xFF, 0xFF]), Fault::PduTooLong);
    assert_eq!(fault(b"GET / HTTP/1.1\r\n"), Fault::UnknownPdu);
}

#[test]
fn a_torn_pdu_is_a_cut_and_a_lying_one_malformed() {
    assert_eq!(fault(&[4, 0, 0, 0, 0, 9, 1, 2]), Fault::Cut);
    assert_eq!(fault(&[5, 0, 0, 0, 0, 1, 0]), Fault::MalformedPdu);
    let mut lying = vec![1, 0, 0, 0, 0, 72];
    lying.extend_from_slice(&[0; 68]);
    lying.extend_from_slice(&[0x10, 0, 0xFF, 0xFF]);
    assert_eq!(fault(&lying), Fault::MalformedPdu);
}

#[test]
fn dripping_bytes_do_not_move_the_deadline() {
    let (mut wire, mut peer) = pair();
    let dripping = std::thread::spawn(move || {
        for byte in [4, 0, 0, 0, 0, 200_u8].into_iter().chain(std::iter::repeat(0)) {
            if peer.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let started = Instant::now();
    assert_eq!(wire.receive(Duration::from_millis(300)).err(), Some(Fault::Silent));
    assert!(started.elapsed() < Duration::from_secs(2));
    drop(wire);
    dripping.join().unwrap();
}

#[test]
fn a_command_is_cut_to_what_the_peer_takes() {
    let (mut wire, mut peer) = pair();
    wire.limit_sending(1);
    wire.send_command(3, &[7; 100], WAIT).unwrap();
    let mut bytes = [0; 100 + 2 * (HEADER_BYTES + PDV_HEADER_BYTES)];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes[..12], [4, 0, 0, 0, 0, 64, 0, 0, 0, 60, 3, 1]);
    assert_eq!(&bytes[70..82], [4, 0, 0, 0, 0, 48, 0, 0, 0, 44, 3, 3]);
}
