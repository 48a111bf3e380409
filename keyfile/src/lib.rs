//! Private keys at rest: PKCS#8 files that are encrypted under a passphrase (RFC 5958 3), by PBES2 with scrypt (RFC 8018, RFC 7914).
//!
//! What `openssl pkcs8 -topk8 -scrypt` writes is read, and openssl reads what [`KeyFiles::seal`] makes. A plain file is read only where
//! somebody chose that. Knows no mail and no study.

mod error;
mod owner;
mod pem;
mod secret;

pub use error::{Fault, KeyFileError};
pub use owner::become_owner_of;
pub use secret::{Passphrase, Protection, credential};

use std::cell::OnceCell;
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Permission bits that let anyone but the owner at a secret.
const MODE_OTHERS: u32 = 0o077;
/// A key or passphrase file: an encrypted RSA key of 8192 bits has about 9 kB.
const FILE_BYTES_MAX: u64 = 1 << 16;

/// Key files of one owner, under one passphrase: it is fetched or asked for once.
pub struct KeyFiles {
    protection: Protection,
    passphrase: OnceCell<Passphrase>,
}

impl KeyFiles {
    /// Nothing is read yet.
    pub fn new(protection: Protection) -> Self {
        Self { protection, passphrase: OnceCell::new() }
    }

    /// Reads a private key; what comes back is PEM without encryption, and stays in memory.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read(&self, path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
        let text = read_private(path)?;
        if !pem::is_encrypted(&text) {
            let is_chosen = self.protection.plain;
            return if is_chosen { Ok(text) } else { Err(KeyFileError::Plain { path: path.to_owned() }) };
        }
        let passphrase = self.passphrase(|| self.protection.passphrase(path))?;
        pem::decrypt(&text, passphrase).map_err(|fault| KeyFileError::Fault { path: path.to_owned(), fault })
    }

    /// What is to be written of a new key (PKCS#8 PEM) into `folder`: encrypted, unless plain keys are chosen and there is no
    /// passphrase.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn seal(&self, folder: &Path, pem: Zeroizing<String>) -> Result<Zeroizing<String>, KeyFileError> {
        if self.protection.plain && self.protection.passphrase_file.is_none() {
            return Ok(pem);
        }
        let passphrase = self.passphrase(|| self.protection.new_passphrase(folder))?;
        let sealed = pem::encrypt(&pem, passphrase);
        sealed.map(Zeroizing::new).map_err(|fault| KeyFileError::Fault { path: folder.to_owned(), fault })
    }

    fn passphrase(
        &self,
        fetch: impl FnOnce() -> Result<Passphrase, KeyFileError>,
    ) -> Result<&Passphrase, KeyFileError> {
        match self.passphrase.get() {
            Some(passphrase) => Ok(passphrase),
            None => fetch().map(|passphrase| self.passphrase.get_or_init(|| passphrase)),
        }
    }
}

/// The mode of a file that others than its owner may read, write or enter; none where it is the owner's alone.
pub fn open_to_others(metadata: &Metadata) -> Option<u32> {
    let mode = metadata.permissions().mode() & 0o7777;
    (mode & MODE_OTHERS != 0).then_some(mode)
}

/// A file that nobody but its owner may read.
fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let unreadable = |error| KeyFileError::Read { path: path.to_owned(), error };
    if let Some(mode) = open_to_others(&std::fs::metadata(path).map_err(unreadable)?) {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    read_text(path)
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let unreadable = |error| KeyFileError::Read { path: path.to_owned(), error };
    // As large as it can get, so that no copy of it is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize + 1));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}
