//! The site's mail address in `From`.

use super::Site;
use std::fmt;

/// Longest local part (RFC 5321 4.5.3.1.1).
const LOCAL_CHARS_MAX: usize = 64;
/// Characters of an atom besides letters and digits (RFC 5322 3.2.3).
const ATOM_SIGNS: &[u8] = b"!#$%&'*+-/=?^_`{|}~";

/// `local@domain`, the local part a dot-atom (RFC 5322 3.2.3): no quotes, no blanks, no line ends, so nothing can be smuggled
/// into a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address(String);

impl Address {
    /// Reads an address without display name and brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.rsplit_once('@')?;
        let valid = local.len() <= LOCAL_CHARS_MAX
            && local.split('.').all(is_atom)
            && Site::parse(&domain.to_ascii_lowercase()).is_some();
        valid.then(|| Self(text.to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_atom(atom: &str) -> bool {
    !atom.is_empty() && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || ATOM_SIGNS.contains(&byte))
}
