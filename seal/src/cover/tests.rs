//! What a cover may say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

fn cover() -> Cover {
    Cover {
        format: FORMAT,
        case: CaseId([1; 16]),
        delivery: DeliveryId([2; 16]),
        sequence: 1,
        previous: None,
        residual_of: None,
        residual_until: None,
        answers: None,
        content: Digest([3; 32]),
        site: "hospital.example".into(),
        sealed_at: 1_795_373_465,
        recipients: vec![Digest([4; 32])],
        completeness: Completeness::Partial { instances: 149, listed: 150 },
        policy: "near 0".into(),
        content_key: ContentKeyText::of(&[0xC5; 32]),
        index: Digest([5; 32]),
        manifest: Digest([6; 32]),
        pieces: vec![PieceEntry::new(u32::MAX, &Digest([0xFF; 32]))],
    }
}

#[test]
fn a_cover_is_read_as_written() {
    let json = cover().to_json().unwrap();
    assert_eq!(Cover::parse(&json), Ok(cover()));
    assert_eq!(cover().content_key.key().as_deref(), Some(&[0xC5; 32]));
    assert_eq!((cover().pieces[0].bytes(), cover().pieces[0].digest()), (u32::MAX, Some(Digest([0xFF; 32]))));
}

fn full() -> serde_json::Value {
    let full = Cover {
        previous: Some(Digest([7; 32])),
        residual_of: Some(DeliveryId([8; 16])),
        residual_until: Some(-5),
        answers: Some(AnswerPoint([4; 65])),
        ..cover()
    };
    serde_json::from_slice(&full.to_json().unwrap()).unwrap()
}

/// By code that `serde` derives.
fn derived(text: &[u8]) -> Option<Cover> {
    serde_json::from_slice(text).ok()
}

/// With each value replaced by each other kind of value, or left out.
#[test]
fn whatever_stands_in_a_field_is_read_as_serde_reads_it() {
    use serde_json::{Value, json};
    let full = full();
    let compare = |changed: &Value, what: &str| {
        let text = changed.to_string();
        let ours = reader::cover(text.as_bytes());
        assert_eq!(ours, derived(text.as_bytes()), "{what}");
        ours.is_some()
    };
    assert!(compare(&full, "whole"));
    let (long, short) = ("ab".repeat(32), "ab".repeat(16));
    let others = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(5_000_000_000_u64),
        json!(""),
        json!(long),
        json!(short),
        json!([]),
        json!({}),
        json!([1, "x"]),
        json!([[1, "x"]]),
        json!([[1, "x", 2]]),
        json!({"is": "proved", "instances": 1}),
        json!({"is": "partial", "instances": 1}),
        json!({"is": "not_proved", "instances": 1, "other": [{}]}),
        json!({"is": "x", "instances": 1}),
    ];
    let mut taken = 0;
    for name in full.as_object().unwrap().keys() {
        for other in &others {
            let mut changed = full.clone();
            changed[name] = other.clone();
            taken += usize::from(compare(&changed, &format!("{name} {other}")));
        }
        let mut changed = full.clone();
        changed.as_object_mut().unwrap().remove(name);
        compare(&changed, name);
    }
    assert!(taken > 20, "{taken}");
}

#[test]
fn the_largest_piece_takes_less_than_64_bytes() {
    let json = serde_json::to_string(&cover().pieces[0]).unwrap();
    assert!(json.len() + ",".len() <= COVER_BYTES_PER_PIECE, "{}", json.len());
}

