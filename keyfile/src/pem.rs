//! `ENCRYPTED PRIVATE KEY` (RFC 7468 11): what is inside, within limits.

use crate::Passphrase;
use crate::error::Fault;
use pkcs8::der::Decode;
use pkcs8::der::pem::{LineEnding, PemLabel, decode_vec, encode_string};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo, SecretDocument};
use zeroize::Zeroizing;

/// scrypt with N = 2^14, r = 8, p = 5: as hard to try out as 2^17, 8, 1 (OWASP, password storage), and 16 MiB of memory, which openssl opens
/// without being told; its own limit is 32 MiB.
const COST_LOG2: u8 = 14;
const BLOCK_SIZE: u32 = 8;
const PARALLELIZATION: u32 = 5;
/// AES-256.
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const IV_BYTES: usize = 16;
/// Least work for one try: N · r of `openssl pkcs8 -topk8 -scrypt`.
const SCRYPT_WORK_MIN: u64 = (1 << 14) * 8;
/// Most memory for one try, 128 · N · r bytes.
const SCRYPT_BYTES_MAX: u64 = 256 << 20;
/// Most work for one try, N · r · p: six times ours, about a second.
const SCRYPT_WORK_MAX: u64 = 1 << 22;
/// Iterations of PBKDF2 with SHA-256 (OWASP, password storage).
const PBKDF2_ITERATIONS_MIN: u32 = 600_000;
const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;

/// Whether this PEM is a key under a passphrase, in any form.
pub(crate) fn is_encrypted(pem: &str) -> bool {
    // The second is the form of before PKCS#8 (RFC 1421); `decrypt` says what to do with it.
    pem.contains(&format!("-----BEGIN {}-----", EncryptedPrivateKeyInfo::PEM_LABEL))
        || pem.contains("Proc-Type: 4,ENCRYPTED")
}

/// Encrypts a key, PKCS#8 PEM.
///
/// # Errors
/// [`Fault::Form`] for what is no such key, [`Fault::Random`].
pub(crate) fn encrypt(pem: &str, passphrase: &Passphrase) -> Result<String, Fault> {
    let (_, plain) = SecretDocument::from_pem(pem).map_err(|_| Fault::Form)?;
    let key = PrivateKeyInfo::try_from(plain.as_bytes()).map_err(|_| Fault::Form)?;
    let cost = scrypt::Params::new(COST_LOG2, BLOCK_SIZE, PARALLELIZATION, KEY_BYTES);
    let (salt, iv) = (random::<SALT_BYTES>()?, random::<IV_BYTES>()?);
    let parameters =
        Parameters::scrypt_aes256cbc(cost.map_err(|_| Fault::Form)?, &salt, &iv).map_err(|_| Fault::Form)?;
    let sealed = key.encrypt_with_params(parameters, passphrase.bytes()).map_err(|_| Fault::Form)?;
    encode_string(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF, sealed.as_bytes())
        .map_err(|_| Fault::Form)
}

/// The key as plain PKCS#8 PEM.
///
/// # Errors
/// [`Fault`].
pub(crate) fn decrypt(pem: &str, passphrase: &Passphrase) -> Result<Zeroizing<String>, Fault> {
    let (label, der) = decode_vec(pem.trim().as_bytes()).map_err(|_| Fault::Form)?;
    let sealed = EncryptedPrivateKeyInfo::from_der(&der).map_err(|_| Fault::Form)?;
    if label != EncryptedPrivateKeyInfo::PEM_LABEL {
        return Err(Fault::Form);
    }
    check_cost(&sealed.encryption_algorithm)?;
    let plain = sealed.decrypt(passphrase.bytes()).map_err(|_| Fault::Passphrase)?;
    plain.to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF).map_err(|_| Fault::Form)
}

fn check_cost(scheme: &EncryptionScheme<'_>) -> Result<(), Fault> {
    let EncryptionScheme::Pbes2(parameters) = scheme else { return Err(Fault::Weak) };
    match &parameters.kdf {
        Kdf::Scrypt(scrypt) => {
            let block = u64::from(scrypt.block_size).saturating_mul(scrypt.cost_parameter);
            let work = block.saturating_mul(scrypt.parallelization.into());
            if block.saturating_mul(128) > SCRYPT_BYTES_MAX || work > SCRYPT_WORK_MAX {
                return Err(Fault::Costly);
            }
            if block < SCRYPT_WORK_MIN { Err(Fault::Weak) } else { Ok(()) }
        }
        Kdf::Pbkdf2(pbkdf2) if pbkdf2.iteration_count > PBKDF2_ITERATIONS_MAX => Err(Fault::Costly),
        Kdf::Pbkdf2(pbkdf2) if pbkdf2.iteration_count < PBKDF2_ITERATIONS_MIN => Err(Fault::Weak),
        Kdf::Pbkdf2(_) => Ok(()),
        _ => Err(Fault::Form),
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], Fault> {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Fault::Random)?;
    Ok(bytes)
}
