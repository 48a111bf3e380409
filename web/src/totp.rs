//! One-time codes of a phone (RFC 6238): HMAC-SHA-1, six digits, steps of 30 s, as every authenticator app does.

use aws_lc_rs::{hmac, rand};

/// Seconds of a step (RFC 6238 4.1).
const STEP_S: i64 = 30;
/// Steps that a clock may be off, either way (RFC 6238 5.2).
const SKEW_STEPS: i64 = 1;
/// Bytes of a secret: the output of HMAC-SHA-1 (RFC 4226 4, R6).
const SECRET_BYTES: usize = 20;
const DIGITS: usize = 6;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A new secret.
pub fn secret() -> [u8; SECRET_BYTES] {
    let mut secret = [0; SECRET_BYTES];
    // Without random numbers nothing of TLS works either.
    let _ = rand::fill(&mut secret);
    secret
}

/// The step of a typed code that is right now, to be used once; none for a wrong one.
pub fn step_of(secret: &[u8], typed: &str, now_s: i64) -> Option<i64> {
    let typed: String = typed.chars().filter(|char| !char.is_whitespace()).collect();
    let now = now_s / STEP_S;
    (now - SKEW_STEPS..=now + SKEW_STEPS)
        .find(|step| constant_time_eq(code(secret, *step).as_bytes(), typed.as_bytes()))
}

/// What an authenticator app reads from a QR code.
pub fn uri(site: &str, account: &str, secret: &[u8]) -> String {
    format!("otpauth://totp/Scanpost%20{site}:{account}?secret={}&issuer=Scanpost%20{site}", base32(secret))
}

/// RFC 4648 6, without padding.
pub fn base32(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let value = |chunk: &[u8]| {
        let padded = chunk.iter().chain(std::iter::repeat(&0)).take(5);
        padded.fold(0_usize, |value, bit| value << 1 | usize::from(*bit))
    };
    bits.chunks(5).filter_map(|chunk| BASE32.get(value(chunk))).map(|byte| char::from(*byte)).collect()
}

/// RFC 4226 5.3.
fn code(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let mac = mac.as_ref();
    let offset = usize::from(mac.last().copied().unwrap_or(0) & 0xF);
    let four = mac.iter().skip(offset).take(4).fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    format!("{:0DIGITS$}", (four & 0x7FFF_FFFF) % 1_000_000)
}

fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    /// RFC 6238 appendix B, the last six of eight digits.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        for (at_s, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step_of(SECRET, digits, at_s), Some(at_s / 30));
        }
    }

    #[test]
    fn a_clock_may_be_off_by_a_step_and_no_more() {
        for (off_s, taken) in [(-60, false), (-30, true), (0, true), (30, true), (60, false)] {
            let step = step_of(SECRET, "005 924", 1_234_567_890 + off_s);
            assert_eq!(step, taken.then_some(1_234_567_890 / 30), "{off_s}");
        }
        assert_eq!(step_of(SECRET, "", 1_234_567_890), None);
    }

    /// RFC 4648 10.
    #[test]
    fn base32_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
