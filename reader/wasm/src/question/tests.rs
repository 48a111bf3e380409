#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::study;
use proptest::prelude::*;
use serde_json::{Value, json};

fn ask(question: &Value) -> Result<Value, String> {
    match respond(question.to_string().as_bytes()) {
        Ok(answer) => Ok(serde_json::from_slice(&answer).unwrap()),
        Err(refused) => {
            let refused: Value = serde_json::from_slice(&refused.to_json()).unwrap();
            Err(refused["code"].as_str().unwrap().to_owned())
        }
    }
}

/// The known answer of SPEC 8.1.
#[test]
fn a_code_gives_what_keys_are_derived_from() {
    let told = ask(&json!({"code": {"text": "ehm6 jwkm cnjp wrks ehjq 78r0@hospital.example"}})).unwrap();
    assert_eq!(told["secret"], "dGhpcnRlZW5ieXRlcw==");
    assert_eq!(told["invitation"], "aW52aXRhdGlvbmhvc3BpdGFsLmV4YW1wbGU=");
    assert_eq!(told["salt"], "c2NhbnBvc3QgZW5yb2xtZW50AQ==");
    assert_eq!(
        ask(&json!({"code": {"text": "EHM6-JWKM-CNJP-WRKS-EHJQ-78R1@hospital.example"}})),
        Err("wrong".into())
    );
}

#[test]
fn questions_that_are_none_are_ours() {
    for question in
        [json!(1), json!({}), json!({"nothing": {}}), json!({"piece": 1}), json!({"piece": {"header": "*"}})]
    {
        assert_eq!(ask(&question), Err("ours".into()), "{question}");
    }
}

#[test]
fn what_is_no_cover_is_damaged() {
    let draft = json!({"role": "identity", "point": "A".repeat(87) + "=", "serial": "AAAAAAAAAAAAAAAAAAAAAA==",
        "not_before": 1_800_000_000, "not_after": 1_900_000_000});
    let draft = ask(&json!({"draft": draft})).unwrap()["draft"].clone();
    let signature = "A".repeat(86) + "==";
    assert_eq!(
        ask(&json!({"finish": {"draft": draft, "signature": signature}})),
        Err("ours".into()),
        "the point is none"
    );
    assert_eq!(
        ask(&json!({"piece": {"header": "AAAA", "delivery": "00".repeat(16), "number": 1}})),
        Err("damaged".into())
    );
    assert_eq!(ask(&json!({"cover": {"signed": "MAA="}})), Err("damaged".into()));
}

proptest! {
    #[test]
    fn answering_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100), pieces in 0_usize..9) {
        prop_assert!(respond(&bytes).is_err());
        prop_assert!(study::index(&bytes, pieces).is_err());
        prop_assert!(study::manifest(&bytes).is_err());
        let _ = study::geometry(&bytes, pieces);
    }
}
