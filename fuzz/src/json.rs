//! JSON: what is taken is JSON for `serde_json` too, and the other way round as far as its depth is ours.

use compressor::json::object;
use serde_json::Value;

/// Arrays and objects within each other that both take.
const DEPTH_MAX: usize = 32;

pub(crate) fn run(bytes: &[u8]) {
    let ours = object(bytes, &mut |_, json| json.skip()).is_some();
    let theirs = serde_json::from_slice::<Value>(bytes).ok().filter(Value::is_object);
    match theirs {
        Some(tree) => assert!(ours || depth(&tree) > DEPTH_MAX, "JSON that is refused"),
        None => assert!(!ours, "no JSON, and taken"),
    }
}

fn depth(tree: &Value) -> usize {
    match tree {
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"a":[1,-2.5e+3,0.125,true,false,null],"b":{"c":"x","c":{}}}"#,
        r#"{"\u00e9\ud83d\ude00\n\"\\\/":"山田^太郎 😀"} "#,
        r#" { } "#,
        r#"{"n":18446744073709551615,"m":-9223372036854775808,"z":-0}"#,
    ];
    let deep = [r#"{"d":"#, &"[".repeat(DEPTH_MAX), &"]".repeat(DEPTH_MAX), "}"].concat();
    texts.into_iter().map(str::to_owned).chain([deep]).map(String::into_bytes).collect()
}
