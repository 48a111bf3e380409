//! Why a private key cannot be read: whoever set up this machine must act.

use std::io;
use std::path::PathBuf;

/// See the top of this file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A secret that others can read is no secret.
    #[error("{} is open to others (mode {mode:04o}); run: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key that whoever has the disk can use, and nobody said that it may be so.
    #[error(
        "the private key {} is not encrypted; run: openssl pkcs8 -topk8 -scrypt -in {} -out NEW, or write plain_keys = true beside it", path.display(), path.display()
    )]
    Plain {
        /// The file.
        path: PathBuf,
    },
    /// An encrypted key without a passphrase.
    #[error(
        "no passphrase for {}: name a passphrase_file, hand over the credential {}, or start it on a terminal", path.display(), crate::secret::CREDENTIAL
    )]
    NoPassphrase {
        /// The key.
        path: PathBuf,
    },
    /// A passphrase that can be guessed.
    #[error("a passphrase of at least {} characters is needed", crate::secret::PASSPHRASE_CHARS_MIN)]
    ShortPassphrase,
    /// The key in the file.
    #[error("{}: {fault}", path.display())]
    Fault {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with an encrypted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not a key in a form that is read.
    #[error("not a private key in PKCS#8; bring it into that form with: openssl pkcs8 -topk8 -scrypt")]
    Form,
    /// Encrypted so that a stolen disk gives up weak passphrases.
    #[error(
        "the passphrase of this key can be tried out too fast; encrypt it anew with: openssl pkcs8 -topk8 -scrypt"
    )]
    Weak,
    /// Made to exhaust this machine.
    #[error(
        "opening this key would take too much memory or time; encrypt it anew with: openssl pkcs8 -topk8 -scrypt"
    )]
    Costly,
    /// The wrong passphrase, or a damaged file.
    #[error("the passphrase is wrong, or the file is damaged")]
    Passphrase,
    /// The system gives no random bytes.
    #[error("this system gives no random bytes")]
    Random,
}