#[test]
fn fields_beyond_their_limits_are_refused() {
    let edits: [fn(&mut Cover); 13] = [
        |cover| cover.sequence = 0,
        |cover| cover.previous = Some(Digest([0; 32])),
        |cover| cover.site = "hospital\r\n.example".into(),
        |cover| cover.recipients.clear(),
        |cover| cover.recipients.push(Digest([4; 32])),
        |cover| cover.recipients = (0..33).map(|n| Digest([n; 32])).collect(),
        |cover| cover.policy = "x".repeat(257),
        |cover| cover.policy = "near\u{1b}[0m".into(),
        |cover| cover.content_key = ContentKeyText("00".repeat(31)),
        |cover| cover.content_key = ContentKeyText("zz".repeat(32)),
        |cover| cover.pieces.clear(),
        |cover| cover.pieces[0].1 = "AAAA".into(),
        |cover| cover.pieces = vec![cover.pieces[0].clone(); 10_001],
    ];
    for (number, edit) in edits.iter().enumerate() {
        let mut cover = cover();
        edit(&mut cover);
        assert_eq!(Cover::parse(&cover.to_json().unwrap()), Err(Refusal::Malformed(WHAT)), "edit {number}");
    }
}

#[test]
fn a_residual_follows_another_delivery_and_has_none_of_its_own() {
    let residual = Cover { residual_of: Some(DeliveryId([9; 16])), sequence: 2, ..cover() };
    let kept = Cover { residual_until: Some(1_795_459_865), ..cover() };
    for sound in [&residual, &kept] {
        assert_eq!(Cover::parse(&sound.to_json().unwrap()).as_ref(), Ok(sound));
    }
    let own = Cover { residual_of: Some(residual.delivery), ..residual.clone() };
    let first = Cover { sequence: 1, ..residual.clone() };
    let talking = Cover { answers: Some(AnswerPoint([4; 65])), ..residual.clone() };
    let endless = Cover { residual_until: kept.residual_until, ..residual };
    for wrong in [own, first, talking, endless] {
        assert_eq!(Cover::parse(&wrong.to_json().unwrap()), Err(Refusal::Malformed(WHAT)));
    }
}

#[test]
fn a_newer_format_is_named_whatever_else_it_says() {
    assert_eq!(Cover::parse(b"{\"format\": 7, \"pieces\": \"elsewhere\"}"), Err(Refusal::UnknownFormat(7)));
    assert_eq!(Cover::parse(b"{}"), Err(Refusal::Malformed(WHAT)));
}

#[test]
fn completeness_has_plain_words() {
    assert_eq!(Completeness::Proved { instances: 150 }.to_string(), "all 150 instances");
    assert_eq!(Completeness::Partial { instances: 149, listed: 150 }.to_string(), "149 of 150 instances");
    assert_eq!(Completeness::NotProved { instances: 9 }.to_string(), "9 instances, completeness not proved");
    assert_eq!(Completeness::NotProved { instances: 9 }.instances(), 9);
}

#[test]
fn a_content_key_is_never_printed() {
    let printed = format!("{:?}", cover());
    assert!(printed.contains("content_key: ContentKeyText,") && !printed.contains("c5c5"));
}

proptest! {
    #[test]
    fn mutated_covers_never_panic(position in 0_usize..600, byte in any::<u8>()) {
        let mut json = cover().to_json().unwrap();
        let position = position % json.len();
        json[position] = byte;
        let _ = Cover::parse(&json);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A few characters replaced by others, or by a piece of the same text: fields come twice, are cut, or stand elsewhere.
    #[test]
    fn a_cover_with_signs_replaced_is_read_as_serde_reads_it(
        at in any::<Index>(), out in 0_usize..12, from in any::<Index>(), length in 0_usize..40, signs in r#"[\[\]{}:,"\\\\ntrue0-9.eE+\- ]{0,3}"#
    ) {
        let mut text = full().to_string().into_bytes();
        let from = from.index(text.len());
        let again = text[from..(from + length).min(text.len())].to_vec();
        let at = at.index(text.len());
        let end = (at + out).min(text.len());
        drop(text.splice(at..end, [signs.as_bytes(), &again].concat()));
        let read = reader::cover(&text);
        // Serde takes more, nothing otherwise.
        prop_assert!(read.is_none() || read == derived(&text));
    }
}
