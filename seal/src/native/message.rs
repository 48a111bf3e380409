//! One standard S/MIME message for a recipient who has only a mail program (SPEC 9, RFC 8551): signed by the site, then encrypted.

use super::envelope::{encrypt, wrap, wrap_for_old_programs};
use super::folder::{self, NewFile};
use super::keys::SiteKey;
use super::random;
use crate::certificate::Certificate;
use crate::cms::envelope::cbc::{self, IV_BYTES};
use crate::cms::envelope::{self, KEY_BYTES, NONCE_BYTES};
use crate::cms::outermost;
use crate::error::SealError;
use crate::ids::DeliveryId;
use crate::mail::{Encryption, body_lines};
use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const MESSAGE: &str = "the S/MIME message";
/// Bytes of a file that show which structure it holds.
const FRONT_BYTES: u64 = 32;

/// Who gets a message of its own.
#[derive(Debug)]
pub struct Addressee<'a> {
    /// Number among the recipients of the delivery, from 1.
    pub number: u32,
    /// The certificates that it is encrypted for, all of one person.
    pub certificates: &'a [Certificate],
    /// How.
    pub encryption: Encryption,
}

/// A message signed, encrypted and durable on disk. Only [`seal_message`] and [`SealedMessage::reopen`] make one, so whatever takes it cannot be
/// handed anything plain.
#[derive(Debug)]
pub struct SealedMessage {
    path: PathBuf,
    delivery: DeliveryId,
    number: u32,
    encryption: Encryption,
    bytes: u64,
}

/// Signs a MIME entity, encrypts it for one recipient, under each of the certificates, and writes it into `folder`. `entity` has CRLF at the end of each line (RFC 8551 3.1.1); `at` is
/// the signing time, in seconds since 1970-01-01 UTC. Entity and message are held in memory: the caller bounds them.
///
/// # Errors
/// [`SealError::Key`] for a certificate that is not valid at `at`, or none; [`SealError::Io`].
pub fn seal_message(
    entity: &[u8],
    delivery: DeliveryId,
    at: i64,
    site: &SiteKey,
    to: &Addressee<'_>,
    folder: &Path,
) -> Result<SealedMessage, SealError> {
    if !site.certificate().is_valid_at(at) {
        return Err(SealError::key("the site's certificate", "not valid now"));
    }
    if to.certificates.is_empty() || !to.certificates.iter().all(|certificate| certificate.is_valid_at(at)) {
        return Err(SealError::key("a recipient's certificate", "not valid now"));
    }
    let signed = signed_entity(entity, at, site)?;
    let der = match to.encryption {
        Encryption::Authenticated => authenticated(signed, to.certificates)?,
        Encryption::QuirkCbc => unauthenticated(signed, to.certificates)?,
    };
    folder::make(folder)?;
    let path = folder::message_path(folder, to.number);
    let mut file = NewFile::again(path.clone())?;
    file.file().write_all(&der)?;
    file.publish()?;
    folder::sync_folder(folder)?;
    folder.parent().map_or(Ok(()), folder::sync_folder)?;
    Ok(SealedMessage {
        path,
        delivery,
        number: to.number,
        encryption: to.encryption,
        bytes: der.len() as u64,
    })
}

impl SealedMessage {
    /// Finds a message that [`seal_message`] finished earlier in the folder of a delivery.
    ///
    /// # Errors
    /// [`SealError::Io`]; `InvalidData` for a file that is neither kind of message.
    pub fn reopen(folder: &Path, delivery: DeliveryId, number: u32) -> Result<Option<Self>, SealError> {
        let path = folder::message_path(folder, number);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let bytes = file.metadata()?.len();
        let mut front = Vec::new();
        file.take(FRONT_BYTES).read_to_end(&mut front)?;
        let encryption = outermost(&front)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an S/MIME message"))?;
        Ok(Some(Self { path, delivery, number, encryption, bytes }))
    }

    /// The delivery.
    pub fn delivery(&self) -> DeliveryId {
        self.delivery
    }

    /// Number of its recipient, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// How it is encrypted.
    pub fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// Bytes before base64.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens it for sending.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.path)
    }
}

/// The entity and its signature as multipart/signed (RFC 8551 3.5.3).
fn signed_entity(entity: &[u8], at: i64, site: &SiteKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let signature = site.signer().sign_apart(entity, at)?;
    let boundary: String = random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut whole = Vec::with_capacity(entity.len() + signature.len() * 2 + 1024);
    write!(
        whole,
        "MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256;\r\n boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n"
    )?;
    whole.extend_from_slice(entity);
    write!(
        whole,
        "\r\n--{boundary}\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=smime.p7s\r\n\r\n"
    )?;
    for block in body_lines(signature.as_slice(), signature.len() as u64) {
        whole.extend_from_slice(&block?);
    }
    write!(whole, "--{boundary}--\r\n")?;
    Ok(Zeroizing::new(whole))
}

/// AuthEnvelopedData, AES-256-GCM.
fn authenticated(mut content: Zeroizing<Vec<u8>>, to: &[Certificate]) -> Result<Vec<u8>, SealError> {
    let key = Zeroizing::new(random::<KEY_BYTES>()?);
    let nonce = random::<NONCE_BYTES>()?;
    encrypt(&mut content, &key, nonce).map_err(|_| cannot_encrypt())?;
    let keys = to.iter().map(|certificate| wrap(&key, certificate)).collect::<Result<Vec<_>, _>>()?;
    envelope::build(&keys, &nonce, &content).map_err(|_| cannot_encrypt())
}

/// EnvelopedData, AES-256-CBC.
fn unauthenticated(mut content: Zeroizing<Vec<u8>>, to: &[Certificate]) -> Result<Vec<u8>, SealError> {
    let key = Zeroizing::new(random::<KEY_BYTES>()?);
    let iv = encrypt_cbc(&mut content, &key).map_err(|_| cannot_encrypt())?;
    let wrapped = to.iter().map(|certificate| wrap_for_old_programs(&key, certificate));
    cbc::build(&wrapped.collect::<Result<Vec<_>, _>>()?, &iv, &content).map_err(|_| cannot_encrypt())
}

/// With a random initialisation vector, padded by PKCS #7 (RFC 5652 6.3).
pub(super) fn encrypt_cbc(bytes: &mut Vec<u8>, key: &[u8; KEY_BYTES]) -> Result<[u8; IV_BYTES], Unspecified> {
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key)?)?;
    match key.encrypt(bytes)? {
        DecryptionContext::Iv128(iv) => Ok(*iv.as_ref()),
        _ => Err(Unspecified),
    }
}

fn cannot_encrypt() -> SealError {
    SealError::key(MESSAGE, "cannot be encrypted")
}
