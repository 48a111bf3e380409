//! Passphrases that are told by telephone: seven words of a list of 2,048, 77 bits. The lists are those of BIP-39, whose words differ in their first
//! four letters; the Japanese one is in hiragana.

use bip39::Language as List;
use notifier::Language;
use seal::native::{SealError, random};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// 7 × 11 bits.
const WORDS: usize = 7;
/// Of a list: a power of two, so that no word comes more often.
const WORD_MASK: u16 = 0x7FF;

/// A new one, as both sides derive keys from it.
///
/// # Errors
/// The system gives no random bytes.
pub fn passphrase(language: Language) -> Result<Zeroizing<String>, SealError> {
    let list = match language {
        Language::Japanese => List::Japanese,
        Language::English => List::English,
    }
    .word_list();
    let mut words = Zeroizing::new(String::new());
    for _ in 0..WORDS {
        let number = u16::from_be_bytes(random()?) & WORD_MASK;
        words.push_str(list.get(usize::from(number)).copied().unwrap_or_default());
        words.push(' ');
    }
    Ok(normalised(&words))
}

/// NFKC, lower case, words joined by one U+0020: the list has its marks apart, a keyboard together, and people type wide spaces.
pub fn normalised(text: &str) -> Zeroizing<String> {
    let folded: Zeroizing<String> = Zeroizing::new(text.nfkc().collect::<String>().to_lowercase());
    Zeroizing::new(folded.split_whitespace().collect::<Vec<_>>().join(" "))
}
