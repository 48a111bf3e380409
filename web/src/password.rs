//! Passwords: Argon2id (RFC 9106) with the parameters that OWASP names first, 19 MiB and two passes.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::sync::LazyLock;
use tokio::sync::Semaphore;

/// Passwords hashed at once: 19 MiB and a core each.
const HASHES_MAX: usize = 2;
/// Shortest password: long, and no rules beside that (NIST SP 800-63B 3.1.1.2).
const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password in bytes.
const PASSWORD_BYTES_MAX: usize = 256;

static HASHES: Semaphore = Semaphore::const_new(HASHES_MAX);

/// Compared with where there is no such account, so that the answer takes as long.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now(&random()).unwrap_or_default());

/// No letter or digit that looks like another one.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789-";

/// Whether a password can be taken.
pub fn is_long_enough(password: &str) -> bool {
    password.chars().count() >= PASSWORD_CHARS_MIN && password.len() <= PASSWORD_BYTES_MAX
}

/// A password of 100 bits.
pub fn random() -> String {
    let mut bytes = [0; 20];
    // Without random numbers nothing of TLS works either.
    let _ = rand::fill(&mut bytes);
    bytes
        .iter()
        .map(|byte| char::from(ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'x')))
        .collect()
}

/// The PHC string of a password.
pub async fn hash(password: String) -> Option<String> {
    let turn = HASHES.acquire().await.ok()?;
    let hashed = tokio::task::spawn_blocking(move || {
        // Held until the work is done, also where nobody waits for it any more.
        let _turn = turn;
        hash_now(&password)
    });
    hashed.await.ok()?
}

/// Whether it is the password of this PHC string; without one never, and as slowly.
pub async fn is_right(password: String, known: Option<String>) -> bool {
    let Ok(turn) = HASHES.acquire().await else { return false };
    let compared = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let hash = known.as_deref().unwrap_or(&NOBODY);
        let equal = PasswordHash::new(hash)
            .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok());
        equal && known.is_some()
    });
    compared.await.unwrap_or(false)
}

fn hash_now(password: &str) -> Option<String> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).ok()?;
    let salt = STANDARD_NO_PAD.encode(salt);
    let hash = argon2().hash_password(password.as_bytes(), Salt::from_b64(&salt).ok()?).ok()?;
    Some(hash.to_string())
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_its_own_and_no_other_and_nobody_has_none() {
        let made = hash("correct horse battery".into()).await.unwrap();
        assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
        assert_ne!(made, hash("correct horse battery".into()).await.unwrap());
        assert!(is_right("correct horse battery".into(), Some(made.clone())).await);
        assert!(!is_right("correct horse batterY".into(), Some(made)).await);
        assert!(!is_right("correct horse battery".into(), None).await);
        assert!(!is_right("x".into(), Some("not a hash".into())).await);
    }

    #[test]
    fn made_ones_are_long_enough_and_differ() {
        assert!(is_long_enough(&random()));
        assert_ne!(random(), random());
        assert!(!is_long_enough("elevenchars"));
        assert!(is_long_enough("十二文字の合言葉を使います"));
        assert!(!is_long_enough(&"x".repeat(257)));
    }
}
