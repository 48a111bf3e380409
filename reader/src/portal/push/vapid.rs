//! Who sends, for the push service: a token signed by our key (RFC 8292).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// Seconds that a token is good; 24 h at most (RFC 8292 2).
const TOKEN_SECONDS: i64 = 12 * 3600;

pub(crate) struct Vapid {
    pair: EcdsaKeyPair,
    contact: String,
}

impl Vapid {
    /// A key as it is kept, PKCS#8.
    pub(crate) fn new_key() -> Option<Vec<u8>> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?.to_pkcs8v1().ok()?;
        Some(key.as_ref().to_vec())
    }

    pub(crate) fn of(key: &[u8], contact: String) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key).ok()?;
        Some(Self { pair, contact })
    }

    /// The point, uncompressed.
    pub(crate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The header `Authorization` for a push service.
    pub(crate) fn authorization(&self, origin: &str, now: i64) -> Option<String> {
        let claims = json!({"aud": origin, "exp": now + TOKEN_SECONDS, "sub": self.contact});
        let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let token = format!("{}.{}", part(json!({"typ": "JWT", "alg": "ES256"})), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), token.as_bytes()).ok()?;
        let (signature, key) =
            (URL_SAFE_NO_PAD.encode(signature.as_ref()), URL_SAFE_NO_PAD.encode(self.public()));
        Some(format!("vapid t={token}.{signature}, k={key}"))
    }
}
