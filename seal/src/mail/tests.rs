//! Layout of mails: exact bytes, strict names, any cut.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::ids::{DeliveryId, Digest};
use crate::receipt::ReceiptKind;
use proptest::prelude::*;

const DELIVERY: DeliveryId = DeliveryId([0xAB; 16]);

fn site() -> Site {
    Site::parse("hospital.example").unwrap()
}

fn message(id: MessageId, body_bytes: usize) -> Message {
    let from = Address::parse("scanpost@hospital.example").unwrap();
    Message::new(id, &from, 1_795_373_465, body_bytes as u64).unwrap()
}

fn encoded(body: &[u8]) -> Vec<u8> {
    let message = message(MessageId::piece(DELIVERY, 1, &site()), body.len());
    let octets: Vec<u8> = message.lines(body).map(Result::unwrap).collect::<Vec<_>>().concat();
    assert_eq!(octets.len() as u64, message.encoded_bytes());
    octets
}

fn body_of(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    &message[end + 4..]
}

#[test]
fn headers_are_exactly_these() {
    let message = message(MessageId::cover(DELIVERY, &site()), 3);
    let octets: Vec<u8> = message.lines(&b"abc"[..]).map(Result::unwrap).collect::<Vec<_>>().concat();
    let expected = "Date: Sun, 22 Nov 2026 18:51:05 +0000\r\n\
        Message-ID: <abababababababababababababababab.cover@hospital.example>\r\n\
        From: scanpost@hospital.example\r\n\
        To: undisclosed-recipients:;\r\n\
        Subject: Scanpost\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: application/pkcs7-mime; smime-type=authEnveloped-data; name=smime.p7m\r\n\
        Content-Transfer-Encoding: base64\r\n\
        \r\n\
        YWJj\r\n";
    assert_eq!(String::from_utf8(octets).unwrap(), expected);
}

#[test]
fn a_message_for_a_mail_program_has_its_own_id_subject_and_type() {
    let id = MessageId::message(DELIVERY, 3, &site());
    let text = "<abababababababababababababababab.smime.3@hospital.example>";
    assert_eq!((id.to_string().as_str(), MessageId::parse(text)), (text, Some(id.clone())));
    for other in ["smime", "smime.", "smime.0", "smime.03", "smime.+3", "smime.3.4", "Smime.3"] {
        assert_eq!(MessageId::parse(&text.replace("smime.3", other)), None, "{other}");
    }
    let from = Address::parse("scanpost@hospital.example").unwrap();
    for (encryption, kind) in
        [(Encryption::Authenticated, "authEnveloped-data"), (Encryption::QuirkCbc, "enveloped-data")]
    {
        let message = Message::smime(id.clone(), &from, 1_795_373_465, 3, encryption).unwrap();
        let fields = format!(
            "Subject: Scanpost DICOM-ZIP\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type={kind}; name=smime.p7m\r\n"
        );
        assert!(message.head().contains(&fields), "{}", message.head());
    }
}

#[test]
fn lines_are_57_bytes_and_never_begin_with_a_dot() {
    for length in [0_usize, 1, 56, 57, 58, 114, 57 * 840 - 1, 57 * 840, 57 * 840 + 1, 200_001] {
        let body: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
        let octets = encoded(&body);
        let text = String::from_utf8(body_of(&octets).to_vec()).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), length.div_ceil(LINE_BYTES));
        assert!(lines.iter().rev().skip(1).all(|line| line.len() == LINE_CHARS));
        assert!(lines.iter().all(|line| !line.contains(['\r', '\n']) && !line.starts_with('.')));
    }
}

#[test]
fn blocks_stay_below_64_kib_and_end_with_a_line() {
    let body = vec![1; 300_000];
    let message = message(MessageId::piece(DELIVERY, 1, &site()), body.len());
    for block in message.lines(&body[..]) {
        let block = block.unwrap();
        assert!(block.len() < 64 << 10 && block.ends_with(b"\r\n"));
    }
}

#[test]
fn a_body_of_another_length_is_an_error() {
    for announced in [0, 56, 57, 99, 101, 100_000] {
        let message = message(MessageId::piece(DELIVERY, 1, &site()), announced);
        let blocks: Vec<_> = message.lines(&[7; 100][..]).collect();
        assert!(blocks.last().unwrap().is_err(), "{announced}");
        assert_eq!(blocks.iter().filter(|block| block.is_err()).count(), 1);
    }
}

