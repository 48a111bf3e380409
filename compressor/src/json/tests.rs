//! Beside `serde_json`, which reads the same.

#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// A tree, to compare.
fn tree(json: &mut Json<'_>) -> Option<Value> {
    json.space();
    Some(match json.peek()? {
        b'{' => {
            let mut map = serde_json::Map::new();
            json.object(&mut |name, json| {
                map.insert(name.to_owned(), tree(json)?);
                Some(())
            })?;
            Value::Object(map)
        }
        b'[' => Value::Array(json.list(tree)?),
        b'"' => Value::String(json.text()?),
        b'n' => json.nullable(|_| None::<()>).map(|_| Value::Null)?,
        b't' | b'f' => Value::Bool(json.flag()?),
        _ => {
            let start = json.at;
            if let Some(number) = json.number::<u64>() {
                return Some(number.into());
            }
            json.at = start;
            if let Some(number) = json.number::<i64>() {
                return Some(number.into());
            }
            json.at = start;
            Value::from(json.float()?)
        }
    })
}

fn whole(text: &[u8]) -> Option<Value> {
    let mut json = Json { text: std::str::from_utf8(text).ok()?, at: 0, depth: 0 };
    let read = tree(&mut json)?;
    json.space();
    (json.at == json.text.len()).then_some(read)
}

fn compare(text: &[u8]) {
    let theirs = serde_json::from_slice::<Value>(text).ok();
    // It reads numbers to the last bit or next to it.
    let exact = |value: &Value| value.to_string().parse::<f64>().is_err();
    match (whole(text), theirs) {
        (Some(ours), Some(theirs)) if !exact(&ours) => {
            let (ours, theirs) = (ours.as_f64().unwrap(), theirs.as_f64().unwrap());
            assert!((ours - theirs).abs() <= theirs.abs() * 1e-15);
        }
        (ours, theirs) => assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(text)),
    }
}

#[test]
fn texts_are_read_as_serde_reads_them() {
    let texts = [
        "{}",
        "[]",
        "[ ]",
        "{ }",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\" : [ 1 , {\"b\":null} ] }",
        "{a:1}",
        "{\"a\"1}",
        "",
        " ",
        "1 2",
        "nul",
        "null",
        "nulll",
        "true",
        "false",
        "tru",
        "0",
        "-0",
        "00",
        "01",
        "-",
        "-1",
        "1.",
        ".5",
        "1.5",
        "1e5",
        "1E+5",
        "1e-5",
        "1e",
        "1e+",
        "+1",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "1e999",
        "0x1",
        "NaN",
        "Infinity",
        "\"\"",
        "\"a",
        "\"\\\"",
        "\"\\u0041\"",
        "\"\\u00\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ud83dx\"",
        "\"\\ude00\"",
        "\"\\ud83d\\u0041\"",
        "\"\\u+041\"",
        "\"\\x\"",
        "\"\\b\\f\\n\\r\\t\\/\\\\\\\"\"",
        "\"a\tb\"",
        "\"\u{1f}\"",
        "\"\u{7f}\"",
        "\"山田\\n太郎\"",
        "\u{feff}1",
        "\u{a0}1",
        "[1}",
        "{\"a\":1]",
        "[[[[[[]]]]]]",
    ];
    for text in texts {
        compare(text.as_bytes());
    }
    compare(b"\"\xff\"");
    assert_eq!(
        whole("[".repeat(33).as_bytes()).or(whole(("[".repeat(33) + &"]".repeat(33)).as_bytes())),
        None
    );
}

#[test]
fn a_field_that_comes_twice_is_refused() {
    let read = |text: &str| {
        let mut number = None;
        object(text.as_bytes(), &mut |name, json| match name {
            "number" => once(&mut number, json.number::<u32>()),
            _ => json.skip(),
        })?;
        number
    };
    assert_eq!(read(r#" {"other":[{"number":"x"}],"number":7} "#), Some(7));
    for wrong in [
        r#"{"number":7,"number":7}"#,
        r#"{"number":7}x"#,
        r#"{"number":-7}"#,
        r#"{"number":4294967296}"#,
        r#"{"number":7.0}"#,
    ] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_read_as_serde_reads_it(text in r#"[\[\]{}:,"\\ntrue0-9.eE+\-aufls \n]{0,24}"#) {
        compare(text.as_bytes());
    }
}
