//! Beside code derived by `serde`, which reads the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

fn full() -> Value {
    let image = json!({"rows": 24, "columns": 32, "frames": 1, "samples_per_pixel": 1, "bits_allocated": 16, "bits_stored": 12,
        "signed": true, "planar": false, "big_endian": false});
    let instance = |compressed: Value| {
        json!({"sop_class": "1.2", "sop_instance": "1.2.3", "head_bytes": 1, "bulk_bytes": 2, "tail_bytes": u64::MAX, "sha256": "ab",
        "decoded_sha256": "cd", "image": image, "compressed": compressed, "conflict": true, "name": "a/b"})
    };
    let mut carried = instance(json!("decoded"));
    carried["carried"] = json!({"image": image, "chunks": [1, 3]});
    let series = json!({"study": "1", "series": "2", "modality": "CT", "transfer_syntax": "1.2.840.10008.1.2.1", "near": 3, "max_error": 2,
        "rmse": 0.25, "block_error": 0.5, "sigma": {"fine": 4.5, "blocks": 5.25}, "ratio": 10.5, "reference_only": true, "reason": "noise",
        "mixed_patients": true, "key_images": 1, "instances": [instance(json!("decoded")), instance(json!({"passed": "too_large"})), carried]});
    let kinds = ["headers", "model", "coarse", "pixels", "opaque", "residual"];
    let segments = kinds.map(
        |kind| json!({"kind": kind, "series": 1, "instance": 2, "raw_bytes": 3, "coded_bytes": u64::MAX}),
    );
    json!({"format": 1, "series": [series], "segments": segments, "note": "脳梗塞?", "banners": [{"name_ideographic": "山田^太郎", "sex": "M"}]})
}

type Told = (Manifest, Vec<crate::dataset::Banner>);

fn ours(text: &[u8]) -> Option<Told> {
    let (manifest, banners) = manifest(text)?;
    Some((manifest, banners.into_iter().map(Into::into).collect()))
}

fn theirs(text: &[u8]) -> Option<Told> {
    #[derive(serde::Deserialize)]
    struct Aside {
        #[serde(default)]
        banners: Vec<BannerTexts>,
        note: Option<Note>,
    }
    let mut manifest: Manifest = serde_json::from_slice(text).ok()?;
    let Aside { banners, note } = serde_json::from_slice(text).ok()?;
    manifest.note = note;
    Some((manifest, banners.into_iter().map(Into::into).collect()))
}

/// Every value that lies within, by its path.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| paths(value, &format!("{path}/{name}"), found))
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| paths(value, &format!("{path}/{at}"), found))
        }
        _ => {}
    }
}

#[test]
fn a_manifest_is_read_as_written() {
    let text = full().to_string();
    let (manifest, banners) = ours(text.as_bytes()).unwrap();
    assert_eq!(Some((manifest.clone(), banners)), theirs(text.as_bytes()));
    assert_eq!(format(text.as_bytes()), Some(1));
    let written: Value = serde_json::to_value(&manifest).unwrap();
    for name in ["format", "series", "segments"] {
        assert_eq!(written[name], full()[name]);
    }
}

/// With each value replaced by each other kind of value, or left out.
#[test]
fn whatever_stands_in_a_field_is_read_as_serde_reads_it() {
    let others = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(70_000),
        json!(5_000_000_000_u64),
        json!(""),
        json!("x"),
        json!([]),
        json!({}),
        json!("y".repeat(5000)),
    ];
    let mut found = Vec::new();
    paths(&full(), "", &mut found);
    let mut taken = 0;
    for path in found.iter().filter(|path| !path.is_empty()) {
        for other in &others {
            let mut changed = full();
            *changed.pointer_mut(path).unwrap() = other.clone();
            let text = changed.to_string();
            let (ours, theirs) = (ours(text.as_bytes()), theirs(text.as_bytes()));
            taken += usize::from(ours.is_some());
            // Serde takes an array for an object all of whose fields may be left out.
            assert!(ours == theirs || (ours.is_none() && other.is_array()), "{path} {other}");
        }
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut changed = full();
        if let Value::Object(fields) = changed.pointer_mut(parent).unwrap() {
            fields.remove(name);
            let text = changed.to_string();
            assert_eq!(ours(text.as_bytes()), theirs(text.as_bytes()), "without {path}");
        }
    }
    assert!(taken > 50);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A few characters replaced by others, or by a piece of the same text: fields come twice, are cut, or stand elsewhere.
    #[test]
    fn a_manifest_with_signs_replaced_is_read_as_serde_reads_it(
        at in any::<Index>(), out in 0_usize..12, from in any::<Index>(), length in 0_usize..40, signs in r#"[\[\]{}:,"\\\\ntrue0-9.eE+\- ]{0,3}"#
    ) {
        let mut text = full().to_string().into_bytes();
        let from = from.index(text.len());
        let again = text[from..(from + length).min(text.len())].to_vec();
        let at = at.index(text.len());
        let end = (at + out).min(text.len());
        drop(text.splice(at..end, [signs.as_bytes(), &again].concat()));
        let read = ours(&text);
        // Serde takes more, nothing otherwise.
        prop_assert!(read.is_none() || read == theirs(&text));
    }
}
