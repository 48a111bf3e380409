//! A site's name: the right side of its Message-IDs (SPEC 1).

use std::fmt;

/// Longest domain name (RFC 1035 2.3.4).
const NAME_CHARS_MAX: usize = 253;
/// Longest label of a domain name (RFC 1035 2.3.4).
const LABEL_CHARS_MAX: usize = 63;

/// A domain-like name in lower case, such as `hospital.example`. It can hold nothing that means something in a mail header.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site(String);

impl Site {
    /// Reads labels of `a-z`, `0-9` and inner `-`, joined by dots.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() <= NAME_CHARS_MAX && text.split('.').all(is_label);
        valid.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Site {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    let letters = label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    letters
        && (1..=LABEL_CHARS_MAX).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
}
