//! Answers in JSON, written by hand: they have few fields.

#[cfg(any(feature = "parser", feature = "device"))]
use base64::Engine;
#[cfg(any(feature = "parser", feature = "device"))]
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// An answer that grows field by field: JSON without its outer braces.
#[derive(Default)]
pub(crate) struct Answer(String);

impl Answer {
    #[cfg(any(feature = "parser", feature = "device"))]
    pub(crate) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        self.text(name, &STANDARD.encode(bytes))
    }

    pub(crate) fn text(mut self, name: &str, text: &str) -> Self {
        self.begin(name);
        quote(&mut self.0, text);
        self
    }

    #[cfg(any(feature = "parser", feature = "device"))]
    pub(crate) fn number(mut self, name: &str, number: i64) -> Self {
        self.begin(name);
        self.0.push_str(&number.to_string());
        self
    }

    #[cfg(feature = "device")]
    pub(crate) fn answer(mut self, name: &str, inner: &Self) -> Self {
        self.begin(name);
        self.0.push_str(&inner.to_json());
        self
    }

    #[cfg(feature = "parser")]
    pub(crate) fn answers(mut self, name: &str, list: &[Self]) -> Self {
        self.begin(name);
        let list: Vec<_> = list.iter().map(Self::to_json).collect();
        self.0.push_str(&["[", &list.join(","), "]"].concat());
        self
    }

    fn begin(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        quote(&mut self.0, name);
        self.0.push(':');
    }

    pub(crate) fn to_json(&self) -> String {
        ["{", &self.0, "}"].concat()
    }

    pub(crate) fn into_json(self) -> Vec<u8> {
        self.to_json().into_bytes()
    }
}

/// RFC 8259 7.
fn quote(json: &mut String, text: &str) {
    json.push('"');
    for sign in text.chars() {
        match sign {
            '"' | '\\' => json.extend(['\\', sign]),
            // Writing to a string cannot fail.
            '\0'..='\x1F' => drop(write!(json, "\\u{:04x}", u32::from(sign))),
            _ => json.push(sign),
        }
    }
    json.push('"');
}