#[test]
fn message_ids_are_read_as_written() {
    let ids = [
        MessageId::piece(DELIVERY, 1, &site()),
        MessageId::piece(DELIVERY, 10_000, &site()),
        MessageId::cover(DELIVERY, &site()),
        MessageId::receipt(DELIVERY, ReceiptKind::Fetched, &Digest([0x5C; 32]), &site()),
    ];
    for id in ids {
        assert_eq!(MessageId::parse(&id.to_string()), Some(id));
    }
    let receipt = MessageId::receipt(DELIVERY, ReceiptKind::Fetched, &Digest([0x5C; 32]), &site());
    assert_eq!(receipt.to_string(), format!("<{DELIVERY}.fetched.5c5c5c5c5c5c5c5c@hospital.example>"));
}

#[test]
fn other_message_ids_are_refused() {
    let hex = DELIVERY.to_string();
    let wrong = [
        format!("{hex}.1@hospital.example"),
        format!("<{hex}.0@hospital.example>"),
        format!("<{hex}.01@hospital.example>"),
        format!("<{hex}.+1@hospital.example>"),
        format!("<{hex}.10001@hospital.example>"),
        format!("<{}.1@hospital.example>", hex.to_uppercase()),
        format!("<{}.1@hospital.example>", &hex[1..]),
        format!("<{hex}.1@hospital..example>"),
        format!("<{hex}.1@hospital.example>\r\n"),
        format!("<{hex}.1@hospital.exam\r\nple>"),
        format!("<{hex}.cover@>"),
        format!("<{hex}.cover.x@hospital.example>"),
        format!("<{hex}.shown.5c5c5c5c5c5c5c5c@hospital.example>"),
        format!("<{hex}.fetched.5c5c@hospital.example>"),
        String::new(),
    ];
    for text in wrong {
        assert_eq!(MessageId::parse(&text), None, "{text:?}");
    }
}

#[test]
fn nothing_that_means_something_in_a_header_is_a_name() {
    for text in ["", ".", "a..b", "-a", "a-", "a b", "a\r\nb", "A.example", "ä", "a@b", "a>", &"a".repeat(64)]
    {
        assert_eq!(Site::parse(text), None, "{text:?}");
    }
    for text in [
        "",
        "a",
        "@a",
        "a@",
        "a b@c",
        "a\r\nBcc: x@y@z",
        "a\n@b",
        "<a@b>",
        "\"a\"@b",
        "a@b,c@d",
        ".a@b",
        "a@b\r\n",
    ] {
        assert_eq!(Address::parse(text), None, "{text:?}");
    }
    assert!(Site::parse("localhost").is_some() && Address::parse("a.b+c@X.example").is_some());
}

#[test]
fn decoder_takes_only_base64_and_crlf() {
    let wrong: [&[u8]; 10] = [
        b"YWJj\n",
        b"YWJj\r",
        b"YW\rJj",
        b"YWJ",
        b"YW Jj",
        b"YQ==YWJj",
        b"YWJj.",
        b"YR==",
        b"=",
        b"YWJj\r\n\tYWJj",
    ];
    for body in wrong {
        let mut decoder = Base64Decoder::new();
        let pushed = decoder.push(body, &mut Vec::new());
        assert!(pushed.and_then(|()| decoder.finish()).is_err(), "{body:?}");
    }
    let mut decoder = Base64Decoder::new();
    let mut out = Vec::new();
    decoder.push(b"YWJj\r\nYQ\r\n==\r\n\r\n", &mut out).unwrap();
    decoder.finish().unwrap();
    assert_eq!(out, b"abca");
}

#[test]
fn padding_cut_between_blocks_still_ends_the_body() {
    let mut decoder = Base64Decoder::new();
    let mut out = Vec::new();
    decoder.push(b"YQ=", &mut out).unwrap();
    decoder.push(b"=\r", &mut out).unwrap();
    decoder.push(b"\n", &mut out).unwrap();
    assert_eq!(decoder.push(b"YWJj", &mut out), Err(NotBase64));
}

proptest! {
    #[test]
    fn any_cut_gives_the_body_back(body in proptest::collection::vec(any::<u8>(), 0..2000), cuts in proptest::collection::vec(1_usize..200, 1..50)) {
        let octets = encoded(&body);
        let mut text = body_of(&octets);
        let mut decoder = Base64Decoder::new();
        let mut out = Vec::new();
        for cut in cuts.iter().cycle() {
            let (block, rest) = text.split_at((*cut).min(text.len()));
            decoder.push(block, &mut out).unwrap();
            text = rest;
            if text.is_empty() { break; }
        }
        decoder.finish().unwrap();
        prop_assert_eq!(out, body);
    }

    #[test]
    fn decoder_never_panics(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let mut decoder = Base64Decoder::new();
        let mut out = Vec::new();
        let _ = blocks.iter().try_for_each(|block| decoder.push(block, &mut out));
        let _ = decoder.finish();
    }

    #[test]
    fn message_ids_never_panic(text in "<?[0-9a-f]{0,33}\\.?.{0,40}@?.{0,20}>?") {
        if let Some(id) = MessageId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}
